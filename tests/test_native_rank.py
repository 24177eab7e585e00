"""The C core ranks as the reference does: the same scores of the same documents, by vectors, by words and by both."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import random_encoder, with_stages
from native import DEPTH, KINDS, NativeCore

from bitwren import lexical, lower, scoring, table
from bitwren.encoder import Encoder
from bitwren.scoring import Query, Stages
from bitwren.slicing import live_words
from bitwren.table import LAYOUTS, Record, Table

COUNTS = (1, 2, 31, 32, 33, 64, 65, 300, 1800, 3100)
SPARE = 13  # slots that were appended in memory
WORDS = ("pump", "pumps", "pumping", "boxes", "light", "light's", "blinked", "42", "é", "straße", "日本", "a", "of", "the")


@dataclass(frozen=True)
class Case:
    """A table with stages, and what is asked.

    :ivar covered: share of the slots that has vectors, and that has words.
    :ivar few: words that documents are made of: fewer make denser lists.
    :ivar projected: components of the encoder's embedding where it projects, or None.
    """

    seed: int
    count: int
    staged: int
    layout: str
    lanes: int
    bits: int
    vector_bits: int
    word_bytes: int
    covered: float
    few: int
    alive: float
    projected: int | None

    def make(self) -> tuple[Encoder, Table, list[str]]:
        random = np.random.default_rng(self.seed)
        encoder = _encoder(self.bits, self.projected)
        words = [*WORDS, *("".join(random.choice(list("etaoinsrh"), random.integers(1, 9))) for _ in range(self.few))][: self.few]
        texts = [" ".join(random.choice(words, random.integers(1, 9))) for _ in range(self.count + self.staged)]
        with_words = max(1, int(len(texts) * self.covered))
        records = [Record("", "")] * len(texts)
        live = random.random(len(texts)) < self.alive
        codes = encoder.encode(texts)
        made = Table(codes, records, live, encoder.identity, layout=self.layout, lanes=self.lanes, staged=self.staged)
        made = with_stages(made, encoder, texts, self.vector_bits, 0)
        if self.vector_bits and self.covered < 1 and made.vectors:
            kept = made.vectors.packed[:with_words], made.vectors.scales[:with_words]
            made = replace(made, vectors=replace(made.vectors, packed=kept[0], scales=kept[1]))
        if self.word_bytes:
            index = lexical.build(texts[:with_words], self.word_bytes * with_words + 10000, int(random.integers(8, 17)))
            made = replace(made, words=index, weight=int(random.integers(0, 1000)))
        return encoder, made, [*texts[:2], *(" ".join(random.choice(words, size)) for size in (1, 6, 60))]


_ENCODERS: dict[tuple[int, int | None], Encoder] = {}


def _encoder(bits: int, projected: int | None) -> Encoder:
    if (bits, projected) not in _ENCODERS:
        _ENCODERS[bits, projected] = random_encoder(
            bits, bits, 32, hidden=() if projected else (64,), extra=30, embedding=projected
        )
    return _ENCODERS[bits, projected]


cases = st.builds(
    Case,
    seed=st.integers(0, 2**32),
    count=st.one_of(st.sampled_from(COUNTS), st.integers(1, 200)),
    staged=st.sampled_from([0, 0, 1, 31, 40]),
    layout=st.sampled_from(LAYOUTS),
    lanes=st.sampled_from([32, 64]),
    bits=st.sampled_from([64, 128, 256, 512, 1024]),
    vector_bits=st.sampled_from([0, 2, 4, 8]),
    word_bytes=st.sampled_from([0, 1, 20, 80]),
    covered=st.sampled_from([1.0, 1.0, 0.6]),
    few=st.sampled_from([3, 14, 40, 400]),
    alive=st.sampled_from([1.0, 0.9, 0.2, 0.0]),
    projected=st.sampled_from([None, 16, 48, 96]),
)


def check(core: NativeCore, case: Case, kind: str, deleted: bool) -> None:
    encoder, made, queries = case.make()
    live, override = made.live, None
    if deleted:
        live = live & (np.random.default_rng(case.seed).random(len(live)) < 0.7)
        override = live_words(np.append(live, np.ones(SPARE, bool))).astype("<u4").tobytes()
    reference = replace(made, live=live)
    sources = KINDS[kind](table.write(made)), KINDS[kind](lower.write(encoder))
    for number, text in enumerate(queries):
        centre = None if made.centre is None else made.centre.tobytes()
        code, embedding = core.embed(sources[1], text.encode(), centre)
        k = (1, 3, len(live) + 5, DEPTH + 7, 10)[number]
        hits = core.search(sources[0], code, max(DEPTH, k), live=override)
        query = Query(code, embedding, text)
        for stages in (1, 2, 3):
            there = Stages(bool(stages & 1) and made.vectors is not None, bool(stages & 2) and made.words is not None)
            expected = scoring.rank(reference, query, k, 100, there)
            found = core.rank(sources, (text.encode(), code, embedding.tobytes()), hits, k, stages, override)
            assert found == expected, (stages, text)


@settings(max_examples=300, deadline=None)
@given(case=cases, kind=st.sampled_from(list(KINDS)), deleted=st.booleans())
def test_ranks_equal_the_reference(native_core: NativeCore, case: Case, kind: str, deleted: bool) -> None:
    check(native_core, case, kind, deleted)
