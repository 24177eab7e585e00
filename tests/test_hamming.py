"""Codes, distances and bit-sliced blocks against Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bitwren.hamming import WIDTHS, distances, pack_bits, search, unpack_bits
from bitwren.slicing import live_words, slice_codes, unslice_codes

tables = st.sampled_from(WIDTHS).flatmap(
    lambda bits: st.integers(1, 70).flatmap(
        lambda n: arrays(np.uint32, (n, bits // 32), elements=st.sampled_from([0, 1, 3, 0x80000000, 0xFFFFFFFF, 0x5A5A5A5A]))
    )
)


def as_integer(code: np.ndarray) -> int:
    return sum(int(word) << (32 * index) for index, word in enumerate(code))


@given(tables, st.data())
def test_search_is_brute_force(codes: np.ndarray, data: st.DataObject) -> None:
    query = codes[data.draw(st.integers(0, len(codes) - 1))] ^ np.uint32(data.draw(st.sampled_from([0, 1, 0xFFFFFFFF])))
    k = data.draw(st.integers(1, len(codes) + 3))
    live = np.array(data.draw(st.lists(st.booleans(), min_size=len(codes), max_size=len(codes))))
    slots, found = search(query, codes, k, live)
    expected = sorted(
        ((as_integer(code) ^ as_integer(query)).bit_count(), slot) for slot, code in enumerate(codes) if live[slot]
    )[:k]
    assert list(zip(found, slots, strict=True)) == expected


@given(tables)
def test_slices(codes: np.ndarray) -> None:
    blocks = slice_codes(codes)
    assert np.array_equal(unslice_codes(blocks, len(codes)), codes)
    for slot, code in enumerate(codes):
        number = as_integer(code)
        for bit in (0, 31, 32, 32 * codes.shape[1] - 1):
            assert int(blocks[slot // 32, bit]) >> slot % 32 & 1 == number >> bit & 1


def test_bit_order() -> None:
    bits = np.zeros((1, 64), dtype=bool)
    bits[0, 33] = True
    assert pack_bits(bits).tolist() == [[0, 2]]
    assert pack_bits(bits).tobytes() == bytes([0, 0, 0, 0, 2, 0, 0, 0])
    assert np.array_equal(unpack_bits(pack_bits(bits)), bits)
    assert distances(np.array([0, 0], np.uint32), np.array([[0, 2], [7, 0]], np.uint32)).tolist() == [1, 3]


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64])
def test_live_words(count: int) -> None:
    live = np.ones(count, dtype=bool)
    live[count // 2] = False
    word = sum(1 << lane for lane in range(count) if lane != count // 2)
    assert live_words(live).tolist() == [word >> 32 * block & 0xFFFFFFFF for block in range(-(-count // 32))]
