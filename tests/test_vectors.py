"""Documents' vectors: similarities are cosines, whatever the numbers fit 32 bits, and bytes come back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwren.errors import FormatError
from bitwren.frontend import unpack_rows
from bitwren.vectors import ONE, Vectors, from_distances, pack, quantize, unpack


@pytest.mark.parametrize(("bits", "error"), [(2, 0.15), (4, 0.03), (8, 0.004)])
def test_similarities_are_cosines(bits: int, error: float) -> None:
    random = np.random.default_rng(bits)
    documents, query = random.normal(size=(300, 160)), random.integers(-255, 256, 160).astype(np.int16)
    documents[:20] += 0.02 * query
    found = quantize(documents, bits).similarities(query, np.arange(300))
    cosines = documents @ query / np.linalg.norm(documents, axis=1) / np.linalg.norm(query)
    assert np.abs(found / ONE - cosines).max() < error


@settings(deadline=None)
@given(st.sampled_from([2, 4, 8]), st.integers(0, 2**32 - 1), st.sampled_from([16, 160, 512]), st.booleans())
def test_integers_fit_32_bits(bits: int, seed: int, units: int, extreme: bool) -> None:
    random = np.random.default_rng(seed)
    packed = random.integers(0, 256, (5, units * bits // 8), dtype=np.uint8)
    query = random.integers(-255, 256, units).astype(np.int16)
    if extreme:
        packed[:], query[:] = random.choice([0, 255]), random.choice([-255, 255])
    values = unpack_rows(packed, bits)
    lengths = np.linalg.norm(values, axis=1)
    scales = np.minimum(np.rint(2**18 / np.maximum(lengths, 1e-9)), 0xFFFF).astype(np.uint16)
    length = math.isqrt(int((query.astype(int) ** 2).sum()))
    products = np.abs(values.astype(np.int64) @ query) * scales
    assert products.max() < 2**32
    found = Vectors(packed, scales, bits).similarities(query, np.arange(5))
    assert found.tolist() == [
        int(np.sign(dot)) * (abs(int(dot)) * int(scale) // length >> 6) if length else 0
        for dot, scale in zip(values.astype(np.int64) @ query, scales, strict=True)
    ]


def test_a_query_at_the_centre_is_like_nothing() -> None:
    vectors = quantize(np.ones((3, 32)), 4)
    assert vectors.similarities(np.zeros(32, dtype=np.int16), np.arange(3)).tolist() == [0, 0, 0]


@settings(deadline=None)
@given(st.sampled_from([2, 4, 8]), st.integers(1, 20))
def test_there_and_back(bits: int, count: int) -> None:
    vectors = quantize(np.random.default_rng(count).normal(size=(count, 32)), bits)
    again = unpack(pack(vectors), 32, bits, count + 1, "x")
    assert np.array_equal(again.packed, vectors.packed)
    assert np.array_equal(again.scales, vectors.scales)
    for wrong in (pack(vectors)[:-1], b""):
        with pytest.raises(FormatError, match="its vectors do not fit"):
            unpack(wrong, 32, bits, count, "x")
    with pytest.raises(FormatError, match="its vectors do not fit"):
        unpack(pack(vectors), 32, bits, count - 1, "x")


@pytest.mark.parametrize("bits", [64, 128, 256, 512, 1024])
def test_from_distances(bits: int) -> None:
    found = from_distances(np.arange(bits + 1), bits)
    assert (found[0], found[bits // 2], found[bits]) == (ONE, 0, -ONE)
    assert (np.diff(found) <= 0).all()
    assert np.abs(found / ONE - np.cos(np.pi * np.arange(bits + 1) / bits)).max() < 0.006
