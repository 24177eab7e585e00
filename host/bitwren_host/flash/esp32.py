"""esptool as a command: what is at a port, writing, and its errors as sentences.

On real chips esptool runs its stub, a small program in the chip's RAM that writes several times as fast as the ROM's own loader;
``stub=False`` talks to the ROM, which every chip has and which the tests emulate.
"""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bitwren.errors import BitwrenError
from bitwren.image import Region

from ..flash_image import esptool_version
from .work import Work

SILENCE = 240.0
"""Seconds without a word from esptool; erasing a large flash takes a ROM loader a minute or two."""
_WORDS = ("default-reset", "no-reset", "hard-reset", "flash-id", "write-flash")
_MESSAGES = (
    (r"Failed to connect|Wrong boot mode", "it does not answer as an ESP32's boot loader. {how}"),
    (r"busy or doesn't exist|Could not open|Could not exclusively lock", "it cannot be opened: is another program using it?"),
    (
        r"MD5 of file does not match|digest mismatch",
        "what its flash holds differs from what was written: the flash is worn out, or its supply too weak. Try another "
        "cable and port",
    ),
    (r"result was 010[567]", "what was sent arrived damaged: try another cable, or slower (--baud 115200)"),
    (r"result was 0108", "its flash does not take what is written: it is write-protected or worn out"),
    (r"will not fit in", "flash full: the image is larger than the chip's flash"),
    (
        r"serial exception|could not open port|Input/output error|readiness to read|Lost connection|not configured|ClearComm",
        "it was unplugged, or its cable lost contact",
    ),
    (
        r"No more data|No serial data|Timed out|timed out|stopped|Timeout|Invalid head",
        "it stopped answering: try another cable or port, or slower (--baud 115200)",
    ),
)


@dataclass(frozen=True)
class Chip:
    """What esptool found. :ivar name: ``ESP32-S3``. :ivar flash_bytes: 0 where it cannot tell. :ivar mac: its address."""

    name: str
    flash_bytes: int
    mac: str


@dataclass(frozen=True)
class Esptool:
    """How esptool is called. :ivar how: how this board's boot loader is entered by hand. :ivar before: esptool's own option."""

    port: str
    baud: int
    how: str = ""
    stub: bool = True
    before: str = "default-reset"
    attempts: int = 7

    def identify(self, work: Work) -> Chip:
        """Ask which chip it is and how large its flash is; it stays in its boot loader.

        :raises BitwrenError: when none answers.
        """
        said = self._run(["--after", "no-reset", "flash-id"], work, "asking the chip", lambda line: None)
        name = re.search(r"Detecting chip type\.+ *(\S+)|Connected to (\S+) on", said)
        size = re.search(r"Detected flash size: *(\d+)(KB|MB)", said)
        mac = re.search(r"^MAC: +(\S+)", said, re.MULTILINE)
        if name is None:
            raise BitwrenError(f"{self.port}: esptool does not say which chip it found; it said: {_last(said)}")
        flash_bytes = int(size[1]) << {"KB": 10, "MB": 20}[size[2]] if size else 0
        return Chip(name[1] or name[2], flash_bytes, mac[1] if mac else "")

    def write(self, regions: Sequence[Region], work: Work) -> None:
        """Write, have the chip compute the MD5 of what its flash then holds, compare, and start it.

        :raises BitwrenError: a sentence on what failed, and what state the board is in.
        """
        total, written, position = sum(len(region.data) for region in regions), 0, 0

        def follow(line: str) -> None:
            nonlocal written, position
            if re.search("will be erased|Erasing|Writing at", line):
                work.state = work.half
            if place := re.search(r"Writing at (0x[0-9a-f]+)", line):
                address = int(place[1], 16)
                earlier = 0
                for region in regions:
                    if region.offset <= address <= region.offset + len(region.data):
                        position = max(position, earlier + address - region.offset)
                    earlier += len(region.data)
                work.at("writing", position, total)
            elif "Verifying" in line:
                work.at("reading back", position, total)
            written += "Hash of data verified" in line

        with tempfile.TemporaryDirectory(prefix="bitwren-flash-") as temporary:
            arguments = []
            for index, region in enumerate(regions):
                file = Path(temporary, f"{index}.bin")
                file.write_bytes(region.data)
                arguments += [f"{region.offset:#x}", str(file)]
            self._run(["--after", "hard-reset", "write-flash", "--compress", *arguments], work, "writing", follow)
        if written != len(regions):
            raise BitwrenError(f"{self.port}: esptool wrote, but read back only {written} of {len(regions)} parts. {work.state}")

    def _run(self, arguments: Sequence[str], work: Work, step: str, follow: Callable[[str], None]) -> str:
        command = [sys.executable, "-P", "-m", "esptool", "--port", self.port, "--baud", str(self.baud), "--before", self.before]
        command += ["--connect-attempts", str(self.attempts), *(() if self.stub else ("--no-stub",)), *arguments]
        if esptool_version() < 5:  # which spells its words with underscores
            command = [word.replace("-", "_") if word in _WORDS else word for word in command]
        said = ""
        work.at(step)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "200"}
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # so that Ctrl-C reaches it through us, which say what state the board is in
        )
        try:
            rest = ""
            for data in _output(process, work):
                text = data.decode("utf-8", "replace")
                said += text
                *lines, rest = re.split(r"[\r\n]+", rest + text)
                for line in lines:
                    follow(line)
            if process.wait():
                raise BitwrenError(f"{self.port}: {self._sentence(said)}. {work.state}")
        finally:
            process.kill()
            process.wait()
        return said

    def _sentence(self, said: str) -> str:
        error = _last(said)
        for pattern, sentence in _MESSAGES:
            if re.search(pattern, error):
                return sentence.format(how=self.how.removesuffix("."))
        return f"esptool failed: {error.removesuffix('.')}"


def _output(process: subprocess.Popen[bytes], work: Work) -> Iterator[bytes]:
    """What a process says, as it comes; a thread reads, since Windows cannot wait for a pipe.

    :raises Stopped: when the work is to end. :raises BitwrenError: when it is silent for too long.
    """
    assert process.stdout is not None
    stream, pieces = process.stdout, queue.Queue[bytes]()

    def read() -> None:
        with stream:
            while data := os.read(stream.fileno(), 65536):
                pieces.put(data)
        pieces.put(b"")

    threading.Thread(target=read, daemon=True).start()
    last = time.monotonic()
    while True:
        work.check()
        try:
            data = pieces.get(timeout=0.2)
        except queue.Empty:
            if time.monotonic() - last > SILENCE:
                raise BitwrenError(f"esptool has been silent for {SILENCE:.0f} s. {work.state}") from None
            continue
        if not data:
            return
        last = time.monotonic()
        yield data


def _last(said: str) -> str:
    """The error that esptool names, else its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.partition("error occurred:")[2].strip() for line in lines if "error occurred:" in line]
    return (errors or lines or ["nothing"])[-1]
