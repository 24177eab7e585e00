"""``bitwren export`` and ``bitwren import``: codes for other programs, and from them; and search by vector."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bitwren import binarize, bundle, elsewhere, table
from bitwren import export as exports
from bitwren.bundle import BINARIZER_FILE, TABLE_FILE, Bundle
from bitwren.container import replace_folder

from .. import show
from .make import effort_option, layout_option, output_option, store_text_option, tell


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The directory of what is written.")
@click.option("--to", "kind", type=click.Choice(exports.KINDS), required=True, help="A numpy array, or an index of FAISS.")
def export(directory: Path, output: Path, kind: str) -> None:
    """Write the codes, ids and answers of the live documents of the bundle in DIRECTORY, for a server or a gateway."""
    files = exports.export(Bundle.read(directory).table, kind)
    size = replace_folder(output, files, exports.FILES)
    click.echo(f"{output}: {', '.join(files)}, {size / 1024:.0f} KB", err=True)


@click.command(name="import")
@click.argument("embeddings", type=click.Path(path_type=Path))
@output_option
@click.option("--ids", type=click.Path(path_type=Path), help="Of the rows: a JSON list (.json), or text, one id a line.")
@click.option(
    "--corpus",
    type=click.Path(path_type=Path),
    help="CSV, TSV or JSON Lines with the documents' answers (label, text): found by 'id' with --ids, else in the rows' order.",
)
@click.option("--bits", default=256, show_default=True, help="Of a code: 64, 128, 256, 512 or 1024; packed codes have their own.")
@click.option(
    "--binarizer",
    type=click.Choice(binarize.KINDS),
    default="itq",
    show_default=True,
    help="itq is learnt from the embeddings and makes at most a bit a dimension, lsh draws random hyperplanes, sign takes each "
    "dimension's sign.",
)
@click.option("--center/--no-center", default=True, show_default=True, help="Subtract the embeddings' mean.")
@click.option("--seed", default=0, show_default=True, help="Of itq and lsh.")
@click.option("--packed", is_flag=True, help="EMBEDDINGS are codes already: uint8 [N, bits / 8].")
@click.option(
    "--bit-order",
    type=click.Choice(elsewhere.BIT_ORDERS),
    default="little",
    show_default=True,
    help="Of packed codes: little is bit i in byte i // 8 at bit i % 8, as FAISS has it, big as numpy.packbits makes it.",
)
@layout_option
@effort_option
@store_text_option
def import_(
    embeddings: Path,
    output: Path,
    ids: Path | None,
    corpus: Path | None,
    bits: int,
    binarizer: str,
    center: bool,
    seed: int,
    packed: bool,
    bit_order: str,
    layout: str,
    effort: int,
    store_text: bool,
) -> None:
    """Make a table of EMBEDDINGS (.npy, float [N, D], a row for each document) that another model computed.

    The directory gets the table and the binarizer, which encodes queries ('bitwren search --vector'), but no encoder: a board
    searches it by code.
    """
    progress = show.Progress()
    files: dict[str, bytes] = {}
    try:
        if packed:
            codes = elsewhere.read_codes(embeddings, bit_order)
            documents = elsewhere.read_documents(len(codes), ids, corpus)
            notes = {"codes": "imported, packed"}
        else:
            vectors = elsewhere.read_vectors(embeddings)
            documents = elsewhere.read_documents(len(vectors), ids, corpus)
            learnt = binarize.fit(binarizer, vectors, bits, seed, center, progress)
            codes = learnt.encode(vectors, progress)
            files[BINARIZER_FILE] = binarize.dump(learnt)
            notes = {"codes": f"imported, {binarizer} of {vectors.shape[1]} dimensions, seed {seed}"}
        made = elsewhere.make_table(codes, documents, notes, store_text, layout, effort, progress)
    finally:
        progress.done()
    files[TABLE_FILE] = table.write(made)
    replace_folder(output, files, bundle.FILES)
    tell(output, made, effort, len(files[TABLE_FILE]))


def search_vectors(directory: Path, path: Path, k: int, effort: int | None, as_json: bool) -> None:
    """Search the bundle in a directory for each row of a .npy file: embeddings, which its binarizer encodes, or codes."""
    found = Bundle.read(directory)
    for row, code in enumerate(elsewhere.read_queries(path, directory / BINARIZER_FILE)):
        reply = {"vector": row} | found.reply(found.search_code(code, k, effort), effort, "hamming")
        if as_json:
            click.echo(json.dumps(reply, ensure_ascii=False))
        else:
            show.out.print(f"vector {row}", style="bold cyan")
            show.out.print(show.answer(reply, found.table.bits))
