"""Float vectors to binary codes: sign, random hyperplanes, and PCA with a learned rotation.

Codes compare directions, as cosine similarity does: each vector is taken to unit length, a mean is subtracted, and bit i is 1
where projection i of what is left is greater than 0. What a function here learns is a :class:`Binarizer`, which encodes documents
and queries alike. Everything but :func:`dump` and :func:`load` knows nothing of files.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FormatError, VectorError
from .hamming import Codes, pack_bits

KINDS = ("sign", "lsh", "itq")
ITERATIONS = 50
"""Of a rotation, Gong & Lazebnik's number; one that no longer changes a bit ends sooner."""
SAMPLE = 16384
"""Rows, evenly spread, that itq learns from (docs/exchange.md has what more of them give)."""
_ROWS = 4096

Vectors = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]
Progress = Callable[[str, int, int], None]


def _silent(step: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Binarizer:
    """Vectors to codes.

    :ivar mean: float32 [D], subtracted from vectors of unit length.
    :ivar projection: float32 [D, B]; None: the vectors themselves, B = D.
    """

    mean: NDArray[np.float32]
    projection: NDArray[np.float32] | None = None

    @property
    def dims(self) -> int:
        """Dimensions D of a vector."""
        return len(self.mean)

    @property
    def bits(self) -> int:
        """Bits B of a code."""
        return self.dims if self.projection is None else int(self.projection.shape[1])

    def project(self, vectors: Vectors) -> Floats:
        """Vectors, float [N, D] of any precision, to the values whose signs are the code, float64 [N, B].

        In double precision, so that the order of a matrix product's sums, which differs from one machine or number of rows to
        another, decides no bit but those of values below about 1e-15.

        :raises VectorError: when a row is not finite or all zero, or D is another.
        """
        return self._project(vectors, 0)

    def encode(self, vectors: Vectors, progress: Progress = _silent) -> Codes:
        """Codes of vectors, float [N, D]: uint32 [N, B / 32], B a multiple of 32.

        :raises VectorError: as :meth:`project`.
        """
        codes = np.empty((len(vectors), self.bits // 32), dtype=np.uint32)
        for begin in range(0, len(vectors), _ROWS):
            codes[begin : begin + _ROWS] = pack_bits(self._project(vectors[begin : begin + _ROWS], begin) > 0)
            progress("binarize", min(begin + _ROWS, len(vectors)), len(vectors))
        return codes

    def _project(self, vectors: Vectors, first: int) -> Floats:
        if vectors.ndim != 2 or vectors.shape[1] != self.dims:
            raise VectorError(f"vectors of shape {list(vectors.shape)} cannot be encoded: the binarizer takes [N, {self.dims}]")
        centred = _unit(vectors, first) - self.mean
        return centred if self.projection is None else centred @ self.projection


def fit(kind: str, vectors: Vectors, bits: int, seed: int = 0, center: bool = True, progress: Progress = _silent) -> Binarizer:
    """The binarizer of a kind, one of :data:`KINDS`, for vectors, float [N, D].

    :param bits: of a code, a multiple of 32. :param center: whether the vectors' mean is subtracted.
    :raises VectorError: when the kind cannot make that many bits of such vectors; when a row is not finite or all zero.
    """
    if kind == "sign":
        if vectors.ndim == 2 and vectors.shape[1] != bits:
            raise VectorError(
                f"sign makes one bit of each dimension: {vectors.shape[1]} dimensions are not {bits} bits; take lsh or itq"
            )
        return sign(vectors, center)
    if kind == "lsh":
        return lsh(vectors, bits, seed, center)
    if kind == "itq":
        return itq(vectors, bits, seed, center, progress=progress)
    raise VectorError(f"there is no binarizer {kind!r}: take one of {', '.join(KINDS)}")


def sign(vectors: Vectors, center: bool = True) -> Binarizer:
    """One bit for each dimension. For embeddings trained for that, and where B = D anyway.

    :param vectors: float [N, D], D a multiple of 32. :param center: False: the threshold of each dimension is 0.
    """
    mean = _mean(vectors, center)
    _check_bits(len(mean))
    return Binarizer(mean)


def lsh(vectors: Vectors, bits: int, seed: int = 0, center: bool = True) -> Binarizer:
    """Random hyperplanes: two vectors differ in a bit with probability angle / pi (Charikar 2002).

    The hyperplanes are orthogonal in blocks of D, which keeps that probability and makes the number of differing bits vary less
    (Ji et al. 2012, "Super-bit locality-sensitive hashing").

    :param vectors: float [N, D], of which only the mean is taken.
    """
    mean = _mean(vectors, center)
    _check_bits(bits)
    return Binarizer(mean, hyperplanes(len(mean), bits, seed).astype(np.float32))


def itq(
    vectors: Vectors, bits: int, seed: int = 0, center: bool = True, iterations: int = ITERATIONS, progress: Progress = _silent
) -> Binarizer:
    """Iterative quantization: the principal components, rotated so that signs lose least (Gong & Lazebnik 2011).

    :param vectors: float [N, D], N > bits; :data:`SAMPLE` of them are learnt from. :param bits: at most D.
    """
    mean = _mean(vectors, center)
    count, dims = vectors.shape
    _check_bits(bits)
    if bits > dims:
        raise VectorError(f"itq makes at most as many bits as there are dimensions: {bits} of {dims} are not possible; take lsh")
    if count <= bits:
        raise VectorError(f"itq needs more vectors than bits: {count} are too few to learn {bits} bits from; take lsh")
    sample = np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64))
    centred = _unit(vectors[sample], 0) - mean
    _, directions = np.linalg.eigh(centred.T @ centred)  # ascending
    components = directions[:, ::-1][:, :bits]
    rotation, _ = rotate(centred @ components, seed, iterations, progress)
    return Binarizer(mean, (components @ rotation).astype(np.float32))


def rotate(
    projected: Floats, seed: int, iterations: int = ITERATIONS, progress: Progress = _silent
) -> tuple[Floats, list[float]]:
    """The rotation that brings vectors nearest to the corners of a cube (Gong & Lazebnik 2011, section 2.2).

    :param projected: float64 [N, B], centred.
    :return: an orthogonal matrix [B, B], and after each iteration the mean squared distance of a rotated value from its sign, -1
        or 1, which never grows.
    """
    bits = projected.shape[1]
    rotation = _orthogonal(bits, bits, np.random.default_rng(seed))
    rows = projected.astype(np.float32)  # half the time; the small matrices stay in double precision
    rotated = rows @ rotation.astype(np.float32)
    signs = np.zeros(rows.shape, dtype=np.float32)
    errors: list[float] = []
    for done in range(1, iterations + 1):
        before, signs = signs, np.where(rotated > 0, np.float32(1), np.float32(-1))
        if np.array_equal(before, signs):
            break
        left, _, right = np.linalg.svd((rows.T @ signs).astype(np.float64))
        rotation = left @ right
        rotated = rows @ rotation.astype(np.float32)
        errors.append(float(np.mean((signs - rotated) ** 2, dtype=np.float64)))
        progress("rotate", done, iterations)
    return rotation, errors


def hyperplanes(dims: int, bits: int, seed: int) -> Floats:
    """Unit normals of random hyperplanes, float64 [dims, bits], orthogonal to one another within each block of ``dims``."""
    random = np.random.default_rng(seed)
    widths = [min(dims, bits - begin) for begin in range(0, bits, dims)]
    return np.concatenate([_orthogonal(dims, width, random) for width in widths], axis=1)


def dump(binarizer: Binarizer) -> bytes:
    """A binarizer as the bytes of an .npz file: ``mean``, and ``projection`` if there is one."""
    arrays = {"mean": binarizer.mean} | ({} if binarizer.projection is None else {"projection": binarizer.projection})
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # numpy's stubs see its other keyword
    return file.getvalue()


def load(path: str | os.PathLike[str]) -> Binarizer:
    """Read a binarizer that :func:`dump` wrote.

    :raises FormatError: when the file cannot be read, or is not one.
    """
    name = os.fspath(path)
    try:
        with np.load(name, allow_pickle=False) as file:
            arrays = {key: np.asarray(file[key]) for key in ("mean", "projection") if key in file.files}
    except OSError as error:
        raise FormatError(f"{name} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # of a dozen kinds, from numpy, zipfile and zlib
        raise FormatError(f"{name} is damaged, or no binarizer: import the embeddings again") from error
    with np.errstate(over="ignore"):
        singles = {key: array.astype(np.float32) for key, array in arrays.items() if array.dtype.kind == "f"}
    mean, projection = singles.get("mean"), singles.get("projection")
    if (
        mean is None
        or singles.keys() != arrays.keys()
        or not all(np.isfinite(array).all() for array in singles.values())
        or mean.ndim != 1
        or not len(mean)
        or (projection is not None and (projection.ndim != 2 or len(projection) != len(mean)))
        or not _possible(Binarizer(mean, projection).bits)
    ):
        raise FormatError(f"{name} is damaged: its arrays are not finite floats mean [D] and projection [D, B]")
    return Binarizer(mean, projection)


def _orthogonal(rows: int, columns: int, random: np.random.Generator) -> Floats:
    """Random orthonormal columns, float64 [rows, columns], uniformly distributed (Mezzadri 2007: R's diagonal made positive)."""
    q, r = np.linalg.qr(random.normal(size=(rows, columns)))
    return np.asarray(q * np.where(np.diagonal(r) < 0, -1.0, 1.0), dtype=np.float64)


def _mean(vectors: Vectors, center: bool) -> NDArray[np.float32]:
    """The mean of the unit vectors, or zero; each row is looked at anyway."""
    if vectors.ndim != 2 or not vectors.size:
        raise VectorError(f"embeddings of shape {list(vectors.shape)} cannot be used: [N, D] is wanted, a row for each document")
    total = np.zeros(vectors.shape[1])
    for rows in _unit_rows(vectors):
        total += rows.sum(axis=0)
    return (total / len(vectors) if center else np.zeros_like(total)).astype(np.float32)


def _unit_rows(vectors: Vectors) -> Iterator[Floats]:
    for begin in range(0, len(vectors), _ROWS):
        yield _unit(vectors[begin : begin + _ROWS], begin)


def _unit(vectors: Vectors, first: int) -> Floats:
    """Rows at length 1. :param first: the number of the first of them, for an error."""
    if vectors.dtype.kind != "f":
        raise VectorError(f"embeddings of type {vectors.dtype} cannot be used: they must be floats")
    rows = np.asarray(vectors, dtype=np.float64)
    largest = np.abs(rows).max(axis=1, initial=0)
    for bad, what in ((~np.isfinite(largest), "is not finite"), (largest == 0, "is all zero, which has no direction")):
        if bad.any():
            raise VectorError(f"row {first + int(bad.argmax())} of the embeddings {what}: remove it, counting rows from 0")
    rows = rows / largest[:, None]  # so that no square overflows or vanishes
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float64)


def _possible(bits: int) -> bool:
    return bits >= 32 and bits % 32 == 0


def _check_bits(bits: int) -> None:
    if not _possible(bits):
        raise VectorError(f"codes of {bits} bits are not possible: take a multiple of 32")
