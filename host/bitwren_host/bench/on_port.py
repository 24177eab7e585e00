"""What a query takes on a board that is plugged in, by its own clock."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from bitwren.errors import BitwrenError

from ..on_board import FORGET
from ..probe import look
from ..repl import RawRepl
from ..serial_link import PortLine

STEPS = ("encode", "search", "rank", "whole")
"""Text to code; the Hamming search of as many as are ranked; ranking them and reading the answers, which is what remains of the
whole query."""
QUESTIONS, REPEATS = 8, 3
_PATIENCE, _SECONDS = 15.0, 120.0
_EMULATED = re.compile(r"mps2-|virt with|microbit with", re.IGNORECASE)
_OPEN = """
import gc, time
import bitwren
from array import array
from bitwren.console import find_bundle
wren = bitwren.open(find_bundle())
ticks, unit = (time.ticks_us, 1) if hasattr(time, "ticks_us") else (time.ticks_ms, 1000)
"""
# The first words of documents' answers, spread over the table: questions that any bundle has.
_MEASURE = (
    """
def question(index, count):
    answer = wren._hit(0, wren._slots * index // count).answer
    return " ".join(answer.split()[:8])
def timed(call, *arguments):
    gc.collect()
    began = ticks()
    call(*arguments)
    return time.ticks_diff(ticks(), began) * unit
""",
    """
def measure(text, k):
    data, stages = text.encode(), wren._stages
    k = min(k, wren.count)
    wanted = min(stages.candidates(k), wren.count) if stages else k
    pairs = array("I", bytes(8 * wanted))
    encode = timed(wren._encode, data)
    search = timed(wren._native.search, wren._table.source, wren._code, wanted, pairs, wren._work, wren.effort, None, None)
    return [encode, search, timed(wren.search, text, k)]
""",
)


@dataclass(frozen=True)
class Timing:
    """Of one board. :attr:`microseconds` are of each question, the best of its repeats, by step.

    :ivar simulated: whether an emulator computed, whose clock is no chip's. :ivar info: what is open there.
    """

    port: str
    machine: str
    version: str
    simulated: bool
    info: dict[str, Any]
    microseconds: dict[str, list[int]]

    def json(self) -> dict[str, Any]:
        """For programs: medians and worst cases in milliseconds."""
        times = {step: {"median": median(found) / 1000, "most": max(found) / 1000} for step, found in self.microseconds.items()}
        questions = len(self.microseconds["whole"])
        return {key: value for key, value in vars(self).items() if key != "microseconds"} | {"questions": questions, "ms": times}

    def text(self) -> str:
        """For people."""
        info, found = self.info, self.json()
        what = "Simulated, by an emulator's clock" if self.simulated else "Measured on the board, by its own clock"
        read = ", ".join(f"{name} {kind}" for name, kind in info["storage"].items())
        lines = [
            f"{what}: {self.machine}, MicroPython {self.version}, on {self.port}",
            f"{info['name']}: {info['documents']} documents, {info['bits']} bits, {info['layout']}, stages {info['stages']}; "
            f"{read}; computed by {info['native']}",
            f"ms, of {found['questions']} questions, the best of {REPEATS} each",
            f"{'':<18}{'median':>10}{'most':>10}",
        ]
        names = {"rank": "rank and answers", "whole": "whole query"}
        lines += [f"{names.get(step, step):<18}{ms['median']:>10.2f}{ms['most']:>10.2f}" for step, ms in found["ms"].items()]
        return "\n".join(lines)


def is_simulated(port: str, machine: str) -> bool:
    """Whether an emulator is behind a port: a pseudo-terminal has no chip at its end, and QEMU's boards say what they are."""
    return port.startswith("/dev/pts/") or bool(_EMULATED.match(machine))


def time_board(port: str, k: int, progress: Callable[[str, int, int], None]) -> Timing:
    """Time the queries of the board at a port, which starts again what it did before.

    :param k: how many answers a query has.
    :raises BitwrenError: when no bundle is open there, or the board does not answer.
    """
    with PortLine(port) as line:
        repl = RawRepl(line)
        repl.demand(_PATIENCE, port)
        try:
            repl.define(FORGET)
            board = look(repl, port, _SECONDS, bitwren=True)
            if board.bundle is None:
                raise BitwrenError(
                    f"The board on {port} has no bundle that bitwren opens: bitwren deploy DIRECTORY --port {port}"
                )
            repl.define(FORGET, _OPEN, *_MEASURE)
            found: dict[str, list[int]] = {step: [] for step in STEPS}
            for index in range(QUESTIONS):
                progress("questions", index, QUESTIONS)
                best = _best(repl, index, k)
                for step, took in zip(STEPS, (*best[:2], max(0, best[2] - best[0] - best[1]), best[2]), strict=True):
                    found[step].append(took)
            info = repl.run("say(wren.info())", _SECONDS)
        finally:
            repl.leave()
    return Timing(port, board.machine, board.version, is_simulated(port, board.machine), info, found)


def _best(repl: RawRepl, index: int, k: int) -> list[int]:
    """The least that each step of a question took."""
    repl.define(f"text = question({index}, {QUESTIONS})")
    times = [repl.run(f"say(measure(text, {k}))", _SECONDS) for _ in range(REPEATS)]
    return [min(step) for step in zip(*times, strict=True)]
