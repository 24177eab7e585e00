"""A table: the documents' codes, ids and answers, as a ``.bwt`` file holds them, and the reference search over it."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import container, postings, residual, scoring, vectors
from .errors import FormatError
from .hamming import WIDTHS, Codes, distances, search
from .lexical import Words
from .residual_scan import Scan
from .scoring import WEIGHT_ONE, Query, Stages
from .slicing import LANES, live_words, slice_codes, unslice_codes
from .vectors import Vectors

MAGIC = "BWT1"
NO_THRESHOLD = 0xFFFFFFFF
MAX_SLOTS = (1 << 22) - 1
"""Documents of a table; half as many of the widest codes, since a chip keeps distance and slot in one word."""
LAYOUTS = ("flat", "residual", "rows")
MAX_STAGED = 0xFFFF
_TEXT_FLAG = 1
NO_SCORE = -0x80000000
"""A threshold that every score reaches: not calibrated."""
_FIELDS = struct.Struct("<IHBBIBBH16sBBHH2xiii")
_RECORD = struct.Struct("<HH")


@dataclass(frozen=True)
class Record:
    """What is answered for a slot; text is None where the table does not store it, label empty where there is none."""

    id: str
    answer: str
    text: str | None = None
    label: str = ""


@dataclass(frozen=True)
class Hit:
    """One result: Hamming distance in bits, slot in the table, the document's id and answer.

    :ivar score: in units of 1/4096, what the stages after the Hamming search gave; None without any.
    """

    distance: int
    slot: int
    id: str
    answer: str
    score: int | None = None


@dataclass(frozen=True)
class Table:
    """A table in memory.

    :ivar codes: uint32 [N, bits / 32], by slot. :ivar live: bool [N].
    :ivar threshold: largest distance that counts as a confident match; None: not calibrated.
    :ivar identity: of the encoder that made the codes, 16 bytes.
    :ivar layout: of the codes in the file, one of :data:`LAYOUTS`; residual pays where like documents lie together
        (:mod:`bitwren.ordering`). :ivar lanes: documents of a residual block, 32 or 64.
    :ivar effort: percent of a residual table's codes to read where a query asks for no other share; 100: exact.
    :ivar staged: how many documents at the end are staged: their codes lie row by row behind those of the layout.
    :ivar centre: int8 [E], the embedding that the codes and vectors are centred on; None: the encoder's origin.
    :ivar vectors: of the first slots; None: candidates are not ranked by vectors. They need a centre.
    :ivar words: index of the first slots; None: no words. :ivar weight: of the words' score, in 1/256.
    :ivar score_thresholds: smallest score of a confident match with vectors, with words, with both.
    """

    codes: Codes
    records: Sequence[Record]
    live: NDArray[np.bool_]
    identity: bytes
    threshold: int | None = None
    notes: dict[str, Any] = field(default_factory=dict)
    layout: str = "flat"
    lanes: int = residual.LANES
    staged: int = 0
    effort: int = 100
    centre: NDArray[np.int8] | None = None
    vectors: Vectors | None = None
    words: Words | None = None
    weight: int = WEIGHT_ONE
    score_thresholds: tuple[int, int, int] = (NO_SCORE, NO_SCORE, NO_SCORE)

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return int(self.codes.shape[1]) * 32

    @property
    def always_exact(self) -> bool:
        """Whether an effort below 100 changes nothing: only the residual layout can leave documents out."""
        return self.layout != "residual"

    def search(self, query: Query, k: int, effort: int = 100, stages: Stages | None = None) -> list[Hit]:
        """The k best live documents.

        :param effort: percent of a residual table's codes that a chip reads, 1 to 100; below 100 documents may be missing.
        :param stages: what ranks the candidates of the Hamming search; None: all that the table has. Without any, the k nearest
            by (distance, slot).
        """
        stages = scoring.choose(self, None) if stages is None else stages
        if stages.any:
            return [self._hit(far, slot, score) for score, far, slot in scoring.rank(self, query, k, effort, stages)]
        return [self._hit(far, slot) for far, slot in self.nearest(query.code, k, effort)]

    def nearest(self, code: Codes, k: int, effort: int = 100) -> list[tuple[int, int]]:
        """The k nearest live documents to a code [bits / 32], pairs (distance, slot) in ascending order."""
        if effort < 100 and not self.always_exact:
            first = len(self.codes) - self.staged
            rows = distances(code, self.codes[first:]).tolist()  # all of them, always
            staged = [(far, slot) for slot, far in enumerate(rows, first) if self.live[slot]]
            return sorted(self._scan.search(code, k, effort).hits + staged)[:k]
        slots, found = search(code, self.codes, k, self.live)
        return list(zip(found.tolist(), slots.tolist(), strict=True))

    def _hit(self, distance: int, slot: int, score: int | None = None) -> Hit:
        return Hit(distance, slot, self.records[slot].id, self.records[slot].answer, score)

    @cached_property
    def _scan(self) -> Scan:
        first = len(self.codes) - self.staged
        return Scan(residual.encode(self.codes[:first], self.lanes), self.live[:first])

    def confident(self, hits: Sequence[Hit], stages: Stages) -> bool:
        """Whether the best of the hits is good enough; true where no threshold is calibrated."""
        if not hits:
            return False
        if hits[0].score is not None:
            return hits[0].score >= self.score_thresholds[stages.vectors + 2 * stages.words - 1]
        return self.threshold is None or hits[0].distance <= self.threshold


def most_slots(bits: int) -> int:
    """How many documents a table of this width can have."""
    return MAX_SLOTS if bits < WIDTHS[-1] else MAX_SLOTS // 2


def write(table: Table) -> bytes:
    """The bytes of a ``.bwt`` file.

    :raises FormatError: when the table is empty, too large or of a width that no chip searches.
    """
    slots, count = len(table.codes), len(table.codes) - table.staged
    if table.bits not in WIDTHS or not 1 <= count <= slots <= most_slots(table.bits):
        raise FormatError(f"a table holds 1 to {most_slots(table.bits)} codes of {WIDTHS} bits, not {count} of {table.bits}")
    if table.staged > MAX_STAGED:
        raise FormatError(f"{table.staged} documents are appended; at most {MAX_STAGED} are possible: build the table again")
    with_text = all(record.text is not None for record in table.records)
    documents = [_pack_record(record) for record in table.records]
    offsets = np.cumsum([0, *map(len, documents)]).astype("<u4")
    threshold = NO_THRESHOLD if table.threshold is None else table.threshold
    layout = LAYOUTS.index(table.layout)
    lanes = weight_planes = 0
    codes, staged = np.split(table.codes.astype("<u4"), [count])
    if table.layout == "residual":
        residual.check_width(table.bits)
        made = residual.encode(codes, table.lanes)
        lanes, weight_planes, blocks = made.lanes, made.weight_planes, residual.pack(made)
    else:
        blocks = {"CODE": (slice_codes(codes) if table.layout == "flat" else codes).astype("<u4").tobytes()}
    if table.staged:
        blocks["STAG"] = staged.tobytes()
    flags = _TEXT_FLAG * with_text
    fields = _FIELDS.pack(
        count,
        table.bits,
        layout,
        flags,
        threshold,
        lanes,
        weight_planes,
        table.staged,
        table.identity,
        table.effort % 100,
        table.vectors.bits if table.vectors else 0,
        0 if table.centre is None else len(table.centre),
        table.weight if table.words else 0,
        *table.score_thresholds,
    )
    sections = blocks | {
        "LIVE": live_words(table.live).astype("<u4").tobytes(),
        "OFFS": offsets.tobytes(),
        "DOCS": b"".join(documents),
    }
    if table.centre is not None:
        sections["CENT"] = table.centre.tobytes()
    if table.vectors:
        if table.centre is None or len(table.centre) != table.vectors.units:
            raise FormatError("documents' vectors need a centre of as many components")
        sections["VECS"] = vectors.pack(table.vectors)
    if table.words:
        sections["WORD"] = postings.pack(table.words)
    if any(record.label for record in table.records):
        sections["LABL"] = _pack_labels([record.label for record in table.records])
    return container.pack(MAGIC, fields, table.notes, sections)


def read(data: bytes, name: str = "the table") -> Table:
    """Read a ``.bwt`` file.

    :raises FormatError: when it is damaged, of another version, or its fields contradict each other.
    """
    file = container.unpack(data, MAGIC, name)
    count, bits, layout, flags, threshold, lanes, weight_planes, staged, identity, effort, *scores = _FIELDS.unpack_from(
        file.fields
    )
    vector_bits, units, weight, *score_thresholds = scores
    if layout >= len(LAYOUTS):
        raise FormatError(f"{name} has layout {layout}, which this bitwren does not know: update it")
    if effort > 99:
        raise FormatError(f"{name} is damaged: its effort is {effort} percent")
    slots = count + staged
    live, offs, documents = (container.section(file, tag, name) for tag in ("LIVE", "OFFS", "DOCS"))
    fits = bits in WIDTHS and 1 <= count <= slots <= most_slots(bits)
    if not fits or len(live) != -(-slots // LANES) * 4 or len(offs) != 4 * (slots + 1):
        raise FormatError(f"{name} is damaged: its sections disagree about the number of documents")
    codes = _read_codes(file, name, count, bits, LAYOUTS[layout], lanes, weight_planes)
    if staged:
        codes = np.concatenate([codes, _rows(container.section(file, "STAG", name), staged, bits, name)])
    alive = np.unpackbits(np.frombuffer(live, np.uint8), bitorder="little")[:slots].astype(bool)
    offsets = np.frombuffer(offs, "<u4").astype(np.int64)
    if offsets[0] or offsets[-1] != len(documents) or (np.diff(offsets) < _RECORD.size).any():
        raise FormatError(f"{name} is damaged: its answers' offsets are out of order")
    labels = _unpack_labels(file.sections["LABL"], slots, name) if "LABL" in file.sections else [""] * slots
    records = [
        _unpack_record(documents[start:end], bool(flags & _TEXT_FLAG), label, name)
        for (start, end), label in zip(itertools.pairwise(offsets), labels, strict=True)
    ]
    return Table(
        codes,
        records,
        alive,
        identity,
        None if threshold == NO_THRESHOLD else threshold,
        file.notes,
        LAYOUTS[layout],
        lanes or residual.LANES,
        staged,
        effort or 100,
        _read_centre(file, units, name),
        vectors.unpack(container.section(file, "VECS", name), units, vector_bits, slots, name) if vector_bits else None,
        postings.unpack(file.sections["WORD"], slots, name) if "WORD" in file.sections else None,
        weight,
        tuple(score_thresholds),
    )


def _read_centre(file: container.Container, units: int, name: str) -> NDArray[np.int8] | None:
    if not units:
        return None
    data = container.section(file, "CENT", name)
    if len(data) != units:
        raise FormatError(f"{name} is damaged: its centre has {len(data)} components, not {units}")
    return np.frombuffer(data, dtype=np.int8)


def _read_codes(
    file: container.Container, name: str, count: int, bits: int, layout: str, lanes: int, weight_planes: int
) -> Codes:
    """The codes of the first ``count`` slots, those that the layout holds."""
    code = container.section(file, "CODE", name)
    if layout == "residual":
        pivots = container.section(file, "PIVT", name)
        return residual.decode(residual.unpack(pivots, code, count, bits, lanes, weight_planes, name), count)
    if layout == "rows":
        return _rows(code, count, bits, name)
    return unslice_codes(_rows(code, -(-count // LANES), LANES * bits, name), count)


def _rows(data: bytes, count: int, bits: int, name: str) -> Codes:
    """A section of ``count`` rows."""
    if len(data) != count * bits // 8:
        raise FormatError(f"{name} is damaged: its sections disagree about the number of documents")
    return np.frombuffer(data, "<u4").reshape(count, bits // 32)


def _pack_record(record: Record) -> bytes:
    name, answer = record.id.encode(), record.answer.encode()
    return _RECORD.pack(len(name), len(answer)) + name + answer + (record.text or "").encode()


def _unpack_record(data: bytes, with_text: bool, label: str, name: str) -> Record:
    id_size, answer_size = _RECORD.unpack_from(data)
    body = data[_RECORD.size :]
    try:
        if id_size + answer_size > len(body):
            raise ValueError
        text = body[id_size + answer_size :].decode() if with_text else None
        return Record(body[:id_size].decode(), body[id_size : id_size + answer_size].decode(), text, label)
    except ValueError:
        raise FormatError(f"{name} is damaged: an answer is cut off or not UTF-8") from None


def _pack_labels(labels: Sequence[str]) -> bytes:
    names = {name: index for index, name in enumerate(dict.fromkeys(labels))}
    if len(names) > 0xFFFF or any("\0" in name for name in names):
        raise FormatError(f"{len(names)} different labels; at most 65535 without NUL characters are possible")
    numbers = np.array([names[label] for label in labels], dtype="<u2").tobytes()
    return struct.pack("<I", len(names)) + numbers + b"".join(name.encode() + b"\0" for name in names)


def _unpack_labels(data: bytes, count: int, name: str) -> list[str]:
    try:
        (distinct,) = struct.unpack_from("<I", data)
        numbers = np.frombuffer(data, "<u2", count, 4)
        names = data[4 + 2 * count :].decode().split("\0")[:-1]
        if len(names) != distinct:
            raise ValueError
        return [names[number] for number in numbers]
    except (struct.error, ValueError, IndexError):
        raise FormatError(f"{name} is damaged: its labels do not fit its documents") from None
