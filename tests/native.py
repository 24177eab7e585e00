"""The C core as a shared library on this machine, through ctypes, over each kind of source."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

READ, MAGIC, VERSION, CHECKSUM, FORMAT, TEXT, ARGUMENT = range(-1, -8, -1)  # BW_ERR_...
ENCODE_WORK = 4096
SEARCH_WORK = 4096
RANK_WORK = 6144
DEPTH = 64
MAX_TEXT = 4096
MIN_WINDOW = 512
MAX_WORD = 48
PAST_END = 0x5A  # fills what a call must leave alone

_Read = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint8), ctypes.c_uint32)


class CoreError(Exception):
    """A BW_ERR code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"error {code}")
        self.code = code


class _Source(ctypes.Structure):
    _fields_ = [
        ("base", ctypes.c_void_p),
        ("extents", ctypes.c_void_p),
        ("extent_count", ctypes.c_uint32),
        ("extent_hint", ctypes.c_uint32),
        ("read", _Read),
        ("context", ctypes.c_void_p),
        ("window", ctypes.c_void_p),
        ("window_size", ctypes.c_uint32),
        ("window_start", ctypes.c_uint32),
        ("window_length", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
    ]


class _Section(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("offset", "length", "crc")]


class _Encoder(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("dims", "row_bits", "pieces", "gain", "bits", "layers")),
        *((name, _Section) for name in ("vocabulary", "rows", "scales", "head")),
        *((name, ctypes.c_uint32) for name in ("seed", "units")),
    ]


class _Table(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("count", "bits", "layout")),
        *((name, _Section) for name in ("codes", "live", "offsets", "documents")),
        ("lanes", ctypes.c_uint32),
        ("weight_planes", ctypes.c_uint32),
        ("pivots", _Section),
        ("staged", ctypes.c_uint32),
        ("rows", _Section),
    ]


class _Changes(ctypes.Structure):
    _fields_ = [
        ("live", ctypes.c_void_p),
        ("live_size", ctypes.c_uint32),
        ("rows", ctypes.c_void_p),
        ("rows_size", ctypes.c_uint32),
    ]


class _Question(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_void_p),
        ("embedding", ctypes.c_void_p),
        ("units", ctypes.c_uint32),
        ("text", ctypes.c_void_p),
        ("length", ctypes.c_uint32),
        ("fold", ctypes.c_void_p),
        ("hits", ctypes.c_void_p),
        ("found", ctypes.c_uint32),
    ]


class _Text(ctypes.Structure):
    _fields_ = [
        ("source", ctypes.c_void_p),
        ("bytes", ctypes.c_void_p),
        ("length", ctypes.c_uint32),
        ("position", ctypes.c_uint32),
    ]


class Memory:
    """Bytes in an allocation of their own, so that a sanitizer sees every step beyond; aligned as malloc does it."""

    def __init__(self, data: bytes) -> None:
        self._buffer = ctypes.create_string_buffer(data, max(1, len(data)))
        self.address = ctypes.addressof(self._buffer)
        self.size = len(data)

    def bytes(self) -> bytes:
        return ctypes.string_at(self.address, self.size)


class Source:
    """A file as the core sees it. Keeps what it points to."""

    def __init__(self) -> None:
        self.struct = _Source()
        self.reads: list[tuple[int, int]] = []
        self._kept: list[object] = []

    @classmethod
    def contiguous(cls, data: bytes) -> Source:
        """All of it in memory."""
        source, memory = cls(), Memory(data)
        source.struct.base = memory.address
        source.struct.size = len(data)
        source._kept.append(memory)
        return source

    @classmethod
    def extents(cls, data: bytes, cuts: Sequence[int]) -> Source:
        """Pieces between the cuts, each somewhere else in memory at a multiple of 4, as LittleFS lays out a file."""
        source = cls()
        edges = [0, *sorted({cut // 4 * 4 for cut in cuts} - {0}), len(data)]
        pieces = [(start, Memory(data[start:end])) for start, end in itertools.pairwise(edges) if start < end]
        flat = np.array([[start, memory.address] for start, memory in pieces], dtype=np.uintp)
        source.struct.extents = flat.ctypes.data
        source.struct.extent_count = len(pieces)
        source.struct.size = len(data)
        source._kept += [flat, pieces]
        return source

    @classmethod
    def streamed(cls, data: bytes, window: int = MIN_WINDOW, fails_at: int | None = None) -> Source:
        """Through a window. What a read leaves of the window is overwritten, so that stale bytes cannot pass for good ones.

        :param fails_at: the number of the read that fails.
        """
        source, memory = cls(), Memory(bytes(window))

        def read(_context: int, offset: int, to: object, length: int) -> int:
            source.reads.append((offset, length))
            ctypes.memset(memory.address, PAST_END, window)
            if len(source.reads) - 1 == fails_at or offset + length > len(data) or length > window or offset % 4:
                return -1
            ctypes.memmove(memory.address, data[offset : offset + length], length)
            return 0

        source.struct.read = _Read(read)
        source.struct.window = memory.address
        source.struct.window_size = window
        source.struct.size = len(data)
        source._kept.append(memory)
        return source


KINDS: dict[str, Callable[[bytes], Source]] = {
    "contiguous": Source.contiguous,
    "extents": lambda data: Source.extents(data, [*range(4096, len(data), 4084), 40, 300, 304, 4100, 4108]),
    "streamed": Source.streamed,
    "streamed widely": lambda data: Source.streamed(data, 5000),
}
"""A source of each kind; the extents are cut inside fields, rows and planes."""


class NativeCore:
    """The library's functions with Python types; an error code raises :class:`CoreError`."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))

    def _call(self, name: str, *arguments: object) -> int:
        status = int(getattr(self._library, name)(*arguments))
        if status < 0:
            raise CoreError(status)
        return status

    def check(self, source: Source, magic: bytes, every_section: bool = True) -> int:
        """The status, unlike the others."""
        return int(self._library.bw_check(ctypes.byref(source.struct), magic, int(every_section)))

    def crc32(self, source: Source, offset: int, length: int) -> int:
        crc = ctypes.c_uint32(0)
        self._call("bw_crc32", ctypes.byref(source.struct), ctypes.c_uint32(offset), ctypes.c_uint32(length), ctypes.byref(crc))
        return crc.value

    def fetch(self, source: Source, offset: int, length: int, ahead: int) -> bytes | None:
        scratch = Memory(bytes(length))
        function = self._library.bw_fetch
        function.restype = ctypes.c_void_p
        sizes = [ctypes.c_uint32(number) for number in (offset, length, ahead)]
        address = function(ctypes.byref(source.struct), *sizes, ctypes.c_void_p(scratch.address))
        if address is None:
            return None
        assert offset % 4 or address % 4 == 0
        return ctypes.string_at(address, length)

    def words(self, source: Source, text: bytes) -> list[bytes]:
        memory, word = Memory(text), Memory(bytes(MAX_WORD))
        state = _Text(ctypes.addressof(source.struct), memory.address, len(text), 0)
        found: list[bytes] = []
        while length := self._call("bw_next_word", ctypes.byref(state), _at(word)):
            found.append(word.bytes()[:length])
        return found

    def open_encoder(self, source: Source) -> _Encoder:
        encoder = _Encoder()
        self._call("bw_open_encoder", ctypes.byref(source.struct), ctypes.byref(encoder))
        return encoder

    def tokens(self, source: Source, text: bytes, capacity: int = MAX_TEXT) -> list[int]:
        """The first `capacity` ids. Asserts that no more are written."""
        ids = Memory(bytes([PAST_END]) * 2 * capacity)
        encoder = self.open_encoder(source)
        count = self._of_text("bw_tokens", source, encoder, text, _at(ids), ctypes.c_uint32(capacity))
        kept = min(count, capacity)
        assert ids.bytes()[2 * kept :] == bytes([PAST_END]) * (2 * (capacity - kept))
        return [int(token) for token in np.frombuffer(ids.bytes(), "<u2")[:kept]]

    def vector(self, source: Source, text: bytes) -> NDArray[np.int8]:
        encoder = self.open_encoder(source)
        vector, work = Memory(bytes(encoder.dims)), Memory(bytes([PAST_END]) * ENCODE_WORK)
        self._of_text("bw_vector", source, encoder, text, _at(vector), _at(work))
        return np.frombuffer(vector.bytes(), np.int8)

    def encode(self, source: Source, text: bytes, centre: bytes | None = None) -> NDArray[np.uint32]:
        """The code."""
        return self.embed(source, text, centre)[0]

    def embed(self, source: Source, text: bytes, centre: bytes | None = None) -> tuple[NDArray[np.uint32], NDArray[np.int8]]:
        """Code and embedding. :param centre: of a projection; None: its origin."""
        encoder = self.open_encoder(source)
        code, work = Memory(bytes(encoder.bits // 8)), Memory(bytes([PAST_END]) * ENCODE_WORK)
        middle, embedding = Memory(centre or b""), Memory(bytes(encoder.units))
        centred = None if centre is None else _at(middle)
        self._of_text("bw_encode", source, encoder, text, centred, _at(embedding), _at(code), _at(work))
        return np.frombuffer(code.bytes(), "<u4"), np.frombuffer(embedding.bytes(), np.int8)

    def _of_text(self, name: str, source: Source, encoder: _Encoder, text: bytes, *arguments: object) -> int:
        memory = Memory(text)
        length = ctypes.c_uint32(len(text))
        return self._call(name, ctypes.byref(source.struct), ctypes.byref(encoder), _at(memory), length, *arguments)

    def open_table(self, source: Source) -> _Table:
        table = _Table()
        self._call("bw_open_table", ctypes.byref(source.struct), ctypes.byref(table))
        return table

    def search(
        self,
        source: Source,
        code: NDArray[np.uint32],
        k: int,
        effort: int = 100,
        live: bytes | None = None,
        rows: bytes = b"",
    ) -> list[tuple[int, int]]:
        """Pairs (distance, slot). :param live: words in place of the file's. :param rows: codes of the slots after the file's."""
        table = self.open_table(source)
        query, hits = Memory(code.astype("<u4").tobytes()), Memory(bytes(8 * k))
        work = Memory(bytes([PAST_END]) * SEARCH_WORK)
        kept = Memory(live or b""), Memory(rows)
        changes = _Changes(kept[0].address if live is not None else None, kept[0].size, kept[1].address, kept[1].size)
        numbers = ctypes.c_uint32(k), ctypes.c_uint32(effort)
        pointers = (ctypes.byref(source.struct), ctypes.byref(table), ctypes.byref(changes), _at(query))
        count = self._call("bw_search_effort", *pointers, *numbers, _at(hits), _at(work), None)
        return [(int(a), int(b)) for a, b in np.frombuffer(hits.bytes(), "<u4").reshape(-1, 2)[:count]]

    def rank(
        self,
        sources: tuple[Source, Source],
        query: tuple[bytes, NDArray[np.uint32], bytes | None],
        hits: Sequence[tuple[int, int]],
        k: int,
        stages: int = 3,
        live: bytes | None = None,
    ) -> list[tuple[int, int, int]]:
        """Triples (score, distance, slot).

        :param sources: of table and encoder. :param query: text, code, embedding. :param hits: what :meth:`search` found.
        :param live: words in place of the file's.
        """
        table = self.open_table(sources[0])
        text, code, embedding = (Memory(part) for part in (query[0], query[1].astype("<u4").tobytes(), query[2] or b""))
        near, kept = Memory(np.array(hits, dtype="<u4").tobytes()), Memory(live or b"")
        changes = _Changes(kept.address if live is not None else None, kept.size, None, 0)
        fold = ctypes.addressof(sources[1].struct)
        known = None if query[2] is None else embedding.address
        question = _Question(code.address, known, embedding.size, text.address, text.size, fold, near.address, len(hits))
        ranked, work = Memory(bytes([PAST_END]) * 12 * (len(hits) + DEPTH)), Memory(bytes([PAST_END]) * RANK_WORK)
        pointers = (ctypes.byref(part) for part in (sources[0].struct, table, changes, question))
        count = self._call("bw_rank", *pointers, ctypes.c_uint32(k), ctypes.c_uint32(stages), _at(ranked), _at(work))
        found = np.frombuffer(ranked.bytes(), np.dtype([("score", "<i4"), ("distance", "<u4"), ("slot", "<u4")]))[:count]
        return [(int(score), int(distance), int(slot)) for score, distance, slot in found]

    def distance(self, a: NDArray[np.uint32], b: NDArray[np.uint32]) -> int:
        """Of two codes, counted without an instruction for it."""
        kept = Memory(a.tobytes()), Memory(b.tobytes())
        return int(self._library.bw_distance(_at(kept[0]), _at(kept[1]), ctypes.c_uint32(len(a))))

    def record(self, source: Source, slot: int) -> tuple[int, int]:
        """Offset and length of a slot's record in the file."""
        table, offset, length = self.open_table(source), ctypes.c_uint32(), ctypes.c_uint32()
        arguments = (ctypes.byref(source.struct), ctypes.byref(table), ctypes.c_uint32(slot))
        self._call("bw_record", *arguments, ctypes.byref(offset), ctypes.byref(length))
        return offset.value, length.value


def _at(memory: Memory) -> ctypes.c_void_p:
    return ctypes.c_void_p(memory.address)
