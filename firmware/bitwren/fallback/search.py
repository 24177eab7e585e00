"""Exact top-k over flat bit-sliced blocks of 32 documents; `loops` counts the bits of a block."""

from array import array
from struct import pack_into, unpack_from

from .check import LANES


def search(source, table, code, k, hits, loops):
    """Write the min(k, live) nearest live slots as pairs (distance, slot), ascending; returns how many."""
    bits, count, size = table.bits, table.count, 4 * table.bits
    query = loops.prepare(code, bits)
    near = array("H", bytes(4 * LANES))  # pairs (distance, lane) of a block
    distances, slots = [], []
    wanted = min(k, count)
    limit = bits + 1  # a distance below it is wanted
    for block in range(table.blocks):
        live = unpack_from("<I", source.need(table.live + 4 * block, 4, 4), source.at)[0]
        left = count - LANES * block
        if left < LANES:
            live &= (1 << left) - 1  # lanes past the last slot are dead
        if not live:
            continue
        view = source.need(table.codes + size * block, size, size * (table.blocks - block))
        for index in range(loops.near(view, source.at, query, bits, live, limit, near)):
            distance = near[2 * index]
            if distance >= limit:
                continue  # slots ascend, so the one that is there wins a tie
            if len(slots) == wanted:
                slots.pop()
                distances.pop()
            place = len(slots)
            while place and distances[place - 1] > distance:
                place -= 1
            distances.insert(place, distance)
            slots.insert(place, LANES * block + near[2 * index + 1])
            if len(slots) == wanted:
                limit = distances[-1]
        if not limit:
            break  # nothing can be nearer
    for index, slot in enumerate(slots):
        pack_into("II", hits, 8 * index, distances[index], slot)
    return len(slots)
