"""Answers for people: the text that search, console and demo print, and progress on stderr."""

from __future__ import annotations

import re
import sys
import time
from typing import Any

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from bitwren.vectors import ONE

out = Console(highlight=False, soft_wrap=True)
PICTURE_COLUMNS = 118


def start_picture() -> None:
    """Record what is printed from here on, wrapped as it will be drawn."""
    out.record, out.soft_wrap, out.width = True, False, PICTURE_COLUMNS


def picture(title: str) -> str:
    """What was recorded, as an SVG that needs nothing from elsewhere (rich's own names a font on the web)."""
    plain = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return out.export_svg(title=title, code_format=plain)


def answer(reply: dict[str, Any], bits: int) -> Text:
    """An answer object as ranked lines: answer, id, score where there is one, distance in bits."""
    if "error" in reply:
        return Text(str(reply["error"]), style="red")
    lines = Text()
    if not reply["confident"]:
        lines.append("no confident match; nearest:\n", style="yellow")
    for rank, hit in enumerate(reply["hits"], 1):
        style = "bold" if rank == 1 and reply["confident"] else ""
        lines.append(f"{rank:>3}. ", style="cyan")
        lines.append(hit["answer"], style=style)
        score = f", score {hit['score'] / ONE:.2f}" if "score" in hit else ""
        lines.append(f"  [{hit['id']}{score}, {hit['distance']}/{bits}]\n", style="dim")
    lines.rstrip()
    return lines


def say(message: str) -> None:
    """A line about what is being done, on stderr: stdout is for results."""
    print(message, file=sys.stderr, flush=True)


class Progress:
    """One line on stderr that is rewritten in place, only on a terminal and only for work longer than a moment."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._last = 0.0
        self._drawn = False

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` are done."""
        now = time.monotonic()
        if not sys.stderr.isatty() or now - self._started < 0.5 or (now - self._last < 0.1 and done < total):
            return
        self._last, self._drawn = now, True
        print(f"\r\033[K{step} {done}/{total}", end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        """Remove the line."""
        if self._drawn:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self._drawn = False


class Steps:
    """Steps of something slow, on stderr: one line that is rewritten on a terminal, else a line each."""

    def __init__(self) -> None:
        self._drawn = False

    def __call__(self, step: str) -> None:
        """Show a step that begins."""
        self._drawn = sys.stderr.isatty()
        before, after = ("\r\033[K", "") if self._drawn else ("", "\n")
        print(f"{before}{step}", end=after, file=sys.stderr, flush=True)

    def done(self) -> None:
        """Remove the line."""
        if self._drawn:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self._drawn = False
