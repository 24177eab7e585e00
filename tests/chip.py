"""The search's machine code in an emulator, called on a table that lies in memory in one piece or in several."""

from __future__ import annotations

import numpy as np
from native import SEARCH_WORK

from bitwren_host.bench.machine import Machine

PAST_END, SPARE = 0x5A, 12


def search(
    machine: Machine, data: bytes, query: bytes, k: int, cut: int = 0, function: str = "bench_search", room: int = 0
) -> tuple[list[tuple[int, int]], bytes]:
    """Hits, and the ``room`` behind the work memory with what lies behind that, which was filled with PAST_END.

    :param cut: bytes of a piece, each at a place of its own; 0: one piece.
    """
    machine.clear()
    hits, work = (machine.place(bytes([PAST_END]) * size) for size in (8 * k + 16, SEARCH_WORK + room + SPARE))
    extents: list[int] = []
    for start in range(0, len(data), cut or len(data)):
        extents += [start, machine.place(data[start : start + (cut or len(data))] + bytes([PAST_END]) * 4)]
    job = machine.job(extents[1], len(data), machine.place(query), k, hits, work, extents if cut else ())
    found = machine.call(function, job).result
    assert machine.read(hits + 8 * k, 16) == bytes([PAST_END]) * 16
    pairs = np.frombuffer(machine.read(hits, 8 * found), "<u4").reshape(-1, 2)
    return [(int(distance), int(slot)) for distance, slot in pairs], machine.read(work + SEARCH_WORK, room + SPARE)
