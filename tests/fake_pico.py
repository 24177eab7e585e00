"""A Raspberry Pi Pico with its boot loader's drive, around the emulated one: flashed and booted as a real one is."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import select
import shutil
import struct
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import serial
from fake_board import ARMV6M, MicroPython, Plugged, PtyBoard, make_drive, mpy

from bitwren import uf2
from bitwren.bundle import Bundle
from bitwren.image import XIP
from bitwren.uf2 import Run, Uf2
from bitwren_host.emulator import EmulatedPico

FLASH, SECTOR, FAMILY = 2 << 20, 4096, 0xE48BFF56


class FakePico:
    """A board that is a drive until a UF2 is on it, and then runs it; ``machine.bootloader()`` makes it a drive again.

    Its console is the emulated Pico's, through a pseudo-terminal that lives as long as it runs. :ivar flash: what is in it.
    :ivar decay: address of a byte that does not keep what is written. :ivar vanish: bytes of a UF2 after which it is unplugged.
    """

    def __init__(self, folder: Path, plugged: Plugged, decay: int | None = None, vanish: int | None = None) -> None:
        self.folder, self.plugged, self.decay, self.vanish = folder, plugged, decay, vanish
        self.flash = bytearray(b"\xff" * FLASH)
        self.drive = folder / "RPI-RP2"
        self.flashed = 0
        self.error: BaseException | None = None
        self._pico: EmulatedPico | None = None
        self._wire: serial.Serial | None = None
        self._line: PtyBoard | None = None
        self._asked = b""
        self._ending = threading.Event()
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)  # one: the emulated Pico ends with its thread

    def start(self, image: bytes = b"") -> FakePico:
        """Plug it in: as a drive, or running what is in its flash already."""
        if image:
            self._program(image)
        else:
            self._become_drive()
        self._thread.start()
        return self

    def __enter__(self) -> FakePico:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(60)
        self._stop()
        if self.error:
            raise self.error

    @property
    def port(self) -> str:
        """Of the running board; "" for a drive."""
        return self._line.port if self._line else ""

    def _live(self) -> None:
        try:
            if not self.drive.exists():
                self._boot()
            while not self._ending.is_set():
                if self._line:
                    self._carry()
                elif self.drive.exists():
                    self._take()
                time.sleep(0.01)
        except BaseException as error:
            self.error = error

    def _become_drive(self) -> None:
        self.plugged.mounts.append(make_drive(self.drive))

    def _take(self) -> None:
        """What is on the drive, once all blocks are there."""
        for file in self.drive.glob("*.uf2"):
            data = file.read_bytes()
            if self.vanish is not None and len(data) > self.vanish:
                self.plugged.mounts.remove(self.drive)
                shutil.rmtree(self.drive)
                return
            if len(data) >= 512 and len(data) == 512 * struct.unpack_from("<I", data, 24)[0]:
                self.plugged.mounts.remove(self.drive)
                shutil.rmtree(self.drive)
                self._program(data)
                self._boot()
                return

    def _program(self, image: bytes) -> None:
        for run in uf2.read(image, "the image").runs:
            self.flash[run.address - XIP : run.end - XIP] = run.data
        if self.decay is not None:
            self.flash[self.decay - XIP] ^= 0x40
        self.flashed += 1

    def _boot(self) -> None:
        sectors = [bytes(self.flash[at : at + SECTOR]) for at in range(0, FLASH, SECTOR)]
        runs = [Run(XIP + number * SECTOR, data, FAMILY) for number, data in enumerate(sectors) if data.strip(b"\xff")]
        whole = self.folder / "flash.uf2"
        whole.write_bytes(uf2.write(Uf2(tuple(runs))))
        self._pico = EmulatedPico(whole, boot_timeout=120)
        self._wire = serial.Serial(self._pico.port)
        self._line = PtyBoard(self._hear)
        self.plugged.plug(self._line.port)

    def _hear(self, data: bytes) -> bytes:
        self._asked = (self._asked + data)[-2000:]
        if b"machine.bootloader()\n\x04" in self._asked:
            self._asked = b""
            self._leave.set()
            return b""
        return self._talk(data)

    def _talk(self, data: bytes) -> bytes:
        if self._wire:
            self._wire.write(data)
        return b""

    def _carry(self) -> None:
        """What the board says, to whoever listens."""
        assert self._wire is not None
        assert self._line is not None
        if self._leave.is_set():
            self._leave.clear()
            self._stop()
            self._become_drive()
            return
        if select.select([self._wire.fileno()], [], [], 0.05)[0]:
            with contextlib.suppress(BlockingIOError):
                self._line.say(os.read(self._wire.fileno(), 65536))

    def _stop(self) -> None:
        if self._line:
            self.plugged.unplug(self._line.port)
            self._line.close()
        if self._wire:
            self._wire.close()
        if self._pico:
            self._pico.close()
        self._line = self._wire = self._pico = None


class StandInPico(FakePico):
    """The same without the emulated Pico: its MicroPython is a stand-in's, which computes CRCs of the flash. Quick.

    :ivar board: the stand-in; tests set what it reports. :ivar starts: whether it starts when it is flashed.
    """

    def __init__(self, folder: Path, plugged: Plugged, bundle: Callable[[bytes], Bundle], **how: Any) -> None:
        self.location, self.starts = how.pop("location", ""), how.pop("starts", True)
        self.machine = how.pop("machine", "Raspberry Pi Pico with RP2040")
        folder.mkdir(exist_ok=True)
        super().__init__(folder, plugged, **how)
        if self.location:
            plugged.locations[str(self.drive)] = self.location
        runs = {"version": [1, 25, 0], "mpy": mpy(ARMV6M), "machine": self.machine, "heap": 190_000}
        runs |= {"bitwren": True, "native": "armv6m", "notice": None, "bundle": None, "root": "", "block": 4096, "free": 0}
        self.board = MicroPython({"crc32": self._sums, "look()": runs, "first": self._first}, bundle)

    def _sums(self, script: str) -> dict[str, Any]:
        found = re.search(r"in (\[.*\])\]", script)
        assert found
        pieces = ast.literal_eval(found[1])
        return {"crc32": [zlib.crc32(self.flash[address - XIP : address - XIP + length]) for address, length in pieces]}

    def _first(self, script: str) -> dict[str, Any]:
        found = re.search(r"0x10000000 \+ (\d+)", script)
        assert found
        return {"first": self.flash[int(found[1]) :][:4].hex()}

    def _boot(self) -> None:
        if self.starts:
            self._line = PtyBoard(self._hear)
            self.plugged.plug(self._line.port, location=self.location)

    def _talk(self, data: bytes) -> bytes:
        return self.board.hear(data, bytes(self.flash))

    def _carry(self) -> None:
        if self._leave.is_set():
            self._leave.clear()
            self._stop()
            self._become_drive()
