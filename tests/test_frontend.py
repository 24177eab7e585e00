"""Rows, pooling and rescaling against floating point and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bitwren.errors import FormatError
from bitwren.frontend import INPUT_SCALE, Rows, gain, pack_rows, pool, rescale

sums = st.sampled_from([32, 64, 128, 512]).flatmap(
    lambda dims: st.sampled_from([1, 3, 100, 2**15, 2**27]).flatmap(
        lambda top: arrays(np.int32, dims, elements=st.integers(-top, top))
    )
)


@given(sums)
def test_rescale_is_near_the_exact_value(values: np.ndarray) -> None:
    found = rescale(values)
    if not values.any():
        assert not found.any()
        return
    wide = values.astype(np.float64)
    exact = INPUT_SCALE * wide / np.sqrt(np.mean(wide**2))
    # Half a step of rounding; a mantissa that loses up to 1 of at least 1024; a root that loses as much of at most 127.
    worst = 0.5 + INPUT_SCALE * len(values) ** 0.5 / 1024 + 127 / 1024
    assert np.abs(found - np.clip(exact, -127, 127)).max() <= worst


@given(sums, st.integers(0, 3))
def test_rescale_ignores_powers_of_two_of_small_sums(values: np.ndarray, shift: int) -> None:
    small = values % 64
    assert np.array_equal(rescale(small), rescale(small << shift))


@pytest.mark.parametrize("dims", [32, 128, 512])
def test_every_step_fits_32_bits(dims: int) -> None:
    assert gain(dims) == round(32 * dims**0.5 * 2**20)
    assert dims * 2048**2 < 2**32  # the sum of squares, unsigned
    assert 2048 * (gain(dims) // 1024) + 2**19 < 2**31  # a mantissa times the reciprocal, rounded


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_pack_and_values(bits: int) -> None:
    random = np.random.default_rng(bits)
    low = 2 * random.integers(0, 4, (7, 64)) - 3 if bits == 2 else random.integers(-(1 << bits - 1), 1 << bits - 1, (7, 64))
    scales = random.integers(0, 256, 7, dtype=np.uint8)
    rows = Rows(pack_rows(low.astype(np.int32), bits), scales, bits)
    assert np.array_equal(rows.values([6, 0, 6]), low[[6, 0, 6]] * scales[[6, 0, 6], None].astype(np.int32))
    assert np.array_equal(pool(rows, [1, 1, 2]), rows.values([1, 1, 2]).sum(axis=0))
    assert not pool(rows, []).any()


def test_refuses_what_cannot_be_stored() -> None:
    with pytest.raises(FormatError):
        pack_rows(np.array([[0] * 32], dtype=np.int32), 2)
    with pytest.raises(FormatError):
        Rows(np.zeros((3, 5), np.uint8), np.zeros(3, np.uint8), 2)
    with pytest.raises(FormatError):
        Rows(np.zeros((3, 8), np.uint8), np.zeros(2, np.uint8), 2)
