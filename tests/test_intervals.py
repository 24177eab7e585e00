"""Intervals and tests against definitions that are too simple to be wrong."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwren.intervals import auroc, bootstrap, delong, mcnemar, wilson

scores = st.lists(st.integers(0, 20), min_size=1, max_size=30)
trials = st.integers(1, 10_000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count)))


@settings(deadline=None)
@given(trials)
def test_wilson(given: tuple[int, int]) -> None:
    successes, count = given
    low, high = wilson(successes, count)
    assert 0 <= low <= successes / count <= high <= 1
    assert low < high
    # Wilson's bounds are the shares from which the one measured is 1.96 standard errors away.
    for bound in {low, high} - {0.0, 1.0}:
        assert abs(successes / count - bound) == pytest.approx(1.959964 * math.sqrt(bound * (1 - bound) / count), rel=1e-4)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(0, 200))
def test_wilson_narrows_and_rises(count: int, successes: int) -> None:
    successes = min(successes, count)
    low, high = wilson(successes, count)
    more = wilson(10 * successes, 10 * count)
    assert more[1] - more[0] < high - low
    if successes < count:
        assert wilson(successes + 1, count) > (low, high)


def test_wilson_of_the_books() -> None:
    assert wilson(10, 10) == (pytest.approx(0.7225, abs=1e-4), 1.0)
    assert wilson(81, 263) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))  # Newcombe 1998


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_bootstrap(values: list[float]) -> None:
    low, high = bootstrap(np.array(values))
    assert min(values) <= low + 1e-12
    assert low <= np.mean(values) <= high <= max(values) + 1e-12
    assert bootstrap(np.array(values)) == (low, high)


def test_bootstrap_is_about_two_standard_errors() -> None:
    values = np.random.default_rng(0).random(1000)
    low, high = bootstrap(values)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(1000), rel=0.06)


@settings(deadline=None)
@given(scores, scores)
def test_auroc_is_the_share_of_pairs_in_order(inside: list[int], outside: list[int]) -> None:
    pairs = [(a > b) + (a == b) / 2 for a in inside for b in outside]
    area = auroc(np.array(inside, dtype=float), np.array(outside, dtype=float))
    assert area == pytest.approx(sum(pairs) / len(pairs))
    low, high = delong(np.array(inside, dtype=float), np.array(outside, dtype=float))
    assert 0 <= low <= area + 1e-12
    assert area - 1e-12 <= high <= 1
    assert low < high


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=12), st.lists(st.integers(0, 9), min_size=2, max_size=12))
def test_delong_has_the_variance_of_its_components(inside: list[int], outside: list[int]) -> None:
    kernel = np.array([[(a > b) + (a == b) / 2 for b in outside] for a in inside])
    variance = kernel.mean(axis=1).var(ddof=1) / len(inside) + kernel.mean(axis=0).var(ddof=1) / len(outside)
    area = kernel.mean()
    low, high = delong(np.array(inside, dtype=float), np.array(outside, dtype=float))
    if variance > 1e-12 and 0 < area < 1:
        width = math.log(high / (1 - high)) - math.log(low / (1 - low))
        assert width == pytest.approx(2 * 1.959964 * math.sqrt(variance) / (area * (1 - area)), rel=1e-6)
    else:
        assert (low, high) == wilson(area * min(kernel.shape), min(kernel.shape))


def test_delong_takes_scores_of_nothing() -> None:
    assert delong(np.array([1.0, 2.0, -math.inf]), np.array([-math.inf, 0.0]))[1] <= 1


@settings(deadline=None)
@given(st.integers(0, 8), st.integers(0, 8))
def test_mcnemar_counts_outcomes_of_a_fair_coin(only_a: int, only_b: int) -> None:
    count = only_a + only_b
    far = abs(only_a - only_b)
    outcomes = [abs(2 * sum(toss) - count) >= far for toss in itertools.product((0, 1), repeat=count)]
    assert mcnemar(only_a, only_b) == pytest.approx(sum(outcomes) / len(outcomes))


def test_mcnemar_of_many() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(2000, 2000) == 1.0
    assert 0 <= mcnemar(1000, 3000) < 1e-200
