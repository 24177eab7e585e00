"""The benchmark programs: the core and what it is compared with, built for an architecture by its cross compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from bitwren.errors import BitwrenError

from ..board_files import cache_folder, data_folder

ARCHITECTURES = ("armv6m", "armv7emsp", "rv32imc")
"""Cortex-M0+, Cortex-M4F (the same code runs on M33), and 32-bit RISC-V without bit manipulation."""

KNOWN = ("armv6m", "armv7m", "armv7emsp", "rv32imc")

MODULES = ("armv6m", "armv7m", "armv7emsp", "rv32imc", "xtensawin", "x64")
"""What native modules are built for."""

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


def module_bytes(arch: str) -> dict[str, Any]:
    """Bytes of the native module: as a file, and its objects' machine code and constants. None where it is not built.

    ``files`` has the core alone, without what ties it to MicroPython, where the benchmark is built, by file.
    """
    native = cache_folder() / "native"
    module = native / f"bitwren_native_{arch}.mpy"
    built = module.is_file()
    # Clang's objects of a whole module hold what the single ones, which are bitcode, were joined into.
    whole = native / arch / "whole.o"
    objects = [whole] if whole.is_file() else sorted((native / arch).glob("*.o"))
    sizes = {path.stem: _section_bytes(path) for path in objects} if built else {}
    core = {path.stem: sum(_section_bytes(path)) for path in _core_objects(arch, "o")}
    return {
        "mpy_bytes": module.stat().st_size if built else None,
        "code_bytes": sum(code for code, _ in sizes.values()) if sizes else None,
        "rodata_bytes": sum(constants for _, constants in sizes.values()) if sizes else None,
        **({"core_bytes": sum(core.values()), "files": core} if core else {}),
    }


def _section_bytes(path: Path) -> tuple[int, int]:
    """Bytes of machine code and of constants in an object file."""
    from elftools.elf.constants import SH_FLAGS
    from elftools.elf.elffile import ELFFile

    code = constants = 0
    with path.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR:
                code += section["sh_size"]
            elif section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section.name.startswith((".rodata", ".data", ".literal")):
                constants += section["sh_size"]
    return code, constants


def _core_objects(arch: str, suffix: str) -> list[Path]:
    """What the benchmark's build made of the core's files."""
    folder = cache_folder() / "native" / f"bench-{arch}"
    return [path for path in sorted(folder.glob(f"*.{suffix}")) if path.stem not in ("core-entries", "baselines")]


def largest_frames(arch: str, count: int = 3) -> dict[str, int]:
    """The functions of the core with the largest stack frames, as gcc reports them."""
    frames: dict[str, int] = {}
    for path in _core_objects(arch, "su"):
        for line in path.read_text().splitlines():
            place, size, _kind = line.split("\t")
            frames[place.rpartition(":")[2]] = int(size)
    return dict(sorted(frames.items(), key=lambda item: -item[1])[:count])
