"""The console: questions in, answers out, for a person at a terminal or a script on a pipe, from one target or several."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from bitwren.errors import BitwrenError
from bitwren.queries import check_effort
from bitwren.scoring import NAMES

from . import show
from .targets import Target

HELP = "type a question; :help lists what else there is, Ctrl-] or Ctrl-D leaves"
COMMANDS = """\
:k N          how many answers, as in ':k 5'
:stages NAME  what ranks the nearest: hamming, vectors, words or all
:effort N     percent of a residual table to read, 1 to 100
:json         answers as JSON, as a program gets them; again: as text
:info         what answers: documents, how files are read, what computes
:board N      ask board N alone; ':board all' asks all of them
:help         this
:quit         leave, as Ctrl-] and Ctrl-D do"""

ALWAYS_EXACT = "effort changes nothing here: this table is searched exactly anyway"
_LEAVE = (":q", ":quit", ":exit")
_CTRL_BRACKET = "\x1d"
_KEPT = 1000  # lines of history


@dataclass
class Asked:
    """How questions are asked."""

    k: int = 3
    effort: int | None = None
    stages: str | None = None


def answer_lines(
    target: Target | Mapping[str, Target],
    lines: Iterable[bytes],
    k: int,
    effort: int | None,
    out: TextIO,
    stages: str | None = None,
) -> None:
    """Answer each line of a pipe with one JSON object on one line (docs/protocol.md).

    :param target: several, by name, answer each line with an object each, which begins with ``port``, its name.
    """
    targets: Mapping[str, Target] = target if isinstance(target, Mapping) else {"": target}
    for raw in lines:
        try:
            query = raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            bad = {"query": raw.decode("utf-8", "replace").rstrip("\r\n"), "error": "the query is not UTF-8"}
            replies = dict.fromkeys(targets, bad)
        else:
            replies = _ask(targets, query, Asked(k, effort, stages))
        for name, reply in replies.items():
            labelled = {"port": name} | reply if len(targets) > 1 else reply
            print(json.dumps(labelled, ensure_ascii=False), file=out, flush=True)


def converse(
    target: Target | Mapping[str, Target], k: int, effort: int | None, stages: str | None = None, history: Path | None = None
) -> None:
    """Ask a person for questions until they leave.

    :param target: several, by name, answer each question. :param history: the file that keeps what was asked; None: none does.
    """
    talk = _Conversation(target if isinstance(target, Mapping) else {"": target}, Asked(k, effort, stages))
    with _editing(history):
        talk.introduce()
        while True:
            try:
                line = input("> ").strip()
            except EOFError:
                show.out.print()
                return
            if line in _LEAVE or _CTRL_BRACKET in line:
                return
            try:
                talk.hear(line)
            except BitwrenError as error:
                show.out.print(str(error), style="red")


def history_file() -> Path:
    """Where what was asked is kept from one console to the next."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "bitwren" / "history"


def _ask(targets: Mapping[str, Target], query: str, asked: Asked) -> dict[str, dict[str, Any]]:
    """Everybody's answers; asked at once, so that a slow board keeps nobody waiting but the reader."""

    def ask(target: Target) -> dict[str, Any]:
        return target.answer(query, asked.k, asked.effort, asked.stages)

    if len(targets) == 1:
        return {name: ask(target) for name, target in targets.items()}
    with ThreadPoolExecutor(len(targets)) as pool:
        return dict(zip(targets, pool.map(ask, targets.values()), strict=True))


class _Conversation:
    """What one person has set, and who answers."""

    def __init__(self, targets: Mapping[str, Target], asked: Asked) -> None:
        self._targets, self._asked = targets, asked
        self._chosen: Mapping[str, Target] = targets
        self._bits: dict[str, int] = {}
        self._raw = False

    def introduce(self) -> None:
        for number, (name, target) in enumerate(self._targets.items(), 1):
            info = target.info()
            self._bits[name] = int(info.get("bits", 0))
            read = "".join(f", {file} {kind}" for file, kind in info.get("storage", {}).items())
            what = f"{info.get('documents')} documents, {self._bits[name]} bits, {info.get('layout')} layout"
            label = f"[{number}] {name}: " if len(self._targets) > 1 else ""
            show.out.print(f"{label}{what}, searched by {info.get('native')}{read}", style="dim", markup=False)
        show.out.print(HELP, style="dim")

    def hear(self, line: str) -> None:
        """A line of the person's."""
        command, _, value = line.partition(" ")
        does: dict[str, Callable[[str], None]] = {
            ":k": self._set_k,
            ":effort": self._set_effort,
            ":stages": self._set_stages,
            ":board": self._choose,
            ":json": self._toggle,
            ":info": self._info,
        }
        if command in does:
            does[command](value.strip())
        elif line.startswith(":"):
            show.out.print(COMMANDS, markup=False)
        elif line:
            self._question(line)

    def _question(self, line: str) -> None:
        began = time.monotonic()
        replies = _ask(self._chosen, line, self._asked)
        took = round((time.monotonic() - began) * 1000)
        for name, reply in replies.items():
            self._label(name)
            own = f"{reply['ms']} ms on the board, " if "ms" in reply else ""
            if self._raw:
                show.out.print(json.dumps(reply, ensure_ascii=False), markup=False)
                continue
            show.out.print(show.answer(reply, self._bits[name]))
            show.out.print(f"{own}{took} ms until it was here", style="dim")
            if reply.get("exact"):
                show.out.print(ALWAYS_EXACT, style="dim")

    def _label(self, name: str) -> None:
        if len(self._targets) > 1:
            show.out.print(f"[{list(self._targets).index(name) + 1}] {name}", style="bold cyan", markup=False)

    def _info(self, value: str) -> None:
        for name, target in self._chosen.items():
            self._label(name)
            show.out.print_json(json.dumps(target.info()))

    def _toggle(self, value: str) -> None:
        self._raw = not self._raw
        show.out.print("answers are JSON" if self._raw else "answers are text", style="dim")

    def _choose(self, value: str) -> None:
        names = list(self._targets)
        if value == "all":
            self._chosen = self._targets
        elif value.isdigit() and 1 <= int(value) <= len(names):
            name = names[int(value) - 1]
            self._chosen = {name: self._targets[name]}
        else:
            show.out.print(f":board takes a number from 1 to {len(names)}, or all")

    def _set_k(self, value: str) -> None:
        if value.isdigit() and int(value) >= 1:
            self._asked.k = int(value)
        else:
            show.out.print(f":k takes a number from 1, as in ':k 5'; it is {self._asked.k}")

    def _set_effort(self, value: str) -> None:
        try:
            wanted = int(value)
            check_effort(wanted)
        except (ValueError, BitwrenError):
            now = self._asked.effort or "what the table was built for"
            show.out.print(f":effort takes a number from 1 to 100, as in ':effort 10'; it is {now}")
        else:
            self._asked.effort = wanted

    def _set_stages(self, value: str) -> None:
        if value in NAMES:
            self._asked.stages = value
        else:
            now = self._asked.stages or "all that the table has"
            show.out.print(f":stages takes one of {', '.join(NAMES)}; it is {now}")


@contextlib.contextmanager
def _editing(history: Path | None) -> Any:
    """Line editing with history, where Python has it, and Ctrl-] as a way out."""
    try:
        import readline
    except ImportError:
        yield
        return
    readline.set_auto_history(True)
    readline.parse_and_bind(r'"\C-]": "\C-e\C-u:quit\C-m"')
    if history:
        with contextlib.suppress(OSError):
            readline.read_history_file(history)
    try:
        yield
    finally:
        if history:
            _keep(readline, history)


def _keep(readline: Any, history: Path) -> None:
    last = readline.get_current_history_length()
    if last and readline.get_history_item(last) in _LEAVE:
        readline.remove_history_item(last - 1)
    readline.set_history_length(_KEPT)
    with contextlib.suppress(OSError):  # a home that cannot be written to: no history then
        history.parent.mkdir(parents=True, exist_ok=True)
        readline.write_history_file(history)
