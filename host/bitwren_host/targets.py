"""Where a bundle is searched: by the reference on this host, by MicroPython's unix port, by an emulated Pico. One interface."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from bitwren.bundle import Bundle
from bitwren.errors import BitwrenError

from .board_files import bundle_files, firmware_files
from .emulator import EmulatedPico, UnixPort, pico_image
from .serial_link import Line, PortLine

NAMES = ("host", "unix", "pico")
ANSWER_SECONDS = 60.0
"""Patience for one answer; an emulated board on a busy machine is slow, a dead one should not hang a script for ever."""


class Target(Protocol):
    """Something that answers queries as docs/protocol.md says."""

    def answer(self, query: str, k: int) -> dict[str, Any]:
        """One answer object: hits and confidence, or an error."""

    def info(self) -> dict[str, Any]:
        """What answers: documents, bits, how files are read, which code runs."""


class HostTarget:
    """The Python reference."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def answer(self, query: str, k: int) -> dict[str, Any]:
        """Search with the reference."""
        return self._bundle.answer(query, k)

    def info(self) -> dict[str, Any]:
        """The bundle as the reference sees it."""
        table = self._bundle.table
        return {"documents": len(table.codes), "bits": table.bits, "native": "reference (Python)"}


class LineTarget:
    """A board, real or emulated, that serves bitwren's console on a line."""

    def __init__(self, line: Line, seconds: float = ANSWER_SECONDS) -> None:
        self._line = line
        self._seconds = seconds

    def answer(self, query: str, k: int) -> dict[str, Any]:
        """Send one JSON line and read one."""
        return self._ask({"query": query, "k": k})

    def info(self) -> dict[str, Any]:
        """The board's own description of itself."""
        return self._ask({"cmd": "info"})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._line.write(json.dumps(request).encode() + b"\n")
        deadline = time.monotonic() + self._seconds
        seen: list[bytes] = []
        while time.monotonic() < deadline:
            line = self._line.readline(max(0.0, deadline - time.monotonic()))
            start = line.find(b"{")
            if start >= 0:
                with contextlib.suppress(ValueError):
                    reply = json.loads(line[start:])
                    if isinstance(reply, dict):
                        return reply
            seen = [*seen[-4:], line]
        said = b"".join(seen).decode("utf-8", "replace").strip() or "nothing"
        raise BitwrenError(f"the board did not answer within {self._seconds:.0f} s; it last said: {said}")


@contextlib.contextmanager
def open_target(name: str, directory: Path) -> Iterator[Target]:
    """Start what ``--on`` names with a bundle and stop it afterwards.

    :raises BitwrenError: when the bundle is damaged or the target cannot be started.
    """
    bundle = Bundle.read(directory)
    if name == "host":
        yield HostTarget(bundle)
    elif name == "unix":
        with tempfile.TemporaryDirectory(prefix="bitwren-") as folder:
            _write_files(Path(folder), firmware_files("x64") | bundle_files(directory))
            with UnixPort(Path(folder)) as line:
                yield LineTarget(line)
    elif name == "pico":
        image = pico_image(firmware_files("armv6m") | bundle_files(directory))
        with EmulatedPico(image) as pico, PortLine(pico.path) as line:
            yield LineTarget(line)
    else:
        raise BitwrenError(f"there is no target {name!r}: choose one of {', '.join(NAMES)}")


def _write_files(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
