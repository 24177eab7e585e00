"""Bit-sliced blocks: 32 documents side by side, one word a bit, so that one word operation serves 32 documents.

The idea is that of bit-sliced signature files (Roberts 1979) with the carry-save popcount of Harley and Seal.
docs/format.md specifies the layout.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .hamming import Codes, pack_bits, unpack_bits

LANES = 32


def slice_codes(codes: Codes) -> Codes:
    """Codes [N, W] to flat blocks [ceil(N / 32), 32 W]: bit l of word b of block i is bit b of code 32 i + l."""
    bits = unpack_bits(codes)
    blocks = -(-len(bits) // LANES)
    padded = np.zeros((blocks * LANES, bits.shape[1]), dtype=bool)
    padded[: len(bits)] = bits
    by_plane = padded.reshape(blocks, LANES, -1).transpose(0, 2, 1).reshape(-1, LANES)
    return pack_bits(by_plane).reshape(blocks, -1)


def unslice_codes(blocks: Codes, count: int) -> Codes:
    """The inverse of :func:`slice_codes` for the first ``count`` documents: uint32 [count, W]."""
    planes = blocks.shape[1]
    lanes = unpack_bits(blocks.reshape(-1, 1)).reshape(len(blocks), planes, LANES)
    return pack_bits(lanes.transpose(0, 2, 1).reshape(-1, planes)[:count])


def live_words(live: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Boolean [N] to one word a block; lanes past N are 0."""
    padded = np.zeros(-(-len(live) // LANES) * LANES, dtype=bool)
    padded[: len(live)] = live
    return pack_bits(padded.reshape(-1, LANES)).reshape(-1)
