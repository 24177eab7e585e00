"""The reference of the residual block scan: exact top-k, and how many bytes of a table it touches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .hamming import Codes, distances, unpack_bits
from .residual import Blocks, statistics

CHUNK = 8
"""Planes between two looks at whether a lane is left."""
BATCH = 1024
"""Blocks that are put in order together: two bytes of a chip's work memory each."""
WIDE = 3
"""Nearest pivots come first, but for this: largest weight >> WIDE is taken off, since a wide block's documents reach farther."""


@dataclass(frozen=True)
class Found:
    """What a scan found and read.

    :ivar hits: (distance, slot), ascending. :ivar touched: different bytes of pivots, masks, weights and planes that were read.
    :ivar fetched: the same, what is read again counted again.
    """

    hits: list[tuple[int, int]]
    touched: int
    fetched: int


class Scan:
    """Blocks unpacked for many queries."""

    def __init__(self, blocks: Blocks, live: NDArray[np.bool_]) -> None:
        self.blocks = blocks
        self.least, self.most, self.mean = statistics(blocks)
        self.live = np.zeros((len(blocks.pivots), blocks.lanes), dtype=bool)
        self.live.reshape(-1)[: len(live)] = live
        self.count = len(live)
        self.pivots = np.ascontiguousarray(blocks.pivots[:, 1:])

    def search(self, query: Codes, k: int, effort: int = 100) -> Found:
        """The k nearest live documents; below an effort of 100 blocks are visited until that share of the bytes is spent."""
        blocks, width = self.blocks, 32 * self.blocks.words
        count, plane = len(blocks.pivots), blocks.lanes // 8
        record = 4 * blocks.pivots.shape[1]
        fetched = again = 0
        hits: list[tuple[int, int]] = []
        wanted = min(k, self.count)
        for first in range(0, count, BATCH):
            apart = distances(query, self.pivots[first : first + BATCH])
            fetched += len(apart) * record
            enough = allowance((first + len(apart)) * blocks.lanes * width // 8, effort)  # each batch has its share
            place = apart - (self.most[first : first + BATCH].astype(np.int64) >> WIDE)
            for index in np.lexsort((-np.arange(len(place)), place)):  # of equals the last first: a chip prepends to lists
                if enough is not None and fetched >= enough and len(hits) == wanted:
                    break
                block, away = first + int(index), int(apart[index])
                limit = hits[-1][0] if len(hits) == wanted else width
                again, fetched = again + 4, fetched + 4  # the statistics, which the pass over the pivots has read too
                too_far = away > self.most[block] + limit or self.least[block] > away + limit
                if too_far or not self.live[block].any():
                    continue
                again, fetched = again + record - 4, fetched + record - 4
                lanes, planes = self._visit(block, query, away, limit)
                spread = int(self.most[block] - self.least[block]).bit_length()
                fetched += width // 8 + (spread + planes) * plane
                hits = sorted(hits + [(distance, block * blocks.lanes + lane) for distance, lane in lanes])[:k]
        return Found(hits, fetched - again, fetched)

    def _visit(self, block: int, query: Codes, away: int, limit: int) -> tuple[list[tuple[int, int]], int]:
        """Lanes within the limit, (distance, lane), and how many residual planes were read."""
        words, width = self.blocks.words, 32 * self.blocks.words
        body = self.blocks.bodies[block]
        uneven = unpack_bits(body[None, :words])[0]
        start = words + self.blocks.weight_planes * self.blocks.lanes // 32
        planes = unpack_bits(body[start:].reshape(-1, 1)).reshape(width, -1)
        differs = unpack_bits((self.pivots[block] ^ query)[None])[0]
        side = zeros_side(width, away, limit, int(self.mean[block]))
        read = differs if side else ~differs
        early = uneven ^ side
        chosen = np.concatenate([np.flatnonzero(read & early), np.flatnonzero(read & ~early)])
        weights = planes.sum(axis=0).astype(np.int64)
        begin = weights - away if side else away - weights
        alive = self.live[block] & (np.abs(begin) <= limit)
        found = np.cumsum(planes[chosen] ^ side, axis=0, dtype=np.int64)
        left = ((begin + 2 * found <= limit) & alive).any(axis=1)
        # Looks after CHUNK, 2 CHUNK, ... planes and at the last; the first that finds no lane alive ends the visit.
        looks = np.append(np.arange(CHUNK, len(chosen), CHUNK), len(chosen)) if len(chosen) else np.array([], np.int64)
        if not alive.any():
            return [], 0
        ends = [int(look) for look in looks if not left[look - 1]]
        if ends:
            return [], ends[0]
        final = begin + 2 * found[-1] if len(chosen) else begin
        lanes = np.flatnonzero(alive & (final <= limit))
        return [(int(final[lane]), int(lane)) for lane in lanes], len(chosen)


def allowance(size: int, effort: int) -> int | None:
    """Bytes after which a search of less than full effort ends, as a chip without division computes them; None: no end."""
    return (size >> 8) * (41 * effort) >> 4 if effort < 100 else None


def zeros_side(width: int, away: int, limit: int, mean: int) -> bool:
    """Whether reading the planes in which query and pivot differ, and counting zeros, is likely to need fewer planes.

    The planes that put a lane over the limit: what is missing of the limit, over the rate at which a plane adds to it. A
    document that is near is a little nearer to the pivot than the mean (9/10), has fewer ones where the query agrees with the
    pivot (6/10 of the mean's rate) and more where it does not (11/10). Products in place of quotients: no chip need divide.
    """
    gap_ones, gap_zeros = max(10 * (limit + 1 - away) + 9 * mean, 0), max(10 * (limit + 1 + away) - 9 * mean, 0)
    rate_ones, rate_zeros = 12 * mean, max(20 * width - 22 * mean, 0)
    agree = width - away
    beats_ones = gap_zeros * rate_ones < gap_ones * rate_zeros or away * rate_ones < gap_ones * width
    beats_all = gap_zeros * width < agree * rate_zeros or away < agree
    return beats_ones and beats_all
