"""``bitwren inspect``, ``bitwren boards`` and ``bitwren ports``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from serial.tools.list_ports import comports

from bitwren import readback
from bitwren.boards import all_boards, find_board
from bitwren.bundle import describe, describe_bytes, parts
from bitwren.container import read_file

from ..show_boards import show_board, show_image

json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@json_option
def inspect(path: Path, as_json: bool) -> None:
    """Check and show what is in a .bwe or .bwt file, a bundle's directory, or an image of a board's flash.

    An image is a UF2, an ESP32's .bin from its flash's beginning, or a bundle for a data partition.
    """
    if path.is_dir():
        found = [describe(file) for file in parts(path)]
    else:
        data = read_file(path)
        found = [readback.describe(data, str(path)) if readback.kind_of(data) else describe_bytes(data, str(path))]
    if as_json:
        click.echo(json.dumps(found if path.is_dir() else found[0], ensure_ascii=False, indent=2))
        return
    for fields in found:
        for line in show_image(fields) if fields["kind"] in readback.KINDS else _file(fields):
            click.echo(line)


def _file(fields: dict[str, Any]) -> Iterator[str]:
    """The lines about a bundle's file."""
    yield f"{fields.pop('file')}: {fields.pop('kind')}, {fields.pop('bytes'):,} bytes, every checksum right"
    sections: dict[str, Any] = fields.pop("sections")
    for name, value in fields.items():
        yield f"  {name:<13} {value}"
    for tag, place in sections.items():
        yield f"  section {tag}  at {place['offset']:#08x}  {place['bytes']:>9,} bytes"


@click.command()
@click.argument("name", required=False)
@json_option
def boards(name: str | None, as_json: bool) -> None:
    """List the boards that bitwren knows; all about one with NAME, which may be a board file of your own."""
    if name:
        board = find_board(name)
        if as_json:
            click.echo(json.dumps(asdict(board), ensure_ascii=False, indent=2))
        else:
            click.echo("\n".join(show_board(board)))
        return
    known = all_boards()
    if as_json:
        click.echo(json.dumps([asdict(board) for board in known], ensure_ascii=False, indent=2))
        return
    for board in known:
        emulated = f", emulated by {board.emulator}" if board.emulator else ""
        click.echo(f"{board.name:<14} {board.title} ({board.chip}, native module {board.arch}{emulated})")


@click.command()
@json_option
def ports(as_json: bool) -> None:
    """List the serial ports of this computer, boards first."""
    found = sorted(comports(), key=lambda port: (port.vid is None, port.device))
    if as_json:
        known = [{"port": port.device, "vid": port.vid, "pid": port.pid, "description": port.description} for port in found]
        click.echo(json.dumps(known, indent=2))
        return
    for port in found:
        usb = f"  USB {port.vid:04x}:{port.pid:04x}" if port.vid is not None else ""
        click.echo(f"{port.device}  {port.description}{usb}")
    if not found:
        click.echo("no serial port is there: plug a board in, with a cable that carries data", err=True)
