"""Documents' embeddings at 2, 4 or 8 bits a component: the finer measure by which candidates are ranked again.

Asymmetric: the query stays int8 and only the documents are coarse, which loses less than coarse against coarse (Gordo et al.
2014, "Asymmetric Distances for Binary Embeddings"). Similarities are cosines in units of 1/4096, computed in 32-bit integers with
stated roundings, so that host and chip agree bit for bit; docs/format.md repeats them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import FormatError
from .frontend import ROW_BITS, pack_rows, unpack_rows

ONE = 4096
"""A similarity of 1."""
_SCALE_SHIFT, _DROP = 18, 6
_SHRINK = (0.7, 0.8, 0.9, 1.0)
_ARC = tuple(round(ONE * math.cos(math.pi * step / 16)) for step in range(17))


@dataclass(frozen=True)
class Vectors:
    """Vectors of the first N slots.

    :ivar packed: uint8 [N, E * bits / 8], components as an encoder's rows hold them (:func:`bitwren.frontend.unpack_rows`).
    :ivar scales: uint16 [N]: ``round(2**18 / length)`` of each vector of components, at most 65,535.
    """

    packed: NDArray[np.uint8]
    scales: NDArray[np.uint16]
    bits: int

    def __post_init__(self) -> None:
        fits = self.bits in ROW_BITS and self.packed.ndim == 2 and self.packed.shape[1] % 4 == 0
        if not fits or self.scales.shape != self.packed.shape[:1]:
            raise FormatError("documents' vectors must be uint8 [N, E * bits / 8], rows a multiple of 4 bytes, with a scale each")

    def __len__(self) -> int:
        return len(self.scales)

    @property
    def units(self) -> int:
        """Components E of a vector."""
        return int(self.packed.shape[1]) * 8 // self.bits

    def similarities(self, centred: NDArray[np.int16], slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Cosines of a query with documents, int64 [len(slots)] in units of 1 / :data:`ONE`.

        ``|dot| * scale // isqrt(sum of squares) >> 6``, with the sign of the dot product. All fits 32 bits unsigned: by Cauchy
        and Schwarz |dot| * scale is at most |q| * 2**18, and |q| below 2**13.

        :param centred: int16 [E], the query's embedding less the table's centre, -255 .. 255. Zero for a query at the centre.
        """
        query = centred.astype(np.int64)
        length = math.isqrt(int((query * query).sum()))
        if not length:
            return np.zeros(len(slots), dtype=np.int64)
        dots = unpack_rows(self.packed[slots], self.bits).astype(np.int64) @ query
        magnitudes = np.abs(dots) * self.scales[slots].astype(np.int64) // length >> _DROP
        return np.asarray(np.where(dots < 0, -magnitudes, magnitudes), dtype=np.int64)


def quantize(vectors: NDArray[np.floating], bits: int) -> Vectors:
    """Vectors float [N, E], none of them zero, at 2, 4 or 8 bits a component; their lengths do not count.

    Two bits: the nearest of -3, -1, 1, 3 half mean magnitudes. Others: the step, of a few, that turns the vector least.
    """
    values = np.asarray(vectors, dtype=np.float64)
    if bits == 2:
        steps = np.maximum(np.abs(values).mean(axis=1, keepdims=True), 1e-12)
        fields = 2 * np.clip(np.floor(values / steps), -2, 1) + 1
    else:
        top = (1 << bits - 1) - 1
        largest = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-12)
        tried = [np.clip(np.rint(values * top / (largest * shrink)), -top, top) for shrink in _SHRINK]
        turned = [(each * values).sum(axis=1) / np.maximum(np.linalg.norm(each, axis=1), 1e-12) for each in tried]
        fields = np.stack(tried)[np.argmax(turned, axis=0), np.arange(len(values))]
    lengths = np.linalg.norm(fields, axis=1)
    scales = np.minimum(np.rint((1 << _SCALE_SHIFT) / np.maximum(lengths, 1e-9)), 0xFFFF).astype(np.uint16)
    return Vectors(pack_rows(fields.astype(np.int32), bits), scales, bits)


def pack(vectors: Vectors) -> bytes:
    """Section ``VECS``: a row a slot, its scale, two zero bytes and its components."""
    head = np.zeros((len(vectors), 4), dtype=np.uint8)
    head[:, :2] = vectors.scales.astype("<u2").view(np.uint8).reshape(-1, 2)
    return np.concatenate([head, vectors.packed], axis=1).tobytes()


def unpack(data: bytes, units: int, bits: int, slots: int, name: str) -> Vectors:
    """The inverse of :func:`pack`, for at most ``slots`` rows of ``units`` components.

    :raises FormatError: when the bytes are no such rows.
    """
    stride = 4 + units * bits // 8
    if bits not in ROW_BITS or units * bits % 32 or not data or len(data) % stride or len(data) // stride > slots:
        raise FormatError(f"{name} is damaged: its vectors do not fit its documents")
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, stride)
    return Vectors(rows[:, 4:], np.ascontiguousarray(rows[:, :2]).view("<u2")[:, 0], bits)


def from_distances(distances: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The cosine that a Hamming distance stands for, in units of 1 / :data:`ONE`, for documents without a vector.

    Of random projections a share angle / pi of the bits differs (Charikar 2002): ``cos(pi * distance / bits)``, by a table of
    sixteen steps and straight lines between.
    """
    table = np.array(_ARC, dtype=np.int64)
    steps, rest = np.divmod(distances * 16, bits)
    steps = np.minimum(steps, 16)
    following = table[np.minimum(steps + 1, 16)]
    return np.asarray(table[steps] + ((following - table[steps]) * rest // bits), dtype=np.int64)
