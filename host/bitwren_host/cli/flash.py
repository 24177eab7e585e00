"""``bitwren flash``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console

from bitwren.boards import Board, find_board
from bitwren.errors import BitwrenError

from ..flash import many
from ..flash.choose import NoBoard, Place, attached, choose, nothing_found
from ..flash.job import Done, Options
from ..flash.job import flash as flash_board
from ..flash.many import Failure
from ..flash.payload import prepare
from ..flash.rp2 import Claims
from ..flash.work import Patience
from ..ports import Computer
from .image import board_option
from .look import json_option


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), required=False)
@board_option
@click.option("-p", "--port", metavar="PORT", help="The board's serial port, if several boards are plugged in.")
@click.option("--drive", metavar="PATH", type=click.Path(path_type=Path), help="Its boot loader's drive, likewise.")
@click.option(
    "--firmware",
    type=click.Path(path_type=Path),
    help="MicroPython for the board, as it is published. Without DIRECTORY it is flashed alone.",
)
@click.option("--image", type=click.Path(path_type=Path), help="A file that 'bitwren image' made, instead of making one.")
@click.option("--only", type=click.Choice(["data"]), help="The bundle alone: the board keeps its firmware and its files.")
@click.option("--all", "every", is_flag=True, help="Flash every board that is plugged in, side by side.")
@click.option("-b", "--baud", type=int, default=0, help="For an ESP32, instead of the board file's: slower for long cables.")
@click.option("--stub/--no-stub", default=True, show_default=True, help="For an ESP32: esptool's stub or, slower, its ROM.")
@click.option("--ask", metavar="TEXT", help="The question at the end, instead of a document's own text.")
@json_option
def flash(
    directory: Path | None,
    board: str,
    port: str | None,
    drive: Path | None,
    firmware: Path | None,
    image: Path | None,
    only: str | None,
    every: bool,
    baud: int,
    stub: bool,
    ask: str | None,
    as_json: bool,
) -> None:
    """Write MicroPython, bitwren and the bundle in DIRECTORY to a board, read it back, and ask the board a question.

    Chip, flash size, RAM, MicroPython's version and .mpy ABI are checked before anything is written.
    """
    if every and (port or drive):
        raise click.UsageError("--all takes every board: leave out --port and --drive")
    if port and drive:
        raise click.UsageError("a board is at a serial port or is a drive: give --port or --drive")
    if image and firmware:
        raise click.UsageError("an image holds its firmware already: give --image or --firmware")
    chosen = find_board(board)
    payload = prepare(chosen, directory, firmware, image, only is not None)
    computer, claims = Computer(), Claims()
    places = _places(chosen, computer, port, drive, every)
    options = Options(baud, stub, query=ask)
    console = Console(stderr=True)
    names = [place.name for place in places]
    results = many.run(
        names,
        lambda number, work: flash_board(chosen, places[number], payload, computer, claims, options, work),
        console,
        Patience(),
    )
    failed = [result for result in results if isinstance(result, Failure)]
    if as_json:
        click.echo(json.dumps([asdict(result) for result in results], ensure_ascii=False, indent=2))
    elif every or not failed:
        for result in results:
            click.echo(_line(result), err=isinstance(result, Failure))
    if failed and not every:
        raise BitwrenError(_line(failed[0]))
    if failed:
        raise BitwrenError(f"{len(failed)} of {len(results)} boards not flashed: {', '.join(result.place for result in failed)}")


def _places(board: Board, computer: Computer, port: str | None, drive: Path | None, every: bool) -> list[Place]:
    if not every:
        return [choose(board, computer, port, drive)]
    places = attached(board, computer)
    if not places:
        raise NoBoard(nothing_found(board, computer))
    return places


def _line(result: Done | Failure) -> str:
    if isinstance(result, Failure):
        return result.text if result.place in result.text else f"{result.place}: {result.text}"
    where = result.port if result.port == result.place else f"{result.place} → {result.port}"
    text = f"{where}: {result.written:,} bytes written and read back"
    if result.reply is None:
        return text
    text += f"; {result.reply.documents} documents, {result.reply.native}"
    if result.reply.query:
        asked = "" if result.reply.query == result.reply.answer else f"\n  {result.reply.query}"  # its own words, without texts
        text += f"{asked}\n  → {result.reply.answer}"
    return text
