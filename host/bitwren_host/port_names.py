"""Which serial port is meant: by path, URL, shortcut or serial number, as mpremote has them, or the one board there is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from serial.tools.list_ports import comports

from bitwren.boards import all_boards

from .serial_link import LinkError, NoPort

_SHORTCUTS = {"a": "/dev/ttyACM", "u": "/dev/ttyUSB", "c": "COM"}


@dataclass(frozen=True)
class Seen:
    """A serial port of a USB device.

    :ivar usb: ``vid:pid``. :ivar boards: names of those that have these ids, running MicroPython.
    """

    port: str
    usb: str
    serial_number: str
    description: str
    boards: tuple[str, ...]

    def __str__(self) -> str:
        who = " or ".join(self.boards[:3]) + (" …" if len(self.boards) > 3 else "") or self.description
        return f"{self.port} ({who}{', id:' + self.serial_number if self.serial_number else ''})"


def seen() -> list[Seen]:
    """The serial ports of USB devices, by path."""
    known = {board.name: set(board.usb.running) for board in all_boards()}
    found = []
    for port in sorted(comports()):
        if port.vid is not None:
            usb = f"{port.vid:04x}:{port.pid:04x}"
            boards = tuple(name for name, ids in known.items() if usb in ids)
            found.append(Seen(port.device, usb, port.serial_number or "", port.description or "", boards))
    return found


def resolve(port: str | None) -> str:
    """What pyserial and mpremote open for a port as a user names it.

    :param port: a path, ``port:PATH``, an URL (``socket://``, ``rfc2217://``), ``a0`` ``u0`` ``c0`` …, ``id:SERIAL``; ``auto`` or
        None for the only board there is.
    :raises LinkError: when there is none, or more than one.
    """
    if port is None or port == "auto":
        return _only(seen())
    if port.startswith("id:"):
        number = port.removeprefix("id:")
        there = seen()
        for one in there:
            if one.serial_number == number:
                return one.port
        raise NoPort(f"No board with the serial number {number} is seen. {_list(there)}")
    shortcut = re.fullmatch(r"([auc])(\d+)", port)
    return _SHORTCUTS[shortcut[1]] + shortcut[2] if shortcut else port.removeprefix("port:")


def _only(found: list[Seen]) -> str:
    # A USB device that no board file knows may be a board: it is taken where there is nothing better.
    likely = [one for one in found if one.boards] or found
    if not likely:
        raise NoPort("No board is seen. Plug one in, with a cable that carries data, or name its port (--port).")
    if len(likely) > 1:
        raise LinkError(f"Several boards are seen: say which by --port. {_list(likely)}")
    return likely[0].port


def _list(found: Iterable[Seen]) -> str:
    return "There are: " + (", ".join(map(str, found)) or "none") + "."
