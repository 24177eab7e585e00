"""The console: questions in, answers out, for a person at a terminal or a script on a pipe."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from typing import TextIO

from bitwren.errors import BitwrenError
from bitwren.queries import check_effort
from bitwren.scoring import NAMES

from . import show
from .targets import Target

HELP = (
    "type a question; :k N sets how many answers, :effort N the percent of a residual table to read, :stages NAME what ranks "
    "the nearest, :info tells what answers, :quit or Ctrl-D leaves"
)

ALWAYS_EXACT = "effort changes nothing here: this table is searched exactly anyway"


def answer_lines(
    target: Target, lines: Iterable[bytes], k: int, effort: int | None, out: TextIO, stages: str | None = None
) -> None:
    """Answer each line of a pipe with one JSON object on one line (docs/protocol.md)."""
    for raw in lines:
        try:
            query = raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            reply = {"query": raw.decode("utf-8", "replace").rstrip("\r\n"), "error": "the query is not UTF-8"}
        else:
            reply = target.answer(query, k, effort, stages)
        print(json.dumps(reply, ensure_ascii=False), file=out, flush=True)


def converse(target: Target, k: int, effort: int | None, stages: str | None = None) -> None:
    """Ask a person for questions until they leave."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (gives input() history and editing)
    info = target.info()
    bits = int(info.get("bits", 0))
    read = "".join(f", {file} {kind}" for file, kind in info.get("storage", {}).items())
    what = f"{info.get('documents')} documents, {bits} bits, {info.get('layout')} layout"
    show.out.print(f"{what}, searched by {info.get('native')}{read}", style="dim")
    show.out.print(HELP, style="dim")
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            show.out.print()
            return
        if line in (":q", ":quit", ":exit"):
            return
        if line == ":info":
            show.out.print_json(json.dumps(info))
        elif line.startswith(":k"):
            k = _parse_k(line, k)
        elif line.startswith(":effort"):
            effort = _parse_effort(line, effort)
        elif line.startswith(":stages"):
            stages = _parse_stages(line, stages)
        elif line.startswith(":"):
            show.out.print(HELP)
        elif line:
            reply = target.answer(line, k, effort, stages)
            show.out.print(show.answer(reply, bits))
            if reply.get("exact"):
                show.out.print(ALWAYS_EXACT, style="dim")


def _parse_k(line: str, k: int) -> int:
    try:
        wanted = int(line[2:])
        if wanted < 1:
            raise BitwrenError("k must be at least 1")
    except (ValueError, BitwrenError):
        show.out.print(f":k takes a number from 1, as in ':k 5'; it is {k}")
        return k
    return wanted


def _parse_effort(line: str, effort: int | None) -> int | None:
    try:
        wanted = int(line[len(":effort") :])
        check_effort(wanted)
    except (ValueError, BitwrenError):
        now = effort or "what the table was built for"
        show.out.print(f":effort takes a number from 1 to 100, as in ':effort 10'; it is {now}")
        return effort
    return wanted


def _parse_stages(line: str, stages: str | None) -> str | None:
    wanted = line[len(":stages") :].strip()
    if wanted not in NAMES:
        show.out.print(f":stages takes one of {', '.join(NAMES)}; it is {stages or 'all that the table has'}")
        return stages
    return wanted
