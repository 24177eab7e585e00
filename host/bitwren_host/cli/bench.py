"""``bitwren bench``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .. import show
from ..bench import program, report
from .look import json_option


@click.command()
@click.option("--arch", "archs", multiple=True, type=click.Choice(program.KNOWN), help="Only these; each may be given.")
@click.option("--bits", "widths", multiple=True, type=int, default=(128, 256, 512), show_default=True)
@click.option("-n", "counts", multiple=True, type=click.IntRange(1, 65536), default=(8192,), show_default=True, help="Codes.")
@click.option("-k", "ks", multiple=True, type=click.IntRange(1), default=(10,), show_default=True, help="Results.")
@click.option("--clinc150", type=click.Path(path_type=Path), help="Folder with CLINC150, for codes of 15,000 real sentences.")
@json_option
def bench(
    archs: tuple[str, ...],
    widths: tuple[int, ...],
    counts: tuple[int, ...],
    ks: tuple[int, ...],
    clinc150: Path | None,
    as_json: bool,
) -> None:
    """Count what the search and the encoder cost on each chip, in instructions, against other ways to do it."""
    progress = show.Progress()
    try:
        found = report.run(archs or program.ARCHITECTURES, widths, counts, ks, clinc150, progress)
    finally:
        progress.done()
    click.echo(json.dumps(found.json()) if as_json else found.text())
