"""The residual layout: blocks of like documents, each stored as its difference from the block's majority code.

docs/format.md specifies the bytes, docs/residual.md has the mathematics and what it saves; ``residual_scan.py`` is the
reference of the search.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import hamming
from .errors import BitwrenError, FormatError
from .hamming import Codes, pack_bits, unpack_bits

LANES = 64
"""Documents of a block where flash is read 8 bytes at a time, as on the RP2040; 32 suits 4 bytes."""
LANE_CHOICES = (32, 64)
UNEVEN = 0.28
"""A plane is read early when at least this share of its block's documents differ from the majority in it."""
_FIELD, _MASK = 10, (1 << 10) - 1
WIDTHS = tuple(width for width in hamming.WIDTHS if width <= _MASK)
"""Bits of a code: a block's statistics have no room for more."""
_BATCH = 512


@dataclass(frozen=True)
class Blocks:
    """A table's codes in the residual layout, as two arrays of uint32 words.

    :ivar pivots: [blocks, 1 + W]: the weights' minimum, maximum and mean, 10 bits each, then the majority code.
    :ivar bodies: [blocks, W + (weight_planes + 32 W) lanes / 32]: mask of the uneven planes, weight planes, residual planes.
    :ivar weight_planes: planes that every block has for its weights, of which it uses bitlength(maximum - minimum).
    """

    pivots: Codes
    bodies: Codes
    lanes: int
    weight_planes: int

    @property
    def words(self) -> int:
        """Words of a code."""
        return int(self.pivots.shape[1]) - 1


def check_width(bits: int) -> None:
    """Refuse codes that this layout has no room for.

    :raises BitwrenError: when the width is none of :data:`WIDTHS`.
    """
    if bits not in WIDTHS:
        raise BitwrenError(f"layout residual takes codes of at most {WIDTHS[-1]} bits, not {bits}: choose layout flat or rows")


def encode(codes: Codes, lanes: int = LANES) -> Blocks:
    """Blocks of codes [N, W] in the order that they have; lanes past N have no ones."""
    parts = [_encode(codes[start : start + _BATCH * lanes], lanes) for start in range(0, len(codes), _BATCH * lanes)]
    pivots = np.concatenate([part[0] for part in parts])
    weights = np.concatenate([part[2] for part in parts])
    weight_planes = int(_spans(pivots).max()).bit_length()
    bits = weights[:, None, :] >> np.arange(weight_planes, dtype=np.uint16)[None, :, None] & 1
    packed = pack_bits(bits.reshape(-1, 32).astype(bool)).reshape(len(pivots), weight_planes * lanes // 32)
    masks, planes = np.concatenate([part[1] for part in parts]), np.concatenate([part[3] for part in parts])
    return Blocks(pivots, np.concatenate([masks, packed, planes], axis=1), lanes, weight_planes)


def _spans(pivots: Codes) -> Codes:
    return (pivots[:, 0] >> _FIELD & _MASK) - (pivots[:, 0] & _MASK)


def _encode(codes: Codes, lanes: int) -> tuple[Codes, Codes, NDArray[np.uint16], Codes]:
    """Pivot records, masks of uneven planes, weights above the minimum [blocks, lanes], residual planes."""
    count, width = len(codes), 32 * codes.shape[1]
    blocks = -(-count // lanes)
    there = (np.arange(blocks * lanes) < count).reshape(blocks, lanes)
    sizes = there.sum(axis=1)[:, None]
    bits = np.zeros((blocks * lanes, width), dtype=bool)
    bits[:count] = unpack_bits(codes)
    lined = bits.reshape(blocks, lanes, width)
    majority = 2 * lined.sum(axis=1) > sizes
    residual = (lined ^ majority[:, None]) & there[:, :, None]
    uneven = residual.sum(axis=1) >= UNEVEN * sizes
    weights = residual.sum(axis=2).astype(np.uint16)
    least = np.where(there, weights, width).min(axis=1).astype(np.uint32)
    most, mean = weights.max(axis=1).astype(np.uint32), (weights.sum(axis=1) // sizes[:, 0]).astype(np.uint32)
    packed = least | most << _FIELD | mean << 2 * _FIELD
    above = np.where(there, weights - least[:, None], 0).astype(np.uint16)
    planes = pack_bits(residual.transpose(0, 2, 1).reshape(-1, 32)).reshape(blocks, -1)
    return np.concatenate([packed[:, None], pack_bits(majority)], axis=1), pack_bits(uneven), above, planes


def decode(blocks: Blocks, count: int) -> Codes:
    """The inverse of :func:`encode` for the first ``count`` documents: uint32 [count, W]."""
    width, start = 32 * blocks.words, blocks.words + blocks.weight_planes * blocks.lanes // 32
    planes = unpack_bits(blocks.bodies[:, start:].reshape(-1, 1)).reshape(len(blocks.bodies), width, blocks.lanes)
    pivots = np.repeat(blocks.pivots[:, 1:], blocks.lanes, axis=0)[:count]
    return pack_bits(planes.transpose(0, 2, 1).reshape(-1, width)[:count]) ^ pivots


def stride(bits: int, lanes: int, weight_planes: int) -> int:
    """Bytes of a block's body."""
    return bits // 8 + (weight_planes + bits) * lanes // 8


def statistics(blocks: Blocks) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Each block's smallest, largest and mean weight."""
    packed = blocks.pivots[:, 0].astype(np.int64)
    return packed & _MASK, packed >> _FIELD & _MASK, packed >> 2 * _FIELD & _MASK


def pack(blocks: Blocks) -> dict[str, bytes]:
    """The sections ``PIVT`` and ``CODE``."""
    return {"PIVT": blocks.pivots.astype("<u4").tobytes(), "CODE": blocks.bodies.astype("<u4").tobytes()}


def unpack(pivots: bytes, code: bytes, count: int, bits: int, lanes: int, weight_planes: int, name: str) -> Blocks:
    """The inverse of :func:`pack`.

    :raises FormatError: when the sections' sizes contradict the fields.
    """
    known = bits in WIDTHS and lanes in LANE_CHOICES and weight_planes <= bits.bit_length()
    number = -(-count // lanes) if known else 0
    if not known or len(pivots) != number * (bits // 8 + 4) or len(code) != number * stride(bits, lanes, weight_planes):
        raise FormatError(f"{name} is damaged: its blocks do not fit its number of documents")
    rows = np.frombuffer(pivots, "<u4").reshape(number, -1), np.frombuffer(code, "<u4").reshape(number, -1)
    return Blocks(*rows, lanes, weight_planes)
