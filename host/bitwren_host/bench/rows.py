"""What the row layout costs where a chip counts a word's ones by an instruction:  python -m bitwren_host.bench.rows

x64 runs in Unicorn. It does not know Zbb: there QEMU's board `virt` runs the search. Its clock goes on
by one for each instruction (``-icount shift=0``), which the processor's own counter, minstret, shows.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from bitwren import hamming, table
from bitwren.errors import BitwrenError
from bitwren.table import Record, Table

from . import program
from .codes import Workload, random_codes
from .machine import STACK_TOP, Machine

ARCHITECTURES = ("rv32imc_zbb", "x64")
_MEMORY = 0x80800000  # of the QEMU board, where firmware/native/bench/start_riscv.S looks for a job
_WORK = 4096
_JOB = {"rv32imc_zbb": "<8I", "x64": "<QI4xQI4xQQQI4x"}


def count(arch: str, workload: Workload, k: int, staged: int = 0) -> list[int]:
    """Instructions of a whole search for each query, of a table in the row layout. Each answer is compared with brute force.

    :param staged: how many of the documents at the end are staged.
    :raises BitwrenError: when an emulator or compiler is missing, or an answer differs.
    """
    codes = workload.codes
    records, live = [Record("", "")] * len(codes), np.ones(len(codes), bool)
    data = table.write(Table(codes, records, live, bytes(16), layout="rows", staged=staged))
    elf = program.build(arch)
    search = _qemu if arch == "rv32imc_zbb" else _x64
    instructions = []
    for query in workload.queries:
        found, pairs, spent = search(elf, data, query, k)
        slots, distances = hamming.search(query, codes, k)
        if found != len(slots) or pairs[:found] != list(zip(distances.tolist(), slots.tolist(), strict=True)):
            raise BitwrenError(f"{arch} does not find in rows what brute force finds: please report this")
        instructions.append(spent)
    return instructions


Found = tuple[int, list[tuple[int, int]], int]


def _pairs(data: bytes) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in np.frombuffer(data, "<u4").reshape(-1, 2)]


def _qemu(elf: Path, data: bytes, query: hamming.Codes, k: int) -> Found:
    emulator = "qemu-system-riscv32"
    if shutil.which(emulator) is None:
        raise BitwrenError(f"{emulator} is needed to run Zbb: apt-get install qemu-system-misc")
    parts = [bytes(32), query.astype("<u4").tobytes(), bytes(8 * k), bytes(_WORK), data]
    places, at = [], _MEMORY
    for part in parts:
        places.append(at)
        at += (len(part) + 15) & ~15
    job = struct.pack(_JOB["rv32imc_zbb"], places[4], len(data), places[1], k, places[2], places[3], 0, 0)
    memory = b"".join(part + bytes(-len(part) % 16) for part in [job, *parts[1:]])
    with tempfile.TemporaryDirectory(prefix="bitwren-qemu-") as temporary:
        folder = Path(temporary)
        (folder / "memory").write_bytes(memory)
        command = [emulator, "-machine", "virt", "-m", "64M", "-bios", "none", "-display", "none", "-monitor", "none"]
        command += ["-kernel", str(elf), "-icount", "shift=0", "-serial", "file:said"]
        command += ["-device", f"loader,file=memory,addr={_MEMORY:#x},force-raw=on"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired as error:
            raise BitwrenError(f"{emulator} did not come to an end: is its processor without Zbb?") from error
        said = (folder / "said").read_bytes()
    if len(said) != 8 + 8 * k:
        raise BitwrenError(f"{emulator} said {len(said)} bytes, not {8 + 8 * k}: {done.stderr.strip()}")
    instructions, found = struct.unpack_from("<Ii", said)
    return found, _pairs(said[8:]), instructions


def _x64(elf: Path, data: bytes, query: hamming.Codes, k: int) -> Found:
    machine = _Computer(elf)
    hits, work = machine.place(bytes(8 * k)), machine.place(bytes(_WORK))
    places = machine.place(data), len(data), machine.place(query.astype("<u4").tobytes()), k, hits, work, 0, 0
    result, instructions = machine.run("bench_search", machine.place(struct.pack(_JOB["x64"], *places)))
    return result, _pairs(machine.read(hits, 8 * k)), instructions


class _Computer(Machine):
    """An x86-64 processor with POPCNT. Its instructions are of any length, so each is counted as it comes."""

    def __init__(self, elf: Path) -> None:
        super().__init__("x64", elf)
        self._executed = 0
        self._cpu.hook_add(self._unicorn.UC_HOOK_CODE, self._on_code)

    def run(self, name: str, argument: int) -> tuple[int, int]:
        """Call a function. Returns its int result and how many instructions that took."""
        x86, end = self._unicorn.x86_const, 0x7000
        self._executed = 0
        self._cpu.mem_write(STACK_TOP - 8, struct.pack("<Q", end))
        self._cpu.reg_write(x86.UC_X86_REG_RSP, STACK_TOP - 8)
        self._cpu.reg_write(x86.UC_X86_REG_RDI, argument)
        self._cpu.emu_start(self._symbols[name], end)
        (result,) = struct.unpack("<i", struct.pack("<I", self._cpu.reg_read(x86.UC_X86_REG_RAX) & 0xFFFFFFFF))
        return result, self._executed

    def _processor(self, arch: str) -> Any:
        cpu = self._unicorn.Uc(self._unicorn.UC_ARCH_X86, self._unicorn.UC_MODE_64)
        cpu.ctl_set_cpu_model(self._unicorn.x86_const.UC_CPU_X86_HASWELL)
        return cpu

    def _on_code(self, _cpu: Any, _address: int, _size: int, _data: Any) -> None:
        self._executed += 1


@click.command()
@click.option("--arch", "archs", multiple=True, type=click.Choice(ARCHITECTURES), default=ARCHITECTURES, show_default=True)
@click.option("--bits", "widths", multiple=True, type=int, default=hamming.WIDTHS, show_default=True)
@click.option("-n", "size", type=click.IntRange(1, 65536), default=8192, show_default=True, help="Codes.")
@click.option("-k", "k", type=click.IntRange(1), default=10, show_default=True, help="Results.")
def main(archs: Sequence[str], widths: Sequence[int], size: int, k: int) -> None:
    """Instructions for one code in the row layout, random codes, everything from opening the table on included."""
    for arch in archs:
        for bits in widths:
            spent = count(arch, random_codes(size, bits, 3), k)
            click.echo(f"{arch:<12} {bits:>4} bits  N = {size}  k = {k}: {np.mean(spent) / size:.1f} instructions a code")


if __name__ == "__main__":
    main()
