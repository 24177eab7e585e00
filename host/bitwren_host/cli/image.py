"""``bitwren image``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bitwren.boards import Board, find_board
from bitwren.container import write_atomic
from bitwren.image import XIP

from .. import flash_image
from ..flash_image import FlashImage

board_option = click.option("--board", required=True, metavar="NAME", help="See 'bitwren boards'; or a board file of your own.")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@board_option
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The file: .uf2 or .bin.")
@click.option(
    "--firmware",
    type=click.Path(path_type=Path),
    help="MicroPython for the board, as it is published: .uf2, or .bin for an ESP32. For the Pico, if not given, the one that "
    "'make' built.",
)
@click.option("--only", type=click.Choice(["data"]), help="The bundle alone, for a board that has the rest.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def image(directory: Path, board: str, output: Path, firmware: Path | None, only: str | None, as_json: bool) -> None:
    """Write one file with all that a board needs: MicroPython, bitwren, and the bundle in DIRECTORY.

    Where it fits, the bundle lies beside the filesystem, is read in place, and is replaced alone with --only data.
    """
    chosen = find_board(board)
    suffix = ".uf2" if chosen.family == "rp2" else ".bin"
    if output.suffix.lower() != suffix:
        raise click.BadParameter(f"for {chosen.title} the file must be called *{suffix}", param_hint="-o")
    made = (flash_image.make_data if only else flash_image.make)(chosen, directory, firmware)
    write_atomic(output, made.data)
    if as_json:
        click.echo(json.dumps(_fields(chosen, made, output), ensure_ascii=False, indent=2))
        return
    click.echo(f"{output}: {len(made.data):,} bytes for {chosen.title}", err=True)
    base = XIP if chosen.family == "rp2" else 0
    for region in made.regions:
        click.echo(
            f"  {region.name:<15} {base + region.offset:#010x}  {len(region.data):>9,} bytes  {region.note}".rstrip(), err=True
        )
    if made.why_not:
        click.echo(f"the bundle is in the filesystem: {made.why_not}", err=True)
    click.echo(_what_to_do(chosen, made, output), err=True)


def _what_to_do(board: Board, made: FlashImage, output: Path) -> str:
    if board.family == "rp2":
        return f"{board.boot.how} Copy {output} to that drive."
    chip, baud = board.boot.esptool_chip, board.boot.baud
    command, write = ("esptool.py", "write_flash") if flash_image.esptool_version() == 4 else ("esptool", "write-flash")
    return f"{command} --chip {chip} --baud {baud} {write} {made.offset:#x} {output}"


def _fields(board: Board, made: FlashImage, output: Path) -> dict[str, Any]:
    return {
        "file": str(output),
        "board": board.name,
        "bytes": len(made.data),
        "offset": None if board.family == "rp2" else made.offset,
        "regions": [
            {"name": region.name, "offset": region.offset, "bytes": len(region.data), "note": region.note}
            for region in made.regions
        ],
        "in_filesystem_because": made.why_not or None,
    }
