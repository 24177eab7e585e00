"""Files onto a board by mpremote, as a command: it has no interface for programs."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bitwren.errors import BitwrenError

SUFFIX = ".new"
_SILENCE = 60.0  # seconds for the slowest to begin a file
_SLOW = 300  # bytes a second: an emulated board on a busy machine; a UART at 9600 baud is twice as fast


class SendError(BitwrenError):
    """A file that did not get onto a board."""


def send(port: str, files: Mapping[str, bytes], root: str, say: Callable[[str], None]) -> None:
    """Copy files to a board that is at its prompt, each as its path with ``.new`` behind it. Their folders are there.

    :param root: of the paths. :param say: is told each file, when its turn comes.
    :raises SendError: when mpremote fails or stalls; what has arrived stays there.
    """
    with tempfile.TemporaryDirectory(prefix="bitwren-deploy-") as temporary:
        command = [*_mpremote(), "connect", port, "resume"]
        for number, (path, data) in enumerate(files.items()):
            here = Path(temporary, str(number))
            here.write_bytes(data)
            command += (["+"] if number else []) + ["fs", "cp", str(here), f":{root}/{path}{SUFFIX}"]
        _follow(command, port, list(files.items()), say)


def _mpremote() -> list[str]:
    """The one of this Python's environment, else the one on the PATH."""
    beside = shutil.which("mpremote", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("mpremote")
    if found is None:
        raise SendError("mpremote is not installed: pip install mpremote")
    return [found]


def _follow(command: list[str], port: str, files: list[tuple[str, bytes]], say: Callable[[str], None]) -> None:
    """Run mpremote and tell its progress: it prints a line when it begins a file."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(command, env=environment, errors="replace", text=True, **pipes)
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    said: list[str] = []
    begun = 0
    try:
        while True:
            patience = _SILENCE + (len(files[begun - 1][1]) / _SLOW if begun else 0)
            try:
                line = lines.get(timeout=patience)
            except queue.Empty:
                raise _failed(port, files, begun, f"nothing moves on {port}") from None
            if line is None:
                break
            said.append(line)
            if line.startswith("cp ") and begun < len(files):
                path, data = files[begun]
                begun += 1
                say(f"sending {begun}/{len(files)} {path}, {len(data):,} bytes")
        if process.wait():
            raise _failed(port, files, begun, _reason(said))
    finally:
        process.kill()
        process.wait()


def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line.rstrip())
    lines.put(None)


def _reason(said: list[str]) -> str:
    """What mpremote's last words mean."""
    last = next((line for line in reversed(said) if line.strip()), "mpremote ended without a word")
    text = "\n".join(said)
    if any(sign in text for sign in ("No space left", "ENOSPC", "OSError: 28")):
        return "flash full: its filesystem has no room for it"
    if any(sign in text for sign in ("failed to access", "readiness to read", "Input/output error", "No such device", "in use")):
        return "the board is gone, unplugged or reset"
    return f"mpremote says: {last.removeprefix('mpremote: ').rstrip('.')}"


def _failed(port: str, files: list[tuple[str, bytes]], begun: int, reason: str) -> SendError:
    where = files[begun - 1][0] if begun else files[0][0]
    return SendError(
        f"{where} did not get onto the board on {port}: {reason}. What was there before still answers, after a reset; "
        "run it again: what has arrived is not sent again."
    )
