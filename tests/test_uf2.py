"""UF2 files: against an oracle that takes a file apart byte by byte, as a boot loader would, and against damaged ones."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwren import uf2
from bitwren.errors import FormatError
from bitwren.uf2 import Run, Uf2

RP2040, ARM = 0xE48BFF56, 0xE48BFF59
FLASH = 0x10000000


def boot_rom(data: bytes, family: int | None) -> dict[int, int]:
    """What a chip of one family has in its flash afterwards: address → byte. It waits until it has every block, then starts."""
    memory: dict[int, int] = {}
    seen: set[int] = set()
    total = 0
    for at in range(0, len(data), 512):
        block = data[at : at + 512]
        assert block[:4] == b"UF2\n"
        assert block[4:8] == bytes([0x57, 0x51, 0x5D, 0x9E])
        assert block[508:] == bytes([0x30, 0x6F, 0xB1, 0x0A])
        flags, address, size, number, count, owner = struct.unpack("<6I", block[8:32])
        if flags & 0x8000 and block[32 + size : 36 + size] == bytes([0x04, 0xE3, 0x57, 0x99]):
            continue
        assert (flags, owner) == ((0x2000, family) if family is not None else (0, 0))
        assert size == 256
        assert address % 256 == 0
        total = count
        seen.add(number)
        for index in range(size):
            assert address + index not in memory
            memory[address + index] = block[32 + index]
    assert seen == set(range(total))
    assert {address // 4096 for address in memory} == {address // 4096 for address in memory if address % 4096 == 4095}
    return memory


@st.composite
def contents(draw: st.DrawFn) -> Uf2:
    """Runs apart from each other, which begin and end anywhere."""
    runs, address = [], FLASH
    family = draw(st.sampled_from([None, RP2040, ARM]))
    for _ in range(draw(st.integers(1, 4))):
        address += draw(st.integers(0, 9000))
        data = draw(st.binary(min_size=1, max_size=40)) * draw(st.integers(1, 300))
        runs.append(Run(address, data, family))
        address += len(data)
    return Uf2(tuple(runs))


def ignored_block() -> bytes:
    """Erratum RP2350-E10's, as picotool writes it first."""
    head = struct.pack("<8I", 0x0A324655, 0x9E5D5157, 0xA000, 0x10FFFF00, 256, 0, 2, 0xE48BFF57)
    return head + b"\xef" * 256 + (0x9957E304).to_bytes(4, "little") + bytes(216) + (0x0AB16F30).to_bytes(4, "little")


@settings(max_examples=80, deadline=None)
@given(content=contents(), ignored=st.booleans())
def test_a_boot_loader_gets_every_byte_and_nothing_else(content: Uf2, ignored: bool) -> None:
    content = Uf2(content.runs, ignored_block() if ignored else b"")
    data = uf2.write(content)
    memory = boot_rom(data, content.runs[0].family)
    wanted = {run.address + index: byte for run in content.runs for index, byte in enumerate(run.data)}
    assert {address: memory[address] for address in wanted} == wanted
    assert {memory[address] for address in memory.keys() - wanted.keys()} <= {0xFF}
    assert len(memory) == 4096 * len({address // 4096 for address in wanted})
    again = uf2.read(data, "x")
    assert {run.address + index: byte for run in again.runs for index, byte in enumerate(run.data)} == memory
    assert again.ignored == content.ignored
    assert uf2.write(again) == data
    assert all(one.end < other.address for one, other in zip(again.runs, again.runs[1:], strict=False))


@settings(max_examples=200, deadline=None)
@given(data=st.data(), content=contents())
def test_a_damaged_file_is_refused_or_is_another_whole_file(data: st.DataObject, content: Uf2) -> None:
    whole = bytearray(uf2.write(content))
    for _ in range(data.draw(st.integers(1, 3))):
        # In a block's head, mostly: its payload is anyone's.
        place = 512 * data.draw(st.integers(0, len(whole) // 512 - 1)) + data.draw(st.integers(0, 31) | st.integers(0, 511))
        whole[place] = data.draw(st.integers(0, 255))
    del whole[data.draw(st.sampled_from([len(whole)] * 4 + [len(whole) - 512, len(whole) - 1])) :]
    try:
        found = uf2.read(bytes(whole), "x.uf2")
    except FormatError:
        return
    # Taken, so every block that counts is there once, and the payloads are what is written.
    blocks = [bytes(whole[at : at + 512]) for at in range(0, len(whole), 512)]
    ignored = [found.ignored[at : at + 512] for at in range(0, len(found.ignored), 512)]
    counted = [struct.unpack("<8I", block[:32]) for block in blocks if block not in ignored]
    assert sorted(head[5] for head in counted) == list(range(len(counted)))
    assert sum(len(run.data) for run in found.runs) == sum(head[4] for head in counted)


@given(data=st.binary(max_size=2000))
def test_what_is_no_uf2(data: bytes) -> None:
    with pytest.raises(FormatError):
        uf2.read(data, "x")
    assert not uf2.is_uf2(data)


def test_two_files_joined_are_refused_and_say_why() -> None:
    one = uf2.write(Uf2((Run(FLASH, bytes(4096), RP2040),)))
    two = uf2.write(Uf2((Run(FLASH + 8192, bytes(4096), RP2040),)))
    with pytest.raises(
        FormatError, match=r"block 16 is number 0 of 16, .* where files were joined, blocks must be numbered anew"
    ):
        uf2.read(one + two, "x")
    both = uf2.write(Uf2(uf2.read(one, "x").runs + uf2.read(two, "x").runs))
    assert len(boot_rom(both, RP2040)) == 8192


def test_sentences() -> None:
    whole = uf2.write(Uf2((Run(FLASH, bytes(8192), RP2040),)))
    twice = bytearray(whole)
    twice[512 + 12 : 512 + 16] = whole[12:16]
    empty = bytearray(whole)
    empty[16:20] = bytes(4)
    for data, sentence in (
        (whole[:-512], "x is truncated: 31 of 32 blocks are there"),
        (whole[:-1], "x is no whole UF2: 16383 bytes"),
        (b"", "x is no whole UF2: 0 bytes"),
        (bytes(twice), "writes to address 0x10000000 twice"),
        (bytes(empty), "block 0 holds 0 bytes"),
        (whole[:512] + bytes(512), "x is no UF2, or damaged: block 1 has wrong magic numbers"),
    ):
        with pytest.raises(FormatError, match=sentence):
            uf2.read(data, "x")
    with pytest.raises(FormatError, match="up to 0x10001000 it is taken already"):
        uf2.write(Uf2((Run(FLASH, bytes(4096), RP2040), Run(FLASH + 4095, b"x", RP2040))))
    with pytest.raises(FormatError, match="two kinds of chips"):
        uf2.write(Uf2((Run(FLASH, b"x", RP2040), Run(FLASH + 1, b"x", ARM))))
    with pytest.raises(FormatError):
        uf2.write(Uf2((Run((1 << 32) - 1, b"xx", RP2040),)))
    assert uf2.read(ignored_block(), "x") == Uf2((), ignored_block())
