"""A code as the signs of a pseudo-random projection that is computed, not stored: random signs and a Walsh-Hadamard transform.

Sign random projection (Charikar 2002, "Similarity Estimation Techniques from Rounding Algorithms") with the structured matrix of
Ailon & Chazelle 2009, "The Fast Johnson-Lindenstrauss Transform": each row is ±1 in every component, rows of a block are
orthogonal up to padding, and 512 bits of a 160-dimensional vector cost 4,096 additions and no flash, where a dense layer costs
81,920 products and 80 KB. Codes are nested: a shorter code is the beginning of a longer one.

docs/format.md specifies the steps; the C core does the same in 32-bit integers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SEED = 0x9E3779B9
"""The shipped encoders' seed; an encoder file states its own."""
MAX_INPUTS = 512


def signs(seed: int, words: int) -> NDArray[np.uint32]:
    """The first words of xorshift32 (Marsaglia 2003, "Xorshift RNGs"), uint32 [words]; bit i of word w flips input 32 w + i.

    :param seed: 1 to 2**32 - 1.
    """
    state, found = seed, np.empty(words, dtype=np.uint32)
    for index in range(words):
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        found[index] = state
    return found


def project(centred: NDArray[np.int16], bits: int, seed: int) -> NDArray[np.bool_]:
    """Bits of codes: 1 where the projection is above 0.

    1. F is the smallest power of two that is at least E, but at most ``bits``. Block j of the code has bits j F to (j + 1) F - 1.
    2. For each block, flip the signs of the inputs by the next ceil(E / 32) words of :func:`signs`, and add input k to bucket
       k mod F.
    3. Walsh-Hadamard transform of the buckets, in natural order: output i is the sum of bucket k times (-1)**popcount(i & k).

    :param centred: int16 [N, E], -255 .. 255; E at most :data:`MAX_INPUTS`. :param bits: a power of two.
    :return: bool [N, bits].
    """
    count, inputs = centred.shape
    size = min(1 << (inputs - 1).bit_length(), bits)
    words = -(-inputs // 32)
    flips = signs(seed, bits // size * words).reshape(-1, words)
    found = np.empty((count, bits), dtype=bool)
    for block, row in enumerate(flips):
        negative = (row[:, None] >> np.arange(32, dtype=np.uint32) & 1).astype(bool).reshape(-1)[:inputs]
        buckets = np.zeros((count, -(-inputs // size) * size), dtype=np.int32)
        buckets[:, :inputs] = np.where(negative, -centred, centred)
        sums = _transform(buckets.reshape(count, -(-inputs // size), size).sum(axis=1, dtype=np.int32))
        found[:, block * size : (block + 1) * size] = sums > 0
    return found


def _transform(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Walsh-Hadamard transform of each row, int32 [N, F], in natural order."""
    count, size = values.shape
    half = 1
    while half < size:
        pairs = values.reshape(count, size // half // 2, 2, half)
        values = np.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], axis=2).reshape(count, size)
        half *= 2
    return values
