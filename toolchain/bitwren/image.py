"""Everything that a board's flash is to hold, at its places: firmware, filesystem, and a bundle to be read in place.

For the RP2040 and RP2350 this is one UF2; for an ESP32 it is regions of flash, which esptool merges into one file. Where things
lie is the board's flash map (boards/NAME.toml); the bundle's bytes are those of docs/format.md, "A bundle in a partition".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from . import esp_image, filesystem, micropython, partitions, uf2
from .boards import Board
from .bundle import ENCODER_FILE, TABLE_FILE
from .errors import BitwrenError
from .uf2 import Run, Uf2

XIP = 0x10000000
"""Where the RP2040 and the RP2350 map their flash."""
_SMALLER = "build it smaller (bitwren build with --bits 128, --encoder tiny, --words 0 or --vectors 0) or with fewer documents"


@dataclass(frozen=True)
class Region:
    """Bytes at a place of flash. :ivar name: firmware, bundle, filesystem, … :ivar offset: from the flash's beginning.

    :ivar note: for people.
    """

    name: str
    offset: int
    data: bytes
    note: str = ""


@dataclass(frozen=True)
class Image:
    """What is to be written.

    :ivar regions: by offset. :ivar why_not: a sentence, where the bundle is in the filesystem: why it is not in the data part.
    :ivar ignored: blocks of the firmware's UF2 that boot loaders pass over.
    """

    regions: tuple[Region, ...]
    why_not: str
    ignored: bytes


class NoPlace(BitwrenError):
    """A bundle that cannot lie in the data part. :ivar reason: without what to do."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.reason = reason


def bundle_region(
    board: Board, bundle: Mapping[str, bytes], firmware: Sequence[Region] = (), name: str = "the firmware"
) -> Region:
    """The bundle for a board's data part: the encoder, and the table right behind it.

    :param bundle: its files by name. :param firmware: where it lies, if that is known. :param name: the firmware's, for an error.
    :raises BitwrenError: when the board is not flashed at all.
    :raises NoPlace: when it has no such part, the firmware reaches into it, or the bundle is too large or has no encoder.
    """
    if not board.family:
        raise _not_flashed(board)
    part = next((part for part in board.parts if part.name == "data"), None)
    if part is None:
        raise NoPlace(f"{board.name}'s flash map has no data part")
    end = _end(firmware)
    if end > part.offset and board.family == "rp2":
        raise NoPlace(f"{name} ends at {end:#x} of flash, in {board.name}'s data part (from {part.offset:#x})")
    if ENCODER_FILE not in bundle:
        raise NoPlace("a table of codes from elsewhere has no encoder, and goes into the filesystem only")
    data = bundle[ENCODER_FILE] + bundle[TABLE_FILE]
    if len(data) > part.bytes:
        over = len(data) - part.bytes
        raise NoPlace(
            f"the bundle is {len(data):,} bytes, {over:,} more than {board.name}'s data part has ({part.bytes:,})", _SMALLER
        )
    return Region("bundle", part.offset, data, "read in place" if board.family == "rp2" else f"partition {part.label}")


def make(
    board: Board,
    firmware: bytes,
    files: Mapping[str, bytes],
    bundle: Mapping[str, bytes],
    folder: str,
    name: str = "the firmware",
) -> Image:
    """Put everything in its place; the bundle into the data part where it fits, else into a folder of the filesystem.

    :param firmware: MicroPython's published file for the board. :param files: of the filesystem, by path.
    :param bundle: files by name. :param folder: the bundle's in the filesystem. :param name: the firmware's, for an error.
    :raises BitwrenError: whatever would make a board that does not work: the wrong chip or board, too old, too large.
    """
    regions = firmware_regions(board, firmware, name)
    try:
        regions.append(bundle_region(board, bundle, regions, name))
        why_not = ""
    except NoPlace as error:
        why_not = error.reason
        files = {**files, **{f"{folder}/{file}": contents for file, contents in bundle.items()}}
    regions.append(_filesystem(board, files, why_not))
    ignored = uf2.read(firmware, name).ignored if board.family == "rp2" else b""
    return Image(tuple(sorted(regions, key=lambda region: region.offset)), why_not, ignored)


def firmware_regions(board: Board, firmware: bytes, name: str) -> list[Region]:
    """A published file's parts of flash, and an ESP32's own partition table, checked.

    :raises BitwrenError: when it is for another chip or board, too old, or too large.
    """
    if board.family == "rp2":
        regions = _rp2_regions(board, firmware, name)
    elif board.family == "esp32":
        regions = _esp_regions(board, firmware, name)
    else:
        raise _not_flashed(board)
    version = micropython.check(b"".join(region.data for region in regions), board, name)
    end, start = _end(regions), board.part("filesystem").offset
    if end > start:
        raise BitwrenError(
            f"{name} ends at {end:#x} of flash, where {board.name}'s filesystem is (from {start:#x}): {_another(board)}"
        )
    note = f"MicroPython {version}" if version else ""
    return [replace(region, note=note) if region.name == "firmware" else region for region in regions]


def to_uf2(board: Board, image: Image) -> bytes:
    """The UF2 of an image, all of it in the firmware's family.

    :raises FormatError: when regions overlap.
    """
    runs: list[Run] = []
    for region in image.regions:
        # Erasing a sector takes some 50 ms, and most of a filesystem is empty.
        pieces = filesystem.written(region.data) if region.name == "filesystem" else [(0, len(region.data))]
        for begin, end in pieces:
            runs.append(Run(XIP + region.offset + begin, region.data[begin:end], board.boot.uf2_family))
    return uf2.write(Uf2(tuple(runs), image.ignored))


def data_uf2(board: Board, region: Region) -> bytes:
    """A UF2 that writes one region and touches nothing else."""
    family = uf2.ABSOLUTE if board.chip == "RP2350" else board.boot.uf2_family
    return uf2.write(Uf2((Run(XIP + region.offset, region.data, family),)))


def _end(regions: Sequence[Region]) -> int:
    return max((region.offset + len(region.data) for region in regions), default=0)


def _rp2_regions(board: Board, firmware: bytes, name: str) -> list[Region]:
    """What a UF2 writes, which must be for the board's chip, and for its flash alone."""
    wanted = board.boot.uf2_family
    runs = uf2.read(firmware, name).runs
    for run in runs:
        if run.family != wanted:
            found = "does not say for which chip" if run.family is None else f"is for {uf2.family_name(run.family)}"
            raise BitwrenError(f"{name} {found}, and {board.title} takes {uf2.family_name(wanted)}: {_another(board)}")
        if not XIP <= run.address <= run.end <= XIP + board.flash_bytes:
            raise BitwrenError(f"{name} writes to {run.address:#x}, which is not in {board.title}'s flash: {_another(board)}")
    if not runs:
        raise BitwrenError(f"{name} writes nothing to flash: {_another(board)}")
    return [Region("firmware", run.address - XIP, run.data) for run in runs]


def _esp_regions(board: Board, firmware: bytes, name: str) -> list[Region]:
    """Boot loader and program of a published file, and the board's own partition table."""
    table_at = partitions.OFFSET - board.boot.offset
    loader = esp_image.parse(firmware, name)
    _check_chip(loader, board, name)
    if loader.size > table_at or not partitions.is_table(firmware[table_at:]):
        raise BitwrenError(f"{name} is a program alone, without boot loader and partition table: {_another(board)}")
    theirs = partitions.decode(firmware[table_at:], f"{name}'s partition table")
    program_at = next((entry.offset for entry in theirs if entry.type == partitions.TYPES["app"]), 0)
    ours = board.part("firmware")
    if program_at != ours.offset:
        raise BitwrenError(
            f"{name}'s program begins at {program_at:#x}, and {board.name}'s at {ours.offset:#x}: {_another(board)}"
        )
    program_bytes = firmware[program_at - board.boot.offset :]
    program = esp_image.parse(program_bytes, f"{name}'s program")
    _check_chip(program, board, f"{name}'s program")
    if program.size > ours.bytes:
        raise BitwrenError(f"{name} is {program.size - ours.bytes:,} bytes too large for {board.name}'s firmware part")
    return [
        Region("boot loader", board.boot.offset, firmware[: loader.size]),
        Region("partition table", partitions.OFFSET, partitions.encode(partitions.of_board(board))),
        Region("firmware", ours.offset, program_bytes[: program.size]),
    ]


def _check_chip(image: esp_image.EspImage, board: Board, name: str) -> None:
    if image.chip != board.chip:
        raise BitwrenError(f"{name} is for the {image.chip}, and {board.title} has the {board.chip}: {_another(board)}")


def _filesystem(board: Board, files: Mapping[str, bytes], why_not: str) -> Region:
    part = board.part("filesystem")
    try:
        made = filesystem.image(files, part.bytes, filesystem.SIZES[board.family], f"{board.title}'s filesystem")
    except filesystem.FilesystemFull as error:
        raise BitwrenError(f"{error}{f'; and {why_not}' if why_not else ''}: {_SMALLER}") from error
    used = filesystem.read(made, "the filesystem").used
    return Region("filesystem", part.offset, made, f"{len(files)} files, {used:,} bytes in use")


def _not_flashed(board: Board) -> BitwrenError:
    return BitwrenError(f"{board.title} is not flashed: bitwren console DIR --on {board.name} runs a bundle there")


def _another(board: Board) -> str:
    firmware = board.firmware
    if firmware is None or not firmware.page:
        return f"take the MicroPython for {board.title}"
    return f"take {firmware.published} from {firmware.page}"
