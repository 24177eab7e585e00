"""The row layout, staged rows, and changes in memory: the same hits as brute force over everything that is live."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from fallback import FallbackCore
from hypothesis import given, settings
from hypothesis import strategies as st
from native import ARGUMENT, FORMAT, KINDS, CoreError, NativeCore, Source
from numpy.typing import NDArray
from test_native_hostile import mend
from test_native_search import COPIES, expected, make_codes, make_query

from bitwren import residual, residual_scan, table
from bitwren.errors import FormatError
from bitwren.hamming import WIDTHS, Codes, distances
from bitwren.slicing import live_words
from bitwren.table import LAYOUTS, Record, Table

COUNTS = (1, 2, 31, 32, 33, 63, 64, 65, 100, 1023, 1024, 1025)
EXTRA = (0, 1, 2, 30, 31, 32, 33, 64, 100)


@dataclass(frozen=True)
class Case:
    """Slots in a table's blocks, staged, and added in memory; what is deleted in the file, and in memory too."""

    count: int
    staged: int
    added: int
    layout: str
    lanes: int
    bits: int
    seed: int
    copies: str
    alive: float
    deleted: bool

    def make(self) -> tuple[bytes, Codes, NDArray[np.bool_], dict[str, bytes | None]]:
        """The file, all codes, what is live, and the changes as the core takes them."""
        random = np.random.default_rng(self.seed)
        stored = self.count + self.staged
        codes = make_codes(random, stored + self.added, self.bits, self.copies)
        live = random.random(len(codes)) < self.alive
        made = make_table(codes[:stored], live[:stored], self.layout, self.lanes, self.staged)
        if not self.deleted:
            live[stored:] = True
            return made, codes, live, {"live": None, "rows": codes[stored:].tobytes()}
        now = live & (random.random(len(codes)) < 0.8)
        # Bits past the last slot mean nothing, wherever a caller keeps its words.
        words = np.append(live_words(now), np.uint32(0xFFFFFFFF)).astype("<u4")
        if len(now) % 32:
            words[len(now) // 32] |= np.uint32(0xFFFFFFFF << len(now) % 32 & 0xFFFFFFFF)
        return made, codes, now, {"live": words.tobytes(), "rows": codes[stored:].tobytes()}


def make_table(codes: Codes, live: NDArray[np.bool_], layout: str, lanes: int, staged: int) -> bytes:
    records = [Record(f"id{slot}", "answer " * (slot % 3)) for slot in range(len(codes))]
    return table.write(Table(codes, records, live, bytes(16), layout=layout, lanes=lanes, staged=staged))


cases = st.builds(
    Case,
    count=st.one_of(st.sampled_from(COUNTS), st.integers(1, 300)),
    staged=st.one_of(st.just(0), st.sampled_from(EXTRA), st.just(1100)),
    added=st.one_of(st.just(0), st.sampled_from(EXTRA), st.just(1100)),
    layout=st.sampled_from(LAYOUTS),
    lanes=st.sampled_from([32, 64]),
    bits=st.sampled_from(WIDTHS),
    seed=st.integers(0, 2**32),
    copies=st.sampled_from(COPIES),
    alive=st.sampled_from([1.0, 0.9, 0.3, 0.0]),
    deleted=st.booleans(),
).filter(lambda case: case.layout != "residual" or case.bits in residual.WIDTHS)


@settings(max_examples=800, deadline=None)
@given(case=cases, asked=st.sampled_from(["random", "one of them", "opposite", "zero"]), kind=st.sampled_from(list(KINDS)))
def test_the_core_is_exact(native_core: NativeCore, case: Case, asked: str, kind: str) -> None:
    data, codes, live, changes = case.make()
    query = make_query(np.random.default_rng(case.seed + 1), codes, asked)
    source = KINDS[kind](data)
    assert native_core.check(source, b"BWT1") == 0
    for k in {1, 3, 10, 33, 64, 65, 200, len(codes), len(codes) + 5}:
        assert native_core.search(source, query, k, **changes) == expected(query, codes, k, live)


@settings(max_examples=150, deadline=None)
@given(case=cases, asked=st.sampled_from(["random", "one of them", "opposite", "zero"]), kind=st.sampled_from(list(KINDS)))
def test_the_fallback_is_exact(case: Case, asked: str, kind: str) -> None:
    data, codes, live, changes = case.make()
    query = make_query(np.random.default_rng(case.seed + 1), codes, asked)
    source, core = KINDS[kind](data), FallbackCore()
    assert core.check(source, b"BWT1") == 0
    for k in {1, 10, len(codes) + 5}:
        assert core.search(source, query, k, **changes) == expected(query, codes, k, live)


@settings(max_examples=150, deadline=None)
@given(case=cases)
def test_the_toolchain_reads_what_it_writes(case: Case) -> None:
    data, codes, _, _ = case.make()
    stored = case.count + case.staged
    read = table.read(data)
    assert np.array_equal(read.codes, codes[:stored])
    assert (read.layout, read.staged, len(read.records)) == (case.layout, case.staged, stored)
    assert table.write(read) == data


@settings(max_examples=150, deadline=None)
@given(case=cases, k=st.sampled_from([1, 5, 40, 100]), effort=st.sampled_from([1, 10, 40]))
def test_less_effort_leaves_out_blocks_alone(native_core: NativeCore, case: Case, k: int, effort: int) -> None:
    """What is staged or added is searched exactly, beside what the residual blocks gave for that effort."""
    data, codes, live, changes = case.make()
    query = make_query(np.random.default_rng(case.seed), codes, "random")
    found = native_core.search(Source.contiguous(data), query, k, effort, **changes)
    read = table.read(data)
    if case.layout == "residual":
        blocks = table.residual.encode(read.codes[: case.count], case.lanes)
        hits = residual_scan.Scan(blocks, live[: case.count]).search(query, k, effort).hits
        away = distances(query, codes)
        hits += [(int(away[slot]), slot) for slot in range(case.count, len(codes)) if live[slot]]
        assert found == sorted(hits)[:k]
    else:
        assert found == expected(query, codes, k, live)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_records_of_staged_slots(native_core: NativeCore, kind: str, layout: str) -> None:
    codes = make_codes(np.random.default_rng(1), 50, 64, "none")
    data = make_table(codes, np.ones(50, bool), layout, 32, 13)
    source = KINDS[kind](data)
    for slot in (0, 36, 37, 49):
        offset, length = native_core.record(source, slot)
        record = data[offset : offset + length]
        assert record[4 : 4 + record[0]].decode() == f"id{slot}"
    with pytest.raises(CoreError) as error:
        native_core.record(source, 50)
    assert error.value.code == ARGUMENT


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", [1, 31, 32, 33])
def test_the_bits_of_staged_slots_are_not_those_of_lanes(native_core: NativeCore, layout: str, count: int) -> None:
    """A deleted slot is not found though the lanes past N are zero codes, the query is zero, and their bits of LIVE are set."""
    codes = np.zeros((count + 40, 2), np.uint32)
    codes[:count] = 0xFFFFFFFF
    live = np.ones(len(codes), bool)
    live[:count] = False
    live[-1] = False
    source = Source.contiguous(make_table(codes, live, layout, 64, 40))
    for k in (1, 39, 80, 100):
        assert native_core.search(source, codes[-1], k) == expected(codes[-1], codes, k, live)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), bits=st.sampled_from(WIDTHS))
def test_distances_without_an_instruction(native_core: NativeCore, seed: int, bits: int) -> None:
    random = np.random.default_rng(seed)
    a, b = make_codes(random, 2, bits, "none")
    for other in (a, b, ~a, a & b, a | b):
        assert native_core.distance(a, other) == int(distances(a, other[None])[0])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("staged", [0, 1, 19, 21, 60, 0xFFFF])
def test_fields_that_contradict_the_sections(native_core: NativeCore, layout: str, staged: int) -> None:
    codes = make_codes(np.random.default_rng(7), 100, 128, "none")
    data = bytearray(make_table(codes, np.ones(100, bool), layout, 64, 20))
    data[302:304] = staged.to_bytes(2, "little")
    mend(data)
    with pytest.raises(CoreError) as error:
        native_core.open_table(Source.contiguous(bytes(data)))
    assert error.value.code == FORMAT
    with pytest.raises(FormatError):
        table.read(bytes(data))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_section_too_few_or_too_short(native_core: NativeCore, layout: str) -> None:
    codes = make_codes(np.random.default_rng(7), 100, 128, "none")
    original = make_table(codes, np.ones(100, bool), layout, 64, 20)
    for index in range(original[6]):
        entry = 32 + 16 * index
        for change in ("tag", "length"):
            data = bytearray(original)
            if change == "tag":
                data[entry] = 0
            elif data[entry : entry + 4] != b"DOCS":
                data[entry + 8] ^= 4
            mend(data)
            if data != original:
                with pytest.raises(CoreError) as error:
                    native_core.open_table(Source.contiguous(bytes(data)))
                assert error.value.code == FORMAT
                with pytest.raises(FormatError):
                    table.read(bytes(data))


@pytest.mark.parametrize("core", ["native", "fallback"])
def test_changes_that_do_not_fit(native_core: NativeCore, core: str) -> None:
    found = native_core if core == "native" else FallbackCore()
    codes = make_codes(np.random.default_rng(8), 65, 64, "none")
    source = Source.contiguous(make_table(codes, np.ones(65, bool), "flat", 64, 1))
    assert len(found.search(source, codes[0], 70, live=b"\xff" * 12)) == 65
    for live, rows in ((b"\xff" * 11, b""), (b"", b""), (b"\xff" * 12, codes[:32].tobytes())):
        with pytest.raises(CoreError) as error:
            found.search(source, codes[0], 1, live=live, rows=rows)
        assert error.value.code == ARGUMENT


@pytest.mark.parametrize("core", ["native", "fallback"])
def test_more_slots_than_a_word_can_number(native_core: NativeCore, core: str) -> None:
    found = native_core if core == "native" else FallbackCore()
    source = Source.contiguous(make_table(np.zeros((2, 2), np.uint32), np.ones(2, bool), "flat", 64, 1))
    with pytest.raises(CoreError) as error:
        found.search(source, np.zeros(2, np.uint32), 1, rows=bytes(8 * (table.MAX_SLOTS - 1)))
    assert error.value.code == ARGUMENT


def test_more_than_is_possible() -> None:
    codes = np.zeros((65536 + 1, 2), np.uint32)
    records = [Record("", "")] * len(codes)
    made = Table(codes, records, np.ones(len(codes), bool), bytes(16), staged=65536)
    with pytest.raises(FormatError, match="65536 documents are appended; at most 65535"):
        table.write(made)
    with pytest.raises(FormatError, match="not 0 of 64"):
        table.write(Table(codes[:5], records[:5], np.ones(5, bool), bytes(16), staged=5))
    for bits, most in ((512, 4194303), (1024, 2097151)):
        many = np.broadcast_to(np.zeros(bits // 32, np.uint32), (most + 1, bits // 32))
        with pytest.raises(FormatError, match=f"holds 1 to {most} codes"):
            table.write(Table(many, [], np.ones(0, bool), bytes(16)))
