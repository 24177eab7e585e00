"""Which serial port is meant: by path, URL, shortcut or serial number, as mpremote has them, or the one board there is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bitwren.boards import Board, all_boards

from .port_access import PortMissing, check_port
from .ports import Computer, SerialPort
from .serial_link import LinkError

_SHORTCUTS = {"a": "/dev/ttyACM", "u": "/dev/ttyUSB", "c": "COM"}


def resolve(name: str, computer: Computer | None = None) -> str:
    """What pyserial and mpremote open for a port as a user names it, if it can be opened.

    :param name: a path, ``port:PATH``, an URL (``socket://``, ``rfc2217://``), ``a0`` ``u0`` ``c0`` …, ``id:SERIAL``; ``auto``
        for the only board there is.
    :raises LinkError: when there is none, or more than one, or it is not there, busy or not this user's to open.
    """
    port = _meant(name, computer or Computer())
    check_port(port)
    return port


def boards_of(port: SerialPort, boards: Sequence[Board]) -> list[str]:
    """The boards that have a port's USB ids when they run MicroPython, by name."""
    return [board.name for board in boards if port.usb in board.usb.running]


def _meant(name: str, computer: Computer) -> str:
    usb = [port for port in computer.ports() if port.usb]
    if name == "auto":
        # A USB device that no board file knows may be a board: it is taken where there is nothing better.
        known = all_boards()
        return _only([port for port in usb if boards_of(port, known)] or usb)
    if name.startswith("id:"):
        found = [port for port in usb if port.serial == name.removeprefix("id:")]
        if not found:
            raise PortMissing(f"no board with the serial number {name.removeprefix('id:')} is plugged in. {_list(usb)}")
        return found[0].device
    shortcut = re.fullmatch(r"([auc])(\d+)", name)
    return _SHORTCUTS[shortcut[1]] + shortcut[2] if shortcut else name.removeprefix("port:")


def _only(found: Sequence[SerialPort]) -> str:
    if not found:
        raise PortMissing("no board is seen: plug one in, with a cable that carries data, or name its port (--port)")
    if len(found) > 1:
        raise LinkError(f"{len(found)} boards are seen: say which by --port. {_list(found)}")
    return found[0].device


def _list(found: Sequence[SerialPort]) -> str:
    numbered = [f"{port}, id:{port.serial}" if port.serial else str(port) for port in found]
    return f"There are: {'; '.join(numbered)}" if numbered else "There is none"
