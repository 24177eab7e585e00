"""Where a file's bytes are: in memory, in pieces of mapped flash, or behind a window that is refilled.

All three answer alike: `need` gives a buffer and sets `at` to where in it the wanted bytes begin, so that nothing is
sliced or copied in the steady state. What a call gave holds until the next call on the same source.
"""

from struct import unpack_from

READ, MAGIC, VERSION, CHECKSUM, FORMAT, TEXT, ARGUMENT = range(-1, -8, -1)  # BW_ERR_... of firmware/native/bitwren.h
MIN_WINDOW = 512

try:
    from uctypes import addressof
except ImportError:  # not MicroPython: nothing there minds where a buffer begins

    def addressof(buffer):
        """A multiple of everything."""
        return 0


class Bad(Exception):
    """Trouble with a file; its argument is the error code."""


def open_source(given, checked=None):
    """A source from what bitwren_native takes: a buffer, (extents, size) or (read, window, size).

    :param checked: list of extents that need no check any more; those that are found good are added.
    """
    if not isinstance(given, tuple):
        return _Memory(given)
    if len(given) == 2:
        extents, size = given
        if checked is None or not any(extents is known for known in checked):
            _check_extents(extents)
            if checked is not None:
                checked[:-1] = []  # a bundle has two files
                checked.append(extents)
        return _Extents(extents, size)
    if len(given) == 3:
        return _Stream(*given)
    raise TypeError("source: buffer, (extents, size) or (read, window, size)")


def _check_extents(extents):
    """A stray address would crash the board."""
    before = -1
    for index in range(0, len(extents), 2):
        begin = extents[index]
        if (begin | extents[index + 1]) & 3 or (begin <= before if index else begin):
            raise ValueError("extents not ascending from 0 in multiples of 4")
        before = begin
    if before < 0:
        raise ValueError("no extents")


class _Source:
    view = None
    at = size = 0
    _scratch = None

    def need(self, offset, length, ahead=0):
        """A buffer that holds `length` bytes from `offset` on, at index `at`; `ahead` bytes will be wanted soon."""
        if offset + length > self.size:
            raise Bad(READ)
        if self.locate(offset, length, ahead) >= length:
            return self.view
        scratch = self._scratch  # the bytes lie in more than one piece
        if scratch is None or len(scratch) < length:
            scratch = self._scratch = bytearray(length)
        done = 0
        while done < length:
            here = min(self.locate(offset + done, 1, length - done), length - done)
            scratch[done : done + here] = self.view[self.at : self.at + here]
            done += here
        self.at = 0
        return scratch


class _Memory(_Source):
    def __init__(self, buffer):
        self.view = memoryview(buffer)
        self.size = len(self.view)
        demand(buffer, 0, 4)

    def need(self, offset, length, ahead=0):
        if offset + length > self.size:
            raise Bad(READ)
        self.at = offset
        return self.view

    def locate(self, offset, length, ahead):
        """Bring bytes from `offset` on into view; returns how many there are together, at least one."""
        self.at = offset
        return self.size - offset


class _Extents(_Source):
    def __init__(self, extents, size):
        from uctypes import bytearray_at

        self._bytearray_at, self._extents, self.size = bytearray_at, extents, natural(size)
        self._begin = self._end = 0  # of the piece in view
        self._other = 0, 0, None  # and the piece before it: a vocabulary is read in two places by turns

    def need(self, offset, length, ahead=0):
        if self._begin <= offset and offset + length <= self._end:
            self.at = offset - self._begin
            return self.view
        return _Source.need(self, offset, length, ahead)

    def locate(self, offset, length, ahead):
        if not self._begin <= offset < self._end:
            other = self._other
            self._other = self._begin, self._end, self.view
            self._begin, self._end, self.view = other
            if not self._begin <= offset < self._end:
                self._move(offset)
        self.at = offset - self._begin
        return self._end - offset

    def _move(self, offset):
        extents = self._extents
        count = len(extents) >> 1
        index = offset * count // self.size  # nearly: pieces are about a block each
        while extents[2 * index] > offset:
            index -= 1
        while index + 1 < count and extents[2 * index + 2] <= offset:
            index += 1
        self._begin = extents[2 * index]
        self._end = extents[2 * index + 2] if index + 1 < count else self.size
        self.view = memoryview(self._bytearray_at(extents[2 * index + 1], self._end - self._begin))


class _Stream(_Source):
    def __init__(self, read, window, size):
        demand(window, MIN_WINDOW, 4)
        self._read, self.view, self.size = read, memoryview(window), natural(size)
        if isinstance(window, bytes):
            raise TypeError("the window cannot be written")
        self._start = self._length = 0

    def locate(self, offset, length, ahead):
        skip = offset - self._start
        if skip < 0 or skip + min(length, len(self.view) - 3) > self._length:
            self._start = start = offset & ~3  # so that aligned offsets come out aligned
            skip = offset - start
            wanted = min(max(length, ahead) + skip, len(self.view), self.size - start)
            self._length = 0  # a read that raises leaves nothing valid behind
            self._read(start, wanted)
            self._length = wanted
        self.at = skip
        return self._length - skip


def natural(number):
    """A number that is not negative."""
    if number < 0:
        raise ValueError("negative")
    return number


def demand(buffer, size, alignment=1):
    """Refuse a buffer of fewer bytes than `size`, or one that does not begin at a multiple of `alignment`."""
    if size:
        try:
            unpack_from("B", buffer, size - 1)  # len() counts elements, not bytes
        except TypeError:
            raise
        except Exception:  # CPython has an exception of its own for it
            raise ValueError("buffer too short")
    if addressof(buffer) % alignment:
        raise ValueError("buffer not aligned")


def holds(buffer, size):
    """Whether a buffer has so many bytes."""
    try:
        demand(buffer, size)
    except ValueError:
        return False
    return True
