"""Boards on serial ports that are asked questions: each found out about when it is opened, and waited for when it vanishes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bitwren.errors import BitwrenError

from .port_access import PortBusy, PortMissing
from .port_names import resolve
from .probe import look
from .repl import RawRepl
from .serial_link import LinkClosed, LinkTimeout, PortLine
from .targets import ANSWER_SECONDS, LineTarget, wait_for_console

_GREETING = 4.0  # seconds for a console to say what is open; a REPL is asked after that
_PATIENCE = 8.0  # for a REPL
_ABSENCE = 300.0  # seconds for a board to come back
_START = b"\rimport bitwren.console; bitwren.console.main()\r"


class NoBitwren(BitwrenError):
    """A board with MicroPython that has no bitwren, or no bundle."""


class BoardOnPort:
    """A :class:`.Target` on a serial port.

    :ivar name: the port as the user named it.
    """

    def __init__(self, name: str, say: Callable[[str], None], timing: bool = False, absence: float = _ABSENCE) -> None:
        """Open it and see that bitwren answers.

        :param say: is told what happens to the board. :param timing: whether answers tell the board's own ``ms``.
        :param absence: seconds for which a board that vanished is waited for.
        :raises LinkError: when the port cannot be opened, :class:`NoBitwren` and :class:`.NoAnswer` for what is behind it.
        """
        self.name, self._say, self._timing, self._absence = name, say, timing, absence
        self._line, self._target = self._open()

    def answer(self, query: str, k: int, effort: int | None = None, stages: str | None = None) -> dict[str, Any]:
        """As :class:`.LineTarget` does; a board that vanishes is waited for, and asked again.

        :raises BitwrenError: when it does not come back, or does not answer.
        """
        return self._with_patience(lambda target: target.answer(query, k, effort, stages))

    def info(self) -> dict[str, Any]:
        """The board's own description of itself."""
        return self._with_patience(lambda target: target.info())

    def close(self) -> None:
        """Let go of the port."""
        self._line.close()

    def _with_patience(self, ask: Callable[[LineTarget], dict[str, Any]]) -> dict[str, Any]:
        try:
            return ask(self._target)
        except LinkClosed:
            self._say(f"{self.name} is gone: waiting for it; Ctrl-C leaves")
        except LinkTimeout:
            self._say(f"{self.name} does not answer: looking what became of it")
        self._line.close()
        deadline = time.monotonic() + self._absence
        while True:
            try:
                self._line, self._target = self._open()
                self._say(f"{self.name} is back: asking again")
                return ask(self._target)
            except (PortMissing, LinkClosed, PortBusy):  # busy: what plugs it in may look at it first
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)

    def _open(self) -> tuple[PortLine, LineTarget]:
        line = PortLine(resolve(self.name))
        try:
            target = LineTarget(line, ANSWER_SECONDS, timing=self._timing)
            _greet(line, self.name)
        except BaseException:
            line.close()
            raise
        return line, target


@contextlib.contextmanager
def open_boards(names: Sequence[str], say: Callable[[str], None], timing: bool) -> Iterator[list[BoardOnPort]]:
    """Several boards, all of them or none.

    :raises BitwrenError: as :class:`BoardOnPort`.
    """
    with contextlib.ExitStack() as stack:
        boards = []
        for name in names:
            board = BoardOnPort(name, say, timing)
            stack.callback(board.close)
            boards.append(board)
        yield boards


def _greet(line: PortLine, name: str) -> None:
    """See that bitwren's console answers; start it where it is not running."""
    with contextlib.suppress(LinkTimeout):
        LineTarget(line, _GREETING).info()
        return
    repl = RawRepl(line)
    repl.demand(_PATIENCE, name)
    board = look(repl, name, ANSWER_SECONDS, bitwren=True)
    repl.leave(reset=False)
    deploy = f"bitwren deploy DIRECTORY --port {name}"
    if board.native is None:
        why = board.lacks[0] if board.lacks and "does not start" in board.lacks[0] else f"put it there: {deploy}"
        raise NoBitwren(f"The board on {name} runs MicroPython {board.version}, but not bitwren: {why}")
    if board.bundle is None:
        raise NoBitwren(f"The board on {name} has bitwren, but no bundle: {deploy}")
    line.write(_START)
    wait_for_console(line, ANSWER_SECONDS)
