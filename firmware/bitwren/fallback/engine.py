"""An object with the functions and constants of bitwren_native."""

from struct import pack_into

from . import check, encoder, search, source
from .source import Bad, demand, holds, natural, open_source
from .text import MAX_TEXT


class Core:
    """The functions of bitwren_native; docs there. Trouble with a file is a negative number, as there."""

    ABI = 4
    # Of the native core: the work memory is taken and left alone.
    ENCODE_WORK, SEARCH_WORK, RANK_WORK = 4096, 4096, 6144
    DEPTH = check.DEPTH
    MAX_TEXT = MAX_TEXT
    MIN_WINDOW = source.MIN_WINDOW

    def __init__(self, loops):
        self._loops = loops
        self._checked = []  # extents: checking them takes longer than reading a record
        self._ranker = None
        self.name = loops.NAME

    def check(self, given, magic, every_section):
        """0 or an error."""
        opened = open_source(given, self._checked)
        demand(magic, 4)
        try:
            check.check(opened, magic, every_section)
        except Bad as error:
            return error.args[0]
        return 0

    def tokens(self, given, text, ids):
        """Number of tokens, as many as fit written to the array("H"), or an error."""
        opened = open_source(given, self._checked)
        try:
            return encoder.count_tokens(opened, check.Encoder(opened), _bytes(text), ids, len(ids))
        except Bad as error:
            return error.args[0]

    def encode(self, given, text, code, work, centre=None, embedding=None):
        """Number of tokens, and the code and the int8 embedding where they are wanted, or an error."""
        opened = open_source(given, self._checked)
        demand(work, self.ENCODE_WORK, 4)
        try:
            fields = check.Encoder(opened)
            demand(code, fields.bits // 8, 4)
            for buffer in (centre, embedding):
                if buffer is not None:
                    demand(buffer, fields.units)
            sums = encoder.array("i", bytes(4 * fields.dims))
            count = encoder.pool(opened, fields, _bytes(text), self._loops, sums)
            encoder.rescale(sums, fields.gain)
            encoder.run_head(opened, fields, sums, self._loops, code, centre, embedding)
            return count
        except Bad as error:
            return error.args[0]

    def search(self, given, code, k, hits, work, effort=100, live=None, rows=None):
        """Number of hits, pairs (distance, slot) of 32 bits each, or an error. Exact whatever the effort."""
        opened = open_source(given, self._checked)
        if natural(k) == 0:
            raise ValueError("k must be at least 1")
        demand(hits, 8 * k, 4)
        demand(work, self.SEARCH_WORK, 4)
        added = None if rows is None else open_source(rows)
        if live is not None:
            demand(live, 0, 4)
        try:
            table = check.Table(opened)
            row = table.bits // 8
            demand(code, row, 4)
            slots = table.slots + (added.size // row if added else 0)
            short = live is not None and not holds(live, (slots + 31) // 32 * 4)
            if natural(effort) == 0 or slots > check.most_slots(table.bits) or short:
                return source.ARGUMENT
            return search.search(opened, table, bytearray(code)[:row], k, hits, self._loops, live, added, slots)
        except Bad as error:
            return error.args[0]

    def rank(self, given, words, text, code, embedding, hits, found, k, ranked, work, stages=3, live=None):
        """Number of results, triples (score, distance, slot) of 32 bits each, or an error. :param words: the encoder's source."""
        demand(work, self.RANK_WORK, 4)
        if self._ranker is None:
            from .ranking import Ranker  # not before it is needed: it takes RAM

            self._ranker = Ranker(self.name, self._checked)
        return self._ranker.rank(given, words, text, code, embedding, hits, found, k, ranked, work, stages, live)

    def record(self, given, slot, out):
        """0, and where the record lies in the file, or an error."""
        opened = open_source(given, self._checked)
        natural(slot)
        demand(out, 8, 4)
        try:
            pack_into("II", out, 0, *check.Table(opened).record(opened, slot))
        except Bad as error:
            return error.args[0]
        return 0

    def read(self, given, offset, buffer):
        """0 with the buffer filled, or an error."""
        opened = open_source(given, self._checked)
        length, done = len(buffer), 0
        if natural(offset) + length > opened.size:
            return source.READ
        while done < length:
            here = min(opened.locate(offset + done, 1, length - done), length - done)
            buffer[done : done + here] = opened.view[opened.at : opened.at + here]
            done += here
        return 0

    def crc32(self, given, offset, length):
        """The checksum or an error."""
        opened = open_source(given, self._checked)
        try:
            return check.crc32(opened, natural(offset), natural(length))
        except Bad as error:
            return error.args[0]


def _bytes(text):
    return text.encode() if isinstance(text, str) else text
