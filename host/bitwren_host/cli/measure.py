"""``bitwren evaluate`` and ``bitwren verify``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from bitwren.bundle import Bundle
from bitwren.corpus import read_questions
from bitwren.encoder import EncoderFolder
from bitwren.errors import BitwrenError, CorpusError
from bitwren.evaluate import evaluate as measure

from .. import show
from ..verify import verify as check
from .look import json_option


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("queries", type=click.Path(path_type=Path))
@click.option("--out-of-scope", type=click.Path(path_type=Path), help="Text file, one query a line that nothing answers.")
@json_option
def evaluate(directory: Path, queries: Path, out_of_scope: Path | None, as_json: bool) -> None:
    """Measure how often the bundle in DIRECTORY finds what QUERIES (columns query and id or label) say it should."""
    outside = _lines(out_of_scope) if out_of_scope else []
    progress = show.Progress()
    try:
        quality = measure(Bundle.read(directory), read_questions(queries), outside, progress)
    finally:
        progress.done()
    found = quality.json()
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        if value is not None:
            click.echo(f"{name:<24} {value if name == 'questions' else f'{100 * value:.1f} %'}")


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


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} cannot be read: {error}") from error
