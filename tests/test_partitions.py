"""Partition tables: against bytes laid out by hand from ESP-IDF's documentation, and damaged ones."""

from __future__ import annotations

import hashlib

import pytest
from esp_firmware import STOCK
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwren import partitions
from bitwren.boards import all_boards, find_board
from bitwren.errors import BitwrenError, FormatError
from bitwren.partitions import Partition

NVS = bytes.fromhex("aa50 01 02 00900000 00600000 6e767300000000000000000000000000 00000000")
FACTORY = bytes.fromhex("aa50 00 00 00000100 00001f00 666163746f7279000000000000000000 00000000")


def test_the_bytes_that_a_boot_loader_reads() -> None:
    entries = (Partition("nvs", 1, 2, 0x9000, 0x6000), Partition("factory", 0, 0, 0x10000, 0x1F0000))
    table = NVS + FACTORY + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(NVS + FACTORY).digest()
    assert partitions.encode(entries) == table + b"\xff" * (0xC00 - len(table))
    assert partitions.decode(table.ljust(0xC00, b"\xff"), "x") == entries
    assert [entry.kind for entry in entries] == ["data/nvs", "app/factory"]


def test_micropythons_own_table() -> None:
    table = partitions.decode(STOCK, "x")
    assert [(part.label, part.kind, part.offset, part.size) for part in table] == [
        ("nvs", "data/nvs", 0x9000, 0x6000),
        ("phy_init", "data/phy", 0xF000, 0x1000),
        ("factory", "app/factory", 0x10000, 0x1F0000),
        ("vfs", "data/fat", 0x200000, 0x200000),
    ]
    assert partitions.encode(table) == STOCK


@pytest.mark.parametrize("board", [board for board in all_boards() if board.family == "esp32"], ids=lambda board: board.name)
def test_boards_tables(board: partitions.Board) -> None:
    table = partitions.of_board(board)
    assert partitions.decode(partitions.encode(table), "x") == table
    labels = {part.label: part for part in table}
    # What MicroPython looks for: its filesystem by the label, a bundle by ours.
    assert labels["vfs"].kind == "data/fat"
    assert labels["bitwren"].type == 1
    assert labels["factory"].offset == 0x10000
    assert labels["bitwren"].offset + labels["bitwren"].size == board.flash_bytes


@st.composite
def tables(draw: st.DrawFn) -> tuple[Partition, ...]:
    found, offset = [], 0x9000
    for _ in range(draw(st.integers(0, 95))):
        offset += draw(st.integers(0, 5))
        size = draw(st.integers(0, 70000))
        label = draw(st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), max_size=8))
        found.append(
            Partition(label, draw(st.integers(0, 254)), draw(st.integers(0, 255)), offset, size, draw(st.integers(0, 3)))
        )
        offset += size
    return tuple(found)


@settings(max_examples=60, deadline=None)
@given(table=tables())
def test_every_table_is_read_back(table: tuple[Partition, ...]) -> None:
    data = partitions.encode(table)
    assert len(data) == 0xC00
    assert partitions.decode(data, "x") == table


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_table_is_refused(data: st.DataObject) -> None:
    used = 4 * 32 + 32
    changed = bytearray(STOCK)
    place = data.draw(st.integers(0, used - 1))
    changed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FormatError, match=r"^x is damaged: "):
        partitions.decode(bytes(changed), "x")


def test_sentences() -> None:
    with pytest.raises(FormatError, match="96 partitions are too many"):
        partitions.encode([Partition("", 1, 2, 0, 0)] * 96)
    with pytest.raises(FormatError, match="at most 16 bytes"):
        partitions.encode([Partition("ü" * 9, 1, 2, 0, 0)])
    with pytest.raises(FormatError, match="has no end"):
        partitions.decode(NVS, "x")
    overlapping = partitions.encode([Partition("a", 1, 2, 0x9000, 0x2000), Partition("b", 1, 2, 0xA000, 0x1000)])
    with pytest.raises(FormatError, match="b begins at 0xa000, before 0xb000"):
        partitions.decode(overlapping, "x")
    assert partitions.decode(b"\xff" * 0xC00, "x") == ()
    assert Partition("", 1, 0x40, 0, 0).kind == "data/0x40"
    assert Partition("", 0x40, 0, 0, 0).kind == "0x40/0x00"


def test_boards_whose_parts_are_no_partitions() -> None:
    with pytest.raises(BitwrenError, match=r"the board pico's part firmware is of type ; known are app/factory, "):
        partitions.of_board(find_board("pico"))
