"""The fallback core under CPython, with the interface of :class:`native.NativeCore`; and both cores as one that must agree."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from board_bundle import FIRMWARE
from native import ENCODE_WORK, MAX_TEXT, READ, SEARCH_WORK, CoreError, NativeCore, Source
from numpy.typing import NDArray

KEPT = 0x5A


class _Uctypes:
    """What the fallback takes from MicroPython's module of that name. Addresses are not looked at: nothing here minds them."""

    @staticmethod
    def bytearray_at(address: int, size: int) -> memoryview:
        return _at(address, size)

    @staticmethod
    def addressof(_buffer: object) -> int:
        return 0


def _at(address: int, size: int) -> memoryview:
    """Memory as writable bytes."""
    return memoryview((ctypes.c_ubyte * size).from_address(address)).cast("B")


def load(part: str = "") -> Any:
    """firmware/bitwren/fallback as `bitwren_fallback`, or a module of it."""
    name, folder = "bitwren_fallback", FIRMWARE / "bitwren" / "fallback"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
        assert spec
        assert spec.loader
        sys.modules.setdefault("uctypes", _Uctypes)  # type: ignore[arg-type]
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return importlib.import_module(f"{name}.{part}" if part else name)


def given(source: Source) -> Any:
    """A source as the native module takes it."""
    struct = source.struct
    if not struct.size:
        return b""  # no pieces either, which the native module refuses before its core sees them
    if struct.extents:
        size = 2 * struct.extent_count * array("L").itemsize
        return array("L", ctypes.string_at(struct.extents, size)), struct.size
    if not struct.window:
        return _at(struct.base, struct.size)

    def read(offset: int, length: int) -> None:
        struct.window_length = 0  # the window is the C core's, too
        if struct.read(None, offset, None, length):
            raise OSError(5)

    return read, _at(struct.window, struct.window_size), struct.size


class FallbackCore:
    """The plain Python core. What a read raises counts as BW_ERR_READ here, as :mod:`native` has it."""

    def __init__(self) -> None:
        self.core = load().core("python")

    def _call(self, function: Callable[..., int], source: Source, *arguments: object) -> int:
        try:
            status = function(given(source), *arguments)
        except OSError:
            status = READ
        if status < 0:
            raise CoreError(status)
        return status

    def check(self, source: Source, magic: bytes, every_section: bool = True) -> int:
        try:
            return self._call(self.core.check, source, magic, every_section)
        except CoreError as error:
            return error.code

    def crc32(self, source: Source, offset: int, length: int) -> int:
        return self._call(self.core.crc32, source, offset, length)

    def words(self, source: Source, text: bytes) -> list[bytes]:
        state = load("text").Words(load("source").open_source(given(source)), text)
        found: list[bytes] = []
        while length := state.step():
            found.append(bytes(state.word[:length]))
        return found

    def open_encoder(self, source: Source) -> Any:
        return self._opened(source, "Encoder")

    def open_table(self, source: Source) -> Any:
        return self._opened(source, "Table")

    def _opened(self, source: Source, kind: str) -> Any:
        module = load("source")
        try:
            return getattr(load("check"), kind)(module.open_source(given(source)))
        except module.Bad as error:
            raise CoreError(error.args[0]) from error
        except OSError as error:
            raise CoreError(READ) from error

    def tokens(self, source: Source, text: bytes, capacity: int = MAX_TEXT) -> list[int]:
        ids = array("H", bytes([KEPT]) * 2 * capacity)
        count = self._call(self.core.tokens, source, text, ids)
        kept = min(count, capacity)
        assert set(ids[kept:]) <= {KEPT << 8 | KEPT}
        return list(ids[:kept])

    def encode(self, source: Source, text: bytes, centre: bytes | None = None) -> NDArray[np.uint32]:
        return self.embed(source, text, centre)[0]

    def embed(self, source: Source, text: bytes, centre: bytes | None = None) -> tuple[NDArray[np.uint32], NDArray[np.int8]]:
        encoder = self.open_encoder(source)
        code, embedding = bytearray(encoder.bits // 8), bytearray(encoder.units)
        self._call(self.core.encode, source, text, code, bytearray(ENCODE_WORK), centre, embedding)
        return np.frombuffer(code, "<u4"), np.frombuffer(embedding, np.int8)

    def search(
        self,
        source: Source,
        code: NDArray[np.uint32],
        k: int,
        effort: int = 100,
        live: bytes | None = None,
        rows: bytes = b"",
    ) -> list[tuple[int, int]]:
        self.open_table(source)
        hits, query = array("I", bytes(8 * k)), code.astype("<u4").tobytes()
        count = self._call(self.core.search, source, query, k, hits, bytearray(SEARCH_WORK), effort, live, rows or None)
        return [(hits[2 * index], hits[2 * index + 1]) for index in range(count)]

    def rank(
        self,
        sources: tuple[Source, Source],
        query: tuple[bytes, NDArray[np.uint32], bytes | None],
        hits: Sequence[tuple[int, int]],
        k: int,
        stages: int = 3,
        live: bytes | None = None,
    ) -> list[tuple[int, int, int]]:
        text, code, embedding = query
        ranked = bytearray(12 * (len(hits) + self.core.DEPTH))
        pairs = array("I", [number for hit in hits for number in hit])
        asked = given(sources[1]), text, code.astype("<u4").tobytes(), embedding, pairs, len(hits), k
        count = self._call(self.core.rank, sources[0], *asked, ranked, bytearray(self.core.RANK_WORK), stages, live)
        return list(struct.iter_unpack("<iII", ranked[: 12 * count]))

    def record(self, source: Source, slot: int) -> tuple[int, int]:
        place = array("I", (0, 0))
        self._call(self.core.record, source, slot, place)
        return place[0], place[1]


class Both:
    """Asks the C core and the fallback, and asserts that they agree: in the result, or in the error."""

    def __init__(self, native: NativeCore, fallback: FallbackCore) -> None:
        self._cores = native, fallback

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*arguments: Any) -> Any:
            answers = []
            for core in self._cores:
                try:
                    answers.append(("found", getattr(core, name)(*arguments)))
                except CoreError as error:
                    answers.append(("error", error.code))
            (kind, found), (other_kind, other) = answers
            if name == "search" and self._is_residual(arguments[0]):
                # Where weights and planes contradict each other, the C core refuses the blocks that it looks into; the fallback
                # reads no weights. tests/test_rows.py compares them on tables that are whole.
                if "error" in (kind, other_kind):
                    raise CoreError(found if kind == "error" else other)
                return other
            if name == "rank":
                # Where a list's bytes contradict what is said of them, each stops elsewhere, or does not mind. On tables that are
                # whole, each is compared with the reference.
                if "error" in (kind, other_kind):
                    raise CoreError(found if kind == "error" else other)
                return other
            assert kind == other_kind, answers
            if name == "embed" and kind == "found":
                assert [array.tolist() for array in found] == [array.tolist() for array in other]
            elif isinstance(found, np.ndarray):
                assert found.tolist() == other.tolist()
            elif not isinstance(found, ctypes.Structure):
                assert found == other
            if kind == "error":
                raise CoreError(found)
            return found

        return ask

    def _is_residual(self, source: Source) -> bool:
        try:
            return bool(self._cores[0].open_table(source).layout == 1)
        except CoreError:
            return False
