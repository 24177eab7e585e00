"""``bitwren inspect``, ``bitwren boards`` and ``bitwren ports``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from serial.tools.list_ports import comports

from bitwren.boards import all_boards
from bitwren.bundle import describe, parts

json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@json_option
def inspect(path: Path, as_json: bool) -> None:
    """Check a .bwe or .bwt file, or a bundle's directory, and show what is in it."""
    files = parts(path) if path.is_dir() else [path]
    found = [describe(file) for file in files]
    if as_json:
        click.echo(json.dumps(found if path.is_dir() else found[0], ensure_ascii=False, indent=2))
        return
    for fields in found:
        click.echo(f"{fields.pop('file')}: {fields.pop('kind')}, {fields.pop('bytes'):,} bytes, every checksum right")
        sections: dict[str, Any] = fields.pop("sections")
        for name, value in fields.items():
            click.echo(f"  {name:<13} {value}")
        for tag, place in sections.items():
            click.echo(f"  section {tag}  at {place['offset']:#08x}  {place['bytes']:>9,} bytes")


@click.command()
@json_option
def boards(as_json: bool) -> None:
    """List the boards that bitwren knows."""
    known = all_boards()
    if as_json:
        click.echo(json.dumps([asdict(board) for board in known], indent=2))
        return
    for board in known:
        emulated = f", emulated by {board.emulator}" if board.emulator else ""
        click.echo(f"{board.name:<8} {board.title} ({board.chip}, native module {board.arch}{emulated})")


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
