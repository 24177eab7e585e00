"""Words to token ids: the longest piece of a sorted, front-coded list that is a prefix of what is left of the word.

The search is for the predecessor, the last piece that is not greater than the text: see firmware/native/tokenizer.c.
"""

from struct import unpack_from

from .source import FORMAT, TEXT, Bad
from .text import MAX_TEXT, Words

MAX_PIECE = 16
END = -1  # no id: the text has ended
_BUCKET = 16
_MAX_BUCKET = _BUCKET * (1 + MAX_PIECE)
_HEADER = 8


class Tokens:
    """Text being split into tokens."""

    def __init__(self, source, encoder, text):
        if len(text) > MAX_TEXT:
            raise Bad(TEXT)
        self._source = source
        self._words = Words(source, text)
        at = encoder.vocabulary
        starts, continuations, buckets, more_buckets = unpack_from("<HHHH", source.need(at, _HEADER), source.at)
        # count, buckets, first id, first bucket
        self._lists = (starts, buckets, 0, 0), (continuations, more_buckets, starts, buckets)
        before_pool = _HEADER + 2 * (buckets + more_buckets + 1)
        self._offsets, self._pool = at + _HEADER, at + before_pool
        self._pool_size = encoder.vocabulary_size - before_pool
        if (
            self._pool_size < 0
            or starts + continuations != encoder.pieces
            or buckets != (starts + _BUCKET - 1) // _BUCKET
            or more_buckets != (continuations + _BUCKET - 1) // _BUCKET
        ):
            raise Bad(FORMAT)
        self._length = self._position = self._list = 0
        self._id = 0
        self._same = self._match = self._match_length = 0  # of the bucket walked last

    def step(self):
        """The next token id, or END."""
        while True:
            if self._position == self._length:
                self._length = self._words.step()
                if not self._length:
                    return END
                self._position = self._list = 0
            left = min(self._length - self._position, MAX_PIECE)
            matched = self._longest_match(self._lists[self._list], self._position, left)
            self._position += matched or 1  # a byte that nothing matches is passed over
            if matched:
                self._list = 1
                return self._id

    def _longest_match(self, pieces, position, left):
        """Length of the longest piece of a list that is a prefix of the word from `position` on; its id in _id."""
        count, buckets, first_id, first_bucket = pieces
        while left:
            bucket = self._find_bucket(buckets, first_bucket, position, left)
            if bucket < 0:
                return 0
            self._walk(first_bucket + bucket, position, left)
            if self._match_length:
                index = bucket * _BUCKET + self._match
                if self._match >= _BUCKET or index >= count:
                    raise Bad(FORMAT)
                self._id = first_id + index
                return self._match_length
            left = self._same  # shorter than before, since the predecessor is no prefix of the text
        return 0

    def _find_bucket(self, buckets, first_bucket, position, left):
        """The last bucket whose first piece is not greater than the text; -1: there is none."""
        low, high = 0, buckets
        while low < high:
            middle = (low + high) >> 1
            if self._begins_after(first_bucket + middle, position, left):
                high = middle
            else:
                low = middle + 1
        return low - 1

    def _begins_after(self, bucket, position, left):
        """Whether a bucket's first piece is greater than the text."""
        source, word = self._source, self._words.word
        begin = unpack_from("<H", source.need(self._offsets + 2 * bucket, 2), source.at)[0]
        if begin >= self._pool_size:
            raise Bad(FORMAT)
        wanted = min(self._pool_size - begin, 1 + MAX_PIECE)
        view = source.need(self._pool + begin, wanted)
        at = source.at
        size = view[at] + 1  # a first piece shares nothing, so this byte is its length - 1
        if size >= wanted:
            raise Bad(FORMAT)
        at += 1
        for index in range(min(size, left)):
            if view[at + index] != word[position + index]:
                return view[at + index] > word[position + index]
        return left < size

    def _walk(self, bucket, position, left):
        """The longest piece of a bucket that is a prefix of the text, and what its predecessor shares with the text.

        No piece is ever unpacked: one that shares more with the piece before than that one with the text differs
        from the text where that one did and is skipped; one that shares less is greater than the text.
        """
        source, word = self._source, self._words.word
        begin, end = unpack_from("<HH", source.need(self._offsets + 2 * bucket, 4), source.at)
        size = end - begin
        if not 0 <= size <= _MAX_BUCKET or end > self._pool_size:
            raise Bad(FORMAT)
        view = source.need(self._pool + begin, size)
        at = source.at
        end = at + size
        same = index = 0
        self._match = self._match_length = 0
        while at < end:
            shared, suffix = view[at] >> 4, (view[at] & 15) + 1
            at += 1
            if at + suffix > end:
                raise Bad(FORMAT)
            if shared < same:
                break
            if shared == same:
                more = 0
                while more < suffix and shared + more < left and view[at + more] == word[position + shared + more]:
                    more += 1
                if more < suffix and (shared + more == left or view[at + more] > word[position + shared + more]):
                    break
                same = shared + more
                if more == suffix:
                    self._match, self._match_length = index, same
            at += suffix
            index += 1
        self._same = same
