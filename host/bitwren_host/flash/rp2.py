"""Flashing an RP2040 or RP2350: a UF2 onto its boot loader's drive, and its flash compared by the board itself afterwards."""

from __future__ import annotations

import contextlib
import os
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bitwren.boards import Board
from bitwren.errors import BitwrenError
from bitwren.uf2 import Run

from .. import raw_repl
from ..port_access import check_port
from ..ports import INFO_FILE, Computer, Drive, SerialPort
from ..serial_link import LinkError
from .choose import Place
from .work import UNTOUCHED, Work, a

PIECE = 128 * 1024
"""Bytes that are handed to the drive at once: small enough for progress to be true, large enough not to slow it down."""
_BOOT = b"import machine\nmachine.bootloader()\n"
_STEP = 64 * 1024
# The chip cannot give a UF2 back through its drive; MicroPython reads the mapped flash. SHA-256 would take ten times as long.
_SUM = """
from binascii import crc32
from uctypes import bytearray_at
report({{"crc32": [crc32(bytearray_at(address, length)) for address, length in {pieces}]}})
"""


@dataclass
class Claims:
    """What boards that are flashed side by side have taken: a drive or port that appears belongs to one of them only."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _taken: set[str] = field(default_factory=set)

    def take(self, names: Sequence[tuple[str, str]], location: str) -> str | None:
        """The first of the names, each with its location, that nobody has and whose socket, where known, is this one."""
        with self._lock:
            for name, place in sorted(names, key=lambda pair: pair[1] != location):
                if name not in self._taken and (not place or not location or place == location):
                    self._taken.add(name)
                    return name
        return None

    def release(self, name: str) -> None:
        """Let others have it: the board behind it is gone."""
        with self._lock:
            self._taken.discard(name)


def enter_boot_loader(board: Board, place: Place, computer: Computer, claims: Claims, work: Work) -> Drive:
    """Bring a board that runs MicroPython into its boot loader; the drive that appears.

    :raises BitwrenError: when it does not, and how to do it by hand.
    """
    assert place.port is not None
    port = place.port.device
    before = {str(drive.path) for drive in computer.drives()}
    work.at("entering the boot loader")
    if not raw_repl.tell(port, _BOOT, work.patience.repl):
        raise BitwrenError(
            f"{port} does not answer as MicroPython, so it cannot enter its boot loader by itself. {board.boot.how}"
        )
    work.state = "Nothing was written; the board is in its boot loader: unplug it, plug it in again, and it is as it was"

    def look() -> Drive | None:
        fitting = {str(drive.path): drive for drive in computer.drives() if drive.board_id == board.boot.board_id}
        names = [(name, drive.location) for name, drive in fitting.items() if name not in before]
        taken = claims.take(names, place.location)
        return fitting[taken] if taken else None

    drive = work.wait_for("waiting for the drive", look, work.patience.drive)
    if drive is None:
        raise BitwrenError(
            f"{port} was sent to its boot loader, but no drive {board.boot.drive} appeared within {work.patience.drive:.0f} s: "
            f"if the system does not, mount it (udisksctl mount -b /dev/disk/by-label/{board.boot.drive}) and give --drive. "
            f"{work.state}"
        )
    return drive


def copy(uf2: bytes, drive: Drive, work: Work) -> None:
    """Copy a UF2 onto a boot loader's drive. The board starts by itself when the last block is there.

    :raises BitwrenError: when the drive vanishes or takes nothing, and what state the board is in.
    """
    target, done = drive.path / "bitwren.uf2", 0
    try:
        with target.open("wb", buffering=0) as file:
            work.state = work.half
            while done < len(uf2):
                work.at("writing", done, len(uf2))
                if done and not (drive.path / INFO_FILE).exists():
                    raise FileNotFoundError(2, "the drive is gone")
                written = file.write(uf2[done : done + PIECE])
                os.fsync(file.fileno())
                done += written or 0
    except OSError as error:
        if done < len(uf2) and not _took_all(error, done, len(uf2)):
            raise BitwrenError(_unwritten(drive, error, done, len(uf2), work)) from error
    work.state = "The image was copied, but not read back: see `bitwren doctor`, or run this again"
    work.at("writing", len(uf2), len(uf2))


def _took_all(error: OSError, done: int, total: int) -> bool:
    """Whether a board took the last piece and was gone before the drive could say so."""
    return total - done <= PIECE and not isinstance(error, PermissionError | FileNotFoundError) and error.errno != 28


def _unwritten(drive: Drive, error: OSError, done: int, total: int, work: Work) -> str:
    if not (drive.path / INFO_FILE).exists():
        return f"{drive.path} vanished after {100 * done // total} % was written: was the board unplugged? {work.state}"
    if work.state != work.half:
        return f"{drive.path} cannot be written ({error.strerror}): is it mounted for you? udisksctl mount does so. {UNTOUCHED}"
    return f"{drive.path} takes no more after {done:,} of {total:,} bytes ({error.strerror}). {work.state}"


def wait_for_start(
    board: Board, before: Sequence[SerialPort], drive: Drive, computer: Computer, claims: Claims, location: str, work: Work
) -> str:
    """The serial port of a board that starts after its drive took the last block.

    :param before: ports that were there while it was in its boot loader.
    :raises BitwrenError: when it does not start.
    """
    known = {port.device for port in before}

    def look() -> str | None:
        names = [(port.device, port.location) for port in computer.ports() if port.usb in board.usb.running]
        known.intersection_update([name for name, _ in names])  # another board's that vanished: this one may get its name
        return claims.take([name for name in names if name[0] not in known], location)

    port = work.wait_for("starting", look, work.patience.start)
    if port is not None:
        return port
    if computer.drive(drive.path) is not None:
        raise BitwrenError(
            f"{drive.path} took the image, but the board stays in its boot loader: the image was not taken, or is for another "
            "board. Run this again"
        )
    raise BitwrenError(
        f"the image was copied, but no serial port of {a(board)} appeared within {work.patience.start:.0f} s: unplug the board "
        "and plug it in; if a drive appears, run this again, else see `bitwren doctor`"
    )


def verify(port: str, runs: Sequence[Run], work: Work) -> None:
    """Have the board compute CRC-32s of what its flash holds, and compare.

    :raises BitwrenError: where it differs.
    """
    work.at("reading back")
    pieces = [(run.address + at, run.data[at : at + _STEP]) for run in runs for at in range(0, len(run.data), _STEP)]
    places = [(address, len(data)) for address, data in pieces]
    found = _retried(port, _SUM.format(pieces=places).encode(), work).get("crc32", [])
    for number, (address, data) in enumerate(pieces):
        if number >= len(found) or found[number] != zlib.crc32(data):
            raise BitwrenError(
                f"{port}: flash from {address:#x} to {address + len(data):#x} differs from what was written: flash it again; if "
                "that stays so, the flash is worn out"
            )


def _retried(port: str, script: bytes, work: Work) -> dict[str, Any]:
    """What a script finds on a board that is just starting: its port may take a moment until it can be used."""

    def look() -> dict[str, Any] | None:
        with contextlib.suppress(LinkError):
            return raw_repl.ask(port, script, work.patience.verify, work.patience.repl)
        return None

    found = work.wait_for("reading back", look, work.patience.start)
    if found is None:
        check_port(port)
        raise BitwrenError(f"{port} appeared, but MicroPython does not answer there: unplug the board and plug it in again")
    return found
