"""The reference search for thousands of queries at once: what measuring needs.

Hits are those of :meth:`bitwren.table.Table.search`. Hamming distances of many pairs are one matrix product of signs, exact in
float32; the rest is the reference's own code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .hamming import Codes, unpack_bits
from .scoring import DEPTH, Query, Stages, join, word_scores
from .table import Table

if TYPE_CHECKING:
    from .bundle import Bundle, Progress

_PAIRS = 1 << 22
"""Pairs of query and document that are looked at together: 32 MB of sort keys."""
_FINE = 1 << 20
"""Steps of a cosine that count as different, so that equal documents tie and the lower slot comes first."""
_NEVER = np.iinfo(np.int64).max
NONE = -1
"""The slot where there are fewer hits than asked for."""


@dataclass(frozen=True)
class Ranking:
    """The best documents of many queries.

    :ivar slots: int64 [Q, k], the best first, :data:`NONE` where there are fewer.
    :ivar scores: float64 [Q, k], higher is nearer: a score in 1/4096, a distance times -1, or a cosine; -inf without a slot.
    """

    slots: NDArray[np.int64]
    scores: NDArray[np.float64]

    @property
    def first(self) -> NDArray[np.float64]:
        """Score of each query's best document, [Q]."""
        return self.scores[:, 0]

    def split(self, count: int) -> tuple[Ranking, Ranking]:
        """Of the first ``count`` queries, and of the rest."""
        first, rest = (Ranking(self.slots[rows], self.scores[rows]) for rows in (slice(count), slice(count, None)))
        return first, rest

    def only(self, kept: NDArray[np.bool_]) -> Ranking:
        """Without the hits of the queries that are not kept, bool [Q]."""
        return Ranking(np.where(kept[:, None], self.slots, NONE), np.where(kept[:, None], self.scores, -math.inf))


def ask(bundle: Bundle, queries: Sequence[Query], stages: Sequence[Stages], k: int, progress: Progress) -> list[Ranking]:
    """What a board answers to queries, once for each of the stages; one without words is refused there and finds nothing."""
    found = search(bundle.table, queries, stages, k, progress=progress)
    known = np.array([bool(bundle.encoder.tokens(query.text)) for query in queries], dtype=bool)
    return [each.only(known) for each in found]


def search(
    table: Table,
    queries: Sequence[Query],
    stages: Sequence[Stages],
    k: int,
    allowed: Callable[[slice], NDArray[np.bool_]] | None = None,
    progress: Progress = lambda step, done, total: None,
) -> list[Ranking]:
    """The k best live documents of each query, at the table's effort, once for each of the stages.

    :param allowed: gives of some queries the documents that each may find, bool [.., N]; they are then searched exactly.
    """
    if allowed is None and table.effort < 100 and len({each.any for each in stages}) > 1:
        # With less effort, the nearest k are not the first k of the nearest 64: as many are looked for as a board would.
        return [search(table, queries, [each], k, progress=progress)[0] for each in stages]
    found = [_empty(len(queries), k) for _ in stages]
    depth = max(DEPTH, k) if any(each.any for each in stages) else k
    for index, near, far, live in _nearest(table, queries, depth, allowed):
        query = queries[index]
        words = word_scores(table, query) if any(each.words for each in stages) else None
        for ranking, each in zip(found, stages, strict=True):
            if each.any:
                hits = join(table, query, k, each, near, words if each.words else None, live)
                slots, scores = [slot for _, _, slot in hits], [score for score, _, _ in hits]
            else:
                slots, scores = near[:k].tolist(), (-far[:k]).tolist()
            ranking.slots[index, : len(slots)] = slots
            ranking.scores[index, : len(slots)] = scores
        progress("search", index + 1, len(queries))
    return found


def by_distance(queries: Codes, codes: Codes, live: NDArray[np.bool_], k: int) -> Ranking:
    """The k nearest codes of each query's, uint32 [Q, W] and [N, W], by (distance, slot), exactly."""
    found = _empty(len(queries), k)
    for rows, far in _distances(queries, codes):
        _put(found, rows, -far, live)
    return found


def by_cosine(queries: NDArray[np.floating], documents: NDArray[np.floating], live: NDArray[np.bool_], k: int) -> Ranking:
    """The k documents of highest cosine with each query, float [Q, E] and [N, E], by descending cosine and then by slot.

    A query of zeros has the cosine 0 with all.
    """
    left, right = _unit(queries), _unit(documents).T
    found = _empty(len(left), k)
    for rows in _blocks(len(left), right.shape[1]):
        _put(found, rows, np.rint((left[rows] @ right).astype(np.float64) * _FINE).astype(np.int64), live, _FINE)
    return found


def by_row(row: Callable[[int], NDArray[np.floating]], count: int, live: NDArray[np.bool_], k: int) -> Ranking:
    """The k documents of highest score above 0 of each query.

    :param row: gives the scores of a query, float [N], by its number, 0 to ``count`` - 1.
    """
    found = _empty(count, k)
    for index in range(count):
        scores = np.rint(row(index) * float(_FINE)).astype(np.int64)[None]
        _put(found, slice(index, index + 1), scores, live & (scores > 0), _FINE)
    return found


def _nearest(
    table: Table, queries: Sequence[Query], k: int, allowed: Callable[[slice], NDArray[np.bool_]] | None
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
    """Of each query its number, slots and distances of its k nearest, and the slots that it may find, bool [N]."""
    if allowed is None and table.effort < 100 and not table.always_exact:
        for index, query in enumerate(queries):
            pairs = np.array(table.nearest(query.code, k, table.effort), dtype=np.int64).reshape(-1, 2)
            yield index, pairs[:, 1], pairs[:, 0], table.live
        return
    codes = np.array([query.code for query in queries], dtype=np.uint32).reshape(-1, table.codes.shape[1])
    for rows, far in _distances(codes, table.codes):
        found = _empty(len(far), k)
        live = np.broadcast_to(table.live, far.shape) if allowed is None else table.live & allowed(rows)
        _put(found, slice(0, len(far)), -far, live)
        for row, count in enumerate((found.slots != NONE).sum(axis=1)):
            yield rows.start + row, found.slots[row, :count], -found.scores[row, :count].astype(np.int64), live[row]


def _distances(queries: Codes, codes: Codes) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Hamming distances [.., N] of some queries at a time."""
    signs = 2 * unpack_bits(codes).astype(np.float32).T - 1
    for rows in _blocks(len(queries), len(codes)):
        products = (2 * unpack_bits(queries[rows]).astype(np.float32) - 1) @ signs  # sums of ±1: exact
        yield rows, (signs.shape[0] - products.astype(np.int64)) >> 1


def _put(found: Ranking, rows: slice, scores: NDArray[np.int64], live: NDArray[np.bool_], one: int = 1) -> None:
    """The best live slots of scores [.., N], by descending score and then by slot, into some rows of a ranking.

    :param one: what a score of 1 is in the ranking.
    """
    slots = scores.shape[1]
    keys = np.where(live, -scores * slots + np.arange(slots), _NEVER)
    k = min(found.slots.shape[1], slots)
    best = np.sort(np.partition(keys, k - 1, axis=1)[:, :k], axis=1)
    there = best != _NEVER
    found.slots[rows, :k] = np.where(there, best % slots, NONE)
    found.scores[rows, :k] = np.where(there, -(best // slots) / one, -math.inf)


def _empty(count: int, k: int) -> Ranking:
    return Ranking(np.full((count, k), NONE, dtype=np.int64), np.full((count, k), -math.inf))


def _blocks(count: int, width: int) -> Iterator[slice]:
    size = max(1, _PAIRS // max(width, 1))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), dtype=np.float32)
