"""The benchmark programs: the core and what it is compared with, built for an architecture by its cross compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from bitwren.errors import BitwrenError

from ..board_files import cache_folder, data_folder

ARCHITECTURES = ("armv6m", "armv7emsp", "rv32imc")
"""Cortex-M0+, Cortex-M4F (the same code runs on M33), and 32-bit RISC-V without bit manipulation."""

KNOWN = ("armv6m", "armv7m", "armv7emsp", "rv32imc")

_COMPILERS = {"arm": "arm-none-eabi", "rv3": "riscv64-unknown-elf"}


def build(arch: str) -> Path:
    """The ELF file for an architecture, built when its sources are newer.

    :raises BitwrenError: when a compiler, make or the sources are missing, or the build fails.
    """
    compiler = _COMPILERS.get(arch[:3])
    for tool, package in ((f"{compiler}-gcc" if compiler else "gcc", f"gcc-{compiler}" if compiler else "gcc"), ("make", "make")):
        if shutil.which(tool) is None:
            raise BitwrenError(f"{tool} is needed to measure {arch}: apt-get install {package}")
    sources = data_folder("firmware") / "native"
    if not (sources / "bench" / "bench.mk").is_file():
        raise BitwrenError("the C sources are not part of this installation: run bench from bitwren's repository")
    output = cache_folder() / "native"
    output.mkdir(parents=True, exist_ok=True)
    command = ["make", "-s", "-C", str(sources), "bench", f"ARCH={arch}", f"BUILD={output}"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise BitwrenError(f"the benchmark for {arch} could not be built: {made.stderr.strip()}")
    return output / f"bench-{arch}.elf"


def module_bytes(arch: str) -> dict[str, int]:
    """Bytes of machine code of each of the core's objects, and of the native module as it goes to a board where it is built."""
    from elftools.elf.elffile import ELFFile

    sizes: dict[str, int] = {}
    for path in sorted((cache_folder() / "native" / f"bench-{arch}").glob("*.o")):
        if path.stem in ("core-entries", "baselines"):
            continue
        with path.open("rb") as file:
            sections = ELFFile(file).iter_sections()
            sizes[path.stem] = sum(section["sh_size"] for section in sections if section.name.startswith((".text", ".rodata")))
    module = cache_folder() / "native" / f"bitwren_native_{arch}.mpy"
    if module.is_file():
        sizes["mpy"] = module.stat().st_size
    return sizes


def largest_frames(arch: str, count: int = 3) -> dict[str, int]:
    """The functions of the core with the largest stack frames, as gcc reports them."""
    frames: dict[str, int] = {}
    for path in (cache_folder() / "native" / f"bench-{arch}").glob("*.su"):
        if path.stem in ("core-entries", "baselines"):
            continue
        for line in path.read_text().splitlines():
            place, size, _kind = line.split("\t")
            frames[place.rpartition(":")[2]] = int(size)
    return dict(sorted(frames.items(), key=lambda item: -item[1])[:count])
