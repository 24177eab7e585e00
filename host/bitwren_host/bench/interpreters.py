"""What a search costs where MicroPython does it: viper, and plain Python, on the emulated Pico.

The table is held in RAM, where both are at their best: from the pieces of a file in flash, viper takes half as long again.
"""

from __future__ import annotations

import json

from bitwren.errors import BitwrenError

from . import measure
from .codes import Workload
from .measure import Row
from .pico import CountingPico

ENGINES = {"viper": 65_536, "python": 8192}
"""By the name of the kernel, bytes of codes that are searched at most: what fits RAM, and what takes seconds and not minutes."""

_SEARCH = """
table = core = None  # those of the engine before make room
import gc
gc.collect()
from array import array
from bitwren import fallback
from bitwren.storage import File, InDirectory, Window
core = fallback.core("{engine}")
table = File(core, InDirectory("/{engine}.bwt", Window()), b"BWT1", "ram").source
code, hits, work = bytearray({code}), array("I", bytes(8 * {k})), bytearray(core.SEARCH_WORK)
found = []
def search():
    found.append(core.search(table, code, {k}, hits, work))
"""


def rows(workload: Workload, k: int) -> list[Row]:
    """The flat search by each of :data:`ENGINES`, among the first of the workload's codes, for its first query."""
    cut = {engine: _first(workload, most) for engine, most in ENGINES.items()}
    pico = CountingPico({f"{engine}.bwt": measure.write_table(part.codes, "flat") for engine, part in cut.items()})
    return [_row(pico, engine, part, k) for engine, part in cut.items()]


def _row(pico: CountingPico, engine: str, workload: Workload, k: int) -> Row:
    query = workload.queries[0]
    pico.execute(_SEARCH.format(engine=engine, code=query.tobytes(), k=k))
    counted = pico.count("search")
    found, pairs = json.loads(pico.execute("import json\nprint(json.dumps([found, list(hits)]))"))
    if not measure.is_right(workload, query, k, list(zip(pairs[::2], pairs[1::2], strict=True))[: found[0]]):
        raise BitwrenError(f"{engine} on the emulated Pico does not find what brute force finds: please report this")
    # Neither leaves a block early: all codes are read.
    return measure.make_row("armv6m", engine, "flat", workload, k, counted.instructions, workload.codes.nbytes)


def _first(workload: Workload, most: int) -> Workload:
    """As many codes as ``most`` bytes hold, and one query."""
    return Workload(workload.name, workload.codes[: most // workload.codes[0].nbytes], workload.queries[:1])
