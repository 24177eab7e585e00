"""What is to be written: made from a bundle, or a file that ``bitwren image`` made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bitwren import uf2
from bitwren.boards import Board
from bitwren.bundle import Bundle
from bitwren.container import read_file
from bitwren.errors import BitwrenError
from bitwren.image import XIP, Region

SECTOR = 4096
_GAP = 4
"""Sectors that hold nothing (0xFF) from which on a merged file is written in two: so that a board keeps what lies there."""


@dataclass(frozen=True)
class Payload:
    """What is to be written.

    :ivar regions: by offset in flash. :ivar file: of an rp2, the UF2. :ivar data_only: whether the board keeps its firmware.
    :ivar bundle: what it will answer from; None where nobody knows. :ivar answers: whether a console will answer.
    """

    regions: tuple[Region, ...]
    file: bytes = b""
    data_only: bool = False
    bundle: Bundle | None = None
    answers: bool = True


def of_file(board: Board, path: Path, bundle: Bundle | None, data_only: bool) -> Payload:
    """A file that ``bitwren image`` made: a UF2, or an ESP32's flash from its beginning (its data part alone, ``data_only``).

    :raises BitwrenError: when it is for another chip, or none of these.
    """
    data = read_file(path)
    if board.family == "rp2":
        return Payload(_uf2_regions(board, data, path.name), data, data_only, bundle)
    if uf2.is_uf2(data):
        raise BitwrenError(f"{path} is a UF2, for a Pico's boot loader; a {board.title} takes a .bin")
    start = board.part("data").offset if data_only else board.boot.offset
    return Payload(split(data, start), b"", data_only, bundle)


def split(data: bytes, start: int) -> tuple[Region, ...]:
    """What a merged file holds, without its gaps."""
    regions: list[Region] = []
    begin, gap = -1, 0
    sectors = -(-len(data) // SECTOR)
    for sector in range(sectors + 1):
        piece = data[sector * SECTOR : (sector + 1) * SECTOR]
        empty = piece.count(b"\xff") == len(piece)
        if not empty and begin < 0:
            begin = sector
        gap = gap + 1 if empty else 0
        if begin >= 0 and (gap >= _GAP or sector == sectors):
            end = min(len(data), (sector + 1 - gap) * SECTOR)
            regions.append(Region(f"{start + begin * SECTOR:#x}", start + begin * SECTOR, data[begin * SECTOR : end]))
            begin = -1
    return tuple(regions)


def _uf2_regions(board: Board, data: bytes, name: str) -> tuple[Region, ...]:
    runs = uf2.read(data, name).runs
    for run in runs:
        if run.family not in (board.boot.uf2_family, uf2.ABSOLUTE):
            known = uf2.FAMILIES.get(run.family or 0, "another chip")
            raise BitwrenError(f"wrong board: {name} is for {known}, and a {board.title} has an {board.chip}")
        if run.address < XIP:
            raise BitwrenError(f"{name} writes to {run.address:#x}, which is not flash")
    return tuple(Region("firmware", run.address - XIP, run.data) for run in runs)
