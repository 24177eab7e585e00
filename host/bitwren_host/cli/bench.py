"""``bitwren bench``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from .. import show
from ..bench import document, on_port, plot, program, suite
from ..port_names import resolve
from .deploy import PORT_HELP
from .look import json_option

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command()
@click.option("--arch", "archs", multiple=True, type=click.Choice(program.KNOWN), help="Only these; each may be given.")
@click.option("--bits", "widths", multiple=True, type=int, default=(128, 256, 512), show_default=True)
@click.option("-n", "counts", multiple=True, type=click.IntRange(1, 65536), default=(8192,), show_default=True, help="Codes.")
@click.option("-k", "ks", multiple=True, type=click.IntRange(1), default=(10,), show_default=True, help="Results.")
@click.option("--clinc150", type=_FOLDER, help="Folder with CLINC150, for codes of 15,000 real sentences.")
@click.option("--sentences", type=_FOLDER, help="Folder with sgd, wikisql, wiki-split, clinc150, for 65,536 real sentences.")
@click.option("--corpus", type=click.Path(path_type=Path), help="For a whole query: a file with 10,000 documents, not made ones.")
@click.option("--pico/--no-pico", default=True, show_default=True, help="Whole queries and MicroPython on an emulated Pico.")
@click.option("--write", "output", type=click.Path(path_type=Path), help="Put the figures into docs/performance.md, plot beside.")
@click.option("-p", "--port", help=f"Time the queries of the board there instead, by its own clock. {PORT_HELP}")
@json_option
def bench(
    archs: tuple[str, ...],
    widths: tuple[int, ...],
    counts: tuple[int, ...],
    ks: tuple[int, ...],
    clinc150: Path | None,
    sentences: Path | None,
    corpus: Path | None,
    pico: bool,
    output: Path | None,
    port: str | None,
    as_json: bool,
) -> None:
    """Count what search, encoder and a whole query cost on each chip, in instructions, against other ways to do it."""
    if port is not None:
        _time(port, ks[0], as_json)
        return
    if output and not (sentences and pico and not archs and plot.BITS in widths):
        raise click.UsageError(f"--write needs all that it shows: --sentences, the Pico, every architecture, {plot.BITS} bits")
    plan = suite.Plan(archs or program.ARCHITECTURES, widths, counts, ks, clinc150, sentences, corpus, pico)
    progress = show.Progress()
    try:
        found = suite.run(plan, progress)
    finally:
        progress.done()
    if as_json:
        click.echo(json.dumps(found.json()))
    else:
        out = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
        out.print("Simulated: counted in emulators on the machine code that the chips would run.\n")
        for part in found.parts():
            out.print(part)
    if output:
        document.write(found, output)


def _time(port: str, k: int, as_json: bool) -> None:
    progress = show.Progress()
    try:
        found = on_port.time_board(resolve(port), k, progress)
    finally:
        progress.done()
    click.echo(json.dumps(found.json(), ensure_ascii=False) if as_json else found.text())
