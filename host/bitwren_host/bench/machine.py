"""A bare processor that runs functions of an ELF file and counts exactly how many instructions they take."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitwren.errors import BitwrenError

STACK_TOP, STACK_SIZE = 0x20100000, 0x8000
_RETURN = 0x7000  # where functions return to; nothing is there
_HEAP, _HEAP_SIZE = 0x30000000, 1 << 24
_WATCHED = 0x50000000
_FILL = 0xA5


@dataclass(frozen=True)
class Run:
    """One call.

    :ivar result: what the function returned, signed.
    :ivar instructions: executed, calls included.
    :ivar stack: bytes of stack written to.
    :ivar reads: distinct words read of what was placed to be watched.
    """

    result: int
    instructions: int
    stack: int
    reads: int


class Machine:
    """A processor with an ELF file's code, a stack and some memory."""

    def __init__(self, arch: str, elf: Path) -> None:
        try:
            import unicorn
            from elftools.elf.elffile import ELFFile
        except ImportError as error:
            raise BitwrenError(f"{error.name} is not installed: pip install 'bitwren[dev]'") from error
        self._unicorn: Any = unicorn
        self._arm = arch.startswith("arm")
        self._cpu = self._processor(arch)
        self._cpu.mem_map(0, 0x100000)
        self._cpu.mem_map(STACK_TOP - STACK_SIZE, STACK_SIZE + 0x1000)
        self._cpu.mem_map(_HEAP, _HEAP_SIZE)
        self._free = _HEAP
        with elf.open("rb") as file:
            image = ELFFile(file)
            for segment in image.iter_segments("PT_LOAD"):
                self._cpu.mem_write(segment["p_vaddr"], segment.data())
            symbols: Any = image.get_section_by_name(".symtab")
            self._symbols = {symbol.name: int(symbol["st_value"]) for symbol in symbols.iter_symbols()}
        self._lengths: dict[tuple[int, int], int] = {}
        self._counts: dict[tuple[int, int], int] = {}
        self._read: set[int] = set()
        self._watched = 0  # bytes of memory mapped there
        self._cpu.hook_add(unicorn.UC_HOOK_BLOCK, self._on_block)

    def place(self, data: bytes) -> int:
        """Copy bytes to memory of their own, 4-byte aligned. Returns the address."""
        address = self._free
        self._free += (len(data) + 15) & ~15
        if self._free > _HEAP + _HEAP_SIZE:
            raise BitwrenError("the emulated memory of 16 MB is full: measure with fewer codes")
        self._cpu.mem_write(address, data)
        return address

    def job(self, data: int, size: int, query: int, number: int, out: int, work: int, extents: Sequence[int] = ()) -> int:
        """Place a bench_job (firmware/native/bench/bench.h). Returns its address.

        :param extents: pairs of file offset and address, when the file is not in one piece.
        """
        pieces = self.place(struct.pack(f"<{len(extents)}I", *extents)) if extents else 0
        return self.place(struct.pack("<8I", data, size, query, number, out, work, pieces, len(extents) // 2))

    def place_watched(self, data: bytes, start: int, length: int) -> int:
        """Place bytes to be read only, and note which words of ``[start, start + length)`` are. Returns the address.

        A device's memory, since a hook on reads makes Unicorn 2.1 lose the condition flags in a Cortex-M4's IT blocks.
        """
        self.clear()
        self._watched = (len(data) + 4095) & ~4095

        def read(_cpu: Any, offset: int, size: int, _data: Any) -> int:
            if start <= offset < start + length:
                self._read.add(offset >> 2)
            return int.from_bytes(data[offset : offset + size], "little")

        self._cpu.mmio_map(_WATCHED, self._watched, read, None, None, None)
        return _WATCHED

    def clear(self) -> None:
        """Forget what was placed."""
        self._free = _HEAP
        if self._watched:
            self._cpu.mem_unmap(_WATCHED, self._watched)
            self._watched = 0

    def read(self, address: int, length: int) -> bytes:
        """Bytes of memory."""
        return bytes(self._cpu.mem_read(address, length))

    def call(self, name: str, *arguments: int) -> Run:
        """Run a function of up to four words."""
        unicorn, cpu = self._unicorn, self._cpu
        self._counts.clear()
        self._read.clear()
        cpu.mem_write(STACK_TOP - STACK_SIZE, bytes([_FILL]) * STACK_SIZE)
        first, link, stack = self._registers()
        for number, value in enumerate(arguments):
            cpu.reg_write(first + number, value)
        cpu.reg_write(link, _RETURN | int(self._arm))
        cpu.reg_write(stack, STACK_TOP)
        try:
            cpu.emu_start(self._symbols[name] | int(self._arm), _RETURN)
        except unicorn.UcError as error:
            raise BitwrenError(f"{name} stopped in the emulator: {error}") from error
        instructions = sum(count * self._length(*block) for block, count in self._counts.items())
        (result,) = struct.unpack("<i", struct.pack("<I", cpu.reg_read(first)))
        used = self.read(STACK_TOP - STACK_SIZE, STACK_SIZE).lstrip(bytes([_FILL]))
        return Run(result, instructions, len(used), len(self._read))

    def _processor(self, arch: str) -> Any:
        unicorn = self._unicorn
        if not self._arm:
            return unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
        cpu = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        models = unicorn.arm_const
        chosen = {"armv6m": models.UC_CPU_ARM_CORTEX_M0, "armv7m": models.UC_CPU_ARM_CORTEX_M3}
        cpu.ctl_set_cpu_model(chosen.get(arch, models.UC_CPU_ARM_CORTEX_M4))
        return cpu

    def _registers(self) -> Sequence[int]:
        """The first argument's register, the return address's and the stack pointer's."""
        arm, riscv = self._unicorn.arm_const, self._unicorn.riscv_const
        if self._arm:
            return arm.UC_ARM_REG_R0, arm.UC_ARM_REG_LR, arm.UC_ARM_REG_SP
        return riscv.UC_RISCV_REG_A0, riscv.UC_RISCV_REG_RA, riscv.UC_RISCV_REG_SP

    def _on_block(self, _cpu: Any, address: int, size: int, _data: Any) -> None:
        block = address, size
        self._counts[block] = self._counts.get(block, 0) + 1

    def _length(self, address: int, size: int) -> int:
        """Instructions of a straight piece of code: each is 2 or 4 bytes long, which its first half tells."""
        known = self._lengths.get((address, size))
        if known is None:
            code, at, known = self.read(address, size), 0, 0
            while at < size:
                low = code[at] | code[at + 1] << 8
                at += 4 if (low >= 0xE800 if self._arm else low & 3 == 3) else 2
                known += 1
            self._lengths[address, size] = known
        return known
