"""What computes: the native module for this chip, or MicroPython code in its place."""

import builtins
import sys

from . import messages
from .messages import Error

ENGINES = ("auto", "native", "viper", "python")
_ABI = 4  # of bitwren_native
# By their number in sys.implementation._mpy.
_ARCHITECTURES = "none x86 x64 armv6 armv6m armv7m armv7em armv7emsp armv7emdp xtensa xtensawin rv32imc rv64imc"
# MicroPython on a Cortex-M says what its core could run at most: every one without FPU armv7em, even an M3.
_MADE_FOR = {"armv7em": "armv7m", "armv7emdp": "armv7emsp"}
_RUNS_TOO = {"armv7emsp": ("armv7m", "armv6m"), "armv7m": ("armv6m",)}


def architecture():
    """The architecture whose native module this board needs, and its .mpy version, as ("armv6m", "6.3")."""
    arch, version = _of_header(getattr(sys.implementation, "_mpy", 0))
    return _MADE_FOR.get(arch, arch), version


def _of_header(code):
    arch = code >> 10 & 0x0F
    names = _ARCHITECTURES.split()
    return names[arch] if arch < len(names) else str(arch), "{}.{}".format(code & 0xFF, code >> 8 & 3)


def natives(arch, machine):
    """What native modules that this board runs are made for, best first.

    :param arch: as of :func:`architecture`. :param machine: sys.implementation._machine.
    """
    # _mpy does not tell of instructions beyond rv32imc; the RP2350's RISC-V cores count a word's ones by one of them.
    names = ["rv32imc_zbb"] if arch == "rv32imc" and "RP2350" in machine else []
    names.append(arch)
    names.extend(_RUNS_TOO.get(arch, ()))
    return names


def load_core(engine):
    """The core that computes, its name, and the sentence for one that is not native; all give the same results."""
    if engine not in ENGINES:
        raise Error(messages.unknown_engine(engine))
    arch, version = architecture()
    trouble = None
    if engine == "auto" or engine == "native":
        native, found = import_native(arch)
        if native is not None:
            return native, found, None
        trouble = found
    wanted = messages.no_native(natives(arch, _machine())[0], version, trouble)
    if engine == "native":
        raise Error(wanted)
    from . import fallback  # not before it is needed: it takes RAM

    core = None if engine == "python" else fallback.core("viper")
    if core is None and engine == "viper":
        raise Error(messages.no_viper())
    core = core or fallback.core("python")
    return core, core.name, messages.slow(core.name, wanted) if engine == "auto" else None


def _machine():
    return getattr(sys.implementation, "_machine", "")


def import_native(arch):
    """The native module and what it is made for; or None, and what is wrong with the one that is here, if there is any."""
    trouble = None
    names = natives(arch, _machine())
    names.insert(0, None)  # bitwren_native.mpy: somebody chose it
    for made_for in names:
        name = "bitwren_native" + ("_" + made_for if made_for else "")
        try:
            native = __import__(name)
        except ImportError:
            continue
        except ValueError:  # of another chip or another MicroPython
            trouble = trouble or _made_for(name)
            continue
        if getattr(native, "ABI", None) == _ABI:
            # A firmware that loads no .mpy file with machine code may have the module built in.
            return native, made_for or ("built in" if arch == "none" else arch)
        trouble = trouble or messages.other_version(name)
    return None, trouble


def _made_for(name):
    """What the file of a module that does not load says it is made for."""
    for folder in sys.path:
        path = (folder + "/" if folder else "") + name + ".mpy"
        try:
            with builtins.open(path, "rb") as file:
                header = file.read(3)
        except OSError:
            continue
        if len(header) == 3 and header[:1] == b"M":
            return messages.made_for(path, *_of_header(header[2] << 8 | header[1]))
        return messages.no_module(path)
    return messages.no_module(name)
