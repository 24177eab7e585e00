"""The question at the end: a board that was flashed answers as this computer does."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from typing import Any

from bitwren.bundle import Bundle
from bitwren.encoder import Elsewhere
from bitwren.errors import BitwrenError

from ..serial_link import LinkClosed, LinkError, LinkTimeout, PortLine
from .work import Work

AGAIN = 3.0
"""Seconds until a board that said nothing is asked again: what comes while it starts is lost."""
_TRIED = 50


@dataclass(frozen=True)
class Reply:
    """What a board said. :ivar query: "" where there was nothing to ask. :ivar answer: its first.

    :ivar documents: how many it has. :ivar native: what computes there.
    """

    query: str
    answer: str
    documents: int
    native: str


def ask(port: str, bundle: Bundle | None, work: Work, query: str | None = None) -> Reply:
    """Wait until a board's console answers, ask it, and compare with the reference.

    :param bundle: what is on the board; None: nobody knows, so it is asked what it has.
    :param query: what to ask; None: the text of a document, or its answer where the table has no texts.
    :raises BitwrenError: when it does not answer, or otherwise than this computer.
    """
    with _open(port, work) as line:
        info = _request(line, {"cmd": "info"}, "documents", work)
        documents, native = int(info["documents"]), str(info.get("native", ""))
        if bundle is None or isinstance(bundle.encoder, Elsewhere) or not documents:
            return Reply("", "", documents, native)
        query = query or _question(bundle)
        wanted = bundle.answer(query, 1)
        said = _request(line, {"query": query, "k": 1}, "query", work)
    if said.get("hits") != wanted.get("hits") or "error" in said:
        raise BitwrenError(
            f'{port} was flashed, but answers "{query}" otherwise than this computer ({_first(said)} instead of {_first(wanted)}'
            "): is an older bundle on it? Flash it again without --only data"
        )
    return Reply(query, _first(said), documents, native)


def _question(bundle: Bundle) -> str:
    """The text of a document, or its answer where the table has no texts: of the first that this finds itself, among some."""
    table = bundle.table
    live = [record for record, alive in zip(table.records, table.live, strict=False) if alive][:_TRIED]
    for record in live:
        query = (record.text or record.answer)[:200]
        hits = bundle.answer(query, 1).get("hits")
        if hits and hits[0]["id"] == record.id:
            return query
    return (live[0].text or live[0].answer)[:200]


def _first(reply: dict[str, Any]) -> str:
    hits = reply.get("hits") or [{"answer": reply.get("error", "nothing")}]
    return str(hits[0]["answer"])


def _open(port: str, work: Work) -> PortLine:
    """The port, which a board with USB of its own takes away for a moment when it starts."""

    def look() -> PortLine | None:
        with contextlib.suppress(LinkError):
            return PortLine(port, write_timeout=5.0)
        return None

    line = work.wait_for("waiting for its console", look, work.patience.start)
    return line or PortLine(port)


def _request(line: PortLine, request: dict[str, Any], wanted: str, work: Work) -> dict[str, Any]:
    """A JSON line and the answer that has the key ``wanted``: an earlier one may be answered twice.

    What the board says besides, such as why it has no console, goes into the error.
    """
    said: list[str] = []
    deadline = time.monotonic() + work.patience.answer
    while time.monotonic() < deadline:
        work.at("asking")
        try:
            line.write(json.dumps(request, ensure_ascii=False).encode() + b"\n")
        except LinkTimeout:
            continue
        again = min(deadline, time.monotonic() + AGAIN)
        while (left := again - time.monotonic()) > 0:
            try:
                text = line.readline(left).decode("utf-8", "replace")
            except LinkTimeout:
                break
            except LinkClosed as error:
                raise BitwrenError(f"the board was flashed, but vanished when it was asked: {error}") from error
            with contextlib.suppress(ValueError):
                reply = json.loads(text[max(0, text.find("{")) :])
                if isinstance(reply, dict) and reply != request and wanted in reply:  # a REPL echoes
                    return reply
            if text.strip():
                said.append(text.strip())
    last = f' Its last words: "{said[-1]}"' if said else ""
    raise BitwrenError(
        f"{line.port} was flashed, but its console does not answer within {work.patience.answer:.0f} s: reset the board and see "
        f"`bitwren doctor`.{last}"
    )
