"""An order of documents that puts like beside like, so that a block of them has one majority code to be stored against.

Greedy chains: the document in the densest place that is still free gathers its nearest free neighbours into a block, the
block's majority code gathers again, twice, and what it holds then is done. The seeds come densest first because a dense place
loses most when others take its documents. On 65,536 sentences of 256 bits this halves what the search of a shuffled table
reads (docs/residual.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .hamming import POPCOUNT, Codes, pack_bits, unpack_bits

SAMPLE = 4096
"""Documents that density is measured against; all of them where there are fewer."""
RECENTRES = 2
_ROWS = 4096

Order = NDArray[np.int64]


def order(codes: Codes, lanes: int) -> Order:
    """A permutation of the documents, int64 [N]: block i of a table takes those at [lanes i, lanes (i + 1)). Deterministic.

    Costs N² / (2 lanes) · (1 + RECENTRES) distances; ties go to the document that came first.
    """
    count = len(codes)
    bits = unpack_bits(codes)
    seeds = np.argsort(_sparseness(bits, lanes), kind="stable")
    free = np.ones(count, dtype=bool)
    left, left_codes = np.arange(count), _wide(codes)
    done: list[Order] = []
    at = 0
    while len(left):
        if not free[seeds[at]]:
            at += 1
            continue
        centre = codes[seeds[at]]  # and again where the block that it began moved away from it
        for _ in range(RECENTRES):
            near = _nearest(centre, left_codes, lanes)
            ones = bits[left[near]].sum(axis=0)
            centre = pack_bits((2 * ones > len(near))[None])[0]
        near = _nearest(centre, left_codes, lanes)
        done.append(left[near])
        free[left[near]] = False
        kept = np.ones(len(left), dtype=bool)
        kept[near] = False
        left, left_codes = left[kept], left_codes[kept]
    return np.concatenate(done)


def _sparseness(bits: NDArray[np.bool_], lanes: int) -> NDArray[np.float32]:
    """How far each document is from about its lanes-th neighbour, by a sample. Products of ±1 are BLAS's work."""
    count, width = bits.shape
    signs = np.where(bits, np.float32(1), np.float32(-1))
    sample = signs[np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64)]
    rank = min(len(sample) - 1, max(2, lanes * len(sample) // count))
    far = np.empty(count, dtype=np.float32)
    for start in range(0, count, _ROWS):
        products = signs[start : start + _ROWS] @ sample.T
        far[start : start + _ROWS] = (width - np.partition(products, len(sample) - 1 - rank, axis=1)[:, -1 - rank]) / 2
    return far


def _wide(codes: Codes) -> NDArray[np.uint64]:
    """Columns of 64-bit words: column by column, numpy reads a quarter of what row sums of bytes would cost."""
    return np.asfortranarray(np.ascontiguousarray(codes, dtype="<u4").view("<u8"))


def _nearest(centre: Codes, codes: NDArray[np.uint64], lanes: int) -> Order:
    """The first ``lanes`` by (distance, position), ascending by position; all where there are no more."""
    if len(codes) <= lanes:
        return np.arange(len(codes))
    found = np.zeros(len(codes), dtype=np.uint16)
    for column, word in zip(codes.T, np.ascontiguousarray(centre, dtype="<u4").view("<u8"), strict=True):
        found += _ones(column ^ word)
    # The distances are small integers: a histogram finds the last that fits, without sorting.
    below = np.cumsum(np.bincount(found))
    last = int(np.searchsorted(below, lanes))
    inside = np.flatnonzero(found < last)
    return np.sort(np.concatenate([inside, np.flatnonzero(found == last)[: lanes - len(inside)]]))


def _ones(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    if hasattr(np, "bitwise_count"):
        return np.asarray(np.bitwise_count(words), dtype=np.uint8)
    return np.asarray(POPCOUNT[words.view(np.uint8)].reshape(-1, 8).sum(axis=1, dtype=np.uint8), dtype=np.uint8)
