"""Where a bundle is searched: by the reference on this host, by MicroPython's unix port, by an emulated board. One interface."""

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
from bitwren.scoring import choose

from .board_files import bundle_files, cache_folder, firmware_files
from .emulator import EmulatedPico, UnixPort, pico_image
from .qemu import MACHINES, QemuBoard
from .serial_link import Line, LinkTimeout, PortLine

NAMES = ("host", "unix", "pico", *MACHINES)
NO_BUNDLE = "no bundle here"
"""How the sentence of a board without a bundle begins (firmware/bitwren/messages.py)."""
ANSWER_SECONDS = 60.0
"""Patience for one answer; an emulated board on a busy machine is slow, a dead one should not hang a script for ever."""


class Target(Protocol):
    """Something that answers queries as docs/protocol.md says."""

    def answer(self, query: str, k: int, effort: int | None = None, stages: str | None = None) -> dict[str, Any]:
        """One answer object: hits and confidence, or an error.

        :param effort: percent of a residual table's codes to read; None: what the table was built for.
        :param stages: what ranks the nearest, one of :data:`bitwren.scoring.NAMES`; None: all that the table has.
        """

    def info(self) -> dict[str, Any]:
        """What answers: documents, bits, how files are read, which code runs."""


class HostTarget:
    """The Python reference."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def answer(self, query: str, k: int, effort: int | None = None, stages: str | None = None) -> dict[str, Any]:
        """Search with the reference."""
        return self._bundle.answer(query, k, effort, stages)

    def info(self) -> dict[str, Any]:
        """The bundle as the reference sees it."""
        table = self._bundle.table
        documents = int(table.live.sum())
        return {
            "documents": documents,
            "bits": table.bits,
            "layout": table.layout,
            "stages": choose(table, None).name,
            "native": "reference (Python)",
        }


class LineTarget:
    """A board, real or emulated, that serves bitwren's console on a line."""

    def __init__(self, line: Line, seconds: float = ANSWER_SECONDS, timing: bool = False) -> None:
        """:param timing: whether answers tell the board's own milliseconds, as ``ms``."""
        self._line = line
        self._seconds = seconds
        self._timing = {"time": True} if timing else {}

    def answer(self, query: str, k: int, effort: int | None = None, stages: str | None = None) -> dict[str, Any]:
        """Send one JSON line and read one."""
        chosen = {"effort": effort, "stages": stages}
        return self._ask(
            {"query": query, "k": k} | self._timing | {key: value for key, value in chosen.items() if value is not None}
        )

    def info(self) -> dict[str, Any]:
        """The board's own description of itself."""
        return self._ask({"cmd": "info"})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._line.write(json.dumps(request, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        deadline = time.monotonic() + self._seconds
        while True:
            # A banner may come first; a reply is the first line that is a JSON object.
            line = self._line.readline(max(0.0, deadline - time.monotonic()))
            with contextlib.suppress(ValueError):
                reply = json.loads(line[max(0, line.find(b"{")) :])
                if isinstance(reply, dict) and reply != request:  # a REPL echoes what it is sent
                    return reply


def wait_for_console(line: PortLine, seconds: float) -> None:
    """Wait until a board that was reset serves its console.

    :raises BitwrenError: with what it said, when it does not.
    """
    deadline = time.monotonic() + seconds
    said = ""
    while True:
        try:
            text = line.readline(max(0.0, deadline - time.monotonic())).decode("utf-8", "replace")
        except LinkTimeout as error:
            raise BitwrenError(f"The board on {line.port} does not serve its console after a reset. {said}".rstrip()) from error
        if text.startswith("Type a question."):
            return
        if text.startswith("bitwren: the console is closed") or text.startswith(f"bitwren: {NO_BUNDLE}"):
            raise BitwrenError(f"The board on {line.port} ended its console at once. {said or text}")
        if text.startswith("bitwren: ") or "Error" in text:
            said = f"It said: {text}"


@contextlib.contextmanager
def open_target(name: str, directory: Path, firmware: Path | None = None) -> Iterator[Target]:
    """Start what ``--on`` names with a bundle and stop it afterwards.

    :param firmware: the emulated Pico's UF2; None: the one that ``make pico-firmware`` built.
    :raises BitwrenError: when the bundle is damaged or the target cannot be started.
    """
    bundle = Bundle.read(directory)
    if name == "host":
        yield HostTarget(bundle)
    elif name == "unix":
        binary = cache_folder() / "micropython" / "unix" / "micropython"
        with tempfile.TemporaryDirectory(prefix="bitwren-") as temporary:
            folder = Path(temporary)
            _write_files(folder, firmware_files("x64") | bundle_files(directory))
            with UnixPort(binary, folder / "main.py", folder=folder, modules=[folder / "lib"]) as unix:
                yield LineTarget(unix)
    elif name == "pico":
        image = pico_image(firmware_files("armv6m") | bundle_files(directory))
        firmware = firmware or cache_folder() / "micropython" / "pico" / "firmware.uf2"
        with EmulatedPico(firmware, image) as pico, PortLine(pico.port) as line:
            yield LineTarget(line)
    elif name in MACHINES:
        files = firmware_files(MACHINES[name].arch) | bundle_files(directory)
        with (
            QemuBoard(name, cache_folder() / "micropython" / name / "firmware.elf", files) as board,
            PortLine(board.port) as line,
        ):
            yield LineTarget(line)
    else:
        raise BitwrenError(f"there is no target {name!r}: choose one of {', '.join(NAMES)}")


def _write_files(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
