"""A board in MicroPython's raw REPL, asked several things one after the other. Files go by mpremote."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

from bitwren.errors import BitwrenError

from . import raw_repl
from .serial_link import LinkTimeout, PortLine

_END, _FRIENDLY = b"\x04", b"\x02"
_MARK = b"BITWREN "
_DEFINITION = 30.0  # seconds to take in a piece of a program
# Printed in two parts, so that a device that only echoes is not taken for one that computes.
_SAY = """
import json
def say(what=None):
    print("BIT" + "WREN " + json.dumps(what))
"""
_ERROR = re.compile(rb"[A-Za-z]*(Error|Interrupt|Exit)\b.*")


class ReplError(BitwrenError):
    """A script that did not run to its end on a board."""


class NoAnswer(BitwrenError):
    """A port behind which nothing answers, or something that is no MicroPython."""


class RawRepl:
    """A board in its raw REPL. What ran there is ended: :meth:`leave` starts it again."""

    def __init__(self, line: PortLine) -> None:
        self._line = line
        self.heard = False
        """Whether anything at all came from the other end."""

    def enter(self, patience: float) -> bool:
        """Bring MicroPython to its raw REPL. False when it is something else that is at the other end.

        :param patience: seconds; it is asked again and again, as a program that reads may swallow what comes with the Ctrl-C.
        """
        if not raw_repl.enter(self, patience):
            return False
        self.run(_SAY + "say()", patience)
        return True

    def write(self, data: bytes) -> None:
        """As a :class:`.Line`."""
        self._line.write(data)

    def readline(self, timeout: float) -> bytes:
        """As a :class:`.Line`."""
        try:
            line = self._line.readline(timeout)
        except LinkTimeout:
            self.heard = self.heard or self._line.begun
            raise
        self.heard = True
        return line

    def close(self) -> None:
        """As a :class:`.Line`."""
        self._line.close()

    def demand(self, patience: float, name: str) -> None:
        """The same.

        :param name: of the port, for the sentence. :raises NoAnswer: when it is something else, or nothing.
        """
        if self.enter(patience):
            return
        if self.heard:
            raise NoAnswer(f"{name} answers, but not as MicroPython: flash that first (bitwren flash), or take another port.")
        raise NoAnswer(
            f"{name} does not answer: press the board's reset button, or plug it in again, and try again. If it never had "
            "MicroPython: bitwren flash."
        )

    def run(self, script: str, seconds: float) -> Any:
        """Run a script that calls ``say(what)`` once; what it says, which JSON can hold.

        :param seconds: how long it may take. :raises ReplError: with the script's own error, or when nothing was said in time.
        """
        raw_repl.send(self, script.encode())
        return self._hear(time.monotonic() + seconds)

    def collect(self, script: str, seconds: float) -> list[Any]:
        """The same for one that says many things, and None at its end: a small board has no memory for all of them at once."""
        raw_repl.send(self, script.encode())
        deadline, said = time.monotonic() + seconds, []
        while (what := self._hear(deadline)) is not None:
            said.append(what)
        return said

    def _hear(self, deadline: float) -> Any:
        """What is said next."""
        failed = False
        for said in self._lines(deadline - time.monotonic()):
            if _MARK in said:
                try:
                    return json.loads(said[said.index(_MARK) + len(_MARK) :])
                except ValueError as error:
                    raise ReplError(f"The board on {self._line.port} answers garbled: reset it and try again.") from error
            failed = failed or b"\x04Traceback" in said
            if failed and _ERROR.fullmatch(said):
                raise ReplError(f"The board on {self._line.port} says: {said.decode('utf-8', 'replace')}")
        raise ReplError(f"The board on {self._line.port} did not answer in time: reset it and try again.")

    def define(self, *pieces: str) -> None:
        """Run pieces that say nothing, one after the other: a small board has no memory to compile them all at once."""
        for piece in pieces:
            self.run(piece + "\nsay()", _DEFINITION)

    def leave(self, reset: bool = True) -> None:
        """Go to the prompt; with ``reset``, a soft reset, whatever ran before runs again."""
        self._line.write(_FRIENDLY + (_END if reset else b""))

    def _lines(self, seconds: float) -> Iterator[bytes]:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                yield self.readline(left)
            except LinkTimeout:
                return
