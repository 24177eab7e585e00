"""``bitwren build``."""

from __future__ import annotations

from pathlib import Path

import click

from bitwren import bundle
from bitwren.corpus import read_corpus
from bitwren.encoder import EncoderFolder

from .. import show


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The bundle's directory.")
@click.option("--encoder", default="base", show_default=True, help="A shipped encoder's name or an encoder's folder.")
@click.option("--bits", default=512, show_default=True, help="Bits of a code: 64, 128, 256 or 512.")
@click.option(
    "--layout",
    type=click.Choice(["auto", "flat", "residual"]),
    default="auto",
    show_default=True,
    help="Of the codes: flat suits RAM and small tables, residual reads fewer bytes of large ones in flash.",
)
@click.option("--store-text", is_flag=True, help="Keep each document's text in the table too.")
def build(corpus: Path, output: Path, encoder: str, bits: int, layout: str, store_text: bool) -> None:
    """Turn CORPUS (CSV, TSV or JSON Lines with a 'text' column) into a bundle: an encoder and a table of codes."""
    documents = read_corpus(corpus)
    progress = show.Progress()
    try:
        made = bundle.build(documents, EncoderFolder.find(encoder), bits, store_text, layout, progress)
    finally:
        progress.done()
    size = bundle.write(made, output)
    threshold = made.table.threshold
    click.echo(f"{output}: {len(documents)} documents, {bits} bits each, {size / 1024:.0f} KB of flash", err=True)
    if threshold is not None:
        click.echo(f"a match is confident up to a distance of {threshold} bits", err=True)
