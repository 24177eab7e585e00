"""Boards that are programs: an emulated Raspberry Pi Pico, and MicroPython's unix port.

The Pico is rp2040py running a genuine firmware, its USB console on a pseudo-terminal that any serial program can open.
The unix port is MicroPython compiled for this machine, its console the process's own pipes.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bitwren import filesystem
from bitwren.errors import BitwrenError
from bitwren_host.serial_link import LineBuffer, LinkClosed

# The filesystem of every stock Pico (boards/pico.toml): the last 1408 KB of its flash.
PICO_BLOCK = filesystem.BLOCK
PICO_BLOCKS = 352

# Runs rp2040py as a child that dies with us, even if we are killed: a forgotten Pico would keep a core busy for good.
# 1 is PR_SET_PDEATHSIG, which Linux alone has.
RUN_RP2040PY = """\
import ctypes, runpy, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
runpy.run_module("rp2040py", run_name="__main__", alter_sys=True)
"""


class EmulatorError(BitwrenError):
    """An emulated board that cannot be made or started, with what to do about it."""


def pico_image(files: Mapping[str, bytes]) -> bytes:
    """Return the image of a Pico's filesystem with ``files``: path on the board → contents. Folders are made as needed."""
    return filesystem.image(files, PICO_BLOCK * PICO_BLOCKS, filesystem.SIZES["rp2"], "the Pico's filesystem")


class EmulatedPico:
    """A Raspberry Pi Pico: a UF2 and a filesystem image, running, with its console on a pseudo-terminal.

    :attr:`port` is the pseudo-terminal's path; open it like any board's serial port, as often as wanted. Start the board
    from a thread that outlives it: on Linux it ends with the thread that started it.
    """

    def __init__(
        self, firmware: Path, image: bytes | None = None, *, boot_timeout: float = 30.0, save_image: Path | None = None
    ) -> None:
        """Start the board, and return when its console has said something, as ``main.py`` or the prompt does.

        That takes half a second; after ``boot_timeout`` seconds of silence it counts as not booting. ``save_image`` is a
        file that gets the filesystem as the board leaves it.

        :param firmware: a UF2. :param image: the filesystem; None: the one in the UF2.
        """
        if importlib.util.find_spec("rp2040py") is None:
            raise EmulatorError("The emulated Pico needs rp2040py, which is not installed: pip install rp2040py")
        if not firmware.is_file():
            raise EmulatorError(f"The Pico's firmware is missing: {firmware}. Build it with `make pico-firmware`.")
        self._firmware = firmware
        self._boot_timeout = boot_timeout
        self._folder = tempfile.TemporaryDirectory(prefix="bitwren-pico-")
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.port = self._start(image, save_image)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Switch the board off. Closing twice is no error."""
        if self._process is not None:
            end_group(self._process)
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _start(self, image: bytes | None, save_image: Path | None) -> str:
        """Start rp2040py, wait until the board has booted, and return the path of its pseudo-terminal."""
        flash, log = Path(self._folder.name, "flash.img"), Path(self._folder.name, "log.txt")
        command = [sys.executable, "-P", "-c", RUN_RP2040PY, "micropython", "--pty"]
        command += ["--image", str(self._firmware)]
        if image is not None:
            flash.write_bytes(image)
            command += ["--littlefs", str(flash)]
        if save_image is not None:
            command += ["--dump-fs", str(save_image)]
        with log.open("wb") as output:
            # A session of its own, so that Ctrl-C at our terminal does not stop the emulator before we let it.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline = time.monotonic() + self._boot_timeout
        while (found := re.search(rb"listening on (\S+)", log.read_bytes())) is None:
            self._check(self._process, deadline, log)
            time.sleep(0.02)
        port = found[1].decode()
        while not has_input(port, 0.2):
            self._check(self._process, deadline, log)
        return port

    def _check(self, process: subprocess.Popen[bytes], deadline: float, log: Path) -> None:
        """Say why the board will not boot, if it will not."""
        said = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        if process.poll() is not None:
            raise EmulatorError(f"The emulated Pico did not start. rp2040py said:\n{said}")
        if time.monotonic() > deadline:
            raise EmulatorError(
                f"The emulated Pico did not boot within {self._boot_timeout:g} s: its console stayed silent. "
                f"Is {self._firmware} MicroPython for the RP2040? rp2040py said:\n{said}"
            )


class UnixPort:
    """MicroPython for this machine, running a script; a :class:`~bitwren_host.serial_link.Line` to it."""

    def __init__(
        self,
        binary: Path,
        script: Path,
        *,
        folder: Path,
        modules: Sequence[Path] = (),
        arguments: Sequence[str] = (),
        heap: str = "16M",
    ) -> None:
        """Start ``script`` in ``folder``, with the folders in ``modules`` on MicroPython's ``sys.path``.

        ``heap`` is MicroPython's own option; its default of 2 MB is less than a table kept in RAM may need.
        """
        if not binary.is_file():
            raise EmulatorError(f"MicroPython's unix port is missing: {binary}. Build it with `make unix`.")
        # Errors go to a file, so that they can be told from answers. It is closed in close().
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [str(binary.absolute()), "-X", f"heapsize={heap}", str(script.absolute()), *arguments],
            cwd=folder,
            env={**os.environ, "MICROPYPATH": ":".join(str(path.absolute()) for path in modules)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        os.set_blocking(self._input.fileno(), False)
        self._lines = LineBuffer(self._receive)

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        left = memoryview(data)
        while left:
            self._check_open()
            # A program that waits for its answers to be read reads nothing itself: take them, or both wait for good.
            readable, writable, _ = select.select([self._output], [self._input], [])
            if readable:
                self._lines.add(self._receive(0))
            if writable:
                try:
                    left = left[os.write(self._input.fileno(), left) :]
                except BrokenPipeError as error:
                    raise self._ended() from error

    def readline(self, timeout: float) -> bytes:
        """Return the next line, without its line end; see :class:`~bitwren_host.serial_link.Line`."""
        return self._lines.readline(timeout)

    def close(self) -> None:
        """End the program. Closing twice is no error."""
        end_group(self._process)
        self._input.close()
        self._output.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _receive(self, timeout: float) -> bytes:
        self._check_open()
        if not select.select([self._output], [], [], timeout)[0]:
            return b""
        data = os.read(self._output.fileno(), 65536)
        if not data:
            raise self._ended()
        return data

    def _check_open(self) -> None:
        if self._output.closed:
            raise LinkClosed("The MicroPython program has been closed.")

    def _ended(self) -> LinkClosed:
        """Wait for the program, whose pipes are closed, and tell how it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._errors.seek(0)
        said = "\n".join(self._errors.read().decode("utf-8", "replace").splitlines()[-15:])
        return LinkClosed(f"The MicroPython program ended with exit code {self._process.returncode}. {said}".rstrip())


def has_input(port: str, timeout: float) -> bool:
    """Tell whether there is something to read on a pseudo-terminal, leaving it there for whoever opens it next."""
    terminal = os.open(port, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return bool(select.select([terminal], [], [], timeout)[0])
    finally:
        os.close(terminal)


def end_group(process: subprocess.Popen[bytes], patience: float = 5.0) -> None:
    """End a process and all it started: it leads a group of its own."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return
