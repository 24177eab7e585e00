"""What has changed since a table was written: documents appended and deleted, in RAM, gone when the power is off."""

import gc
from struct import unpack_from

from . import messages
from .messages import Error

RESERVE = 8192  # bytes of heap that a query and its answers may still want
_GROW = 16  # rows at a time: growing copies them
_LOOK = 32  # records whose places are read together


class Changes:
    """Of one open table. What a method raises leaves everything as it was."""

    def __init__(self, native, file, sections, slots, with_text):
        """:param sections: offset and length of LIVE, OFFS and DOCS. :param slots: of the file. :param with_text: is it kept?"""
        self._native, self._file, self._slots, self._with_text = native, file, slots, with_text
        (self._live_at, _), (self._offsets, _), (self._documents, self._documents_size) = sections
        self._live = None  # bits in place of LIVE, once something is deleted
        self._rows = bytearray()
        self._records = []  # (id, answer, text) of the slots after the file's; None: deleted

    def of_search(self, size):
        """What native.search wants, live words and rows. :param size: bytes of a row."""
        return self._live, memoryview(self._rows)[: size * len(self._records)] if self._records else None

    def record(self, slot):
        """(id, answer, text) of a slot in RAM."""
        return self._records[slot - self._slots]

    def append(self, code, text, answer, id):
        """Add a document that has this code; returns its id."""
        if id is None:
            number = self._slots + len(self._records)
            while self._has(str(number)):
                number += 1
            id = str(number)
        elif not isinstance(id, str) or not id:
            raise Error(messages.ID_NOT_TEXT)
        elif self._has(id):
            raise Error(messages.used_id(id))
        if not isinstance(answer, str):
            raise Error(messages.ANSWER_NOT_TEXT)
        slot, size = self._slots + len(self._records), len(code)
        begin = size * len(self._records)
        try:
            gc.collect()
            if gc.mem_free() < RESERVE:
                raise MemoryError
            rows = self._rows
            if begin == len(rows):
                rows = bytearray(begin + _GROW * size)
                rows[:begin] = self._rows
            if self._live is not None and slot >> 3 >= len(self._live):
                self._live.extend(bytes(4))
            self._records.append((id, answer, text if self._with_text else None))
        except MemoryError:
            raise Error(messages.NO_ROOM)
        rows[begin : begin + size] = code
        self._rows = rows
        if self._live is not None:
            self._live[slot >> 3] |= 1 << (slot & 7)
        return id

    def delete(self, id):
        """Delete the documents of an id; returns how many there were."""
        found = list(self._find(id))
        if not found:
            return 0
        if self._live is None:
            try:
                self._live = self._copy_live()
            except MemoryError:
                raise Error(messages.NO_ROOM)
        for slot in found:
            self._live[slot >> 3] &= 255 ^ 1 << (slot & 7)
            if slot >= self._slots:
                self._records[slot - self._slots] = None
        return len(found)

    def _has(self, id):
        for _ in self._find(id):
            return True
        return False

    def _find(self, id):
        """The live slots of an id."""
        name = id.encode()
        size, low, last = 4 + len(name), len(name) & 255, (b"\0" + name)[-1]
        head = bytearray(size)
        for first in range(0, self._slots, _LOOK):
            count = min(_LOOK, self._slots - first)
            ends = bytearray(4 * count + 4)
            self._read(self._offsets + 4 * first, ends)
            begin = unpack_from("<I", ends)[0]
            for index in range(count):
                end = unpack_from("<I", ends, 4 * index + 4)[0]
                if size <= end - begin and end <= self._documents_size:
                    self._read(self._documents + begin, head)
                    if head[0] == low and head[-1] == last and head[4:] == name and head[1] == len(name) >> 8:
                        if self._is_live(first + index):
                            yield first + index
                begin = end
        for index, record in enumerate(self._records):
            if record and record[0] == id:
                yield self._slots + index

    def _is_live(self, slot):
        if self._live is not None:
            return self._live[slot >> 3] >> (slot & 7) & 1
        byte = bytearray(1)
        self._read(self._live_at + (slot >> 3), byte)
        return byte[0] >> (slot & 7) & 1

    def _copy_live(self):
        """LIVE with the bits of the slots in RAM, none of which is deleted yet."""
        live = bytearray((self._slots + len(self._records) + 31) // 32 * 4)
        self._read(self._live_at, memoryview(live)[: (self._slots + 31) // 32 * 4])
        for slot in range(self._slots, self._slots + len(self._records)):
            live[slot >> 3] |= 1 << (slot & 7)
        return live

    def _read(self, offset, buffer):
        code = self._native.read(self._file.source, offset, buffer)
        if code < 0:
            raise Error(messages.bad_file(self._file.path, code))
