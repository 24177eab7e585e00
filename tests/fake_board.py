"""Stand-ins for boards with MicroPython, a pseudo-terminal for what they say, and a computer to plug them in."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import threading
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from port_name import PortName

from bitwren import lower
from bitwren import table as tables
from bitwren.bundle import Bundle
from bitwren_host.ports import Computer


def mpy(arch: int, version: int = 6, sub: int = 3) -> int:
    """``sys.implementation._mpy``."""
    return arch << 10 | sub << 8 | version


ARMV6M, XTENSAWIN, RV32IMC = 4, 10, 11


@dataclass
class MicroPython:
    """Answers a raw REPL's scripts with what is in ``reports``, and a console's lines from ``bundle``.

    :ivar reports: or what computes one, by a word that the script contains. :ivar bundle: made from the flash at each question.
    """

    reports: dict[str, dict[str, Any] | Callable[[str], dict[str, Any]]] = field(default_factory=dict)
    bundle: Callable[[bytes], Bundle] | None = None
    heard: list[str] = field(default_factory=list)
    _raw: bool = False
    _pending: bytes = b""

    def hear(self, data: bytes, flash: bytes = b"") -> bytes:
        """Take what comes in; what goes out."""
        said = b""
        for byte in data:
            one = bytes([byte])
            if one == b"\x01":
                self._raw, self._pending = True, b""
                said += b"\r\nraw REPL; CTRL-B to exit\r\n>"
            elif one == b"\x02":
                self._raw = False
            elif one == b"\x03":
                self._pending = b""
            elif one == b"\x04":  # a script's end, or a soft reset
                said += self._execute(self._pending.decode()) if self._raw else b""
                self._pending = b""
            elif one in b"\r\n" and not self._raw:
                said += self._line(self._pending, flash)
                self._pending = b""
            else:
                self._pending += one
        return said

    def _execute(self, script: str) -> bytes:
        self.heard.append(script)
        found = next((report for word, report in self.reports.items() if word in script), None)
        if callable(found):
            found = found(script)
        # A script that says nothing in particular is answered all the same, as by a board.
        out = b"BITWREN " + json.dumps(found).encode() + b"\r\n" if found is not None or "say()" in script else b""
        return b"OK" + out + b"\x04\x04>"

    def _line(self, line: bytes, flash: bytes) -> bytes:
        if not line.startswith(b"{") or self.bundle is None:
            return b""
        request, bundle = json.loads(line), self.bundle(flash)
        if request.get("cmd") == "info":
            reply = {"documents": int(bundle.table.live.sum()), "native": "stand-in"}
        else:
            reply = bundle.answer(request["query"], request["k"])
        return b"bitwren: a banner\r\n" + json.dumps(reply).encode() + b"\r\n"


class PtyBoard:
    """A board's line on a pseudo-terminal. ``hear`` gets what is written to it and returns what it says."""

    def __init__(self, hear: Callable[[bytes], bytes]) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self._name = PortName(self._slave)
        self.port = self._name.path
        self._hear = hear
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def say(self, data: bytes) -> None:
        """Send something unasked."""
        os.write(self._master, data)

    def close(self) -> None:
        """Unplug it."""
        self._name.remove()
        self._ending.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(10)
        for descriptor in (self._slave, self._master):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def __enter__(self) -> PtyBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while not self._ending.is_set():
            if select.select([self._master], [], [], 0.05)[0]:
                said = self._hear(os.read(self._master, 65536))
                if said and not self._ending.is_set():
                    os.write(self._master, said)


@dataclass
class Plugged:
    """A computer with what tests plug into it."""

    ports: list[SimpleNamespace] = field(default_factory=list)
    mounts: list[Path] = field(default_factory=list)
    locations: dict[str, str] = field(default_factory=dict)

    def computer(self) -> Computer:
        """What the code under test sees."""
        return Computer(lambda: list(self.ports), lambda: list(self.mounts), lambda path: self.locations.get(str(path), ""))

    def plug(self, device: str, usb: str = "2e8a:0005", location: str = "", description: str = "Board in FS mode") -> None:
        """A serial port appears."""
        vid, pid = (int(number, 16) for number in usb.split(":")) if usb else (None, None)
        self.ports.append(
            SimpleNamespace(
                device=device, vid=vid, pid=pid, serial_number="e66", location=location or None, description=description
            )
        )

    def unplug(self, device: str) -> None:
        """A serial port vanishes."""
        self.ports[:] = [port for port in self.ports if port.device != device]


def read_bundle(data: bytes) -> Bundle:
    """The bundle that begins a data part: the encoder, and the table right behind it."""
    size = int.from_bytes(data[8:12], "little")
    length = int.from_bytes(data[size + 8 : size + 12], "little")
    return Bundle(lower.read(data[:size], "encoder"), tables.read(data[size : size + length], "table"))


def make_drive(path: Path, board_id: str = "RPI-RP2") -> Path:
    """A boot loader's drive."""
    path.mkdir(parents=True)
    (path / "INFO_UF2.TXT").write_text(f"UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: {board_id}\r\n")
    return path
