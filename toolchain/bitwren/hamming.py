"""Codes and exact search over them: the oracle that every other search must equal.

A code is a row of uint32 words, bit i of the code in word ``i // 32`` at bit ``i % 32``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WIDTHS = (64, 128, 256, 512, 1024)

Codes = NDArray[np.uint32]


def pack_bits(bits: NDArray[np.bool_]) -> Codes:
    """Boolean [N, B] to codes [N, B / 32], B a multiple of 32."""
    packed = np.packbits(np.ascontiguousarray(bits), axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view("<u4")


def unpack_bits(codes: Codes) -> NDArray[np.bool_]:
    """Codes [N, W] to boolean [N, 32 W]."""
    octets = np.ascontiguousarray(codes, dtype="<u4").view(np.uint8)
    return np.unpackbits(octets, axis=1, bitorder="little").astype(bool)


def distances(query: Codes, codes: Codes) -> NDArray[np.int64]:
    """Hamming distances of one code [W] to many [N, W], int64 [N]."""
    octets = np.ascontiguousarray(np.bitwise_xor(codes, query), dtype="<u4").view(np.uint8)
    return np.asarray(POPCOUNT[octets].sum(axis=1), dtype=np.int64)


def search(
    query: Codes, codes: Codes, k: int, live: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The k nearest, by (distance, slot).

    :param query: uint32 [W]. :param codes: uint32 [N, W]. :param live: bool [N], the slots that count; None: all.
    :return: slots and distances, both int64 [min(k, live slots)].
    """
    found = distances(query, codes)
    slots = np.arange(len(codes), dtype=np.int64) if live is None else np.flatnonzero(live).astype(np.int64)
    order = np.argsort(found[slots], kind="stable")[:k]
    return slots[order], found[slots[order]]


# numpy 2 has bitwise_count; a table of 256 serves numpy 1.26, which tflite-runtime needs, as well.
POPCOUNT = np.array([value.bit_count() for value in range(256)], dtype=np.uint8)
