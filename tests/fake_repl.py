"""A device on a pseudo-terminal that speaks MicroPython's raw REPL and is whatever board a test needs; or no board at all."""

from __future__ import annotations

import json
import os
import select
import threading
import tty
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

RAW = b"raw REPL; CTRL-B to exit\r\n>"
MPY_6_3 = 6 | 3 << 8
ARMV6M, XTENSA, NONE = 4 << 10, 9 << 10, 0


def look(**changes: Any) -> dict[str, Any]:
    """What a Pico says of itself, with changes."""
    pico = {
        "version": [1, 25, 0],
        "mpy": MPY_6_3 | ARMV6M,
        "machine": "Raspberry Pi Pico with RP2040",
        "heap": 230_000,
        "root": "",
    }
    return pico | {"block": 4096, "blocks": 352, "free": 1_200_000} | changes


@dataclass
class Fake:
    """A board.

    :ivar kind: ``board``, or ``silent`` or ``echo``, which are none. :ivar found: what it is.
    :ivar files: [path, size, digest] of what is there. :ivar rest: as on_board's rest() says it.
    :ivar wrong: what has not arrived whole. :ivar at_write: what becomes of the n-th piece written: ``full`` or ``gone``.
    :ivar scripts: what it was sent.
    """

    kind: str = "board"
    found: dict[str, Any] = field(default_factory=look)
    files: list[list[Any]] = field(default_factory=list)
    rest: dict[str, Any] = field(default_factory=lambda: {"bundles": [], "main": "none", "writable": True})
    wrong: list[str] = field(default_factory=list)
    at_write: tuple[int, str] = (0, "")
    scripts: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.port = os.ttyname(self._theirs)
        self._ending = False
        self._writes = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ending = True
        self._thread.join(10)
        for end in (self._ours, self._theirs):
            if end >= 0:
                os.close(end)

    def _serve(self) -> None:
        script = bytearray()
        while not self._ending and self._ours >= 0:
            if not select.select([self._ours], [], [], 0.05)[0]:
                continue
            data = os.read(self._ours, 4096)
            if self.kind == "echo":
                os.write(self._ours, data)
            if self.kind != "board":
                continue
            script += data
            if script.startswith(b"\x05A\x01"):  # raw paste, which it does not know
                del script[:3]
                os.write(self._ours, b"R\x00")
            while (at := min((script.find(byte) for byte in (b"\x01", b"\x02", b"\x04") if byte in script), default=-1)) >= 0:
                control, text = script[at], bytes(script[:at])
                del script[: at + 1]
                if control == 1:
                    os.write(self._ours, RAW)
                elif control == 4:
                    self._run(text.decode())
            if script in (b"\r\x03", b"\r\x03\x03", b"\r"):
                script.clear()

    def _run(self, script: str) -> None:
        self.scripts.append(script)
        last = script.strip().rpartition("\n")[2]
        error = ""
        said: list[Any] = []
        if last == "say()":
            said = [None]
        elif last.startswith("say(attempt") or last == "say(look())":
            said = [self.found]
        elif last.startswith("inventory("):
            said = [*self.files, None]
        elif last.startswith("say(rest("):
            said = [self.rest]
        elif last.startswith("say(check"):
            said = [self.wrong]
        elif last.startswith("say("):
            said = [None]
        elif "os.stat(" in script or "'rb')" in script:
            error = "Traceback (most recent call last):\r\nOSError: [Errno 2] ENOENT\r\n"
        elif script.startswith("w("):
            self._writes += 1
            if self._writes == self.at_write[0] and self.at_write[1] == "full":
                error = "Traceback (most recent call last):\r\nOSError: 28\r\n"
            elif self._writes == self.at_write[0]:
                os.close(self._ours)
                self._ours = -1
                return
        out = "".join("BITWREN " + json.dumps(what) + "\r\n" for what in said)
        os.write(self._ours, f"OK{out}\x04{error}\x04>".encode())
