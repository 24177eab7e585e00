"""The pseudo-random projection against a matrix written out entry by entry, and what makes it one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bitwren.projection import SEED, project, signs


def xorshift(state: int) -> int:
    state ^= (state << 13) % 2**32
    state ^= state >> 17
    return state ^ (state << 5) % 2**32


def matrix(inputs: int, bits: int, seed: int) -> NDArray[np.int64]:
    """Entry by entry: the sign of input k in its block, times that of the Walsh-Hadamard matrix."""
    size = 1
    while size < inputs:
        size *= 2
    size = min(size, bits)
    made = np.zeros((inputs, bits), dtype=np.int64)
    state = seed
    for block in range(bits // size):
        flips = []
        for _ in range(-(-inputs // 32)):
            state = xorshift(state)
            flips += [-1 if state >> bit & 1 else 1 for bit in range(32)]
        for k in range(inputs):
            for i in range(size):
                made[k, block * size + i] = flips[k] * (-1) ** (i & (k % size)).bit_count()
    return made


@pytest.mark.parametrize(("inputs", "bits"), [(4, 64), (64, 64), (96, 64), (100, 256), (160, 512), (160, 1024), (512, 64)])
def test_it_is_the_matrix(inputs: int, bits: int) -> None:
    vectors = np.random.default_rng(inputs + bits).integers(-255, 256, (20, inputs)).astype(np.int16)
    vectors[0], vectors[1] = 0, 255
    assert np.array_equal(project(vectors, bits, SEED), vectors.astype(np.int64) @ matrix(inputs, bits, SEED) > 0)


@settings(deadline=None)
@given(st.integers(1, 2**32 - 1))
def test_the_signs_are_xorshift32(seed: int) -> None:
    state, expected = seed, []
    for _ in range(5):
        state = xorshift(state)
        expected.append(state)
    assert signs(seed, 5).tolist() == expected


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 128), st.integers(1, 2**32 - 1))
def test_a_shorter_code_is_the_beginning_of_a_longer_one(quarter: int, seed: int) -> None:
    vectors = np.random.default_rng(quarter).integers(-255, 256, (3, 4 * quarter)).astype(np.int16)
    longest = project(vectors, 1024, seed)
    for bits in (64, 128, 256, 512, 1024):
        assert np.array_equal(project(vectors, bits, seed), longest[:, :bits])


def test_the_share_of_bits_that_differ_is_the_angle() -> None:
    """Charikar's property, on which from_distances rests."""
    random = np.random.default_rng(3)
    first, other = random.normal(size=(2, 400, 160))
    share = np.linspace(0, 1, 400)[:, None]
    second = share * first + (1 - share) * other
    cosines = (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    codes = [project(np.clip(np.rint(40 * each), -255, 255).astype(np.int16), 1024, SEED) for each in (first, second)]
    differing = (codes[0] != codes[1]).mean(axis=1)
    assert np.abs(differing - np.arccos(cosines) / np.pi).max() < 0.06
