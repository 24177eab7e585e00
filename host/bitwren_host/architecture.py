"""Which native module a board runs: the same choice as the board's own (firmware/bitwren; a test compares them)."""

from __future__ import annotations

NAMES = (
    *("none", "x86", "x64", "armv6", "armv6m", "armv7m", "armv7em", "armv7emsp", "armv7emdp"),
    *("xtensa", "xtensawin", "rv32imc", "rv64imc"),
)
"""By their number in ``sys.implementation._mpy``."""
# MicroPython on a Cortex-M says what its core could run at most: every one without FPU armv7em, even an M3.
_MADE_FOR = {"armv7em": "armv7m", "armv7emdp": "armv7emsp"}
_RUNS_TOO = {"armv7emsp": ("armv7m", "armv6m"), "armv7m": ("armv6m",)}


def of_board(mpy: int) -> tuple[str, str]:
    """The architecture whose native module a board needs, and its .mpy version, as ``("armv6m", "6.3")``.

    :param mpy: ``sys.implementation._mpy`` there.
    """
    number = mpy >> 10 & 0x0F
    name = NAMES[number] if number < len(NAMES) else str(number)
    return _MADE_FOR.get(name, name), f"{mpy & 0xFF}.{mpy >> 8 & 3}"


def modules(arch: str, machine: str = "") -> list[str]:
    """What native modules that a board runs are made for, best first.

    :param arch: as of :func:`of_board`. :param machine: ``sys.implementation._machine`` there.
    """
    # _mpy does not tell of instructions beyond rv32imc; the RP2350's RISC-V cores count a word's ones by one of them.
    better = ["rv32imc_zbb"] if arch == "rv32imc" and "RP2350" in machine else []
    return [*better, arch, *_RUNS_TOO.get(arch, ())]
