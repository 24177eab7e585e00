"""Which of the boards that are plugged in is to be flashed: none, one and several are three different answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bitwren.boards import Board
from bitwren.errors import BitwrenError

from ..ports import Computer, Drive, SerialPort
from .work import UNTOUCHED, a


class NoBoard(BitwrenError):
    """No board, or none of the kind that is wanted, is plugged in."""


class SeveralBoards(BitwrenError):
    """More than one board could be meant."""


@dataclass(frozen=True)
class Place:
    """Where a board is: on a serial port, or as a boot loader's drive."""

    port: SerialPort | None = None
    drive: Drive | None = None

    @property
    def name(self) -> str:
        """The port's or the drive's path."""
        return self.port.device if self.port else str(self.drive.path) if self.drive else ""

    @property
    def location(self) -> str:
        """The socket that the board is plugged into, "" where nobody knows."""
        return (self.port or self.drive or SerialPort("")).location

    def __str__(self) -> str:
        return str(self.port or self.drive)


def choose(board: Board, computer: Computer, port: str | None = None, drive: Path | None = None) -> Place:
    """The one board that is plugged in, or the one that the user names.

    :raises NoBoard: when there is none. :raises SeveralBoards: when it is not clear which.
    """
    if port is not None:
        return Place(port=next((seen for seen in computer.ports() if seen.device == port), SerialPort(port)))
    if drive is not None:
        return Place(drive=_named_drive(board, computer, drive))
    found = attached(board, computer)
    if not found:
        raise NoBoard(nothing_found(board, computer))
    if len(found) > 1:
        listed = "; ".join(map(str, found))
        option = "--port or --drive" if any(place.drive for place in found) else "--port"
        raise SeveralBoards(
            f"{len(found)} boards could be {a(board)}: {listed}. Say which with {option}, or flash all of them with --all"
        )
    return found[0]


def attached(board: Board, computer: Computer) -> list[Place]:
    """Every place where a board of the kind may be. USB ids do not tell a Pico from a Pico W, nor what is behind a bridge."""
    ids = {*board.usb.running, *board.usb.boot}
    places = [Place(port=port) for port in computer.ports() if port.usb in ids]
    if board.family == "rp2":
        places += [Place(drive=drive) for drive in computer.drives() if drive.board_id == board.boot.board_id]
    return places


def _named_drive(board: Board, computer: Computer, path: Path) -> Drive:
    if board.family != "rp2":
        raise BitwrenError(f"{a(board)} has no drive: it is flashed through its serial port (--port)")
    drive = computer.drive(path)
    if drive is None:
        what = "it holds no INFO_UF2.TXT" if path.is_dir() else "it is not there"
        raise NoBoard(f"{path} is no boot loader's drive: {what}. {board.boot.how}")
    if drive.board_id != board.boot.board_id:
        raise NoBoard(
            f"wrong board: {path} is the boot loader of another chip ({drive.board_id or 'it does not say which'}); "
            f"{a(board)}'s is {board.boot.board_id}. {UNTOUCHED}"
        )
    return drive


def nothing_found(board: Board, computer: Computer) -> str:
    """None is there: what is, if anything, and what to do."""
    others = [*_describe(computer.ports()), *map(str, computer.drives())]
    seen = f"; there are others: {'; '.join(others)}" if others else ", nor any other board"
    options = "--port or --drive" if board.family == "rp2" else "--port"
    return (
        f"no {board.title} is plugged in{seen}. Plug it in with a cable that carries data. {board.boot.how} One that is not "
        f"recognised can be named with {options}"
    )


def _describe(ports: Sequence[SerialPort]) -> list[str]:
    return [str(port) for port in ports if port.usb]
