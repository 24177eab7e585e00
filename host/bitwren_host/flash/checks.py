"""What is checked before anything is written to a board."""

from __future__ import annotations

from collections.abc import Sequence

from bitwren.boards import Board
from bitwren.errors import BitwrenError
from bitwren.image import Region
from bitwren.micropython import is_for, is_older

from .. import probe, raw_repl
from ..probe import NEEDED_HEAP
from .esp32 import Chip
from .work import UNTOUCHED, Patience, a

_ABI = "6.3"
# What a bundle's place in flash may hold before one is written: nothing, or another bundle.
_EMPTY = ("ffffffff", b"BWE1".hex())
_LOOK_RP2 = b"""
import uctypes
report({"first": "".join("%%02x" %% byte for byte in uctypes.bytearray_at(0x10000000 + %d, 4))})
"""
_LOOK_ESP32 = b"""
from esp32 import Partition
report({"parts": [list(part.info()[2:5]) for part in Partition.find(Partition.TYPE_DATA)]})
"""


class WrongBoard(BitwrenError):
    """Another board than the one that was named."""


def check_running(board: Board, found: probe.Board) -> None:
    """See that a running MicroPython is on the board that was named. What is wrong with it is no matter if it is replaced.

    :raises WrongBoard: when it says that it is another.
    """
    if found.machine and not is_for(found.machine, board):
        raise WrongBoard(f'wrong board: {found.port} is "{found.machine}", not {a(board)}. {UNTOUCHED}')


def check_kept(board: Board, found: probe.Board) -> None:
    """See that a MicroPython that stays on the board can run bitwren.

    :raises BitwrenError: which of version, .mpy ABI, native module or RAM does not suit, and what to do.
    """
    check_running(board, found)
    whole = f"flash the board whole, with its firmware (without --only data). {UNTOUCHED}"
    at_least = board.firmware.at_least if board.firmware else ".".join(map(str, probe.OLDEST))
    if is_older(found.version, at_least):
        raise BitwrenError(f"{found.port} runs MicroPython {found.version}, too old: bitwren needs {at_least} or later; {whole}")
    if found.arch != "none" and found.mpy != _ABI:
        raise BitwrenError(f"{found.port} loads native modules of .mpy ABI {found.mpy}, and bitwren's are {_ABI}; {whole}")
    wanted = board.arch.removesuffix("_zbb")
    if found.arch not in (wanted, "none"):
        raise BitwrenError(f"{found.port} loads native modules for {found.arch}, and {a(board)}'s are {wanted}; {whole}")
    if found.native is None:
        raise BitwrenError(
            f"{found.port} has no bitwren that starts, to read a bundle with: flash the board whole, or bitwren "
            f"deploy. {UNTOUCHED}"
        )
    if found.bundle and ":" not in found.bundle:
        raise BitwrenError(
            f"{found.port} reads the bundle in its folder {found.bundle!r}, and would go on reading that one: bitwren deploy "
            "replaces it, and to flash a bundle beside the filesystem, remove it first (mpremote rm -r "
            f":{found.bundle}). {UNTOUCHED}"
        )
    if found.heap < NEEDED_HEAP:
        raise BitwrenError(
            f"RAM too small: {found.port} has {found.heap // 1024} KB of heap, and a search takes {NEEDED_HEAP // 1024}. Free "
            f"some: frozen or imported modules, large buffers. {UNTOUCHED}"
        )


def check_board(board: Board) -> None:
    """See that a board can run bitwren at all.

    :raises BitwrenError: when its RAM is too small.
    """
    if max(board.ram_bytes, board.psram_bytes) < NEEDED_HEAP:
        raise BitwrenError(
            f"RAM too small: {a(board)} has {board.ram_bytes // 1024} KB, and a search takes {NEEDED_HEAP // 1024}. {UNTOUCHED}"
        )


def check_space(board: Board, regions: Sequence[Region]) -> None:
    """See that everything lies in the board's flash.

    :raises BitwrenError: flash full, by how much.
    """
    end = max((region.offset + len(region.data) for region in regions), default=0)
    if end > board.flash_bytes:
        raise BitwrenError(
            f"flash full: the image ends {end - board.flash_bytes:,} bytes behind the {board.flash_bytes:,} of {a(board)}. "
            f"{UNTOUCHED}"
        )


def check_chip(board: Board, chip: Chip, regions: Sequence[Region], port: str) -> None:
    """See that an ESP32's chip and flash are the board's.

    :raises BitwrenError: wrong board, or flash too small.
    """
    if chip.name.upper() != board.chip.upper():
        raise WrongBoard(f"wrong board: {port} is an {chip.name}, and {a(board)} has an {board.chip}. {UNTOUCHED}")
    if chip.flash_bytes and chip.flash_bytes < board.flash_bytes:
        end = max(region.offset + len(region.data) for region in regions)
        raise WrongBoard(
            f"wrong flash size: {port} has {chip.flash_bytes >> 20} MB, and {a(board)} {board.flash_bytes >> 20} MB (the "
            f"image ends at {end:#x}). A board file with a smaller flash map suits it. {UNTOUCHED}"
        )


def check_place(board: Board, port: str, patience: Patience) -> None:
    """See that a board whose firmware stays has room where the bundle is to lie.

    :raises BitwrenError: when the firmware reaches into it, or the partition table has no such partition.
    """
    part = board.part("data")
    script = _LOOK_RP2 % part.offset if board.family == "rp2" else _LOOK_ESP32
    found = raw_repl.ask(port, script, patience.answer, patience.repl) or {}
    whole = f"flash the board whole once, without --only data. {UNTOUCHED}"
    if board.family == "rp2":
        if found.get("first") not in _EMPTY:
            raise BitwrenError(
                f"{port} has something else than a bundle at {part.offset:#x} of flash, perhaps its firmware; {whole}"
            )
    elif [part.offset, part.bytes, part.label] not in found.get("parts", []):
        raise BitwrenError(
            f"{port} has no partition {part.label} of {part.bytes:,} bytes at {part.offset:#x}: its partition table "
            f"is another; {whole}"
        )
