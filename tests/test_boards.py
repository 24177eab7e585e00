"""Board files: those that ship hang together, a user's own is read, and what is wrong with one is said in a sentence."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from bitwren import micropython
from bitwren.boards import ERASE, Board, all_boards, find_board, read_board
from bitwren.errors import BitwrenError
from bitwren_host.emulator import PICO_BLOCK, PICO_BLOCKS

MINE = """\
name = "mine"
title = "My RP2040 board"
chip = "RP2040"
arch = "armv6m"
family = "rp2"
flash_bytes = 4194304
ram_bytes = 270336
[firmware]
machine = "Mine with RP2040"
[[flash.part]]
name = "firmware"
offset = 0
bytes = 0x100000
[[flash.part]]
name = "filesystem"
offset = 0x100000
bytes = 0x300000
[boot]
uf2_family = 0xe48bff56
"""
SHIPPED = all_boards()


def test_all_kinds_of_boards_ship() -> None:
    assert {board.name for board in SHIPPED} == {
        *("pico", "pico-w", "pico2", "pico2-riscv", "pico2-w"),
        *("esp32", "esp32-s3", "esp32-s3-octal", "esp32-c3"),
        *("unix", "qemu-m3", "qemu-m4f", "qemu-rv32"),
    }


@pytest.mark.parametrize("board", SHIPPED, ids=lambda board: board.name)
def test_a_shipped_board_hangs_together(board: Board) -> None:
    assert find_board(board.name) == board
    if not board.family:
        assert board.emulator
        assert not board.parts
        return
    assert board.firmware is not None
    assert board.firmware.micropython.replace("-", "_").startswith(board.firmware.page.rstrip("/").rsplit("/")[-1])
    assert board.usb.running
    assert board.usb.boot
    assert board.boot.how
    assert board.part("data").bytes >= 240 * 1024
    # Whole flash, up to its end: rp2's firmware looks for its filesystem there.
    assert board.parts[-1].end == board.flash_bytes
    assert all(one.end == next.offset for one, next in itertools.pairwise(board.parts))
    assert board.limits.bundle_bytes <= max(board.part("data").bytes, board.part("filesystem").bytes)
    assert board.boot.drive == board.boot.board_id
    assert bool(board.boot.esptool_chip) == (board.family == "esp32")


def test_what_micropython_says_of_itself_is_one_boards() -> None:
    """The longest that fits is meant, so no two may be the same."""
    machines = [board.firmware.machine for board in SHIPPED if board.firmware]
    assert len(set(machines)) == len(machines)


@pytest.mark.parametrize(
    ("machine", "name"),
    [  # as published firmwares print them
        ("Raspberry Pi Pico with RP2040", "pico"),
        ("Raspberry Pi Pico W with RP2040", "pico-w"),
        ("Raspberry Pi Pico2 with RP2350", "pico2"),
        ("Raspberry Pi Pico2 with RP2350-RISCV", "pico2-riscv"),
        ("Raspberry Pi Pico 2 W with RP2350", "pico2-w"),
        ("Generic ESP32 module with ESP32", "esp32"),
        ("Generic ESP32 module with SPIRAM with ESP32", "esp32"),
        ("Generic ESP32S3 module with ESP32S3", "esp32-s3"),
        ("Generic ESP32S3 module with ESP32-S3", "esp32-s3"),
        ("Generic ESP32S3 module with Octal-SPIRAM with ESP32S3", "esp32-s3-octal"),
        ("ESP32C3 module with ESP32C3", "esp32-c3"),
        ("Generic ESP32C3 module with ESP32C3", "esp32-c3"),
        ("Waveshare RP2040-Zero with RP2040", None),
    ],
)
def test_which_board_a_machine_is(machine: str, name: str | None) -> None:
    fitting = [board.name for board in SHIPPED if board.firmware and micropython.is_for(machine, board)]
    assert fitting == ([name] if name else [])


def test_stock_micropythons_filesystems() -> None:
    """Where ports/rp2/boards/*/mpconfigboard.h of MicroPython puts them: at the end of flash, of these sizes."""
    sizes = {board.name: board.part("filesystem").bytes // 1024 for board in SHIPPED if board.family == "rp2"}
    assert sizes["pico"] * 1024 == PICO_BLOCK * PICO_BLOCKS
    assert sizes == {"pico": 1408, "pico-w": 848, "pico2": 3072, "pico2-riscv": 3072, "pico2-w": 2560}


def test_a_users_own_board(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    board = find_board(path)
    assert board == find_board(str(path)) == read_board(path)
    assert (board.name, board.part("filesystem").offset, board.boot.uf2_family) == ("mine", 0x100000, 0xE48BFF56)
    assert micropython.is_for("Mine with RP2040", board)
    assert not micropython.is_for("Raspberry Pi Pico with RP2040", board)
    assert (board.psram_bytes, board.emulator, board.usb.boot) == (0, "", ())
    assert board.firmware is not None
    assert board.firmware.at_least == "1.23"
    with pytest.raises(BitwrenError, match="the board mine has no data part in its flash map: add one"):
        board.part("data")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('name = "mine"\n', "", "name must be given, as text in quotes"),
        ('name = "mine"\n', 'name = "My Board"\n', 'name is "My Board": small letters, digits and hyphens'),
        ('arch = "armv6m"', 'arch = "m0"', 'arch is "m0" but must be one of x64, armv6m, '),
        ('family = "rp2"', 'family = "stm32"', 'family is "stm32" but must be one of "", rp2, esp32'),
        ("flash_bytes = 4194304", 'flash_bytes = "4 MB"', "flash_bytes must be given, as a whole number"),
        ("flash_bytes = 4194304", "flash_bytes = true", "flash_bytes must be given, as a whole number"),
        ("flash_bytes = 4194304", "flash_bytes = -1", "flash_bytes must be given, as a whole number"),
        ("ram_bytes", "ram", "ram_bytes must be given"),
        ('title = "My', 'colour = "red"\ntitle = "My', "colour is unknown here: the keys are arch, boot, "),
        ("offset = 0\n", "offset = 0\nsize = 3\n", "flash.part 1: size is unknown here: the keys are bytes, "),
        ("offset = 0x100000", "offset = 0x100001", "flash.part 2: offset of filesystem must be a multiple of 4096"),
        ("bytes = 0x300000", "bytes = 0", "flash.part 2: bytes of filesystem must be a multiple of 4096, and not empty"),
        ("offset = 0x100000", "offset = 0xff000", "offset of filesystem is 0xff000, but the part before it ends at 0x100000"),
        ("bytes = 0x300000", "bytes = 0x301000", "bytes of filesystem: it ends at 0x401000, behind the flash's end at 0x400000"),
        ('name = "filesystem"', 'name = "firmware"', 'name is "firmware" a second time'),
        ('name = "filesystem"', 'name = "files"', "flash.part named filesystem must be given for a board of the family rp2"),
        ("uf2_family = 0xe48bff56", "", "boot.uf2_family must be given for a board of the family rp2"),
        ('machine = "Mine with RP2040"', "", "firmware.machine must be given"),
        ("[boot]", '[usb]\nrunning = ["2E8A:5"]\n[boot]', "usb.running must be a list of USB ids like"),
        ("[boot]", 'usb = "2e8a:0005"\n[boot]', "flash.part 2: usb is unknown here"),
        ("[boot]", "[[usb]]\n[boot]", r"usb must be a table: \[usb\]"),
        ('[[flash.part]]\nname = "firmware"', '[flash.part]\nname = "firmware"', "is not TOML"),
        ("[firmware]", '[firmware]\nat_least = "v1.23"', 'firmware.at_least is "v1.23" but must be a version like "1.23"'),
        ('name = "mine"', "name = mine", "is not TOML"),
    ],
)
def test_what_is_wrong_with_a_board_file_is_said(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    assert old in MINE
    path = tmp_path / "mine.toml"
    path.write_text(MINE.replace(old, new, 1))
    with pytest.raises(BitwrenError, match=f"board file .*mine.toml.*{sentence}"):
        read_board(path)


def test_esp32_boards_need_partitions_types_and_a_data_partition(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    esp = MINE.replace('family = "rp2"', 'family = "esp32"').replace("uf2_family = 0xe48bff56", 'esptool_chip = "esp32"')
    typed = esp.replace("offset = 0\n", 'offset = 0\ntype = "app"\nsubtype = "factory"\n').replace(
        "offset = 0x100000\n", 'offset = 0x100000\ntype = "data"\nsubtype = "fat"\n'
    )
    for text, sentence in (
        (esp, "flash.part 1: type must be given"),
        (typed, "flash.part named data must be given for a board of the family esp32"),
        (typed.replace("type = ", 'label = "a label of 18 chars"\ntype = ', 1), "a partition's label has at most 16 bytes"),
        (typed.replace('esptool_chip = "esp32"', ""), "boot.esptool_chip must be given"),
    ):
        path.write_text(text)
        with pytest.raises(BitwrenError, match=sentence):
            read_board(path)


def test_a_board_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(
        BitwrenError, match=r"no board is called Pico_W: did you mean pico-w\? there are esp32, .* or give a board file"
    ):
        find_board("Pico_W")
    with pytest.raises(BitwrenError, match=r"board file .*none.toml cannot be read: No such file"):
        find_board(tmp_path / "none.toml")


def test_parts_are_whole_erasable_pieces() -> None:
    assert all(part.offset % ERASE == part.bytes % ERASE == 0 for board in SHIPPED for part in board.parts)
