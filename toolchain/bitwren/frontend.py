"""Token ids to the int8 vector that an encoder's head takes: low-bit embedding rows, pooled and rescaled in integers.

Every step is integer arithmetic with a stated rounding, so host and chip agree bit for bit; docs/format.md repeats it for
implementers. Pooling is done here and not in the TFLite graph because int8 sums there lose bits and runtimes differ on them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import FormatError

ROW_BITS = (2, 4, 8)
MAX_DIMS = 512
INPUT_SCALE = 32
"""The int8 vector holds ``32 * x / rms(x)``: the head's TFLite input scale is 1/32 and its zero point 0."""

_GAIN_SHIFT = 20
_MANTISSA_BITS = 11


@dataclass(frozen=True)
class Rows:
    """Embedding rows in low-bit storage.

    :ivar packed: uint8 [V, D * bits / 8]; dimension d lies in byte ``d * bits // 8`` at bit ``d * bits % 8``.
    :ivar scales: uint8 [V]; what a row's values are multiplied by. Zero silences a token.
    :ivar bits: 2, 4 or 8.
    """

    packed: NDArray[np.uint8]
    scales: NDArray[np.uint8]
    bits: int

    def __post_init__(self) -> None:
        if self.bits not in ROW_BITS:
            raise FormatError(f"embedding rows have {self.bits} bits; 2, 4 or 8 are possible")
        if self.packed.dtype != np.uint8 or self.packed.ndim != 2 or self.scales.shape != self.packed.shape[:1]:
            raise FormatError("embedding rows must be uint8 [V, D * bits / 8] with one uint8 scale a row")
        if self.scales.dtype != np.uint8:
            raise FormatError("row scales must be uint8")
        if self.dims % 32 or not 32 <= self.dims <= MAX_DIMS:
            raise FormatError(f"embedding rows have {self.dims} dimensions; multiples of 32 up to {MAX_DIMS} are possible")

    @property
    def dims(self) -> int:
        """Dimensions D of a row."""
        return int(self.packed.shape[1]) * 8 // self.bits

    def values(self, ids: Sequence[int] | NDArray[np.intp]) -> NDArray[np.int32]:
        """Rows as int32 [len(ids), D], scales applied.

        A 2-bit field f stands for 2f - 3 (-3, -1, 1, 3), a 4-bit field for f - 8, an 8-bit field for f - 128.
        """
        chosen = np.asarray(ids, dtype=np.intp)
        return unpack_rows(self.packed[chosen], self.bits) * self.scales[chosen].astype(np.int32)[:, None]


def unpack_rows(packed: NDArray[np.uint8], bits: int) -> NDArray[np.int32]:
    """Values of packed rows uint8 [N, D * bits / 8] with unit scales, int32 [N, D]; see :meth:`Rows.values`."""
    per_byte = 8 // bits
    fields = np.empty((len(packed), packed.shape[1] * per_byte), dtype=np.int32)
    for part in range(per_byte):
        fields[:, part::per_byte] = packed >> (part * bits) & ((1 << bits) - 1)
    return 2 * fields - 3 if bits == 2 else fields - (1 << (bits - 1))


def pack_rows(values: NDArray[np.int32], bits: int) -> NDArray[np.uint8]:
    """The inverse of :func:`unpack_rows`: int32 [V, D] of representable values to packed uint8 rows.

    :raises FormatError: when a value has no field.
    """
    fields = (values + 3) >> 1 if bits == 2 else values + (1 << (bits - 1))
    back = 2 * fields - 3 if bits == 2 else fields - (1 << (bits - 1))
    if fields.min(initial=0) < 0 or fields.max(initial=0) >= 1 << bits or not np.array_equal(back, values):
        raise FormatError(f"a row value cannot be stored in {bits} bits")
    packed = np.zeros((len(values), values.shape[1] * bits // 8), dtype=np.uint8)
    per_byte = 8 // bits
    for part in range(per_byte):
        packed |= (fields[:, part::per_byte] << (part * bits)).astype(np.uint8)
    return packed


def gain(dims: int) -> int:
    """``round(32 * sqrt(D) * 2**20)``, the constant of :func:`rescale`, as an encoder file stores it."""
    # isqrt of four times the square, halved upwards, is the rounded root without going through floats.
    return (math.isqrt(4 * dims * (INPUT_SCALE << _GAIN_SHIFT) ** 2) + 1) >> 1


def pool(rows: Rows, ids: Sequence[int]) -> NDArray[np.int32]:
    """Sum of the tokens' rows, int32 [D]. No tokens give zeros.

    At most 4,096 bytes of text give at most 4,096 tokens, so no sum exceeds 4096 * 128 * 255 < 2**27.
    """
    if not len(ids):
        return np.zeros(rows.dims, dtype=np.int32)
    return np.asarray(rows.values(ids).sum(axis=0), dtype=np.int32)


def rescale(sums: NDArray[np.int32]) -> NDArray[np.int8]:
    """Bring a pooled vector to int8, ``round(32 * x / rms(x))`` clamped to -127 .. 127, in 32-bit integers.

    1. Shift all sums (left, or right with floor) so that the largest magnitude has 11 bits.
    2. n = floor(sqrt(sum of squares)), which fits 32 bits for up to 512 dimensions.
    3. r = floor(gain / n); each output is ``(sum * r + 2**19) >> 20``, clamped.

    :param sums: int32 [D].
    :return: int8 [D]; zeros for zeros.
    """
    largest = int(np.abs(sums.astype(np.int64)).max(initial=0))
    if largest == 0:
        return np.zeros(len(sums), dtype=np.int8)
    shift = _MANTISSA_BITS - largest.bit_length()
    mantissas = sums.astype(np.int64)
    mantissas = mantissas << shift if shift >= 0 else mantissas >> -shift
    norm = math.isqrt(int((mantissas * mantissas).sum()))
    reciprocal = gain(len(sums)) // norm
    scaled = (mantissas * reciprocal + (1 << (_GAIN_SHIFT - 1))) >> _GAIN_SHIFT
    return np.asarray(np.clip(scaled, -127, 127), dtype=np.int8)
