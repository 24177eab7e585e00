"""Exact top-k over blocks of documents and over rows; `loops` counts the bits.

Residual blocks are counted whole: of what a block stores, y = x XOR p with p its pivot, and of e = q XOR p the XOR is that of
the document x and the query q, so a flat block's count of its planes against e is the distance.
"""

from array import array
from struct import pack_into, unpack_from

from .check import LANES, RESIDUAL, ROWS

_MOST_LANES = 64


class Search:
    """The nearest so far, and what finds nearer ones."""

    def __init__(self, source, table, code, k, loops, live, slots):
        """:param live: a word for every 32 slots, or None: the file's. :param slots: how many there are in all."""
        self._source, self._table, self._code, self._loops, self._live = source, table, code, loops, live
        self._near = array("H", bytes(4 * _MOST_LANES))  # pairs (distance, lane)
        self._wanted = min(k, slots)
        self._distances, self._found = [], []
        self.limit = table.bits + 1  # a distance below it is wanted

    def blocks(self):
        """Search the blocks."""
        source, table, lanes = self._source, self._table, self._table.lanes
        loops, bits, row = self._loops, table.bits, table.bits // 8
        residual = table.layout == RESIDUAL
        query = loops.prepare(self._code, lanes)
        size = table.before + lanes * row
        e = bytearray(row)
        for slot in range(0, table.count, lanes):
            block = slot // lanes
            live = self._live_word(slot)
            if lanes > LANES and slot + LANES < table.count:
                live |= self._live_word(slot + LANES) << LANES
            if table.count - slot < lanes:
                live &= (1 << table.count - slot) - 1  # lanes past the last slot are dead
            if not live or not self.limit:
                continue
            if residual:
                view = source.need(table.pivots + (row + 4) * block + 4, row)
                at = source.at
                for index in range(row):
                    e[index] = view[at + index] ^ self._code[index]
                query = loops.prepare(e, lanes)
            at = table.codes + size * block + table.before
            view = source.need(at, lanes * row, size * ((table.count - slot + lanes - 1) // lanes) - table.before)
            self._take(slot, loops.near(view, source.at, query, bits, lanes, live, self.limit, self._near))

    def rows(self, source, at, slot, end):
        """Search the rows of slots [slot, end), which begin at `at` in a source."""
        loops, row = self._loops, self._table.bits // 8
        while slot < end and self.limit:
            stop = min((slot // LANES + 1) * LANES, end)
            live = -1 if self._live is None and slot >= self._table.slots else self._live_word(slot)
            live = live >> slot % LANES & (1 << stop - slot) - 1
            if live:
                view = source.need(at, (stop - slot) * row, (end - slot) * row)
                self._take(slot, loops.near_rows(view, source.at, self._code, row, live, self.limit, self._near))
            at += (stop - slot) * row
            slot = stop

    def _live_word(self, slot):
        """The live bits of 32 slots."""
        if self._live is not None:
            return unpack_from("<I", self._live, slot // LANES * 4)[0]
        source = self._source
        return unpack_from("<I", source.need(self._table.live + slot // LANES * 4, 4, 4), source.at)[0]

    def _take(self, slot, found):
        """Insert pairs of `near`: slots ascend, so of equal distances the one that is there wins."""
        near, distances, slots = self._near, self._distances, self._found
        for index in range(found):
            distance = near[2 * index]
            if distance >= self.limit:
                continue
            if len(slots) == self._wanted:
                slots.pop()
                distances.pop()
            place = len(slots)
            while place and distances[place - 1] > distance:
                place -= 1
            distances.insert(place, distance)
            slots.insert(place, slot + near[2 * index + 1])
            if len(slots) == self._wanted:
                self.limit = distances[-1]

    def write(self, hits):
        """Write pairs (distance, slot); returns how many."""
        for index, slot in enumerate(self._found):
            pack_into("II", hits, 8 * index, self._distances[index], slot)
        return len(self._found)


def search(source, table, code, k, hits, loops, live, added, slots):
    """Write the min(k, live) nearest live slots as pairs (distance, slot), ascending; returns how many.

    :param live: words in place of the file's, or None. :param added: a source of the rows beside the file's, or None.
    :param slots: how many there are with those.
    """
    search = Search(source, table, code, k, loops, live, slots)
    if table.layout == ROWS:
        search.rows(source, table.codes, 0, table.count)
    else:
        search.blocks()
    if table.slots > table.count:
        search.rows(source, table.staged, table.count, table.slots)
    if slots > table.slots:
        search.rows(added, 0, table.slots, slots)
    return search.write(hits)
