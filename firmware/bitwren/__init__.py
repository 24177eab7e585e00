"""Semantic lookup on this chip.

import bitwren
wren = bitwren.open("faq")
for hit in wren.search("the light blinks twice", k=3):
    print(hit.distance, hit.id, hit.answer)
"""

import gc
import json
from array import array
from collections import OrderedDict, namedtuple
from struct import unpack_from

from . import update  # noqa: F401  (before the rest of this package: a deploy may have been cut off)

# isort: split
from . import messages
from .cores import ENGINES, architecture, import_native, load_core, natives  # noqa: F401  (what users and tests ask for here)
from .messages import Error
from .storage import File, files

DEFAULT_K = 3
_NOT_CALIBRATED = 0xFFFFFFFF
_FIELDS, _IDENTITY = 288, 304  # offsets in page 0, docs/format.md
_NOTES, _PAGE = 1024, 4096
_COMPILE_FROM = 2048  # documents: from 1,000 on making code for a query pays, in LittleFS's pieces from 1,300 to 2,000
_SPARE = 16384  # bytes of RAM that stay free beside it
_LAYOUTS = "flat", "residual", "rows"  # by their numbers in a table
_HAS_TEXT = 1  # flag of a table

# text is None where the table does not store it; score, in units of 1/4096, where nothing but the distance counts.
Hit = namedtuple("Hit", ("distance", "id", "answer", "text", "score"))


class Hits(list):
    """The best documents, best first; `confident` is False when not even the first is good enough."""

    confident = True


def open(path, *, storage="auto", engine="auto"):
    """Open a bundle: a directory with encoder.bwe and table.bwt, or "partition:" and the label of a data partition of an ESP32,
    or "flash:" and an address of an rp2 chip's flash, in front of the filesystem; "flash:" alone looks for it there.

    :param storage: "mapped", "ram", "file" or "partition" insists on one way of reading; "auto" takes the best there is.
    :param engine: "native", "viper" or "python" insists on one way of computing; "auto" takes the fastest there is.
    """
    return Wren(path, storage, engine)


class Wren:
    """An open bundle. `notice` is a sentence about what slows it down, or None."""

    def __init__(self, path, storage="auto", engine="auto"):
        gc.collect()
        before = gc.mem_alloc()
        self._native, self._engine, self.notice = load_core(engine)
        native = self._native
        self.path = path.rstrip("/") or path
        encoder, table = files(self.path)
        self._encoder = File(native, encoder, b"BWE1", storage) if encoder else None  # None: codes from elsewhere
        self._table = File(native, table, b"BWT1", storage)
        fields = self._read(self._table, _FIELDS, 52)
        slots, self.bits, layout, self._flags, self.threshold = unpack_from("<IHBBI", fields)
        if layout >= len(_LAYOUTS):
            raise Error(messages.bad_file(self._table.path, messages.VERSION))
        self._slots = slots + unpack_from("<H", fields, 14)[0]  # of the file
        self._changes = None  # what append() and delete() have changed since
        self._layout = layout
        self.effort = fields[32] if 0 < fields[32] < 100 else 100  # percent of a residual table to read
        if fields[16:32] != (self._read(self._encoder, _IDENTITY, 16) if encoder else bytes(16)):
            raise Error(messages.OTHER_ENCODER if encoder else messages.missing(self.path + "/encoder.bwe"))
        self.count = self._count_live()  # documents
        self._code = bytearray(self.bits // 8)
        self._work = self._work_memory(layout)
        self._compiles = len(self._work) > max(native.ENCODE_WORK, native.SEARCH_WORK)
        # Those that rank besides the distance, and what the encoder takes besides: the table's centre, room for an embedding.
        self._stages, self._beside = None, ()
        if fields[34] or fields[35]:
            self._beside = (self._read(self._table, *self._section(b"CENT")),)
        if fields[33] or self._seek(b"WORD"):
            from .stages import Stages  # not before it is needed: it takes RAM

            self._stages = Stages(self, fields)
        gc.collect()
        self._ram = gc.mem_alloc() - before

    def __len__(self):
        return self.count

    def search(self, text, k=None, effort=None, stages=None):
        """The k best documents.

        :param text: str or UTF-8 bytes. :param k: 3 when not given, or all of a smaller table.
        :param effort: percent of a residual table's codes to read at most, 1 to 100, else what it was built for; exact at
            100, as other layouts always are.
        :param stages: what ranks the nearest besides their distance: "hamming" (nothing), "vectors", "words" or "all"; all that
            the table has when not given.
        """
        text = self._refuse_text(text)
        k, effort = self._bounds(k, effort)
        number = self.choose(stages) if self._stages or stages is not None else 0
        self._encode(text)
        return self._nearest(k, effort, text, number)

    def search_code(self, code, k=None, effort=None):
        """The k nearest documents to a code of bits / 8 bytes, bit i in byte i // 8 at bit i % 8, by distance alone; k and effort
        as in search().

        What searches a table whose codes are from elsewhere: it has no encoder for text.
        """
        if not isinstance(code, (bytes, bytearray, memoryview)) or len(bytes(code)) != len(self._code):
            raise Error(messages.not_a_code(len(self._code)))
        k, effort = self._bounds(k, effort)
        self._code[:] = bytes(code)
        return self._nearest(k, effort)

    def _bounds(self, k, effort):
        """What is meant by k and effort, if they can be used."""
        k = min(DEFAULT_K, self.count) if k is None else k
        self._refuse(k)
        effort = self.effort if effort is None else effort
        if type(effort) is not int or not 1 <= effort <= 100:
            raise Error(messages.EFFORT)
        return k, effort

    def _nearest(self, k, effort, text=None, number=0):
        """Search for _code, and rank by the stages of a number, which take the text and its embedding."""
        ranking = self._stages
        wanted = min(ranking.candidates(k), self.count) if number else k
        pairs = array("I", bytes(8 * wanted))
        live, rows = self._changes.of_search(len(self._code)) if self._changes else (None, None)
        found = self._native.search(self._table.source, self._code, wanted, pairs, self._work, effort, live, rows)
        self._demand(found, self._table)
        hits = Hits()
        if number:
            ranking.rank(self, text, pairs, found, k, number, live, hits)
            return hits
        for index in range(found):
            hits.append(self._hit(pairs[2 * index], pairs[2 * index + 1]))
        hits.confident = found > 0 and (self.threshold == _NOT_CALIBRATED or hits[0].distance <= self.threshold)
        return hits

    def choose(self, stages):
        """The number of the stages of a name, or all that the table has for None: 1 for vectors, 2 for words."""
        from .stages import choose

        return choose(stages, self._stages)

    def append(self, text, answer=None, id=None):
        """Add a document, in RAM: it is gone when the bundle is opened anew or the power is off. Returns its id.

        :param text: what is searched for, str or UTF-8 bytes, at most 4096 bytes. :param answer: the text when not given.
        :param id: str that no document has; when not given, its place in the table. For that, all ids of the file are read:
            0.14 ms each on a Pico, simulated.
        """
        try:
            text = self._refuse_text(text)
            self._encode(text)
        except Error as error:
            raise Error(str(error).replace("the query", "the document", 1))
        try:
            text = str(text, "utf-8")
        except ValueError:
            raise Error(messages.NOT_UTF8)
        id = self._changed().append(self._code, text, text if answer is None else answer, id)
        self.count += 1
        return id

    def delete(self, id):
        """Delete the documents of an id, until the bundle is opened anew or the power is off; returns how many there were.

        All ids of the file are read, as append() does. The first deletion takes a bit of RAM for each slot of the table.
        """
        deleted = self._changed().delete(id)
        self.count -= deleted
        return deleted

    def _changed(self):
        if self._changes is None:
            from .changes import Changes  # not before it is needed: it takes RAM

            sections = [self._section(tag) for tag in (b"LIVE", b"OFFS", b"DOCS")]
            self._changes = Changes(self._native, self._table, sections, self._slots, self._flags & _HAS_TEXT)
        return self._changes

    def answer(self, query, k=None, effort=None, stages=None):
        """What docs/protocol.md says for a query: its hits, or the error, as a dict in the protocol's order."""
        return self._answer(OrderedDict((("query", query),)), effort, self.search, query, k, effort, stages)

    def answer_code(self, code, k=None, effort=None):
        """The same for a code, the hexadecimal digits of its bytes, by distance alone."""
        return self._answer(OrderedDict((("code", code),)), effort, self._search_digits, code, k, effort)

    def _search_digits(self, digits, k, effort):
        from binascii import unhexlify

        try:
            code = unhexlify(digits) if isinstance(digits, str) else b""
        except ValueError:
            code = b""
        if len(code) != len(self._code):
            raise Error(messages.not_digits(len(self._code)))
        return self.search_code(code, k, effort)

    def _answer(self, answer, effort, search, *asked):
        effort = self.effort if effort is None else effort
        try:
            hits = search(*asked)
        except Error as error:
            answer["error"] = str(error)
            return answer
        except MemoryError:
            answer["error"] = messages.OUT_OF_MEMORY
            return answer
        for index, hit in enumerate(hits):  # in place: many hits would not fit twice
            if hit.score is None:
                hits[index] = OrderedDict((("id", hit.id), ("distance", hit.distance), ("answer", hit.answer)))
            else:
                hits[index] = self._stages.describe(hit)
        answer["hits"], answer["confident"] = hits, hits.confident
        if effort < 100:
            # Without the native module every document is compared.
            answer["exact"] = _LAYOUTS[self._layout] != "residual" or self._engine in ENGINES
        return answer

    def info(self):
        """What is open, and how: for people and for {"cmd": "info"}."""
        opened = ("encoder", self._encoder), ("table", self._table)
        return OrderedDict(
            (
                ("name", self.path.split("/")[-1]),
                ("documents", self.count),
                ("bits", self.bits),
                ("layout", _LAYOUTS[self._layout]),
                ("encoder", self._encoder and self._notes(self._encoder).get("name")),
                ("threshold", None if self.threshold == _NOT_CALIBRATED else self.threshold),
                ("stages", self._stages.name if self._stages else "hamming"),
                ("storage", OrderedDict([(name, file.kind) for name, file in opened if file])),
                ("native", self._engine),
                ("compiles", self._compiles),
                ("ram", self._ram),
            )
        )

    def _work_memory(self, layout):
        """For encoder and search, with room for the query as code where that pays, the chip can run it and RAM allows it."""
        native = self._native
        size = max(native.ENCODE_WORK, native.SEARCH_WORK)
        code = getattr(native, "SEARCH_CODE", 0) * self.bits // 512 if self.bits <= 512 else 0
        gc.collect()
        if code and _LAYOUTS[layout] == "flat" and self.count >= _COMPILE_FROM and gc.mem_free() >= size + code + _SPARE:
            try:
                return bytearray(native.SEARCH_WORK + code)
            except MemoryError:  # there is enough, but not in one piece
                pass
        return bytearray(size)

    def _encode(self, text):
        """Bring the code of a text into _code."""
        if self._encoder is None:
            raise Error(messages.NO_ENCODER)
        try:
            tokens = self._native.encode(self._encoder.source, text, self._code, self._work, *self._beside)
        except ValueError as error:
            if isinstance(error, Error):
                raise
            raise Error(messages.bad_file(self._table.path, messages.FORMAT))  # its centre is not as long as an embedding
        if tokens == 0:
            raise Error(messages.NO_WORDS)
        self._demand(tokens, self._encoder)

    def _refuse_text(self, text):
        """A query's or a document's text as bytes, if it can be encoded."""
        text = text.encode() if isinstance(text, str) else bytes(text)
        if len(text) > messages.MAX_QUERY_BYTES:
            raise Error(messages.too_long(len(text)))
        if not text.strip():
            raise Error(messages.EMPTY)
        return text

    def _refuse(self, k):
        if type(k) is not int:
            raise Error(messages.K_NOT_A_NUMBER)
        if not self.count:
            raise Error(messages.NO_DOCUMENTS)
        if k < 1:
            raise Error(messages.K_TOO_SMALL)
        if k > self.count:
            raise Error(messages.k_too_large(k, self.count))

    def _hit(self, distance, slot, score=None):
        if slot >= self._slots:
            return Hit(distance, *self._changes.record(slot), score)
        place = array("I", (0, 0))
        self._demand(self._native.record(self._table.source, slot, place), self._table)
        record = memoryview(self._read(self._table, *place))
        id_size, answer_size = unpack_from("<HH", record) if len(record) >= 4 else (0xFFFF, 0)
        answer_at = 4 + id_size
        text_at = answer_at + answer_size
        if text_at > len(record):
            raise Error(messages.bad_file(self._table.path, messages.FORMAT))
        text = str(record[text_at:], "utf-8") if self._flags & _HAS_TEXT else None
        return Hit(distance, str(record[4:answer_at], "utf-8"), str(record[answer_at:text_at], "utf-8"), text, score)

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

    def _section(self, tag):
        """Where a section of the table begins, and its length."""
        place = self._seek(tag)
        if place:
            return place
        raise Error(messages.bad_file(self._table.path, messages.FORMAT))

    def _seek(self, tag):
        """The same, or None where there is no such section."""
        entries = self._read(self._table, 32, 256)
        for at in range(0, 256, 16):
            if entries[at : at + 4] == tag:
                return unpack_from("<II", entries, at + 4)

    def _count_live(self):
        """Documents that are not deleted: the bits of section LIVE."""
        offset, length = self._section(b"LIVE")
        live = 0
        for at in range(offset, offset + length, 256):
            words = self._read(self._table, at, min(256, offset + length - at))
            if words == b"\xff" * len(words):  # a million documents are 488 of these: no counting of bits in Python
                live += 8 * len(words)
            else:
                live += sum(bin(byte).count("1") for byte in words)
        return live
