"""``bitwren search`` and ``bitwren console``."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import click

from bitwren.errors import QueryError
from bitwren.scoring import NAMES as NAMES_OF_STAGES

from .. import show
from ..board_line import open_boards
from ..console import ALWAYS_EXACT, answer_lines, converse, history_file
from ..targets import NAMES, Target, open_target
from .deploy import PORT_HELP
from .exchange import search_vectors

on_option = click.option(
    "--on", "target", type=click.Choice(NAMES), default="host", show_default=True, help="What searches the bundle."
)
firmware_option = click.option(
    "--firmware", type=click.Path(path_type=Path), help="MicroPython UF2 for --on pico; else the one that 'make' built."
)
k_option = click.option("-k", default=3, show_default=True, help="How many answers.")
effort_option = click.option(
    "--effort",
    type=int,
    default=None,
    metavar="PERCENT",
    help="Of a residual table's codes to read at most, 1 to 100: below 100 it is faster and may miss a document. Without it, "
    "what the table was built for.",
)
stages_option = click.option(
    "--stages",
    type=click.Choice(NAMES_OF_STAGES),
    default=None,
    help="What ranks the nearest besides their distance (hamming: nothing). Without it, all that the table has.",
)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("queries", nargs=-1)
@click.option(
    "--vector",
    "vectors",
    type=click.Path(path_type=Path),
    metavar="FILE.npy",
    help="Instead of QUERIES: float embeddings [Q, D], or codes, uint8 [Q, bits / 8], least significant bit first.",
)
@k_option
@effort_option
@stages_option
@on_option
@firmware_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a query on stdout.")
def search(
    directory: Path,
    queries: tuple[str, ...],
    vectors: Path | None,
    k: int,
    effort: int | None,
    stages: str | None,
    target: str,
    firmware: Path | None,
    as_json: bool,
) -> None:
    """Answer QUERIES from the bundle in DIRECTORY."""
    if vectors:
        if queries or target != "host":
            raise click.UsageError("--vector is searched on the host alone, and without QUERIES")
        if stages not in (None, "hamming"):
            raise click.UsageError("--vector is ranked by distance alone: leave out --stages")
        search_vectors(directory, vectors, k, effort, as_json)
        return
    if not queries:
        raise click.UsageError("Missing argument 'QUERIES...', or --vector FILE.npy")
    with open_target(target, directory, firmware) as found:
        bits = 0 if as_json else int(found.info()["bits"])
        for query in queries:
            reply = found.answer(query, k, effort, stages)
            if as_json:
                click.echo(json.dumps(reply, ensure_ascii=False))
            if "error" in reply:
                raise QueryError(reply["error"])
            if not as_json:
                if len(queries) > 1:
                    show.out.print(query, style="bold cyan")
                show.out.print(show.answer(reply, bits))
        if reply.get("exact"):
            click.echo(ALWAYS_EXACT, err=True)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), required=False)
@click.option("-p", "--port", "ports", multiple=True, help=f"Ask the board there instead; given again: several. {PORT_HELP}")
@k_option
@effort_option
@stages_option
@on_option
@firmware_option
def console(
    directory: Path | None,
    ports: tuple[str, ...],
    k: int,
    effort: int | None,
    stages: str | None,
    target: str,
    firmware: Path | None,
) -> None:
    """Ask the bundle in DIRECTORY questions, or the board at --port; with input piped, a query a line in, a JSON line out."""
    if (directory is None) == (not ports):
        raise click.UsageError("give a bundle's DIRECTORY, or boards by --port")
    person = sys.stdin.isatty()
    with contextlib.ExitStack() as stack:
        found: Target | dict[str, Target]
        if directory:
            found = stack.enter_context(open_target(target, directory, firmware))
        else:
            opened = stack.enter_context(open_boards(list(dict.fromkeys(ports)), _tell, timing=person))
            found = {board.name: board for board in opened}
        if person:
            converse(found, k, effort, stages, history_file())
        else:
            answer_lines(found, sys.stdin.buffer, k, effort, sys.stdout, stages)


def _tell(what: str) -> None:
    click.echo(f"bitwren: {what}", err=True)
