"""The search of many queries at once finds what the reference finds one by one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import random_encoder

from bitwren import lexical
from bitwren.batch import NONE, ask, by_cosine, by_distance, by_row, search
from bitwren.bundle import Bundle
from bitwren.hamming import search as search_codes
from bitwren.scoring import ALL, Query, rank
from bitwren.table import Record, Table
from bitwren.vectors import quantize

WORDS = ["blink", "pump", "water", "light", "noise", "seal", "filter", "hose", "stops", "floor", "rinse", "door"]
ENCODER = random_encoder(bits=128, dims=64)


def texts(seed: int, count: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(1, 5))) for _ in range(count)]


def table(seed: int, count: int, layout: str = "flat", effort: int = 100) -> Table:
    """Documents with many ties and some deleted; words cover them all, vectors all but the last ones."""
    some = texts(seed, count)
    embeddings = ENCODER.embed(some)
    live = np.random.default_rng(seed).random(count) < 0.8
    live[0] = True
    return Table(
        ENCODER.binarize(embeddings),
        [Record(str(slot), each, each) for slot, each in enumerate(some)],
        live,
        ENCODER.identity,
        layout=layout,
        effort=effort,
        centre=np.zeros(ENCODER.units, dtype=np.int8),
        vectors=quantize(embeddings[: max(1, count - 5)].astype(np.float64) + 0.5, 4),
        words=lexical.build(some, 60 * count),
        weight=180,
    )


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 150), st.integers(1, 12), st.sampled_from([("flat", 100), ("residual", 30)]))
def test_hits_are_the_references(seed: int, count: int, k: int, how: tuple[str, int]) -> None:
    made = table(seed, count, *how)
    bundle = Bundle(ENCODER, made)
    queries = bundle.ask([*texts(seed + 1, 4), "zzz", made.records[0].answer])
    for stages, found in zip(ALL, search(made, queries, ALL, k), strict=True):
        for index, query in enumerate(queries):
            hits = made.search(query, k, made.effort, stages)
            wanted = [(hit.slot, -hit.distance if hit.score is None else hit.score) for hit in hits]
            there = found.slots[index] != NONE
            assert list(zip(found.slots[index][there], found.scores[index][there], strict=True)) == wanted
            assert (found.scores[index][~there] == -math.inf).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.integers(2, 100))
def test_documents_that_are_not_allowed(seed: int, count: int) -> None:
    made = table(seed, count)
    queries = Bundle(ENCODER, made).ask(texts(seed + 1, 5))
    allowed = np.random.default_rng(seed).random((5, count)) < 0.5
    for stages, found in zip(ALL, search(made, queries, ALL, 3, lambda rows: allowed[rows]), strict=True):
        for index, query in enumerate(queries):
            less = replace(made, live=made.live & allowed[index])
            pairs = rank(less, query, 3, 100, stages) if stages.any else less.nearest(query.code, 3)
            assert [slot for slot in found.slots[index] if slot != NONE] == [pair[-1] for pair in pairs]


def test_a_query_without_words_finds_nothing() -> None:
    bundle = Bundle(ENCODER, table(0, 20))
    for found in ask(bundle, bundle.ask(["?!", "pump"]), ALL, 2, lambda step, done, total: None):
        assert found.slots[0].tolist() == [NONE, NONE]
        assert found.first[0] == -math.inf
        assert found.slots[1, 0] != NONE
    inside, outside = found.split(1)
    assert (len(inside.slots), len(outside.slots)) == (1, 1)


def test_no_queries() -> None:
    assert search(table(0, 20), [], ALL, 3)[0].slots.shape == (0, 3)
    assert by_cosine(np.zeros((0, 4)), np.ones((3, 4)), np.ones(3, dtype=bool), 2).slots.shape == (0, 2)


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 60), st.sampled_from([32, 64, 512]))
def test_by_distance(seed: int, count: int, bits: int) -> None:
    random = np.random.default_rng(seed)
    codes = random.integers(0, 4, (count, bits // 32), dtype=np.uint32)
    live = random.random(count) < 0.7
    queries = random.integers(0, 4, (3, bits // 32), dtype=np.uint32)
    found = by_distance(queries, codes, live, 7)
    for row, query in enumerate(queries):
        slots, far = search_codes(query, codes, 7, live)
        assert found.slots[row][: len(slots)].tolist() == slots.tolist()
        assert (-found.scores[row][: len(slots)]).tolist() == far.tolist()
        assert (found.slots[row][len(slots) :] == NONE).all()


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 40))
def test_cosines_in_order_and_equal_documents_by_slot(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    documents = random.integers(-3, 4, (count, 6)).astype(float)
    queries = np.concatenate([random.integers(-3, 4, (4, 6)).astype(float), np.zeros((1, 6))])
    live = random.random(count) < 0.8
    found = by_cosine(queries, documents, live, 5)
    for row, query in enumerate(queries):
        cosines = []
        for slot, document in enumerate(documents):
            lengths = math.hypot(*query) * math.hypot(*document)
            cosines.append((-round(float(query @ document) / lengths if lengths else 0.0, 5), slot))
        best = sorted(pair for pair in cosines if live[pair[1]])[:5]
        assert [slot for slot in found.slots[row] if slot != NONE] == [slot for _, slot in best]
        assert found.scores[row][: len(best)] == pytest.approx([-cosine for cosine, _ in best], abs=2e-5)


def test_scores_of_0_are_not_found() -> None:
    rows = [np.array([0.0, 0.5, 0.5, 0.0]), np.zeros(4)]
    found = by_row(lambda index: rows[index], 2, np.array([True, True, True, True]), 3)
    assert found.slots.tolist() == [[1, 2, NONE], [NONE, NONE, NONE]]
    assert found.scores[0].tolist() == [0.5, 0.5, -math.inf]


def test_a_query_may_be_a_code_alone() -> None:
    made = replace(table(3, 30), vectors=None, words=None)
    (found,) = search(made, [Query(made.codes[0])], [ALL[0]], 1)
    assert found.first[0] == 0
