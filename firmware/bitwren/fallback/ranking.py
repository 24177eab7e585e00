"""Candidates of the Hamming search and of the words, ranked by one score: toolchain/bitwren/scoring.py, docs/format.md."""

from array import array
from struct import pack_into, unpack_from

from . import check
from .check import DEPTH, LANES, MAX_UNITS, RESIDUAL, ROWS
from .integers import int8, square_root
from .source import ARGUMENT, FORMAT, Bad, demand, holds, natural, open_source

_STAGES_AT = 321
_WINDOW = 1024  # slots whose words' sums are held at a time
_ARC = 4096, 4017, 3784, 3406, 2896, 2276, 1567, 799, 0, -799, -1567, -2276, -2896, -3406, -3784, -4017, -4096
_VECTORS, _WORDS = 1, 2
_MAX_COSINE = (1 << 19) - 1


class Ranker:
    """What computes, in viper where that is possible."""

    DEPTH = DEPTH

    def __init__(self, name="viper", checked=None):
        """:param checked: as of open_source."""
        self._checked = [] if checked is None else checked
        self._loops = _loops(name)

    def rank(self, given, words, text, code, embedding, hits, found, k, ranked, work, stages=3, live=None):
        """What the native module's rank() does; it says what is what. The work memory is left alone."""
        if natural(k) == 0:
            raise ValueError("k must be at least 1")
        demand(hits, 8 * natural(found), 4)
        demand(ranked, 12 * (found + DEPTH), 4)
        if live is not None:
            demand(live, 0, 4)
        opened = open_source(given, self._checked)
        try:
            table = check.Table(opened)
            fields = Fields(opened)
            demand(code, table.bits // 8, 4)
            vectors = stages & _VECTORS and fields.vector_bits
            if vectors and (embedding is None or not holds(embedding, fields.units)):
                return ARGUMENT
            if live is not None and not holds(live, (table.slots + LANES - 1) // LANES * 4):
                return ARGUMENT
            ranking = Ranking(opened, table, fields, bytes(code)[: table.bits // 8], self._loops)
            if vectors:
                ranking.ask_vectors(embedding)
            if stages & _WORDS and fields.words and fields.words[1]:
                from .words import Index, buckets

                index = Index(opened, fields.words, table.slots)
                asked = buckets(open_source(words, self._checked), _bytes(text), index.hash_bits, self._loops)
                # Opened anew, since both files may be read through one window.
                ranking.source = open_source(given, self._checked)
                ranking.ask_words(index, asked, hits, found, live)
            return ranking.rank(hits, found, k, ranked)
        except Bad as error:
            return error.args[0]


class Fields:
    """What a table has for the scoring stages."""

    def __init__(self, source):
        number = check.open_page(source, b"BWT1")
        bits, units, self.weight = unpack_from("<BHH", source.need(_STAGES_AT, 5), source.at)
        self.vector_bits, self.units = bits, units
        if bits:
            self._centre = check.find_section(source, number, b"CENT")
            self._vectors = check.find_section(source, number, b"VECS")
        try:
            self.words = check.find_section(source, number, b"WORD")
        except Bad as error:
            if error.args[0] != FORMAT:
                raise
            self.words = None

    def open_vectors(self, slots):
        """Where centre and vectors lie, their ranges checked: offset of the centre, offset, bytes and number of vectors."""
        (centre, size), (vectors, length) = self._centre, self._vectors
        bits, units = self.vector_bits, self.units
        stride = 4 + units * bits // 8
        if bits not in (2, 4, 8) or not 0 < units <= MAX_UNITS or units * bits % 32 or size != units:
            raise Bad(FORMAT)
        if length % stride or length // stride > slots:
            raise Bad(FORMAT)
        return centre, vectors, stride, length // stride


class Ranking:
    """One query's candidates."""

    def __init__(self, source, table, fields, code, loops):
        self.source, self._table, self._fields, self._code, self._loops = source, table, fields, code, loops
        self._vector_count = 0
        self._total = 0  # of the terms' rarities
        self._values, self._more_values, self._more_slots = None, (), ()

    def ask_vectors(self, embedding):
        """From here on vectors count."""
        fields = self._fields
        centre, self._vectors, self._stride, self._vector_count = fields.open_vectors(self._table.slots)
        view = self.source.need(centre, fields.units, fields.units)
        at, squares = self.source.at, 0
        self._query = query = array("i", bytes(4 * fields.units))
        for index in range(fields.units):
            value = query[index] = int8(embedding[index]) - int8(view[at + index])
            squares += value * value
        self._length = square_root(squares)
        # A field f stands for 2 f - 3, f - 8 or f - 128.
        self._factor = 2 if fields.vector_bits == 2 else 1
        self._excess = sum(query) * (3 if fields.vector_bits == 2 else 1 << (fields.vector_bits - 1))
        self._dot = array("i", (0,))

    def ask_words(self, index, buckets, hits, found, live):
        """From here on words count: those of the hits, and more candidates, the best by words that are no hits."""
        source, table, loops = self.source, self._table, self._loops
        states, self._total = index.begin(source, buckets)
        self._values = values = array("I", bytes(4 * found))
        self._more_values, self._more_slots = best, slots = [], []
        limit = 0
        for first in range(0, index.count if states else 0, _WINDOW):
            size = min(_WINDOW, index.count - first)
            sums = array("H", bytes(2 * size))
            index.add(source, states, first, first + size, sums, loops)
            alive, at = live, first // 8
            if live is None:
                view, alive, at = source.need(table.live + at, (size + 31) // 32 * 4), None, 0
                alive = bytes(view[source.at : source.at + (size + 31) // 32 * 4])
            view = source.need(index.gains + first, size, size)
            for hit in range(found):
                slot = unpack_from("I", hits, 8 * hit + 4)[0] - first
                if 0 <= slot < size:
                    values[hit] = sums[slot] * view[source.at + slot]
            place = loops.above(sums, view, source.at, 0, size, limit)
            while place < size:
                if unpack_from("<I", alive, at + place // LANES * 4)[0] >> place % LANES & 1:
                    value, slot = sums[place] * view[source.at + place], first + place
                    if len(best) == DEPTH:
                        best.pop()
                        slots.pop()
                    here = _place(best, slots, value, slot)
                    best.insert(here, value)
                    slots.insert(here, slot)
                    limit = best[-1] if len(best) == DEPTH else 0
                place = loops.above(sums, view, source.at, place + 1, size, limit)
        for hit in range(found):
            slot = unpack_from("I", hits, 8 * hit + 4)[0]
            if slot in slots:
                best.pop(slots.index(slot))
                slots.remove(slot)

    def rank(self, hits, found, k, ranked):
        """Write the k best as triples (score, distance, slot); returns how many."""
        scores, slots, distances = [], [], []
        for index in range(found + len(self._more_slots)):
            if index < found:
                far, slot = unpack_from("II", hits, 8 * index)
                value = self._values[index] if self._values else 0
            else:
                slot, value = self._more_slots[index - found], self._more_values[index - found]
                far = self._distance(slot)
            score = self._score(far, slot, value)
            place = _place(scores, slots, score, slot)
            if place < k:
                scores.insert(place, score)
                slots.insert(place, slot)
                distances.insert(place, far)
                if len(slots) > k:
                    scores.pop()
                    slots.pop()
                    distances.pop()
        for index, slot in enumerate(slots):
            pack_into("iII", ranked, 12 * index, scores[index], distances[index], slot)
        return len(slots)

    def _score(self, far, slot, value):
        if slot < self._vector_count:
            score = self._cosine(slot)
        else:
            # What a distance stands for where signs are of random projections, by a table and straight lines.
            bits = self._table.bits
            step, rest = min(far * 16 // bits, 16), far * 16 % bits
            score = _ARC[step] + (_ARC[min(step + 1, 16)] - _ARC[step]) * rest // bits
        if self._total:
            score += self._fields.weight * (value * 32 // self._total) >> 8
        return score

    def _cosine(self, slot):
        if not self._length:
            return 0
        source, stride = self.source, self._stride
        view = source.need(self._vectors + slot * stride, stride, stride)
        scale = view[source.at] | view[source.at + 1] << 8
        self._loops.weigh(view, source.at + 4, stride - 4, self._fields.vector_bits, self._query, self._dot)
        dot = self._factor * self._dot[0] - self._excess
        cosine = min((abs(dot) * scale & 0xFFFFFFFF) // self._length, _MAX_COSINE) >> 6  # both bounds for scales that are wrong
        return -cosine if dot < 0 else cosine

    def _distance(self, slot):
        """From the query's code to a slot's of the file."""
        table, source, code = self._table, self.source, self._code
        row, lanes = table.bits // 8, table.lanes
        if slot >= table.count or table.layout == ROWS:
            at = table.staged - table.count * row if slot >= table.count else table.codes
            view = source.need(at + slot * row, row, row)
            return self._loops.of_row(view, source.at, code, row)
        block, lane = slot // lanes, slot % lanes
        if table.layout == RESIDUAL:
            # A block's planes are of documents XOR its pivot.
            view = source.need(table.pivots + (row + 4) * block + 4, row, row)
            code = bytes(code[index] ^ view[source.at + index] for index in range(row))
        size = lanes * row
        view = source.need(table.codes + (table.before + size) * block + table.before, size, size)
        return self._loops.of_lane(view, source.at, lanes // 8, code, row, lane)


def _place(values, slots, value, slot):
    """Where a value belongs among descending ones, of equal ones by ascending slot."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) >> 1
        if values[middle] > value or (values[middle] == value and slots[middle] < slot):
            low = middle + 1
        else:
            high = middle
    return low


def _loops(name):
    if name == "viper":
        try:
            from . import fast_ranking

            return fast_ranking
        except (ImportError, SyntaxError, ValueError):
            pass
    from . import plain_ranking

    return plain_ranking


def _bytes(text):
    return text.encode() if isinstance(text, str) else text
