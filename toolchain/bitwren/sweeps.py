"""What fewer bits, coarser vectors or fewer words would find: recall against bits and against bytes of flash a document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from . import lexical, postings
from .batch import Ranking, ask, by_distance
from .bundle import Bundle, Progress
from .calibrate import spread
from .corpus import Question
from .evaluate import DEPTH, Wanted
from .frontend import ROW_BITS, unpack_rows
from .hamming import WIDTHS, unpack_bits
from .intervals import Interval, wilson
from .scoring import WEIGHT_ONE, Stages, choose
from .vectors import Vectors, quantize
from .weighing import DEFAULT

WORD_BYTES = (20, 40, 60, 80)
_ROUNDING = 1 / 50
"""Of the bits of codes made from texts, what may differ from the table's. If more do, its documents were fitted to something."""


@dataclass(frozen=True)
class Point:
    """What a setting finds.

    :ivar series: ``codes``, ``vectors``, ``words``, or ``table``: as it is, with all that it has.
    :ivar name: of the setting, for people.
    :ivar size: bytes of flash a document, without id and answer.
    :ivar first: share of the questions whose first answer is right; ten: with a right one among the first ten.
    :ivar interval: of ``first``, 95 %.
    """

    series: str
    name: str
    size: float
    first: float
    ten: float
    interval: Interval


@dataclass(frozen=True)
class Sweep:
    """All settings, and how many of the questions were asked: at most :data:`bitwren.calibrate.ASKED`, evenly spread."""

    points: list[Point]
    asked: int

    def series(self, name: str) -> list[Point]:
        """The settings of one series, by size."""
        return sorted((point for point in self.points if point.series == name), key=lambda point: point.size)


def sweep(
    bundle: Bundle,
    questions: Sequence[Question],
    texts: Sequence[str] | None,
    progress: Progress = lambda step, done, total: None,
) -> Sweep:
    """Ask the same questions with each setting.

    Codes are the table's, cut off: the bits that are left are those of a narrower encoder. Vectors and words come beside the
    whole codes. Vectors are made anew from the table's, or from the texts where these still have the table's codes; words from
    the texts.

    :param texts: of the documents, by slot; None: not known, and then only what the table has is tried.
    """
    judged = [question for question in questions if question.id or question.label]
    some = [judged[index] for index in spread(len(judged))]
    wanted, queries, table = Wanted(bundle.table, some), bundle.ask([question.query for question in some]), bundle.table
    points: list[Point] = []

    def add(series: str, name: str, size: float, found: Ranking) -> None:
        ranks = wanted.ranks(found)
        right = ranks == 1
        points.append(
            Point(series, name, size, float(right.mean()), float((ranks > 0).mean()), wilson(int(right.sum()), len(right)))
        )

    codes = np.array([query.code for query in queries])
    for bits in (width for width in WIDTHS if width <= table.bits):
        found = by_distance(codes[:, : bits // 32], table.codes[:, : bits // 32], table.live, DEPTH)
        add("codes", f"{bits} bits", bits / 8, found)
        progress("bits", bits, table.bits)
    for vectors in _vectors(bundle, texts):
        tried = Bundle(bundle.encoder, replace(table, vectors=vectors, centre=_centre(bundle), words=None))
        (found,) = ask(tried, queries, [Stages(True, False)], DEPTH, progress)
        add("vectors", f"{vectors.bits}-bit vectors", table.bits / 8 + 4 + vectors.packed.shape[1], found)
    for words in _words(bundle, texts):
        weight = table.weight if table.words else round(DEFAULT * WEIGHT_ONE)
        tried = Bundle(bundle.encoder, replace(table, words=words, weight=weight))
        (found,) = ask(tried, queries, [Stages(False, True)], DEPTH, progress)
        size = postings.size(words) / len(words)
        add("words", f"words, {size:.0f} bytes", table.bits / 8 + size, found)
    (found,) = ask(bundle, queries, [choose(table, None)], DEPTH, progress)
    parts = (
        4 + table.vectors.packed.shape[1] if table.vectors else 0,
        postings.size(table.words) / len(table.codes) if table.words else 0,
    )
    add("table", "this table", table.bits / 8 + sum(parts), found)
    return Sweep(points, len(some))


def _centre(bundle: Bundle) -> NDArray[np.int8]:
    return bundle.encoder.origin if bundle.table.centre is None else bundle.table.centre


def _vectors(bundle: Bundle, texts: Sequence[str] | None) -> Iterable[Vectors]:
    """Documents' vectors at each number of bits that can be had."""
    table = bundle.table
    if texts is not None:
        embeddings = bundle.encoder.embed(texts)
        codes = bundle.encoder.binarize(embeddings, table.centre)
        differing = unpack_bits((codes ^ table.codes)[table.live]).mean()
        if differing < _ROUNDING:
            yield from (quantize(embeddings.astype(np.float64) - _centre(bundle), bits) for bits in ROW_BITS)
            return
    if table.vectors is not None:
        finest = unpack_rows(table.vectors.packed, table.vectors.bits).astype(np.float64)
        yield from (quantize(finest, bits) for bits in ROW_BITS if bits < table.vectors.bits)
        yield table.vectors


def _words(bundle: Bundle, texts: Sequence[str] | None) -> Iterable[lexical.Words]:
    if texts is not None:
        whole = -1
        for size in WORD_BYTES:
            words = lexical.build(texts, size * len(texts))
            if len(words.slots) > whole:  # else the smaller budget had room for all words
                yield words
            whole = len(words.slots)
    elif bundle.table.words is not None:
        yield bundle.table.words
