"""Scoring stages after the Hamming search: vectors and words. Loaded for tables that have them, or when a query names some."""

from struct import unpack_from

from . import messages
from .messages import Error

NAMES = ("hamming", "vectors", "words", "all")  # by their number: 1 for vectors, 2 for words
_RESULT = 12  # bytes


def choose(name, has):
    """The number of the stages of a name, or all that a table has for None."""
    if name is None:
        return has
    if name not in NAMES:
        raise Error(messages.STAGES)
    number = NAMES.index(name)
    if number & ~has:
        raise Error(messages.no_stages(name))
    return number


class Stages:
    """Those of one open table; `has` is their number, `name` their name, `work` the bytes of work memory they want."""

    def __init__(self, native, vectors, words, thresholds):
        """:param vectors: components of the documents' vectors, or 0. :param words: whether there is an index of them."""
        self.has = (1 if vectors else 0) | (2 if words else 0)
        self.name = NAMES[self.has]
        self._thresholds = thresholds
        self.work = getattr(native, "RANK_WORK", 0)
        if not hasattr(native, "rank"):
            from . import fallback

            native = fallback.ranker()
        self._rank, self._depth = native.rank, native.DEPTH
        self.embedding = bytearray(vectors) if vectors else None
        self._ranked = bytearray(2 * _RESULT * self._depth)

    def candidates(self, k):
        """How many the search should find."""
        return max(self._depth, k)

    def rank(self, table, encoder, text, code, hits, found, k, work, number, live):
        """How many results there are, or an error, and the bytes that hold them. :param hits: what the search found."""
        size = _RESULT * (found + self._depth)
        ranked = self._ranked if size <= len(self._ranked) else bytearray(size)
        return self._rank(table, encoder, text, code, self.embedding, hits, found, k, ranked, work, number, live), ranked

    def result(self, ranked, index):
        """Score, distance and slot."""
        return unpack_from("<iII", ranked, _RESULT * index)

    def confident(self, score, number):
        """Whether the best score is good enough."""
        return score >= self._thresholds[number - 1]
