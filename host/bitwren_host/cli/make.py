"""``bitwren build``, ``bitwren append`` and ``bitwren delete``."""

from __future__ import annotations

from pathlib import Path

import click

from bitwren import bundle, edit
from bitwren.bundle import Bundle
from bitwren.corpus import read_corpus
from bitwren.encoder import EncoderFolder

from .. import show


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The bundle's directory.")
@click.option("--encoder", default="base", show_default=True, help="A shipped encoder's name or an encoder's folder.")
@click.option("--bits", default=512, show_default=True, help="Of a code: 64, 128, 256, 512 or 1024, as far as the encoder goes.")
@click.option(
    "--layout",
    type=click.Choice(["auto", "flat", "residual", "rows"]),
    default="auto",
    show_default=True,
    help="Of the codes: flat suits RAM and small tables, residual (up to 512 bits) reads fewer bytes of large ones in flash, "
    "rows are for chips with a popcount instruction. auto takes one of the first two.",
)
@click.option(
    "--effort",
    default=100,
    show_default=True,
    metavar="PERCENT",
    help="Of a residual table's codes that a search reads unless it asks for another share: below 100 it is faster and may miss "
    "a document; how often is measured and shown.",
)
@click.option("--store-text", is_flag=True, help="Keep each document's text in the table too.")
def build(corpus: Path, output: Path, encoder: str, bits: int, layout: str, effort: int, store_text: bool) -> None:
    """Turn CORPUS (CSV, TSV or JSON Lines with a 'text' column) into a bundle: an encoder and a table of codes.

    What is in the output's directory is replaced: so a bundle that was appended to and deleted from is made compact, too.
    """
    documents = read_corpus(corpus)
    progress = show.Progress()
    try:
        made = bundle.build(documents, EncoderFolder.find(encoder), bits, store_text, layout, progress, effort)
    finally:
        progress.done()
    size = bundle.write(made, output)
    threshold = made.table.threshold
    click.echo(f"{output}: {len(documents)} documents, {bits} bits each, {size / 1024:.0f} KB of flash", err=True)
    if measured := made.table.notes.get("effort"):
        recall, touched = 100 * measured["recall@10"], 100 * measured["bytes_touched"]
        finds = f"finds {recall:.1f} % of a document's ten nearest and reads {touched:.1f} % of the codes' bytes"
        click.echo(f"an effort of {effort} % {finds}", err=True)
    if threshold is not None:
        click.echo(f"a match is confident up to a distance of {threshold} bits", err=True)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("corpus", type=click.Path(path_type=Path))
def append(directory: Path, corpus: Path) -> None:
    """Add the documents of CORPUS to the bundle in DIRECTORY, with its own encoder.

    Appended documents are searched one by one, and the threshold stays as it was: after many of them, or many deletions, 'bitwren
    build' with all documents makes a faster and smaller table.
    """
    documents = read_corpus(corpus)
    progress = show.Progress()
    try:
        made = edit.append(Bundle.read(directory), documents, progress)
    finally:
        progress.done()
    _write(made, directory, f"{len(documents)} added")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def delete(directory: Path, ids: tuple[str, ...]) -> None:
    """Delete the documents with these IDs from the bundle in DIRECTORY.

    No search finds them any more; their bytes stay in the table until 'bitwren build' makes it anew.
    """
    before = Bundle.read(directory)
    made = edit.delete(before, ids)
    _write(made, directory, f"{int(before.table.live.sum() - made.table.live.sum())} deleted")


def _write(made: Bundle, directory: Path, what: str) -> None:
    size = edit.write_table(made, directory)
    table = made.table
    staged = f", {table.staged} of them appended" if table.staged else ""
    click.echo(f"{directory}: {what}; {int(table.live.sum())} documents{staged}, a table of {size / 1024:.0f} KB", err=True)
