"""``bitwren evaluate``, ``bitwren compare`` and ``bitwren verify``."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from bitwren.bundle import Bundle
from bitwren.compare import compare as compare_bundles
from bitwren.container import write_atomic
from bitwren.corpus import read_corpus, read_lines, read_questions
from bitwren.encoder import EncoderFolder
from bitwren.errors import BitwrenError
from bitwren.scoring import NAMES
from bitwren.steps import Embed, document_texts, walk, with_typos
from bitwren.sweeps import sweep
from bitwren.train import TrainingError
from bitwren.train.teacher import Teacher
from bitwren.typos import with_typo

from .. import show
from ..quality import text
from ..quality.page import Report, page
from ..verify import verify as check
from .look import json_option

_OUTSIDE = click.option(
    "--out-of-scope", type=click.Path(path_type=Path), help="Text file, one query a line that nothing answers."
)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("queries", type=click.Path(path_type=Path))
@_OUTSIDE
@click.option("--stages", type=click.Choice(NAMES), help="How to search: else with all that the table has.")
@click.option(
    "--corpus",
    type=click.Path(path_type=Path),
    help="What the bundle was built from: the documents' texts, if the table has none.",
)
@click.option("--teacher/--no-teacher", default=True, help="Whether to ask the teacher too: some milliseconds a text.")
@click.option("--typos", "seed", type=int, metavar="SEED", help="Ask everything once more with a typo in each query.")
@click.option("--report", "output", type=click.Path(path_type=Path, dir_okay=False), help="Write an HTML page with plots.")
@json_option
def evaluate(
    directory: Path,
    queries: Path,
    out_of_scope: Path | None,
    stages: str | None,
    corpus: Path | None,
    teacher: bool,
    seed: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Measure how often the bundle in DIRECTORY finds what QUERIES (columns query and id or label) say it should.

    Beside it, what each step from the teacher to the chip's answer would have found, and words alone.
    """
    bundle, questions = Bundle.read(directory), read_questions(queries)
    outside = read_lines(out_of_scope) if out_of_scope else []
    texts = document_texts(bundle, read_corpus(corpus) if corpus else None)
    progress = show.Progress()
    with TemporaryDirectory(prefix="bitwren-") as folder:
        try:
            embed = _teacher(Path(folder)) if teacher and texts is not None else "which --no-teacher asks for"
            found = walk(bundle, questions, outside, texts, embed, stages, progress)
            typos = None
            if seed is not None:
                mistaken = [with_typo(text, seed) for text in outside]
                typos = walk(bundle, with_typos(questions, seed), mistaken, texts, embed, stages, progress)
            swept = sweep(bundle, questions, texts, progress) if output else None
        finally:
            progress.done()
    if output and swept:
        write_atomic(output, page(Report(directory.resolve().name, bundle, found, typos, swept, texts)).encode())
    if as_json:
        click.echo(json.dumps(found.json() | ({"typos": {"seed": seed} | typos.json()} if typos else {})))
    else:
        for line in text.evaluation(found, typos):
            click.echo(line)


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.argument("queries", type=click.Path(path_type=Path))
@_OUTSIDE
@click.option(
    "--stages", multiple=True, type=click.Choice(NAMES), help="How to search both; given twice, A and B. Else all that there is."
)
@json_option
def compare(a: Path, b: Path, queries: Path, out_of_scope: Path | None, stages: tuple[str, ...], as_json: bool) -> None:
    """Ask the bundles in A and B the same QUERIES: figures side by side, and whether the difference may be chance.

    A and B may be one bundle that is searched in two ways: --stages hamming --stages all.
    """
    if len(stages) > 2:
        raise click.UsageError("--stages is given once for both bundles, or twice, for A and for B")
    first, second = (*stages, *stages, None, None)[:2] if len(stages) < 2 else stages
    progress = show.Progress()
    try:
        outside = read_lines(out_of_scope) if out_of_scope else []
        found = compare_bundles(Bundle.read(a), Bundle.read(b), read_questions(queries), outside, (first, second), progress)
    finally:
        progress.done()
    if as_json:
        click.echo(json.dumps(found.json(), ensure_ascii=False))
    else:
        for line in text.comparison(found, (str(a), str(b))):
            click.echo(line)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("queries", type=click.Path(path_type=Path))
@click.option("--on", "targets", multiple=True, default=("unix", "pico"), show_default=True, help="Compared with the reference.")
@click.option("--sample", default=50, show_default=True, help="Queries asked of the emulated Pico, evenly spread; 0: all.")
@click.option("--limit", default=0, help="Take only the first N queries; 0: all.")
@click.option("-k", default=10, show_default=True, help="Results compared for each query.")
@click.option("--encoder", default="base", show_default=True, help="Whose TFLite head is run beside the lowered one.")
@json_option
def verify(
    directory: Path, queries: Path, targets: tuple[str, ...], sample: int, limit: int, k: int, encoder: str, as_json: bool
) -> None:
    """Prove that chip and host agree: ids, distances and order of each query, and code bits against the TFLite runtime."""
    texts = [question.query for question in read_questions(queries)]
    texts = texts[:limit] if limit else texts
    progress = show.Progress()
    try:
        report = check(directory, texts, targets, k, {"pico": sample}, EncoderFolder.find(encoder), progress)
    finally:
        progress.done()
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        click.echo(report.text())
    if not report.identical:
        raise BitwrenError("host and chip do not agree; this is a bug in bitwren: please report it with the bundle")


def _teacher(cache: Path) -> Embed | str:
    """The teacher, or why there is none."""
    if find_spec("sentence_transformers") is None:
        return "which needs sentence-transformers: pip install 'bitwren[train]'"
    try:
        return Teacher("all-MiniLM-L6-v2", cache).embed
    except TrainingError as error:
        return str(error)
