"""MicroPython's raw REPL: scripts that a board runs for the host, and what they find."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from bitwren.errors import BitwrenError

from .serial_link import Line, LinkError, LinkTimeout, PortLine

_INTERRUPT, _RAW, _END, _FRIENDLY = b"\r\x03\x03", b"\x01", b"\x04", b"\x02"
_PIECE, _PAUSE = 128, 0.01  # a UART drops what comes faster than the board takes it
MARK = b"BITWREN {"
# Printed in two parts, so that a device that only echoes is not taken for one that computes.
_REPORT = b"""
import json
def report(found):
    print("BIT" + "WREN " + json.dumps(found))
"""


def ask(port: str, script: bytes, seconds: float = 15.0, patience: float = 3.0) -> dict[str, Any] | None:
    """What a script finds on a board; None when there is no MicroPython. A program that runs there is ended and started again.

    :param script: calls ``report(a dictionary)`` once. :param seconds: how long it may take.
    :param patience: seconds without a raw REPL until it counts as something else; an emulated board wants more than a real one.
    :raises LinkError: when the port cannot be opened or used. :raises BitwrenError: when the script does not report.
    """
    with PortLine(port, write_timeout=3.0) as line:
        if not enter(line, patience):
            return None
        send(line, _REPORT + script)
        said = answers(line, MARK, seconds)
        line.write(_FRIENDLY + _END)  # a soft reset: what ran before runs again
    try:
        found = json.loads(said[said.index(MARK) + len(MARK) - 1 :])
    except ValueError as error:
        raise BitwrenError(f"{port} is MicroPython but does not say which: reset it and try again") from error
    return dict(found)


def tell(port: str, script: bytes, patience: float = 3.0) -> bool:
    """Have a board run a script after which it is gone; whether there was a MicroPython to do so.

    :raises LinkError: when the port cannot be opened or used.
    """
    with PortLine(port, write_timeout=3.0) as line:
        if not enter(line, patience):
            return False
        with contextlib.suppress(LinkError):
            send(line, script)
            line.readline(1.0)  # until it is gone: a port that is closed at once may lose what was written
    return True


def enter(line: Line, patience: float) -> bool:
    """Bring MicroPython to its raw REPL. Asked again and again: a program that reads may swallow what comes with the Ctrl-C."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        line.write(_INTERRUPT + _RAW)
        if answers(line, b"raw REPL", 1.0):
            return True
    return False


def send(line: Line, script: bytes) -> None:
    """Have the raw REPL run a script."""
    for begin in range(0, len(script), _PIECE):
        line.write(script[begin : begin + _PIECE])
        time.sleep(_PAUSE)
    line.write(_END)


def answers(line: Line, wanted: bytes, seconds: float) -> bytes:
    """The first line that holds what is wanted, or nothing."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            said = line.readline(left)
        except LinkTimeout:
            break
        if wanted in said:
            return said
    return b""
