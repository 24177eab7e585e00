"""Binarizers: what each promises of its bits, and what they refuse."""

from __future__ import annotations

import io
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwren import binarize
from bitwren.binarize import KINDS, Binarizer, fit, hyperplanes, itq, lsh, rotate, sign
from bitwren.errors import FormatError, VectorError
from bitwren.hamming import unpack_bits


def gaussian(count: int, dims: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(count, dims))


def spread(count: int, dims: int, seed: int = 0) -> Any:
    """Vectors that vary much in few directions, as embeddings do, around a mean that is not zero."""
    random = np.random.default_rng(seed)
    mixing = np.linalg.qr(random.normal(size=(dims, dims)))[0] * np.exp(-np.arange(dims) / (dims / 6))[:, None]
    return random.normal(size=(count, dims)) @ mixing + 0.05


def bits_of(binarizer: Binarizer, vectors: Any) -> Any:
    return unpack_bits(binarizer.encode(vectors))


@pytest.mark.parametrize("dims", [24, 100, 384])
def test_lsh_differs_in_a_bit_with_probability_angle_by_pi(dims: int) -> None:
    """16,384 bits: the standard deviation is below 0.004, the tolerance four of them."""
    one, other = np.linalg.qr(gaussian(dims, 2))[0].T
    angles = np.radians([5, 30, 60, 90, 150, 180])
    vectors = np.stack([one, *(math.cos(angle) * one + math.sin(angle) * other for angle in angles)])
    bits = np.concatenate([bits_of(lsh(vectors, 512, seed, center=False), vectors) for seed in range(32)], axis=1)
    assert np.abs((bits[1:] ^ bits[0]).mean(axis=1) - angles / math.pi).max() < 0.016


@given(dims=st.integers(1, 40), words=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_hyperplanes_are_orthonormal_in_blocks(dims: int, words: int, seed: int) -> None:
    normals = hyperplanes(dims, 32 * words, seed)
    assert normals.shape == (dims, 32 * words)
    for begin in range(0, 32 * words, dims):
        block = normals[:, begin : begin + dims]
        assert np.allclose(block.T @ block, np.eye(block.shape[1]), atol=1e-9)
    assert np.array_equal(normals, hyperplanes(dims, 32 * words, seed))
    assert not np.array_equal(normals, hyperplanes(dims, 32 * words, seed + 1))


@settings(max_examples=25, deadline=None)
@given(bits=st.sampled_from([1, 2, 7, 32, 64]), count=st.integers(2, 300), seed=st.integers(0, 1000))
def test_rotation_is_orthogonal_and_loses_less_each_time(bits: int, count: int, seed: int) -> None:
    values = spread(count, bits, seed)
    rotation, errors = rotate(values, seed, 20)
    assert np.allclose(rotation.T @ rotation, np.eye(bits), atol=1e-9)
    assert all(after <= before + 1e-6 for before, after in itertools.pairwise(errors)), errors
    rotated = values @ rotation
    assert math.isclose(errors[-1], np.mean((np.where(rotated > 0, 1, -1) - rotated) ** 2), rel_tol=1e-3) or len(errors) == 20


def test_itq_gains_by_its_iterations() -> None:
    values = spread(2000, 64)
    _, errors = rotate(values, 0)
    assert errors[-1] < errors[0] - 0.01


def test_itq_projects_on_the_principal_components() -> None:
    vectors = spread(3000, 96)
    made = itq(vectors, 32, center=True, iterations=5)
    assert made.projection is not None
    assert np.allclose(made.projection.T @ made.projection, np.eye(32), atol=1e-4)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    strongest = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)[2][:32]
    # They span the same space, whatever the rotation: projecting one on the other loses nothing.
    assert np.allclose(np.linalg.norm(strongest @ made.projection, axis=1), 1, atol=1e-3)


def test_itq_finds_more_neighbours_than_hyperplanes() -> None:
    vectors = spread(1500, 128).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = np.argsort(-(unit[:100] @ unit.T), axis=1)[:, :10]
    found = {}
    for kind in ("lsh", "itq"):
        signs = np.where(bits_of(fit(kind, vectors, 64), vectors), 1, -1)
        nearest = np.argsort(-(signs[:100] @ signs.T), axis=1, kind="stable")[:, :10]
        found[kind] = np.mean([len(set(a) & set(b)) for a, b in zip(near, nearest, strict=True)])
    assert found["itq"] > 1.2 * found["lsh"] > 1.2


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 20), words=st.integers(1, 3), center=st.booleans(), seed=st.integers(0, 10**6))
def test_sign_is_the_sign(count: int, words: int, center: bool, seed: int) -> None:
    vectors = gaussian(count, 32 * words, seed)
    bits = bits_of(sign(vectors, center), vectors)
    unit = [[value / math.sqrt(math.fsum(v * v for v in row)) for value in row] for row in vectors.tolist()]
    for index in range(32 * words):
        mean = math.fsum(row[index] for row in unit) / count if center else 0.0
        for row, code in zip(unit, bits, strict=True):
            assert abs(row[index] - mean) < 1e-6 or code[index] == (row[index] > mean)


def test_zero_is_no_one() -> None:
    """A projection of exactly 0 gives bit 0."""
    vectors = np.eye(32, dtype=np.float32)
    assert np.array_equal(bits_of(sign(vectors, center=False), vectors), np.eye(32, dtype=bool))


@pytest.mark.parametrize("kind", KINDS)
def test_codes_do_not_depend_on_scale_type_order_or_company(kind: str, tmp_path: Path) -> None:
    vectors = spread(5000, 64).astype(np.float16).astype(np.float64)  # more than are encoded at once
    made = fit(kind, vectors, 64)
    codes = made.encode(vectors)
    assert codes.shape == (5000, 2)
    np.save(tmp_path / "v.npy", np.asfortranarray(vectors.astype(">f4")))
    for same in (
        vectors * 2.0**900,
        vectors * 2.0**-900,
        vectors.astype(np.float16),
        vectors.astype(np.float32),
        np.load(tmp_path / "v.npy", mmap_mode="r"),
    ):
        assert np.array_equal(made.encode(same), codes)
    for row in (0, 4095, 4096, 4999):
        assert np.array_equal(made.encode(vectors[row : row + 1])[0], codes[row])
    assert made.encode(vectors[:0]).shape == (0, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_seed_and_center_decide(kind: str) -> None:
    vectors = spread(400, 64)
    settled = ((1, True), (1, False), (2, True))
    codes = {seed_and_center: fit(kind, vectors, 64, *seed_and_center).encode(vectors).tobytes() for seed_and_center in settled}
    assert fit(kind, vectors, 64, 1, True).encode(vectors).tobytes() == codes[1, True]
    assert codes[1, True] != codes[1, False]
    assert (codes[1, True] == codes[2, True]) == (kind == "sign")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("value", "words"),
    [(math.nan, "is not finite"), (math.inf, "is not finite"), (-math.inf, "is not finite"), (0, "is all zero")],
)
@pytest.mark.parametrize("row", [0, 4200])
def test_rows_that_have_no_direction(kind: str, value: float, words: str, row: int) -> None:
    vectors = gaussian(4300, 32)
    made = fit(kind, vectors, 32)
    vectors[row, 3 if value else slice(None)] = value
    for refused in (lambda: fit(kind, vectors, 32), lambda: made.encode(vectors)):
        with pytest.raises(VectorError, match=f"row {row} of the embeddings {words}"):
            refused()


def test_largest_and_smallest_numbers() -> None:
    vectors = np.array([[5e-324] + [0] * 31, [1.7e308] * 32, [-1.7e308] * 32])
    assert bits_of(sign(vectors, center=False), vectors).sum(axis=1).tolist() == [1, 32, 0]
    halves = np.full((2, 32), 65504, dtype=np.float16)
    assert bits_of(sign(halves, center=False), halves).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sign", gaussian(9, 64), 128), "64 dimensions are not 128 bits"),
        (("sign", gaussian(9, 40), 40), "codes of 40 bits are not possible"),
        (("lsh", gaussian(9, 40), 0), "codes of 0 bits are not possible"),
        (("lsh", gaussian(9, 40), -32), "codes of -32 bits are not possible"),
        (("itq", gaussian(99, 64), 96), "itq makes at most as many bits as there are dimensions: 96 of 64"),
        (("itq", gaussian(64, 64), 64), "itq needs more vectors than bits: 64 are too few"),
        (("learned", gaussian(9, 64), 64), "there is no binarizer 'learned'"),
        (("lsh", gaussian(9, 64)[0], 64), r"shape \[64\]"),
        (("sign", gaussian(9, 64)[0], 64), r"shape \[64\]"),
        (("itq", gaussian(0, 64), 64), r"shape \[0, 64\]"),
        (("lsh", np.ones((3, 64), dtype=int), 64), "type int64"),
    ],
)
def test_what_cannot_be_made(arguments: Any, words: str) -> None:
    with pytest.raises(VectorError, match=words):
        fit(*arguments)


def test_vectors_of_another_model() -> None:
    made = lsh(gaussian(9, 64), 128)
    assert (made.dims, made.bits) == (64, 128)
    for other in (gaussian(3, 63), gaussian(3, 64)[0]):
        with pytest.raises(VectorError, match=r"the binarizer takes \[N, 64\]"):
            made.encode(other)


@pytest.mark.parametrize("kind", KINDS)
def test_dumped_and_loaded(kind: str, tmp_path: Path) -> None:
    vectors = spread(300, 64)
    made = fit(kind, vectors, 64)
    data = binarize.dump(made)
    assert data == binarize.dump(fit(kind, vectors, 64))
    (tmp_path / "b.npz").write_bytes(data)
    assert np.array_equal(binarize.load(tmp_path / "b.npz").encode(vectors), made.encode(vectors))


def saved(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def one_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(64))
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\3\4",
        b"text",
        one_array(),
        saved(),
        saved(projection=np.ones((64, 64))),
        saved(mean=np.zeros((1, 64))),
        saved(mean=np.zeros(64, dtype=int)),
        saved(mean=np.zeros(0), projection=np.ones((0, 64))),
        saved(mean=np.zeros(64), projection=np.ones((63, 64))),
        saved(mean=np.zeros(64), projection=np.ones(64)),
        saved(mean=np.zeros(64), projection=np.full((64, 64), np.nan)),
        saved(mean=np.zeros(64), projection=np.full((64, 64), 1e300)),
        saved(mean=np.array([None] * 64)),
        saved(mean=np.zeros(64), projection=np.ones((64, 40))),
    ],
)
def test_files_that_are_no_binarizer(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "b.npz").write_bytes(data)
    with pytest.raises(FormatError, match=r"b\.npz"):
        binarize.load(tmp_path / "b.npz")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be read: No such file"):
        binarize.load(tmp_path / "b.npz")


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_files_give_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = bytearray(binarize.dump(lsh(gaussian(9, 32), 32)))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(whole[: data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))])
    try:
        found = binarize.load(path)
    except FormatError:
        return
    assert found.bits % 32 == 0
