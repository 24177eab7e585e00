"""``bitwren deploy``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .. import show
from ..board_files import BUNDLE_FOLDER
from ..deploy import Report, Wish
from ..deploy import deploy as bring
from ..port_names import resolve
from .look import json_option

PORT_HELP = (
    "Serial port: a path, 'auto' for the only board there is, id:SERIAL, a0 u0 c0 … as in mpremote, socket://HOST:PORT or "
    "rfc2217://HOST:PORT."
)
port_option = click.option("-p", "--port", default="auto", show_default=True, help=PORT_HELP)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@port_option
@click.option("--name", default=BUNDLE_FOLDER, show_default=True, help="The bundle's folder on the board.")
@click.option("--native/--no-native", default=True, show_default=True, help="Without the native module it is slow.")
@click.option("--main", is_flag=True, help="Put bitwren's main.py in the place of another program's.")
@click.option("--replace", is_flag=True, help="Remove the old bundle first, for want of room: none answers until the end.")
@click.option("--reset/--no-reset", default=True, show_default=True, help="Restart the board at the end, and ask it.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and write nothing.")
@json_option
def deploy(
    directory: Path, port: str, name: str, native: bool, main: bool, replace: bool, reset: bool, dry_run: bool, as_json: bool
) -> None:
    """Bring the bundle in DIRECTORY, and what runs it, onto a board that has MicroPython, and ask it a question.

    Only what changed is sent, by mpremote. What was there answers until all of the new is on the board and checked.
    """
    if not name or name.startswith(".") or "/" in name:
        raise click.UsageError("--name is a folder in the board's root, such as faq")
    progress = show.Steps()
    try:
        report = bring(directory, resolve(port), Wish(name, native, main, replace, reset, dry_run), progress)
    finally:
        progress.done()
    click.echo(json.dumps(report.json(), ensure_ascii=False), err=False) if as_json else _print(report, dry_run, reset)


def _print(report: Report, dry_run: bool, reset: bool) -> None:
    board = report.board
    click.echo(f"{board.machine}, MicroPython {board.version}, on {report.port}")
    count, size = len(report.sent), sum(report.sent.values())
    if dry_run:
        for path, bytes_ in report.sent.items():
            click.echo(f"  would send {path}, {bytes_:,} bytes")
        for path in report.removed:
            click.echo(f"  would remove {path}")
    sent = f"{count} {'file' if count == 1 else 'files'}, {size:,} bytes, {'would be ' if dry_run else ''}sent"
    same = f"{len(report.unchanged)} are there already"
    click.echo(f"{sent}; {same}" if count else f"nothing to send: {same}")
    if not (reset or dry_run):
        click.echo("not restarted: the board is at its prompt; a reset starts the new")
    for note in report.notes:
        click.echo(f"note: {note}")
    if report.question is not None and report.answer is not None:
        click.echo(f"asked: {report.question}")
        show.out.print(show.answer(report.answer, report.bits))
