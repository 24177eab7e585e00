"""Ordering permutes, repeats itself, and brings like documents together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwren import ordering
from bitwren.hamming import WIDTHS, Codes
from bitwren.residual import LANE_CHOICES, encode


def clustered(random: np.random.Generator, count: int, bits: int, centres: int, noise: int) -> Codes:
    """Codes that differ from one of a few centres in about bits / 2^noise places, in random order."""
    words = bits // 32
    found = random.integers(0, 1 << 32, (centres, words), dtype=np.uint64).astype(np.uint32)[random.integers(0, centres, count)]
    flips = np.full((count, words), 0xFFFFFFFF, np.uint32)
    for _ in range(noise):
        flips &= random.integers(0, 1 << 32, (count, words), dtype=np.uint64).astype(np.uint32)
    return found ^ flips


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    bits=st.sampled_from(WIDTHS),
    count=st.one_of(st.sampled_from([1, 2, 31, 32, 33, 63, 64, 65, 129]), st.integers(1, 400)),
    centres=st.sampled_from([1, 3, 50]),
    lanes=st.sampled_from(LANE_CHOICES),
)
def test_a_permutation_that_repeats(seed: int, bits: int, count: int, centres: int, lanes: int) -> None:
    codes = clustered(np.random.default_rng(seed), count, bits, centres, 3)
    found = ordering.order(codes, lanes)
    assert sorted(found.tolist()) == list(range(count))
    assert found.tolist() == ordering.order(codes, lanes).tolist()


@pytest.mark.parametrize("lanes", LANE_CHOICES)
def test_like_documents_lie_together(lanes: int) -> None:
    codes = clustered(np.random.default_rng(1), 3000, 256, 12, 3)
    shuffled, ordered = (encode(c, lanes).bodies for c in (codes, codes[ordering.order(codes, lanes)]))
    ones = [int(np.bitwise_count(bodies[:, 8:]).sum()) for bodies in (shuffled, ordered)]
    assert ones[1] < 0.45 * ones[0]


def test_without_numpys_popcount(monkeypatch: pytest.MonkeyPatch) -> None:
    """numpy 1.26, which tflite-runtime needs, has none."""
    codes = clustered(np.random.default_rng(2), 300, 128, 5, 3)
    found = ordering.order(codes, 64).tolist()
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert ordering.order(codes, 64).tolist() == found
