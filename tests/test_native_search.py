"""The C core finds the reference's hits: the same slots at the same distances in the same order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native import ARGUMENT, FORMAT, KINDS, CoreError, NativeCore, Source
from numpy.typing import NDArray

from bitwren import hamming, table
from bitwren.hamming import WIDTHS, Codes
from bitwren.table import Record, Table

EDGES = (1, 2, 31, 32, 33, 63, 64, 65, 500, 1023, 1024, 1025, 1500)
COPIES = ("none", "few", "all", "near")


def make_codes(random: np.random.Generator, count: int, bits: int, copies: str) -> Codes:
    """Random codes, ones drawn from a few (ties everywhere), one code alone, or one code with few bits changed."""
    words = bits // 32
    codes = random.integers(0, 1 << 32, (count, words), dtype=np.uint64).astype(np.uint32)
    if copies == "few":
        codes = codes[random.integers(0, min(count, 4), count)]
    elif copies == "all":
        codes[:] = codes[0]
    elif copies == "near":
        flips = np.uint32(1) << random.integers(0, 32, count).astype(np.uint32)
        near = np.tile(codes[0], (count, 1))
        near[np.arange(count), random.integers(0, words, count)] ^= flips
        codes = near
    return codes


def make_query(random: np.random.Generator, codes: Codes, asked: str) -> Codes:
    """A code to search for: any, one of the table's, the opposite of one (distance B), or zero."""
    made: dict[str, Codes] = {
        "random": make_codes(random, 1, 32 * codes.shape[1], "none")[0],
        "one of them": codes[random.integers(len(codes))],
        "opposite": ~codes[random.integers(len(codes))],
        "zero": np.zeros(codes.shape[1], np.uint32),
    }
    return made[asked]


def make_table(codes: Codes, live: NDArray[np.bool_]) -> bytes:
    records = [Record(f"id{slot}", "answer " * (slot % 3)) for slot in range(len(codes))]
    return table.write(Table(codes, records, live, bytes(16)))


def expected(query: Codes, codes: Codes, k: int, live: NDArray[np.bool_]) -> list[tuple[int, int]]:
    slots, found = hamming.search(query, codes, k, live)
    return [(int(distance), int(slot)) for slot, distance in zip(slots, found, strict=True)]


@settings(max_examples=600, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    bits=st.sampled_from(WIDTHS),
    count=st.one_of(st.sampled_from(EDGES), st.integers(1, 400)),
    copies=st.sampled_from(COPIES),
    alive=st.sampled_from([1.0, 0.9, 0.3, 0.0]),
    asked=st.sampled_from(["random", "one of them", "opposite", "zero"]),
    kind=st.sampled_from(list(KINDS)),
)
def test_hits_equal_the_reference(
    native_core: NativeCore, seed: int, bits: int, count: int, copies: str, alive: float, asked: str, kind: str
) -> None:
    random = np.random.default_rng(seed)
    codes = make_codes(random, count, bits, copies)
    live = random.random(count) < alive
    query = make_query(random, codes, asked)
    source = KINDS[kind](make_table(codes, live))
    assert native_core.check(source, b"BWT1") == 0
    for k in {1, 3, 10, 32, 33, 64, 65, 200, count, count + 5}:
        assert native_core.search(source, query, k) == expected(query, codes, k, live)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("count", [33, 70])
def test_the_nearest_and_the_farthest_distance(native_core: NativeCore, bits: int, count: int) -> None:
    """Distances 0 and B, alone and among others, whose counters are all zeros."""
    code = make_codes(np.random.default_rng(bits), 1, bits, "none")[0]
    codes = np.tile(~code, (count, 1))
    live = np.ones(count, bool)
    for place in (None, 0, 31, 32, count - 1):
        if place is not None:
            codes[place] = code
        source = Source.contiguous(make_table(codes, live))
        for k in (1, 2, count):
            assert native_core.search(source, code, k) == expected(code, codes, k, live)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), bits=st.sampled_from(WIDTHS), k=st.sampled_from([1, 2, 10, 40, 64, 65, 100, 250]))
def test_better_documents_at_every_step(native_core: NativeCore, seed: int, bits: int, k: int) -> None:
    """Distances that fall along the table, so that the threshold is lowered in every block, and some that rise."""
    random = np.random.default_rng(seed)
    steps = np.concatenate([np.linspace(bits, 0, 200), np.linspace(0, bits, 50)]).astype(int)
    steps = np.clip(steps + random.integers(-3, 4, len(steps)), 0, bits)
    unpacked = np.zeros((len(steps), bits), bool)
    for row, distance in enumerate(steps):
        unpacked[row, random.permutation(bits)[:distance]] = True
    query = make_codes(random, 1, bits, "none")[0]
    codes = hamming.pack_bits(unpacked) ^ query
    live = np.ones(len(codes), bool)
    found = native_core.search(Source.streamed(make_table(codes, live)), query, k)
    assert found == expected(query, codes, k, live)


@pytest.mark.parametrize("kind", KINDS)
def test_records(native_core: NativeCore, kind: str) -> None:
    codes = make_codes(np.random.default_rng(1), 100, 64, "none")
    data = make_table(codes, np.ones(100, bool))
    source = KINDS[kind](data)
    for slot in (0, 1, 50, 99):
        offset, length = native_core.record(source, slot)
        record = data[offset : offset + length]
        id_size = int.from_bytes(record[:2], "little")
        assert record[4 : 4 + id_size].decode() == f"id{slot}"
        assert record[4 + id_size :] == b"answer " * (slot % 3)
    with pytest.raises(CoreError) as error:
        native_core.record(source, 100)
    assert error.value.code == ARGUMENT


def test_wrong_arguments(native_core: NativeCore) -> None:
    data = make_table(make_codes(np.random.default_rng(1), 5, 64, "none"), np.ones(5, bool))
    source = Source.contiguous(data)
    with pytest.raises(CoreError) as error:
        native_core.search(source, np.zeros(2, np.uint32), 0)
    assert error.value.code == ARGUMENT
    longer = Source.contiguous(data + bytes(4096))
    assert native_core.check(longer, b"BWT1") == FORMAT
