"""A Raspberry Pi Pico that counts: genuine MicroPython in rp2040py, stepped instruction by instruction where it matters.

Between two calls of a mark (MicroPython's own ``gc.isenabled``, which does nothing else) every instruction that the emulated
Cortex-M0+ executes is counted: the native module's, the interpreter's and, were there any, interrupt handlers'. Calls of the
functions that are watched are told apart by their addresses; nothing on the board is changed for it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bitwren.errors import BitwrenError

from ..board_files import cache_folder, firmware_files
from ..emulator import PICO_BLOCK, PICO_BLOCKS, pico_image

_FLASH, _FILESYSTEM = 0x10000000, 0xA0000
_BOOT, _PATIENCE = 200_000_000, 4_000_000_000  # cycles until a board counts as stuck: seconds of its own time, 1.6 and 32
_TICK = 32  # instructions between two looks at the clock while counting
_BATCH = 256  # and while not, unless an alarm is due earlier
_NANOSECONDS = 8.0  # of a cycle, at 125 MHz
_RAW, _RUN, _READY = 1, 4, b"raw REPL; CTRL-B to exit\r\n>"
_PRELUDE = """
import gc
from machine import mem32
mark = gc.isenabled
def _address(function):  # a builtin's second word is its code, or its signature and the third its code, which is odd
    return [word for word in (mem32[id(function) + 4], mem32[id(function) + 8]) if word & 1][0]
def _count(call):
    nothing = lambda: None
    mark()
    nothing()
    mark()
    mark()
    call()
    mark()
"""


@dataclass
class Counted:
    """What a piece of Python took on the chip.

    :ivar instructions: executed, all included but what calling an empty function takes.
    :ivar calls: of each watched function, the instructions of each call, in order, what it called included.
    """

    instructions: int
    calls: dict[str, list[int]] = field(default_factory=dict)


class CountingPico:
    """A booted Pico with bitwren's files and no main.py, its raw REPL open."""

    def __init__(self, files: Mapping[str, bytes], firmware: Path | None = None) -> None:
        """Boot.

        :param files: beside the package and the native module. :param firmware: the UF2 that ``make pico-firmware`` builds.
        :raises BitwrenError: when rp2040py or the firmware is missing, or the files do not fit.
        """
        firmware = firmware or pico_firmware()
        if not firmware.is_file():
            raise BitwrenError(f"The Pico's firmware is missing: {firmware}. Build it with `make pico-firmware`.")
        try:
            from rp2040py.boards import BoardSpec, FlashLayout
            from rp2040py.device.mp_device import MicroPythonDevice
            from rp2040py.execute_batch import execute_batch
        except ImportError as error:
            raise BitwrenError("The emulated Pico needs rp2040py, which is not installed: pip install rp2040py") from error
        contents = firmware_files("armv6m") | dict(files)
        contents.pop("main.py", None)
        with tempfile.NamedTemporaryFile(prefix="bitwren-", suffix=".img") as image:
            image.write(pico_image(contents))
            image.flush()
            board = BoardSpec(image=firmware, layout=FlashLayout(_FILESYSTEM, PICO_BLOCKS, PICO_BLOCK))
            device: Any = MicroPythonDevice(board=board, filesystem=Path(image.name))
        self._run_batch = execute_batch
        self._simulator, self._console, self._core = device.simulator, device.cdc, device.mcu.core
        self._heard = bytearray()
        self._console.on_serial_data = self._heard.extend
        self._wait_with_reads()
        self._boot()
        self.execute(_PRELUDE)
        self._mark = self._address("mark")

    def execute(self, script: str) -> str:
        """Run Python at full speed; what it prints.

        :raises BitwrenError: with the traceback, when it raises.
        """
        self._send(script)
        stop = self._core.cycles + _PATIENCE
        while self._heard.count(_RUN) < 2:
            self._feed()
            self._run_batch(self._simulator, _BATCH)
            if self._core.cycles > stop:
                raise BitwrenError("the emulated Pico does not come to an end")
        return self._answer()

    def count(self, call: str, watched: Mapping[str, str] | None = None) -> Counted:
        """Count a call.

        :param call: a Python expression that can be called without arguments.
        :param watched: names for the result → Python expressions of builtin functions.
        """
        entries = {self._address(function): name for name, function in (watched or {}).items()}
        (empty, _), (instructions, calls) = self._step(f"_count({call})", entries)
        return Counted(instructions - empty, calls)

    def _boot(self) -> None:
        self._core.pc = _FLASH
        self._simulator.stopped = False
        self._console.on_device_connected = lambda: self._console.send_serial_byte(_RAW)
        while not self._heard.endswith(_READY):
            self._finish_reads()
            self._run_batch(self._simulator, _BATCH)
            if self._core.cycles > _BOOT:
                raise BitwrenError(
                    f"the emulated Pico does not come to its prompt; it said: {self._heard.decode(errors='replace')}"
                )

    def _wait_with_reads(self) -> None:
        """Let the board's reads of its console wait until there is something, as USB does.

        rp2040py ends each at once, with no bytes: the board would serve that interrupt and read again for ever, half its time.
        """
        usb = self._console.usb
        finish = usb.on_endpoint_read
        self._waiting: list[tuple[int, int]] = []

        def read(endpoint: int, size: int) -> None:
            if endpoint and not self._console.tx_fifo.item_count:
                self._waiting.append((endpoint, size))
            else:
                finish(endpoint, size)

        usb.on_endpoint_read = read
        self._finish_read = finish

    def _address(self, function: str) -> int:
        return int(self.execute(f"print(_address({function}))")) & ~1

    def _send(self, script: str) -> None:
        self._heard.clear()
        self._left = bytearray(script.encode()) + bytes([_RUN])

    def _feed(self) -> None:
        while self._left and not self._console.tx_fifo.full:
            self._console.send_serial_byte(self._left.pop(0))
        self._finish_reads()

    def _finish_reads(self) -> None:
        while self._waiting and self._console.tx_fifo.item_count:
            self._finish_read(*self._waiting.pop(0))

    def _answer(self) -> str:
        printed, _, rest = bytes(self._heard).removeprefix(b"OK").partition(bytes([_RUN]))
        error = rest.partition(bytes([_RUN]))[0].decode("utf-8", "replace").strip()
        if error:
            raise BitwrenError(f"the emulated Pico says: {error}")
        return printed.decode("utf-8", "replace").replace("\r\n", "\n")

    def _step(self, script: str, entries: Mapping[int, str]) -> list[tuple[int, dict[str, list[int]]]]:
        """Run Python instruction by instruction; what lies between the first and second mark, the third and fourth, and so on."""
        self._send(script)
        core, clock, registers = self._core, self._simulator.clock, self._core.registers
        registers = getattr(registers, "base", registers)  # of the compiled core's view, which is slower to index
        step, mark = core.execute_instruction, self._mark
        watched = {mark, *entries}
        calls: list[tuple[str, int, int, int]] = []  # open ones: name, return address, stack pointer, count at entry
        regions: list[tuple[int, dict[str, list[int]]]] = []
        inside: dict[str, list[int]] = {}
        done, began, counting = 0, 0, False
        while self._heard.count(_RUN) < 2:
            self._feed()
            if core.waiting:
                clock.tick(max(clock.nanos_to_next_alarm, _NANOSECONDS))
            cycles = core.cycles
            for _ in range(_TICK):
                pc = registers[15] & ~1
                if pc in watched:
                    if calls and (pc, registers[13]) == calls[-1][1:3]:
                        name, _, _, entered = calls.pop()
                        if name:
                            inside.setdefault(name, []).append(done - entered)
                        elif counting:
                            began, inside = done, {}
                        watched = {mark, *entries, *(call[1] for call in calls)}
                    if pc == mark or pc in entries:
                        if pc == mark:
                            counting = not counting
                            if not counting:
                                regions.append((done - began, inside))
                        calls.append((entries.get(pc, ""), registers[14] & ~1, registers[13], done))
                        watched.add(registers[14] & ~1)
                step()
                done += 1
            clock.tick((core.cycles - cycles) * _NANOSECONDS)
        self._answer()
        return regions


def pico_firmware() -> Path:
    """Where ``make pico-firmware`` builds it."""
    return cache_folder() / "micropython" / "pico" / "firmware.uf2"
