"""Board files: one TOML a board, with what it is, its flash map, its firmware, and how it is reached and emulated."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import BitwrenError

FOLDERS = (Path(__file__).parent / "data" / "boards", Path(__file__).parents[2] / "boards")
FAMILIES = ("", "rp2", "esp32")
ARCHITECTURES = ("x64", "armv6m", "armv7m", "armv7emsp", "rv32imc", "rv32imc_zbb", "xtensawin")
ERASE = 4096
"""Bytes that flash erases at once: parts begin and end at multiples."""


@dataclass(frozen=True)
class Part:
    """A part of flash: ``bytes`` from ``offset`` on, from the flash's beginning.

    :ivar name: what it is for: ``firmware``, ``data`` (the bundle), ``filesystem`` or another.
    :ivar kind: of an ESP32's partition, ``type/subtype`` (``app/factory``); else "".
    :ivar label: of an ESP32's partition; else the name.
    """

    name: str
    offset: int
    bytes: int
    kind: str
    label: str

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.bytes


@dataclass(frozen=True)
class Firmware:
    """The MicroPython of a board.

    :ivar micropython: MicroPython's own name of the board (``RPI_PICO``).
    :ivar machine: how ``sys.implementation._machine`` begins, but for "Generic"; where several boards' fit, the longest is meant.
    :ivar page: where it is published. :ivar file: a pattern of the published file's name.
    :ivar at_least: the oldest version that bitwren runs on.
    """

    micropython: str
    machine: str
    page: str
    file: str
    at_least: str

    @property
    def published(self) -> str:
        """The published file's name, for people: ``RPI_PICO-DATE-VERSION.uf2``."""
        return self.file.replace("[0-9]*", "DATE-VERSION")


@dataclass(frozen=True)
class Usb:
    """USB ids as ``vid:pid`` in lower-case hexadecimal: of the board with MicroPython, and in its boot loader.

    An ESP32's may be those of a USB-to-serial bridge that other devices have too.
    """

    running: tuple[str, ...] = ()
    boot: tuple[str, ...] = ()


@dataclass(frozen=True)
class Boot:
    """How the boot loader is entered, and what it is.

    :ivar drive: volume label of an rp2's drive. :ivar board_id: Board-ID in its INFO_UF2.TXT. :ivar uf2_family: of its firmware.
    :ivar esptool_chip: what esptool calls the chip. :ivar baud: for esptool. :ivar offset: where an ESP32's firmware file goes.
    """

    how: str = ""
    drive: str = ""
    board_id: str = ""
    uf2_family: int = 0
    esptool_chip: str = ""
    baud: int = 0
    offset: int = 0


@dataclass(frozen=True)
class Limits:
    """Roughly what fits: bytes of the largest bundle, documents as ``bitwren build`` makes them; 0 where nothing is known."""

    bundle_bytes: int = 0
    documents: int = 0


@dataclass(frozen=True)
class Board:
    """A board.

    :ivar arch: names the native module it loads. :ivar family: how it is flashed: ``rp2``, ``esp32``, or "" where it is not.
    :ivar emulator: what runs it in CI; "" when nothing does. :ivar parts: of its flash, in order.
    """

    name: str
    title: str
    chip: str
    arch: str
    family: str
    flash_bytes: int
    ram_bytes: int
    psram_bytes: int
    emulator: str
    notes: str
    firmware: Firmware | None
    parts: tuple[Part, ...]
    usb: Usb
    boot: Boot
    limits: Limits

    def part(self, name: str) -> Part:
        """The part of flash with this name.

        :raises BitwrenError: when the board's flash map has none.
        """
        for part in self.parts:
            if part.name == name:
                return part
        raise BitwrenError(f"the board {self.name} has no {name} part in its flash map: add one to its board file")


def find_board(name: str | Path) -> Board:
    """A board that comes with bitwren, by its name, or a user's own, by its file's path.

    :raises BitwrenError: when there is none of that name, or the file cannot be used.
    """
    known = {file.stem: file for file in _shipped()}
    if str(name) in known:
        return read_board(known[str(name)])
    if Path(name).is_file() or str(name).endswith(".toml"):
        return read_board(Path(name))
    near = difflib.get_close_matches(str(name).lower(), known, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise BitwrenError(f"no board is called {name}: {hint}there are {', '.join(sorted(known))}; or give a board file of your own")


def all_boards() -> list[Board]:
    """The boards that come with bitwren, by name."""
    return [read_board(file) for file in _shipped()]


def _shipped() -> list[Path]:
    files = {file.name: file for folder in FOLDERS for file in folder.glob("*.toml")}
    return sorted(files.values(), key=lambda file: file.stem)


def read_board(path: Path) -> Board:
    """Read one board file.

    :raises BitwrenError: with the file and key that is missing, unknown or wrong, and what is allowed.
    """
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BitwrenError(f"board file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BitwrenError(f"board file {path} is not TOML: {error}") from error
    top = _Table(path, "", found)
    name = top.text("name")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise top.wrong("name", f'is "{name}": small letters, digits and hyphens are allowed')
    family = top.text("family", "", FAMILIES)
    firmware, usb, limits, boot_table = (top.table(key) for key in ("firmware", "usb", "limits", "boot"))
    boot = _boot(boot_table, family)
    flash_bytes = top.number("flash_bytes")
    parts = _parts(top, flash_bytes, family)
    board = Board(
        name=name,
        title=top.text("title"),
        chip=top.text("chip"),
        arch=top.text("arch", None, ARCHITECTURES),
        family=family,
        flash_bytes=flash_bytes,
        ram_bytes=top.number("ram_bytes"),
        psram_bytes=top.number("psram_bytes", 0),
        emulator=top.text("emulator", ""),
        notes=top.text("notes", ""),
        firmware=_firmware(firmware) if firmware.found or family else None,
        parts=parts,
        usb=Usb(usb.ids("running"), usb.ids("boot")),
        boot=boot,
        limits=Limits(limits.number("bundle_bytes", 0), limits.number("documents", 0)),
    )
    for table in (top, firmware, usb, limits, boot_table):
        table.check_unknown()
    return board


class _Table:
    """A table of a board file; it notes which keys were asked for, so that a misspelt one is found."""

    def __init__(self, path: Path, where: str, found: Mapping[str, Any]) -> None:
        self.path, self.where, self.found = path, where, found
        self._asked: set[str] = set()

    def wrong(self, key: str, what: str) -> BitwrenError:
        return BitwrenError(f"board file {self.path}: {self.where}{key} {what}")

    def text(self, key: str, default: str | None = None, allowed: Collection[str] | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.wrong(key, "must be given, as text in quotes")
        if allowed is not None and value not in allowed:
            known = ", ".join(name or '""' for name in allowed)
            raise self.wrong(key, f'is "{value}" but must be one of {known}')
        return value

    def number(self, key: str, default: int | None = None) -> int:
        value = self._get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 32:
            raise self.wrong(key, "must be given, as a whole number from 0 to 4294967295")
        return value

    def ids(self, key: str) -> tuple[str, ...]:
        value = self._get(key, [])
        if not isinstance(value, list) or not all(
            isinstance(id, str) and re.fullmatch("[0-9a-f]{4}:[0-9a-f]{4}", id) for id in value
        ):
            raise self.wrong(key, 'must be a list of USB ids like "2e8a:0005", in small letters')
        return tuple(value)

    def table(self, key: str) -> _Table:
        value = self._get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, f"must be a table: [{key}]")
        return _Table(self.path, f"{key}.", value)

    def tables(self, key: str, name: str) -> list[_Table]:
        value = self._get(key, [])
        if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
            raise self.wrong(key, f"must be tables: [[{name}]]")
        return [_Table(self.path, f"{name} {number}: ", table) for number, table in enumerate(value, 1)]

    def check_unknown(self) -> None:
        for key in self.found:
            if key not in self._asked:
                raise self.wrong(key, f"is unknown here: the keys are {', '.join(sorted(self._asked))}")

    def _get(self, key: str, default: Any) -> Any:
        self._asked.add(key)
        return self.found.get(key, default)


def _firmware(table: _Table) -> Firmware:
    at_least = table.text("at_least", "1.23")
    if not re.fullmatch(r"\d+\.\d+(\.\d+)?", at_least):
        raise table.wrong("at_least", f'is "{at_least}" but must be a version like "1.23"')
    return Firmware(
        table.text("micropython", ""), table.text("machine"), table.text("page", ""), table.text("file", ""), at_least
    )


def _boot(table: _Table, family: str) -> Boot:
    boot = Boot(
        table.text("how", ""),
        table.text("drive", ""),
        table.text("board_id", ""),
        table.number("uf2_family", 0),
        table.text("esptool_chip", ""),
        table.number("baud", 460800 if family == "esp32" else 0),
        table.number("offset", 0),
    )
    if family == "rp2" and not boot.uf2_family:
        raise table.wrong("uf2_family", "must be given for a board of the family rp2: 0xe48bff56 is the RP2040's")
    if family == "esp32" and not boot.esptool_chip:
        raise table.wrong("esptool_chip", "must be given for a board of the family esp32: esp32, esp32s3, esp32c3, …")
    return boot


def _parts(top: _Table, flash_bytes: int, family: str) -> tuple[Part, ...]:
    """The flash map, checked: in order, apart from each other, within flash, at whole erasable pieces."""
    flash = top.table("flash")
    parts: list[Part] = []
    end = 0
    for table in flash.tables("part", "flash.part"):
        name = table.text("name")
        kind = f"{table.text('type')}/{table.text('subtype')}" if family == "esp32" else ""
        part = Part(name, table.number("offset"), table.number("bytes"), kind, table.text("label", name))
        table.check_unknown()
        if part.offset % ERASE or part.bytes % ERASE or not part.bytes:
            raise table.wrong(
                "offset" if part.offset % ERASE else "bytes", f"of {name} must be a multiple of {ERASE}, and not empty"
            )
        if part.offset < end:
            raise table.wrong(
                "offset", f"of {name} is {part.offset:#x}, but the part before it ends at {end:#x}: parts go in order"
            )
        if part.end > flash_bytes:
            raise table.wrong("bytes", f"of {name}: it ends at {part.end:#x}, behind the flash's end at {flash_bytes:#x}")
        if name in (other.name for other in parts):
            raise table.wrong("name", f'is "{name}" a second time')
        if family == "esp32" and len(part.label.encode()) > 16:
            raise table.wrong("label", f'is "{part.label}": a partition\'s label has at most 16 bytes')
        end = part.end
        parts.append(part)
    flash.check_unknown()
    needed = {"rp2": ("firmware", "filesystem"), "esp32": ("firmware", "filesystem", "data"), "": ()}[family]
    for name in needed:
        if name not in (part.name for part in parts):
            raise top.wrong("flash.part", f"named {name} must be given for a board of the family {family}")
    return tuple(parts)
