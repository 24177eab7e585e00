"""What the steps of flashing one board share: progress, being stopped, and what state the board is in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from bitwren.boards import Board
from bitwren.errors import BitwrenError

Report = Callable[[str, int, int], None]
"""Called with a step's name, what is done of it and the total; 0 of 0 where nobody knows."""

Seen = TypeVar("Seen")
HALF = "The board does not start until it is flashed whole; its boot loader is in ROM and cannot be harmed: run this again"
HALF_A_BUNDLE = "The bundle there is written in part, firmware and files are as they were: run this again"
UNTOUCHED = "Nothing was written: the board is as it was"


class Stopped(BitwrenError):
    """Flashing that the user ended; the text says what state the board is in."""


@dataclass
class Patience:
    """Seconds to wait: for a boot loader's drive, a board's start, its answers, its sums of all flash, a sign of MicroPython."""

    drive: float = 30.0
    start: float = 60.0
    answer: float = 60.0
    verify: float = 60.0
    repl: float = 5.0


@dataclass
class Work:
    """One board's flashing.

    :ivar stop: set by whoever wants it to end. :ivar state: a sentence on the board, were it to end now.
    :ivar half: what the state is while it is written.
    """

    report: Report = lambda step, done, total: None
    stop: threading.Event = field(default_factory=threading.Event)
    state: str = UNTOUCHED
    half: str = HALF
    patience: Patience = field(default_factory=Patience)

    def at(self, step: str, done: int = 0, total: int = 0) -> None:
        """Show where it is.

        :raises Stopped: when it is to end.
        """
        self.check()
        self.report(step, done, total)

    def check(self) -> None:
        """Go on, unless it is to end.

        :raises Stopped: when it is.
        """
        if self.stop.is_set():
            raise Stopped(f"stopped. {self.state}")

    def wait_for(self, step: str, look: Callable[[], Seen | None], seconds: float, pause: float = 0.1) -> Seen | None:
        """Look again and again until something is seen; None when it is not in time."""
        deadline = time.monotonic() + seconds
        while True:
            self.at(step)
            if (seen := look()) is not None:
                return seen
            if time.monotonic() > deadline:
                return None
            self.stop.wait(pause)


def a(board: Board) -> str:
    """A board's title with its article."""
    return f"{'an' if board.title[0] in 'AEIOU' else 'a'} {board.title}"
