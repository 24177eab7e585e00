"""A query's words and a table's index of them: toolchain/bitwren/lexical.py and postings.py, docs/format.md."""

from array import array
from struct import unpack_from

from .source import FORMAT, TEXT, Bad
from .text import MAX_TEXT, MAX_WORD, Words

MAX_TERMS = 128
_SUFFIXES = (b"ing", b"ed", b"es", b"s")
_HEAD, _GROUP, _LONG, _BITMAP = 12, 32, 255, 5
_RECORD = 4 + _GROUP
_LOG_STEPS = 4
# The state of a list that is being read: where its next byte is; the bit in it; where the list ends; how many ones of the next
# gap were read; the slot behind the last one read; slots not added yet; bits of a remainder; what a slot gets; whether the last
# slot read is not added. postings() of plain_ranking.py and fast_ranking.py changes it.
_AT, _, _END, _, _NEXT, _LEFT, _BITS, _RARITY, _WAITS = range(9)
_STATE = 9


def buckets(source, text, hash_bits, loops):
    """Distinct buckets of a text's terms in order of appearance, the first ones."""
    if len(text) > MAX_TEXT:
        raise Bad(TEXT)
    words = Words(source, text)
    framed = bytearray(MAX_WORD + 2)
    framed[0] = 60  # <word>
    found = []
    while True:
        size = words.step()
        if not size:
            return found
        framed[1 : 1 + size] = words.word[:size]
        framed[1 + size] = 62
        for place in range(-1, size):
            begin, end = (1, _stem(framed, size)) if place < 0 else (place, place + 3)
            bucket = loops.bucket(framed, begin, end, place >= 0, hash_bits)
            if bucket not in found:
                found.append(bucket)
                if len(found) == MAX_TERMS:
                    return found


def _stem(framed, size):
    """Where a word's stem ends in <word>."""
    for suffix in _SUFFIXES:
        left = size - len(suffix)
        if left >= 3 and framed[1 + left : 1 + size] == suffix:
            return 1 + left
    return 1 + size


class Index:
    """Section WORD, of the first `count` slots."""

    def __init__(self, source, place, slots):
        begin, size = place
        if size < _HEAD:
            raise Bad(FORMAT)
        self.count, self.hash_bits = unpack_from("<IB", source.need(begin, _HEAD), source.at)
        if not 1 <= self.count <= slots or not 8 <= self.hash_bits <= 16:
            raise Bad(FORMAT)
        self.gains = begin + _HEAD
        self._groups = self.gains + (self.count + 3) // 4 * 4
        self._body = self._groups + (1 << self.hash_bits) // _GROUP * _RECORD
        self._end = begin + size
        if self._body > self._end:
            raise Bad(FORMAT)

    def begin(self, source, buckets):
        """The states of the lists that have slots, one after the other, and the sum of all terms' rarities."""
        states, total = array("I", bytes(4 * _STATE * len(buckets))), 0
        base = 0
        for bucket in buckets:
            at, end, documents = self._find(source, bucket)
            if documents < 0:
                continue
            rarity = _log2(2 * self.count + 2) - _log2(2 * documents + 1)
            total += rarity
            if documents:
                states[base + _AT], states[base + _END], states[base + _LEFT] = at, end, documents
                states[base + _BITS] = _parameter(documents, self.count)
                states[base + _RARITY] = rarity
                base += _STATE
        return states[:base], total

    def add(self, source, states, first, end, sums, loops):
        """Add each list's rarity to the sums of its slots from `first` to `end`, which follow those of the call before."""
        for base in range(0, len(states), _STATE):
            while states[base + _LEFT] and not (states[base + _WAITS] and states[base + _NEXT] > end):
                at = states[base + _AT]
                left = states[base + _END] - at
                size = min(source.locate(at, 4, left), left) if left else 0
                view = source.view
                if size < 4 and size < left:  # too few for a gap: they go on in another piece
                    size = min(left, 8)
                    view = source.need(at, size, left)
                passed = loops.postings(states, base, view, source.at, size, first, end, sums)
                states[base + _AT] = at + max(passed, 0)
                if passed < 0 or (size == left and states[base + _LEFT] and not states[base + _WAITS]):
                    raise Bad(FORMAT)
        if end == self.count and any(states[base + _LEFT] for base in range(0, len(states), _STATE)):
            raise Bad(FORMAT)

    def _find(self, source, bucket):
        """Of a bucket's list where its postings begin, where it ends, and how many there are; -1: there were too many."""
        view = source.need(self._groups + bucket // _GROUP * _RECORD, _RECORD, _RECORD)
        end = self._body + unpack_from("<I", view, source.at)[0]
        place = source.at + 4
        for size in bytes(view[place : place + bucket % _GROUP + 1]):
            begin = at = end
            if size == _LONG:
                at += 3
                if at > self._end:
                    raise Bad(FORMAT)
                low, high = unpack_from("<HB", source.need(begin, 3, 3), source.at)
                size = high << 16 | low
            end = begin + size
        if end > self._end:
            raise Bad(FORMAT)
        documents = shift = 0
        more = begin < end
        while more and at < end and shift < 28:
            octet = source.need(at, 1, end - at)[source.at]
            documents |= (octet & 127) << shift
            at += 1
            shift += 7
            more = octet > 127
        if documents > self.count or (begin < end and not shift):
            raise Bad(FORMAT)
        return at, end, -1 if begin < end and not documents else documents


def _parameter(documents, count):
    """Bits of a remainder: none in a bitmap, which a list of so many documents is."""
    return 0 if documents * _BITMAP >= count else max(1, _bit_length(count * 15 // (documents * 16) >> 1))


def _log2(value):
    """In sixteenths, with straight lines between powers of two."""
    whole = _bit_length(value) - 1
    return (whole << _LOG_STEPS) + (value << _LOG_STEPS >> whole & (1 << _LOG_STEPS) - 1)


def _bit_length(value):
    length = 0
    while value:
        length += 1
        value >>= 1
    return length
