"""Semantic lookup on this chip.

import bitwren
wren = bitwren.open("faq")
for hit in wren.search("the light blinks twice", k=3):
    print(hit.distance, hit.id, hit.answer)
"""

import gc
import json
import sys
from array import array
from collections import OrderedDict, namedtuple
from struct import unpack_from

from . import messages
from .messages import Error
from .storage import File

DEFAULT_K = 3
ENGINES = ("auto", "native", "viper", "python")
_ABI = 2  # of bitwren_native
_NOT_CALIBRATED = 0xFFFFFFFF
_FIELDS, _IDENTITY = 288, 304  # offsets in page 0, docs/format.md
_NOTES, _PAGE = 1024, 4096
_COMPILE_FROM = 2048  # documents: from 1,000 on making code for a query pays, in LittleFS's pieces from 1,300 to 2,000
_SPARE = 16384  # bytes of RAM that stay free beside it
_RESIDUAL, _HAS_TEXT = 1, 1  # the last layout known (0 is flat) and flag of a table
# By their number in sys.implementation._mpy.
_ARCHITECTURES = "none x86 x64 armv6 armv6m armv7m armv7em armv7emsp armv7emdp xtensa xtensawin rv32imc rv64imc"
# MicroPython on a Cortex-M says what its core could run at most: every one without FPU armv7em, even an M3.
_MADE_FOR = {"armv7em": "armv7m", "armv7emdp": "armv7emsp"}

Hit = namedtuple("Hit", ("distance", "id", "answer", "text"))  # text is None where the table does not store it


class Hits(list):
    """The nearest documents, best first; `confident` is False when not even the first is near enough."""

    confident = True


def open(path, *, storage="auto", engine="auto"):
    """Open a bundle: a directory with encoder.bwe and table.bwt.

    :param storage: "mapped", "ram" or "file" insists on one way of reading; "auto" takes the best there is.
    :param engine: "native", "viper" or "python" insists on one way of computing; "auto" takes the fastest there is.
    """
    return Wren(path, storage, engine)


def architecture():
    """The architecture whose native module this board needs, and its .mpy version, as ("armv6m", "6.3")."""
    code = getattr(sys.implementation, "_mpy", 0)
    arch = code >> 10 & 0x0F
    names = _ARCHITECTURES.split()
    name = names[arch] if arch < len(names) else str(arch)
    return _MADE_FOR.get(name, name), "{}.{}".format(code & 0xFF, code >> 8 & 3)


class Wren:
    """An open bundle. `notice` is a sentence about what slows it down, or None."""

    def __init__(self, path, storage="auto", engine="auto"):
        gc.collect()
        before = gc.mem_alloc()
        self._native, self._engine, self.notice = _load_core(engine)
        native = self._native
        self.path = path.rstrip("/") or path
        self._encoder = File(native, self.path + "/encoder.bwe", b"BWE1", storage)
        self._table = File(native, self.path + "/table.bwt", b"BWT1", storage)
        fields = self._read(self._table, _FIELDS, 32)
        _, self.bits, layout, self._flags, self.threshold = unpack_from("<IHBBI", fields)
        if layout > _RESIDUAL:
            raise Error(messages.bad_file(self._table.path, messages.VERSION))
        if layout == _RESIDUAL and self._engine in ENGINES:
            raise Error(messages.residual_needs_native(architecture()[0]))
        if fields[16:] != self._read(self._encoder, _IDENTITY, 16):
            raise Error(messages.OTHER_ENCODER)
        self.count = self._count_live()
        self._code = bytearray(self.bits // 8)
        self._work = self._work_memory(layout)
        self._compiles = len(self._work) > max(native.ENCODE_WORK, native.SEARCH_WORK)
        gc.collect()
        self._ram = gc.mem_alloc() - before

    def search(self, text, k=None, effort=100):
        """The k nearest documents.

        :param text: str or UTF-8 bytes. :param k: 3 when not given, or all of a smaller table.
        :param effort: percent of a residual table's codes to read at most; exact at 100.
        """
        text = text.encode() if isinstance(text, str) else bytes(text)
        k = min(DEFAULT_K, self.count) if k is None else k
        self._refuse(text, k)
        native = self._native
        tokens = native.encode(self._encoder.source, text, self._code, self._work)
        if tokens == 0:
            raise Error(messages.NO_WORDS)
        self._demand(tokens, self._encoder)
        pairs = array("I", bytes(8 * k))
        effort = min(max(effort, 1), 100)
        found = native.search(self._table.source, self._code, k, pairs, self._work, effort)
        self._demand(found, self._table)
        hits = Hits()
        for index in range(found):
            hits.append(self._hit(pairs[2 * index], pairs[2 * index + 1]))
        hits.confident = found > 0 and (self.threshold == _NOT_CALIBRATED or hits[0].distance <= self.threshold)
        return hits

    def answer(self, query, k=None):
        """What docs/protocol.md says for a query: its hits, or the error, as a dict in the protocol's order."""
        try:
            hits = self.search(query, k)
        except Error as error:
            return OrderedDict((("query", query), ("error", str(error))))
        except MemoryError:
            return OrderedDict((("query", query), ("error", messages.OUT_OF_MEMORY)))
        for index, hit in enumerate(hits):  # in place: many hits would not fit twice
            hits[index] = OrderedDict((("id", hit.id), ("distance", hit.distance), ("answer", hit.answer)))
        return OrderedDict((("query", query), ("hits", hits), ("confident", hits.confident)))

    def info(self):
        """What is open, and how: for people and for {"cmd": "info"}."""
        return OrderedDict(
            (
                ("name", self.path.split("/")[-1]),
                ("documents", self.count),
                ("bits", self.bits),
                ("encoder", self._notes(self._encoder).get("name")),
                ("threshold", None if self.threshold == _NOT_CALIBRATED else self.threshold),
                ("storage", OrderedDict((("encoder", self._encoder.kind), ("table", self._table.kind)))),
                ("native", self._engine),
                ("compiles", self._compiles),
                ("ram", self._ram),
            )
        )

    def _work_memory(self, layout):
        """For encoder and search, with room for the query as code where that pays, the chip can run it and RAM allows it."""
        native = self._native
        size = max(native.ENCODE_WORK, native.SEARCH_WORK)
        code = getattr(native, "SEARCH_CODE", 0) * self.bits // 512
        gc.collect()
        if code and layout != _RESIDUAL and self.count >= _COMPILE_FROM and gc.mem_free() >= size + code + _SPARE:
            try:
                return bytearray(native.SEARCH_WORK + code)
            except MemoryError:  # there is enough, but not in one piece
                pass
        return bytearray(size)

    def _refuse(self, text, k):
        if len(text) > messages.MAX_QUERY_BYTES:
            raise Error(messages.too_long(len(text)))
        if not text.strip():
            raise Error(messages.EMPTY)
        if type(k) is not int:
            raise Error(messages.K_NOT_A_NUMBER)
        if k < 1:
            raise Error(messages.K_TOO_SMALL)
        if k > self.count:
            raise Error(messages.k_too_large(k, self.count))

    def _hit(self, distance, slot):
        place = array("I", (0, 0))
        self._demand(self._native.record(self._table.source, slot, place), self._table)
        offset, left = place
        id_size, answer_size = unpack_from("<HH", self._read(self._table, offset, 4))
        offset, left = offset + 4, left - 4 - id_size - answer_size
        if left < 0:
            raise Error(messages.bad_file(self._table.path, messages.FORMAT))
        name = self._text(offset, id_size)
        answer = self._text(offset + id_size, answer_size)
        text = self._text(offset + id_size + answer_size, left) if self._flags & _HAS_TEXT else None
        return Hit(distance, name, answer, text)

    def _text(self, offset, length):
        return str(self._read(self._table, offset, length), "utf-8")

    def _read(self, file, offset, length):
        buffer = bytearray(length)
        if length:
            self._demand(self._native.read(file.source, offset, buffer), file)
        return buffer

    def _demand(self, code, file):
        """Raise when a call on a file gave an error."""
        if code < 0:
            raise Error(messages.bad_file(file.path, code))

    def _notes(self, file):
        """The header's JSON object."""
        text = self._read(file, _NOTES, _PAGE - _NOTES)
        try:
            notes = json.loads(bytes(text).rstrip(b"\0"))
        except ValueError:
            notes = None
        return notes if isinstance(notes, dict) else {}

    def _count_live(self):
        """Documents that are not deleted: the bits of section LIVE."""
        for section in range(16):
            entry = self._read(self._table, 32 + 16 * section, 16)
            if entry[:4] == b"LIVE":
                break
        else:
            raise Error(messages.bad_file(self._table.path, messages.FORMAT))
        offset, length = unpack_from("<II", entry, 4)
        live = 0
        for at in range(offset, offset + length, 256):
            words = self._read(self._table, at, min(256, offset + length - at))
            if words == b"\xff" * len(words):  # a million documents are 488 of these: no counting of bits in Python
                live += 8 * len(words)
            else:
                live += sum(bin(byte).count("1") for byte in words)
        return live


def _load_core(engine):
    """The core that computes, its name, and the sentence for one that is not native; all give the same results."""
    if engine not in ENGINES:
        raise Error(messages.unknown_engine(engine))
    arch, version = architecture()
    found = False
    if engine == "auto" or engine == "native":
        native, found = _import_native(arch)
        if native is not None:
            return native, arch, None
        if engine == "native":
            raise Error(messages.no_native(arch, version, found))
    from . import fallback  # not before it is needed: it takes RAM

    core = None if engine == "python" else fallback.core("viper")
    if core is None and engine == "viper":
        raise Error(messages.no_viper())
    core = core or fallback.core("python")
    return core, core.name, messages.slow(core.name, arch, version, found) if engine == "auto" else None


def _import_native(arch):
    """The module for this board, or None, and whether there was any. Where those of several are, it has its own's name."""
    found = False
    for name in ("bitwren_native", "bitwren_native_" + arch):
        try:
            native = __import__(name)
            found = True
            if native.ABI == _ABI:
                return native, True
        except ImportError:
            pass
        except ValueError:  # incompatible .mpy file
            found = True
    return None, found
