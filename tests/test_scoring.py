"""Scoring stages: the ranking against all candidates scored one by one, and which stages can be asked for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import random_encoder

from bitwren import bundle, lexical, scoring, table
from bitwren.encoder import Encoder, Projection
from bitwren.errors import FormatError, QueryError
from bitwren.frontend import unpack_rows
from bitwren.lower import with_identity
from bitwren.vectors import from_distances, quantize

WORDS = [
    "pump",
    "lamp",
    "leaks",
    "light",
    "hose",
    "door",
    "red",
    "blue",
    "stops",
    "beeps",
    "twice",
    "water",
    "fan",
    "noise",
    "cold",
    "hot",
    "error",
    "seven",
    "display",
    "dark",
]


def projecting(seed: int = 1, bits: int = 64) -> Encoder:
    made = random_encoder(seed, 64, hidden=(32,))
    return with_identity(Encoder(made.vocabulary, made.rows, made.layers[:1], b"", made.notes, Projection(bits, 12345)))


def a_table(seed: int, count: int, covered: int, vector_bits: int = 4, layout: str = "flat") -> tuple[Encoder, table.Table]:
    """Documents of a few words; the last ones have neither vector nor words, as after appending on a chip."""
    random = np.random.default_rng(seed)
    encoder = projecting()
    texts = [" ".join(random.choice(WORDS, random.integers(1, 8))) for _ in range(count)]
    embeddings = encoder.embed(texts)
    centre = np.rint(embeddings.mean(axis=0)).astype(np.int8)
    vectors = embeddings[:covered].astype(float) - centre + random.normal(size=(covered, 32))
    made = table.Table(
        encoder.binarize(embeddings, centre),
        [table.Record(f"d{index}", text) for index, text in enumerate(texts)],
        random.random(count) < 0.9,
        encoder.identity,
        layout=layout,
        centre=centre,
        vectors=quantize(vectors, vector_bits),
        words=lexical.build(texts[:covered], 1 << 30),
        weight=int(random.integers(0, 400)),
        staged=count - covered,
    )
    return encoder, made


def one_by_one(made: table.Table, encoder: Encoder, text: str, k: int, stages: scoring.Stages) -> list[tuple[int, int, int]]:
    """All that scoring.rank says, for one document after the other."""
    embedding = encoder.embed([text])[0]
    code = encoder.binarize(embedding[None], made.centre)[0]
    live = [slot for slot in range(len(made.codes)) if made.live[slot]]
    distance = {
        slot: int(sum((int(a) ^ int(b)).bit_count() for a, b in zip(code, made.codes[slot], strict=True))) for slot in live
    }
    chosen = sorted(live, key=lambda slot: (distance[slot], slot))[: max(64, k)]
    assert made.vectors
    assert made.words
    buckets = lexical.query_buckets(text, made.words.hash_bits) if stages.words else []
    sums, total = [0] * len(made.codes), 0
    for bucket in buckets:
        slots = made.words.slots[made.words.starts[bucket] : made.words.starts[bucket + 1]].tolist()
        total += lexical.weight(len(slots), len(made.words))
        for slot in slots:
            sums[slot] += lexical.weight(len(slots), len(made.words)) * int(made.words.gains[slot])
    by_words = sorted((slot for slot in live if sums[slot]), key=lambda slot: (-sums[slot], slot))[:64]
    found = []
    for slot in {*chosen, *by_words}:
        if stages.vectors and slot < len(made.vectors):
            query = embedding.astype(int) - made.centre
            dot = int(unpack_rows(made.vectors.packed[slot : slot + 1], made.vectors.bits)[0] @ query)
            length = math.isqrt(int((query**2).sum()))
            size = abs(dot) * int(made.vectors.scales[slot]) // length >> 6 if length else 0
            score = size if dot > 0 else -size
        else:
            score = int(from_distances(np.array([distance[slot]]), made.bits)[0])
        if total:
            score += made.weight * (sums[slot] * 32 // total) >> 8
        found.append((score, distance[slot], slot))
    return sorted(found, key=lambda each: (-each[0], each[2]))[:k]


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 1000),
    st.integers(1, 200),
    st.integers(0, 5),
    st.sampled_from([2, 4, 8]),
    st.integers(1, 90),
    st.sampled_from([1, 2, 3]),
)
def test_the_ranking_is_that_of_all_candidates_one_by_one(
    seed: int, count: int, appended: int, vector_bits: int, k: int, stages: int
) -> None:
    encoder, made = a_table(seed, count, max(1, count - appended), vector_bits)
    text = " ".join(np.random.default_rng(seed).choice(WORDS, 4)) + " lmap"
    wanted = scoring.Stages(bool(stages & 1), bool(stages & 2))
    query = scoring.Query(encoder.binarize(encoder.embed([text]), made.centre)[0], encoder.embed([text])[0], text)
    assert scoring.rank(made, query, k, 100, wanted) == one_by_one(made, encoder, text, k, wanted)


@pytest.mark.parametrize("layout", ["flat", "residual", "rows"])
@pytest.mark.parametrize("vector_bits", [2, 4, 8])
def test_a_table_with_stages_there_and_back(layout: str, vector_bits: int) -> None:
    _, made = a_table(4, 100, 97, vector_bits, layout)
    data = table.write(made)
    again = table.read(data)
    assert table.write(again) == data
    assert again.vectors
    assert again.words
    assert (again.weight, again.score_thresholds, len(again.vectors), len(again.words)) == (
        made.weight,
        (table.NO_SCORE,) * 3,
        97,
        97,
    )
    assert again.centre is not None
    assert again.centre.tolist() == (made.centre.tolist() if made.centre is not None else None)


def test_stages_by_name() -> None:
    encoder, made = a_table(5, 60, 60)
    whole = bundle.Bundle(encoder, made)
    names = {name: [hit.score for hit in whole.search("pump leaks", 3, stages=name)] for name in scoring.NAMES}
    assert names["hamming"] == [None] * 3
    assert len({tuple(map(str, each)) for each in names.values()}) == 4
    assert [hit.score for hit in whole.search("pump leaks", 3)] == names["all"]
    with pytest.raises(QueryError, match="stages must be one of hamming, vectors, words, all"):
        whole.search("pump leaks", 3, stages="best")
    plain = bundle.Bundle(encoder, table.Table(made.codes, made.records, made.live, made.identity, centre=made.centre))
    assert [hit.score for hit in plain.search("pump leaks", 3)] == [None] * 3
    with pytest.raises(QueryError, match="built without what words needs"):
        plain.search("pump leaks", 3, stages="words")


def test_confident_by_score() -> None:
    encoder, made = a_table(6, 60, 60)
    best = bundle.Bundle(encoder, made).search("pump leaks", 1)[0].score
    assert best is not None
    for threshold, confident in ((best, True), (best + 1, False)):
        strict = bundle.Bundle(encoder, replace(made, score_thresholds=(1 << 30, 1 << 30, threshold)))
        assert strict.answer("pump leaks", 1)["confident"] is confident


def test_vectors_without_a_centre_are_refused() -> None:
    _, made = a_table(7, 10, 10)
    with pytest.raises(FormatError, match="need a centre"):
        table.write(replace(made, centre=None))
