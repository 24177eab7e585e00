"""A line to a board: bytes out, lines in. One small interface for a USB port, a pseudo-terminal and a process's pipes."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import serial

from bitwren.errors import BitwrenError


class LinkError(BitwrenError):
    """A line to a board that cannot be opened or used."""


class LinkTimeout(LinkError):
    """The other end did not answer, or did not take what was written, in time."""


class LinkClosed(LinkError):
    """The other end is gone: unplugged, or ended."""


class Line(Protocol):
    """What a board's console is to those who talk to it, whatever carries it."""

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""

    def readline(self, timeout: float) -> bytes:
        """Return the next line, without its line end; raise :class:`LinkTimeout` if none is complete in time."""

    def close(self) -> None:
        """Let go of the line. Closing twice is no error."""


class LineBuffer:
    """Cuts what a source of bytes delivers into lines.

    MicroPython ends lines with CR LF on a board and with LF on a computer; here both are line ends, and neither is
    part of a line. What has arrived of an unfinished line is kept for the next call.
    """

    def __init__(self, receive: Callable[[float], bytes]) -> None:
        """``receive`` waits for as many seconds as it is told and returns what has come, possibly nothing."""
        self._receive = receive
        self._pending = bytearray()
        self._searched = 0

    def readline(self, timeout: float) -> bytes:
        """Return the next line; see :meth:`Line.readline`."""
        deadline = time.monotonic() + timeout
        while (end := self._pending.find(b"\n", self._searched)) < 0:
            # Searching a long line again from its beginning for every piece would cost its length squared.
            self._searched = len(self._pending)
            left = deadline - time.monotonic()
            if left <= 0:
                raise LinkTimeout(f"No line came from the board within {timeout:g} s.{self._begun()}")
            self._pending += self._receive(left)
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        self._searched = 0
        return line.removesuffix(b"\r")

    def add(self, data: bytes) -> None:
        """Take bytes that came while something else was going on."""
        self._pending += data

    @property
    def begun(self) -> bool:
        """Whether a part of a line has come."""
        return bool(self._pending)

    def _begun(self) -> str:
        """Say what there is of a line, since it often tells why no line came (a prompt, half a traceback)."""
        if not self._pending:
            return ""
        return f" Only this came: {bytes(self._pending[-200:]).decode('utf-8', 'replace')!r}"


class PortLine:
    """A line over a serial port, a pseudo-terminal or what pyserial has an URL for (``socket://``, ``rfc2217://``)."""

    def __init__(self, port: str, baud: int = 115200, write_timeout: float = 30.0) -> None:
        """Open ``port``, for nobody else. ``baud`` matters to a UART only; USB and pseudo-terminals go as fast as they can.

        :raises LinkError: when it does not open; :func:`.port_access.check_port` knows better why.
        """
        self.port = port
        try:
            # Two programs that read one port take each other's bytes.
            self._serial = serial.serial_for_url(port, baud, write_timeout=write_timeout, exclusive=True)
        except (serial.SerialException, OSError, ValueError) as error:
            raise LinkError(
                f"Cannot open {port}: {error}. Is the board plugged in, and no other program (mpremote, a terminal) using it? "
                "`bitwren ports` lists the ports there are."
            ) from error
        self._lines = LineBuffer(self._receive)

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        try:
            self._serial.write(data)
        except serial.SerialTimeoutException as error:
            raise LinkTimeout(f"The board on {self.port} does not take what is sent to it. Reset it and try again.") from error
        except (serial.SerialException, OSError) as error:
            raise self._gone(error) from error

    def readline(self, timeout: float) -> bytes:
        """Return the next line, without its line end; raise :class:`LinkTimeout` if none is complete in time."""
        return self._lines.readline(timeout)

    @property
    def begun(self) -> bool:
        """Whether a part of a line has come."""
        return self._lines.begun

    def close(self) -> None:
        """Close the port."""
        self._serial.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _receive(self, timeout: float) -> bytes:
        try:
            self._serial.timeout = timeout
            # One byte is worth waiting for; what came along with it is taken at no extra wait.
            first: bytes = self._serial.read(1)
            return first + self._serial.read(self._serial.in_waiting) if first else first
        except (serial.SerialException, OSError, TypeError) as error:
            # pyserial meets a port that was closed under it with a TypeError.
            raise self._gone(error) from error

    def _gone(self, error: Exception) -> LinkClosed:
        return LinkClosed(f"The board on {self.port} is gone ({error}). Plug it in again, or reset it.")
