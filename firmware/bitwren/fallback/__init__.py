"""What bitwren_native does, without it: the same calls, the same results bit for bit, slower.

`core("viper")` and `core("python")` give an object with the native module's functions and constants; a firmware without a
native code emitter, or with that of another chip, has no viper.
"""


def core(name):
    """The functions in one of the two kinds; None where viper is not possible."""
    loops = _loops(name)
    if loops is None:
        return None
    from .engine import Core

    return Core(loops)


def ranker():
    """An object with rank() alone, for a native module that was built without it."""
    from .ranking import Ranker

    return Ranker()


def _loops(name):
    if name == "python":
        from . import plain

        return plain
    try:
        from . import fast
    except (ImportError, SyntaxError, ValueError):  # not copied; no emitter; compiled for another chip
        return None
    return fast
