"""Board files: one TOML a board, with what it is, its flash map and how it is emulated."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import BitwrenError

FOLDERS = (Path(__file__).parent / "data" / "boards", Path(__file__).parents[2] / "boards")
_REQUIRED = {"name": str, "title": str, "chip": str, "arch": str, "flash_bytes": int, "ram_bytes": int}


@dataclass(frozen=True)
class Board:
    """A board: ``arch`` names the native module it loads, ``emulator`` what runs it in CI ("" when nothing does)."""

    name: str
    title: str
    chip: str
    arch: str
    flash_bytes: int
    ram_bytes: int
    emulator: str
    notes: str


def read_board(path: Path) -> Board:
    """Read one board file.

    :raises BitwrenError: with the file and key that is missing or of a wrong type.
    """
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BitwrenError(f"board file {path} cannot be used: {error}") from error
    for key, kind in _REQUIRED.items():
        if not isinstance(found.get(key), kind):
            raise BitwrenError(f"board file {path}: {key} must be given, as {'text' if kind is str else 'a number'}")
    return Board(**{key: found[key] for key in _REQUIRED}, emulator=found.get("emulator", ""), notes=found.get("notes", ""))


def all_boards() -> list[Board]:
    """The boards that come with bitwren, by name."""
    files = {file.name: file for folder in FOLDERS for file in folder.glob("*.toml")}
    return [read_board(files[name]) for name in sorted(files)]
