"""What is to be written: made from a bundle, or a file that ``bitwren image`` made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bitwren import esp_image, filesystem, image, lower, partitions, uf2
from bitwren.boards import Board
from bitwren.bundle import Bundle
from bitwren.container import read_file
from bitwren.errors import BitwrenError
from bitwren.image import XIP, Region

from .. import flash_image
from .work import a


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


def prepare(board: Board, directory: Path | None, firmware: Path | None, file: Path | None, data_only: bool) -> Payload:
    """What the user wants written: a file that ``bitwren image`` made, or a bundle, or with neither a MicroPython alone.

    :param directory: the bundle; with ``file``, what the file was made from, to ask the board.
    :param firmware: MicroPython's published file. :param data_only: the bundle alone.
    :raises BitwrenError: whatever would make a board that does not work.
    """
    if not board.family:
        raise BitwrenError(f"{board.title} is not flashed: bitwren console DIR --on {board.name} runs a bundle there")
    bundle = Bundle.read(directory) if directory else None
    if file is not None:
        return _of_file(board, file, bundle, data_only)
    if directory is None:
        if firmware is None or data_only:
            raise BitwrenError(
                "nothing to flash: give a bundle's directory, --image FILE, or --firmware FILE for MicroPython alone"
            )
        return _bare(board, firmware)
    made = (flash_image.make_data if data_only else flash_image.make)(board, directory, firmware)
    if board.family == "rp2":
        return Payload(_uf2_regions(board, made.data, "the image"), made.data, data_only, bundle)
    if data_only:
        return Payload(made.regions, b"", True, bundle)
    return Payload(esp32_regions(board, made.data, "the image"), b"", False, bundle)


def _bare(board: Board, firmware: Path) -> Payload:
    """MicroPython as it is published, with its own partition table and settings as from the factory."""
    data = read_file(firmware)
    image.firmware_regions(board, data, firmware.name)  # for its checks
    if board.family == "rp2":
        return Payload(_uf2_regions(board, data, firmware.name), data, answers=False)
    return Payload((Region("MicroPython", board.boot.offset, data),), answers=False)


def _of_file(board: Board, path: Path, bundle: Bundle | None, data_only: bool) -> Payload:
    """A file that ``bitwren image`` made: a UF2, or an ESP32's flash from its beginning (its data part alone, ``data_only``)."""
    data = read_file(path)
    if board.family == "rp2":
        regions = _uf2_regions(board, data, path.name)
        part = board.part("data") if data_only else None
        if part and any(not part.offset <= region.offset < part.end for region in regions):
            raise BitwrenError(f"{path} writes more than the data part of {a(board)}: flash it without --only data")
        return Payload(regions, data, data_only, bundle)
    if uf2.is_uf2(data):
        raise BitwrenError(f"wrong board: {path} is a UF2, for a Pico's boot loader; {a(board)} takes a .bin")
    if data_only:
        if data[:4] != lower.MAGIC.encode():
            raise BitwrenError(f"{path} is no bundle for a data part: make one with bitwren image --only data")
        return Payload((Region("data", board.part("data").offset, data),), b"", True, bundle)
    return Payload(esp32_regions(board, data, path.name), b"", False, bundle)


def esp32_regions(board: Board, data: bytes, name: str) -> tuple[Region, ...]:
    """What of a merged file is written: neither its gaps, where a board keeps its settings, nor empty blocks of the filesystem.

    :param name: what to call it in an error.
    :raises BitwrenError: when it is for another chip or flash map, or damaged.
    """
    begin, table = board.boot.offset, partitions.encode(partitions.of_board(board))
    loader = esp_image.parse(data[begin : partitions.OFFSET], name)
    if loader.chip != board.chip:
        raise BitwrenError(f"wrong board: {name} is for the {loader.chip}, and {a(board)} has an {board.chip}")
    if data[partitions.OFFSET :][: len(table)] != table:
        raise BitwrenError(
            f"{name} has another partition table than {board.name}: make it with bitwren image --board {board.name}"
        )
    regions = [
        Region("boot loader", begin, data[begin : begin + loader.size]),
        Region("partition table", partitions.OFFSET, table),
    ]
    for part in board.parts:
        contents = data[part.offset : part.end]
        if part.name == "firmware":
            pieces = [(0, esp_image.parse(contents, name).size)]
        elif part.name == "filesystem":
            contents = contents.ljust(part.bytes, b"\xff")
            pieces = filesystem.written(contents)
        elif part.name == "data" and contents[:4] == lower.MAGIC.encode():
            size = int.from_bytes(contents[8:12], "little")
            pieces = [(0, size + int.from_bytes(contents[size + 8 : size + 12], "little"))]
        else:
            continue
        regions += [Region(part.name, part.offset + begin, contents[begin:end]) for begin, end in pieces]
    return tuple(regions)


def _uf2_regions(board: Board, data: bytes, name: str) -> tuple[Region, ...]:
    runs = uf2.read(data, name).runs
    families = (board.boot.uf2_family, *((uf2.ABSOLUTE,) if board.chip == "RP2350" else ()))
    for run in runs:
        if run.family not in families:
            known = uf2.family_name(run.family) if run.family is not None else "a chip that it does not name"
            raise BitwrenError(f"wrong board: {name} is for {known}, and {a(board)} has an {board.chip}")
        if run.address < XIP:
            raise BitwrenError(f"{name} writes to {run.address:#x}, which is not flash")
    return tuple(Region("firmware", run.address - XIP, run.data) for run in runs)
