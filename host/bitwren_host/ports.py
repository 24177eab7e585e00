"""Which boards are plugged in: serial ports by their USB ids, drives of boot loaders by their INFO_UF2.TXT."""

from __future__ import annotations

import os
import re
import string
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serial.tools.list_ports import comports

INFO_FILE = "INFO_UF2.TXT"


@dataclass(frozen=True)
class SerialPort:
    """A serial port.

    :ivar usb: its device's ids as ``vid:pid``, as board files have them; "" where it has none. :ivar serial: the device's number.
    :ivar location: which socket it is plugged into (``1-2.3``), "" where the system does not tell.
    """

    device: str
    usb: str = ""
    serial: str = ""
    location: str = ""
    description: str = ""

    def __str__(self) -> str:
        return f"{self.device} ({self.description}, USB {self.usb})" if self.usb else self.device


@dataclass(frozen=True)
class Drive:
    """A boot loader's drive. :ivar board_id: ``Board-ID`` of its INFO_UF2.TXT. :ivar location: as of :class:`SerialPort`."""

    path: Path
    board_id: str
    location: str = ""

    def __str__(self) -> str:
        return f"{self.path} (boot loader {self.board_id})"


def mount_points() -> list[Path]:
    """Where this system mounts what is plugged in."""
    if sys.platform == "win32":
        return [Path(f"{letter}:\\") for letter in string.ascii_uppercase if os.path.exists(f"{letter}:\\")]
    if sys.platform == "darwin":
        return sorted(Path("/Volumes").glob("*"))
    # Desktops mount below a folder of the user's, people by hand below /mnt.
    patterns = (("/media", "*"), ("/media", "*/*"), ("/run/media", "*/*"), ("/mnt", "*"))
    return [path for root, pattern in patterns for path in sorted(_glob(Path(root), pattern))]


def _glob(root: Path, pattern: str) -> Iterable[Path]:
    try:
        return list(root.glob(pattern))
    except OSError:
        return []


class Computer:
    """What is plugged into this computer, asked for anew at every call."""

    def __init__(
        self,
        list_ports: Callable[[], Iterable[Any]] = comports,
        list_mounts: Callable[[], Iterable[Path]] = mount_points,
        locate: Callable[[Path], str] | None = None,
    ) -> None:
        """:param list_ports: what pyserial knows. :param locate: which socket a mounted drive is plugged into."""
        self._list_ports, self._list_mounts, self._locate = list_ports, list_mounts, locate or usb_location

    def ports(self) -> list[SerialPort]:
        """The serial ports."""
        return [
            SerialPort(
                port.device,
                f"{port.vid:04x}:{port.pid:04x}" if port.vid is not None and port.pid is not None else "",
                port.serial_number or "",
                (port.location or "").partition(":")[0],
                port.description or "",
            )
            for port in sorted(self._list_ports(), key=lambda port: str(port.device))
        ]

    def drives(self) -> list[Drive]:
        """The boot loaders' drives."""
        found = (self.drive(path) for path in self._list_mounts())
        return [drive for drive in found if drive]

    def drive(self, path: Path) -> Drive | None:
        """The boot loader whose drive a folder is; None if it is none, or gone."""
        try:
            text = (path / INFO_FILE).read_text("utf-8", "replace")
        except OSError:
            return None
        board_id = re.search(r"^Board-ID:\s*(\S+)", text, re.MULTILINE)
        return Drive(path, board_id[1] if board_id else "", self._locate(path))


def usb_location(mounted: Path, mounts: Path = Path("/proc/mounts"), blocks: Path = Path("/sys/class/block")) -> str:
    """Which socket a mounted drive is plugged into (``1-2.3``, as pyserial says it of ports); "" where Linux does not tell."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
        # The file writes a space as \040.
        device = next(line[0] for line in lines if Path(line[1].replace("\\040", " ")) == mounted)
        way = (blocks / Path(device).name).resolve(strict=True)
    except (OSError, StopIteration, IndexError):
        return ""
    sockets = [part for part in way.parts if re.fullmatch(r"\d+-\d+(\.\d+)*", part)]
    return sockets[-1] if sockets else ""
