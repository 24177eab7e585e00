"""Boards that QEMU emulates: MicroPython on Cortex-M3, Cortex-M4F and 32-bit RISC-V, its console on a pseudo-terminal.

The stock port has a heap of 139 KB and no flash. Its files are a ROMFS image that QEMU puts into memory MicroPython does not
use, and that is mounted there: nothing is copied, and bitwren reads a bundle in place as from a real chip's flash.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from .emulator import EmulatorError, end_group
from .romfs import romfs_image
from .serial_link import LinkError, PortLine


@dataclass(frozen=True)
class Machine:
    """What QEMU is asked for, and where it has ``room`` bytes of memory, at ``address``, that MicroPython does not use.

    ``package`` is Debian's with the emulator. ``clock`` counts milliseconds, in Python: the port has no module ``time``.
    """

    arch: str
    emulator: str
    package: str
    options: tuple[str, ...]
    address: int
    room: int
    clock: str


# The MPS2's 16 MB of PSRAM, and its counter of hundredths of a second.
_PSRAM, _MPS2_CLOCK = 0x21000000, "mem32[0x40028014] * 10"


MACHINES = {
    "qemu-m3": Machine("armv7m", "qemu-system-arm", "qemu-system-arm", ("-machine", "mps2-an385"), _PSRAM, 16 << 20, _MPS2_CLOCK),
    "qemu-m4f": Machine(
        "armv7emsp", "qemu-system-arm", "qemu-system-arm", ("-machine", "mps2-an386"), _PSRAM, 16 << 20, _MPS2_CLOCK
    ),
    # 128 MB of RAM at 0x80000000, of which MicroPython has the first 6; the timer runs at 10 MHz.
    "qemu-rv32": Machine(
        "rv32imc",
        "qemu-system-riscv32",
        "qemu-system-misc",
        ("-machine", "virt", "-m", "128M", "-bios", "none"),
        0x81000000,
        64 << 20,
        "(mem32[0x0200BFFC] << 32 | mem32[0x0200BFF8]) // 10000",
    ),
}
"""By the name of the target, which is also that of the folder where ``make qemu`` builds its firmware."""

# What the firmware uses of MicroPython's own module.
CLOCK = """\
from machine import mem32

def ticks_ms():
    return {} & 0x3FFFFFFF

def ticks_diff(end, start):
    return (end - start) & 0x3FFFFFFF
"""

# One line for the prompt. The echo of what is typed shows no "bitwren: mounted", and an error shows its last line.
MOUNT = (
    "import os,sys,uctypes,vfs;vfs.mount(vfs.VfsRom(uctypes.bytearray_at({},{})),'/rom');os.chdir('/rom');"
    "sys.path.append('/rom/lib');print('bitwren:','mounted')"
)
MOUNTED = b"bitwren: mounted"

# Starts QEMU so that it dies with us, even if we are killed: an idle board keeps a core busy.
# 1 is PR_SET_PDEATHSIG, which Linux alone has, and which survives exec.
RUN_QEMU = """\
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class QemuBoard:
    """A board: MicroPython and files, running, with its console on a pseudo-terminal.

    :attr:`port` is the pseudo-terminal's path; open it like any board's serial port, as often as wanted. Start the board
    from a thread that outlives it: on Linux it ends with the thread that started it. :attr:`image_bytes` is the length of its
    files' ROMFS image.
    """

    def __init__(self, name: str, firmware: Path, files: Mapping[str, bytes], *, boot_timeout: float = 30.0) -> None:
        """Start a board of :data:`MACHINES`, with ``files`` (path → contents) mounted at ``/rom``, the working directory.

        Returns when the files are mounted and ``main.py``, where there is one, has been started. A soft reset (Ctrl-D)
        forgets both.
        """
        machine = MACHINES[name]
        if shutil.which(machine.emulator) is None:
            raise EmulatorError(f"{machine.emulator} is not installed. On Debian: apt-get install {machine.package}")
        if not firmware.is_file():
            raise EmulatorError(f"MicroPython for {name} is missing: {firmware}. Build it with `make qemu`.")
        image = romfs_image({"lib/time.py": CLOCK.format(machine.clock).encode(), **files})
        if len(image) > machine.room:
            raise EmulatorError(
                f"The files are {len(image):,} bytes and {name} holds {machine.room:,}. Use fewer documents, or fewer bits."
            )
        self._name, self._machine, self._firmware = name, machine, firmware
        self.image_bytes = len(image)
        self._deadline = time.monotonic() + boot_timeout
        self._folder = tempfile.TemporaryDirectory(prefix="bitwren-qemu-")
        self._process: subprocess.Popen[bytes] | None = None
        self._terminal = -1
        try:
            self.port = self._start(image)
            self._boot(len(image), "main.py" in files)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Switch the board off. Closing twice is no error."""
        if self._process is not None:
            end_group(self._process)
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _start(self, image: bytes) -> str:
        """Start QEMU and return the path of its pseudo-terminal."""
        self._log = Path(self._folder.name, "log.txt")
        Path(self._folder.name, "rom.img").write_bytes(image)
        machine = self._machine
        command = [sys.executable, "-P", "-c", RUN_QEMU, machine.emulator, *machine.options]
        command += ["-nographic", "-monitor", "null", "-semihosting", "-serial", "pty", "-kernel", str(self._firmware.absolute())]
        command += ["-device", f"loader,file=rom.img,addr={machine.address:#x},force-raw=on"]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder.name,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A session of its own, so that Ctrl-C at our terminal does not stop the emulator before we let it.
                start_new_session=True,
            )
        while (found := re.search(rb"redirected to (\S+)", self._log.read_bytes())) is None:
            if self._process.poll() is not None:
                raise EmulatorError(f"The emulated board did not start. {machine.emulator} said:\n{self._said()}")
            if time.monotonic() > self._deadline:
                raise EmulatorError(f"{machine.emulator} did not open a pseudo-terminal in time. It said:\n{self._said()}")
            time.sleep(0.02)
        return found[1].decode()

    def _boot(self, size: int, has_main: bool) -> None:
        """Mount the files by a line at MicroPython's prompt, and start main.py."""
        heard = [b""]
        try:
            # QEMU drops what the board says, and takes a second to notice a newcomer, while nobody has the terminal open.
            self._terminal = os.open(self.port, os.O_RDWR | os.O_NOCTTY)
            with PortLine(self.port) as line:
                line.write(b"\r" + MOUNT.format(self._machine.address, size).encode() + b"\r")
                while heard[-1] != MOUNTED:
                    heard.append(line.readline(max(0.0, self._deadline - time.monotonic())))
                    if b"Error" in heard[-1]:
                        raise EmulatorError(f"The files cannot be mounted on {self._name}: {heard[-1].decode()}")
                if has_main:
                    line.write(b"import main\r")
        except (LinkError, OSError) as error:  # QEMU opens the terminal before it looks at the firmware
            raise EmulatorError(
                f"{self._name} did not boot ({error}). Is {self._firmware} MicroPython for this machine? "
                f"{self._machine.emulator} said:\n{self._said()}"
            ) from error

    def _said(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
