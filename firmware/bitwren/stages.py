"""Scoring stages after the Hamming search: vectors and words. Loaded for tables that have them, or when a query names some."""

from collections import OrderedDict
from struct import unpack_from

from . import messages
from .messages import Error

NAMES = ("hamming", "vectors", "words", "all")  # by their number: 1 for vectors, 2 for words
_RESULT = 12  # bytes


def choose(name, stages):
    """The number of the stages of a name, or all that a table has for None. :param stages: Stages, or None."""
    has = stages.has if stages else 0
    if name is None:
        return has
    if name not in NAMES:
        raise Error(messages.STAGES)
    number = NAMES.index(name)
    if number & ~has:
        raise Error(messages.no_stages(name))
    return number


def decimal(score):
    """A score as people see it, with two decimals."""
    hundredths = (abs(score) * 100 + 2048) >> 12
    return "{}{}.{:02d}".format("-" if score < 0 < hundredths else "", hundredths // 100, hundredths % 100)


class Stages:
    """Those of one open table, as a number and a name."""

    def __init__(self, wren, fields):
        """:param wren: opened but for this; it gets room for an embedding too. :param fields: of its table."""
        native, units = wren._native, unpack_from("<H", fields, 34)[0]
        self.has = (1 if fields[33] and units else 0) | (2 if wren._seek(b"WORD") else 0)
        self.name = NAMES[self.has]
        self._thresholds = unpack_from("<iii", fields, 40)
        self._embedding = bytearray(units) if fields[33] else None
        wren._beside = (wren._beside[0] if units else None, self._embedding)
        self._work = work = wren._work
        size = getattr(native, "RANK_WORK", 0)
        if len(work) < size:
            # The rest is not for the search, which would take it for room to make code in.
            self._work = bytearray(size)
            wren._work = memoryview(self._work)[: len(work)]
        if not hasattr(native, "rank"):
            from . import fallback

            native = fallback.ranker()
        self._rank, self._depth = native.rank, native.DEPTH
        self._ranked = bytearray(2 * _RESULT * self._depth)

    def candidates(self, k):
        """How many the search should find."""
        return max(self._depth, k)

    def rank(self, wren, text, pairs, found, k, number, live, hits):
        """Append the k best to the hits.

        :param pairs: what the search found, so many. :param number: of the stages that count. :param live: as of the search.
        """
        size = _RESULT * (found + self._depth)
        ranked = self._ranked if size <= len(self._ranked) else bytearray(size)
        sources = wren._table.source, wren._encoder.source
        count = self._rank(*sources, text, wren._code, self._embedding, pairs, found, k, ranked, self._work, number, live)
        wren._demand(count, wren._table)
        for index in range(count):
            score, distance, slot = unpack_from("<iII", ranked, _RESULT * index)
            hits.append(wren._hit(distance, slot, score))
        hits.confident = count > 0 and hits[0].score >= self._thresholds[number - 1]

    def describe(self, hit):
        """A hit as docs/protocol.md has it."""
        return OrderedDict((("id", hit.id), ("distance", hit.distance), ("score", hit.score), ("answer", hit.answer)))
