"""What is behind a serial port: MicroPython or not, which, and what it lacks to run bitwren."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bitwren.errors import BitwrenError

from . import architecture
from .board_files import native_path
from .repl import RawRepl, ReplError
from .serial_link import PortLine

OLDEST = (1, 23)
"""MicroPython versions before it do not run bitwren's package."""
NEEDED_HEAP = 80 * 1024
"""Bytes of heap in all with which examples/board-help's bundle answers in place on the emulated Pico; with 72 KB it does not."""
# As early as it can be: a MicroPython that is too old is to be told so, and not to stumble over what it lacks.
_LOOK = """
def look():
    import gc, os, sys
    gc.collect()
    which = sys.implementation
    found = {"version": list(which[1][:3]), "mpy": getattr(which, "_mpy", 0), "machine": getattr(which, "_machine", "")}
    found["heap"] = gc.mem_free() + gc.mem_alloc()
    found["root"] = root = ([path[:-4] for path in sys.path if path[-4:] == "/lib" and path[0] != "."] or [os.getcwd()])[0]
    try:
        sizes = os.statvfs(root or "/")
        found["block"], found["blocks"], found["free"] = sizes[1], sizes[2], sizes[1] * sizes[4]
    except (AttributeError, OSError):
        found["block"] = found["blocks"] = found["free"] = 0
    return found
"""
_TRY = """
def attempt(found):
    found["bitwren"] = True
    try:
        import bitwren
        found["native"], found["notice"] = bitwren.load_core("auto")[1:]
        from bitwren.console import find_bundle
        found["bundle"] = find_bundle()
    except ImportError:
        found["bitwren"] = False
    except Exception as error:
        found["trouble"] = "{}: {}".format(type(error).__name__, error)
    return found
"""


@dataclass(frozen=True)
class Board:
    """A MicroPython that answered.

    :ivar arch: whose native module it needs. :ivar heap: bytes. :ivar native: what computes there, None without bitwren.
    :ivar root: the folder that holds its ``lib``. :ivar block: bytes of its filesystem's blocks. :ivar free: bytes free in it.
    :ivar lacks: what is to be done for bitwren to run there as well as it can, a sentence each.
    """

    port: str
    version: str
    machine: str
    arch: str
    mpy: str
    heap: int
    root: str = ""
    block: int = 0
    free: int = 0
    native: str | None = None
    bundle: str | None = None
    lacks: list[str] = field(default_factory=list)

    @property
    def too_old(self) -> bool:
        """Whether its MicroPython is older than bitwren's package can be."""
        return tuple(int(number) for number in self.version.split(".")[:2]) < OLDEST


def probe(port: str, seconds: float = 15.0, patience: float = 3.0) -> Board | None:
    """Ask what is behind a port; None when it is not MicroPython. A program that runs there is ended and started again.

    :param seconds: how long a board may take to look at itself.
    :param patience: seconds without a raw REPL until it counts as something else; an emulated board wants more than a real one.
    :raises LinkError: when the port cannot be opened or used.
    """
    with PortLine(port, write_timeout=3.0) as line:
        repl = RawRepl(line)
        if not repl.enter(patience):
            return None
        try:
            return look(repl, port, seconds, bitwren=True)
        finally:
            repl.leave()


def look(repl: RawRepl, port: str, seconds: float, bitwren: bool) -> Board:
    """What a board in its raw REPL is. :param bitwren: whether it is to try what of bitwren it has, too.

    :raises BitwrenError: when it does not tell.
    """
    try:
        repl.define(_LOOK, _TRY if bitwren else "")
        return _board(port, repl.run("say(attempt(look()))" if bitwren else "say(look())", seconds))
    except (ReplError, ValueError, KeyError, TypeError) as error:
        raise BitwrenError(f"{port} is MicroPython but does not say which: reset it and try again") from error


def _board(port: str, found: dict[str, Any]) -> Board:
    arch, mpy = architecture.of_board(int(found["mpy"]))
    version, machine = ".".join(str(int(number)) for number in found["version"]), str(found["machine"])
    sizes = [int(found[key]) for key in ("heap", "block", "free")]
    board = Board(port, version, machine, arch, mpy, sizes[0], str(found["root"]), sizes[1], sizes[2])
    if "bitwren" not in found:
        return board
    lacks = []
    if board.too_old:
        lacks.append(f"MicroPython {'.'.join(map(str, OLDEST))} or later: flash a newer one (bitwren flash)")
    deploy = f"bitwren deploy BUNDLE --port {port}"
    if "trouble" in found:
        lacks.append(f"bitwren there does not start ({found['trouble']}): {deploy}")
    elif not found["bitwren"]:
        lacks.append(f"bitwren: {deploy}")
        lacks += _native(deploy, arch, machine)
    elif found["notice"]:
        lacks += [str(found["notice"]), *_native(deploy, arch, machine)]
    if found["bitwren"] and "trouble" not in found and found["bundle"] is None:
        lacks.append(f"a bundle: {deploy}")
    return Board(
        **{**vars(board), "native": found.get("native"), "bundle": found.get("bundle"), "lacks": lacks},
    )


def _native(deploy: str, arch: str, machine: str) -> list[str]:
    """How it gets the native module; nothing for a MicroPython that loads none."""
    if arch == "none":
        return []
    if not any(map(native_path, architecture.modules(arch, machine))):
        return [f"the native module for {arch}, which is not built here: make natmods"]
    return [f"the native module: {deploy}"]
