"""What is behind a serial port: MicroPython or not, which, and what it lacks to run bitwren."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bitwren.errors import BitwrenError

from . import architecture, raw_repl
from .board_files import native_path

OLDEST = (1, 23)
"""MicroPython versions before it do not run bitwren's package."""
_LOOK = b"""
def look():
    import gc, sys
    gc.collect()
    which = sys.implementation
    found = {"version": list(which[1][:3]), "mpy": getattr(which, "_mpy", 0), "machine": getattr(which, "_machine", "")}
    found["heap"] = gc.mem_free() + gc.mem_alloc()
    try:
        import bitwren
        found["bitwren"] = True
        found["native"], found["notice"] = bitwren._load_core("auto")[1:]
        from bitwren.console import find_bundle
        found["bundle"] = find_bundle()
    except ImportError:
        found["bitwren"] = False
    except Exception as error:
        found["trouble"] = "{}: {}".format(type(error).__name__, error)
    report(found)
look()
"""


@dataclass(frozen=True)
class Board:
    """A MicroPython that answered.

    :ivar arch: whose native module it needs. :ivar heap: bytes. :ivar native: what computes there, None without bitwren.
    :ivar lacks: what is to be done for bitwren to run there as well as it can, a sentence each.
    """

    port: str
    version: str
    machine: str
    arch: str
    mpy: str
    heap: int
    native: str | None
    bundle: str | None
    lacks: list[str] = field(default_factory=list)


def probe(port: str, seconds: float = 15.0, patience: float = 3.0) -> Board | None:
    """Ask what is behind a port; None when it is not MicroPython. A program that runs there is ended and started again.

    :param seconds: how long a board may take to look at itself.
    :param patience: seconds without a raw REPL until it counts as something else; an emulated board wants more than a real one.
    :raises LinkError: when the port cannot be opened or used.
    """
    found = raw_repl.ask(port, _LOOK, seconds, patience)
    try:
        return None if found is None else _board(port, found)
    except (ValueError, KeyError, TypeError) as error:
        raise BitwrenError(f"{port} is MicroPython but does not say which: reset it and try again") from error


def _board(port: str, found: dict[str, Any]) -> Board:
    arch, mpy = architecture.of_board(int(found["mpy"]))
    version, machine = tuple(int(number) for number in found["version"]), str(found["machine"])
    lacks = []
    if version[:2] < OLDEST:
        lacks.append(f"MicroPython {'.'.join(map(str, OLDEST))} or later: flash a newer one")
    if "trouble" in found:
        lacks.append(f"bitwren there does not start ({found['trouble']}): copy it again")
    elif not found["bitwren"]:
        lacks.append(f"bitwren: mpremote connect {port} mkdir :lib + cp -r firmware/bitwren :lib/")
        lacks += _native(port, arch, machine)
    elif found["notice"]:
        lacks += [str(found["notice"]), *_native(port, arch, machine)]
    if found.get("bitwren") and "trouble" not in found and found["bundle"] is None:
        lacks.append(f"a bundle: mpremote connect {port} cp -r BUNDLE :")
    dotted = ".".join(map(str, version))
    return Board(port, dotted, machine, arch, mpy, int(found["heap"]), found.get("native"), found.get("bundle"), lacks)


def _native(port: str, arch: str, machine: str) -> list[str]:
    """How to copy the native module; nothing for a MicroPython that loads none."""
    if arch == "none":
        return []
    path = next(filter(None, map(native_path, architecture.modules(arch, machine))), None)
    if path is None:
        return [f"the native module for {arch}, which is not built here: make natmods"]
    return [f"the native module: mpremote connect {port} cp {path} :lib/bitwren_native.mpy"]
