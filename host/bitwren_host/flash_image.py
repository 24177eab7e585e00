"""Images of a board's flash: what ``bitwren image`` writes to a file, and ``bitwren flash`` to a board."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bitwren import image
from bitwren.boards import Board
from bitwren.bundle import Bundle, parts
from bitwren.container import read_file
from bitwren.errors import BitwrenError
from bitwren.image import Image, Region

from .board_files import BUNDLE_FOLDER, cache_folder, firmware_files


@dataclass(frozen=True)
class FlashImage:
    """A file to be flashed.

    :ivar offset: where in flash it goes; a UF2 says so itself. :ivar regions: what is in it, by place in flash.
    :ivar why_not: a sentence, where the bundle is in the filesystem: why it is not in the data part.
    """

    data: bytes
    offset: int
    regions: tuple[Region, ...]
    why_not: str = ""


def make(board: Board, directory: Path, firmware: Path | None = None) -> FlashImage:
    """Firmware, filesystem and bundle in one file: a UF2 for the rp2 family, a merged ``.bin`` from 0 on for an ESP32.

    :param directory: the bundle. :param firmware: MicroPython's published file; None: the one that ``make pico-firmware`` built.
    :raises BitwrenError: whatever would make a board that does not work; see :func:`bitwren.image.make`.
    """
    bundle = _bundle(directory)
    path = firmware if firmware is not None or not board.family else _built_firmware(board)
    contents = read_file(path) if path else b""
    made = image.make(board, contents, firmware_files(board.arch), bundle, BUNDLE_FOLDER, path.name if path else "")
    data = image.to_uf2(board, made) if board.family == "rp2" else merge(board, made)
    return FlashImage(data, 0, made.regions, made.why_not)


def make_data(board: Board, directory: Path, firmware: Path | None = None) -> FlashImage:
    """The bundle alone: a UF2 that writes the data part only, or a ``.bin`` for an ESP32's data partition.

    :param firmware: what is on the board, to see that it does not reach into the data part.
    :raises BitwrenError: when the bundle cannot lie there.
    """
    bundle = _bundle(directory)
    regions = image.firmware_regions(board, read_file(firmware), firmware.name) if firmware else []
    region = image.bundle_region(board, bundle, regions, firmware.name if firmware else "")
    if board.family == "rp2":
        return FlashImage(image.data_uf2(board, region), 0, (region,))
    return FlashImage(region.data, region.offset, (region,))


def merge(board: Board, made: Image) -> bytes:
    """One file from flash's beginning on, 0xFF between the regions, by esptool's command.

    esptool also writes the flash's size into the boot loader's header, and makes its SHA-256 anew: else a boot loader refuses
    partitions beyond the size that it was published for.

    :raises BitwrenError: with what esptool said.
    """
    installed = esptool_version()
    if not installed:
        raise BitwrenError("images for an ESP32 need esptool, which is not installed: pip install esptool")
    with tempfile.TemporaryDirectory(prefix="bitwren-image-") as temporary:
        folder = Path(temporary)
        output = folder / "merged.bin"
        pieces: list[str] = []
        for index, region in enumerate(made.regions):
            path = folder / f"{index}.bin"
            path.write_bytes(region.data)
            pieces += [hex(region.offset), str(path)]
        # Version 5 renamed commands and options.
        name, size = ("merge-bin", "--flash-size") if installed >= 5 else ("merge_bin", "--flash_size")
        command = [sys.executable, "-m", "esptool", "--chip", board.boot.esptool_chip, name, "-o", str(output)]
        command += [size, f"{board.flash_bytes >> 20}MB", *pieces]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not output.is_file():
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
            raise BitwrenError(f"esptool could not merge the image. It said:\n{said}")
        return output.read_bytes()


def esptool_version() -> int:
    """The first number of the version of esptool that is installed; 0 where none is."""
    try:
        return int(version("esptool").partition(".")[0])
    except PackageNotFoundError:
        return 0


def _bundle(directory: Path) -> dict[str, bytes]:
    """A bundle's files by name, checked: each by itself, and that they belong together."""
    Bundle.read(directory)
    return {path.name: read_file(path) for path in parts(directory)}


def _built_firmware(board: Board) -> Path:
    """The firmware that was built here, which there is for the Pico alone."""
    wanted = board.firmware
    built = cache_folder() / "micropython" / "pico" / "firmware.uf2"
    if wanted is not None and wanted.micropython == "RPI_PICO" and built.is_file():
        return built
    where = (
        f"download {wanted.published} from {wanted.page}" if wanted and wanted.page else f"get the MicroPython for {board.title}"
    )
    raise BitwrenError(f"an image for {board.title} needs its MicroPython: {where}, and give it with --firmware")
