"""Is this file whole, and are its fields in their ranges? Checksums, sections and the fields of page 0."""

from binascii import crc32 as _crc32
from struct import unpack_from

from .source import ARGUMENT, CHECKSUM, FORMAT, MAGIC, READ, VERSION, Bad

PAGE, LANES = 4096, 32
FOLD_AT = 320
_SEED_AT = 544  # behind the fold table
_VERSION, _MAX_SECTIONS = 1, 16
_CRC_AT, _ENTRIES_AT, _FIELDS_AT = 12, 32, 288
_WIDTHS = (64, 128, 256, 512, 1024)
_MAX_SLOTS = 0x3FFFFF
RESIDUAL, ROWS = 1, 2  # layouts; 0 is flat
_MAX_RESIDUAL = 512
_MIN_GAIN, _MAX_GAIN = 189812531, 759250125  # of 32 and of 512 dimensions
LAYER = 32  # bytes of a layer's record
MAX_UNITS = 1024
DEPTH = 64  # candidates by words, and at least by distance, for the scoring stages
_MAX_PROJECTED = 512


class Encoder:
    """The fields of an encoder file, in their ranges."""

    def __init__(self, source):
        count = open_page(source, b"BWE1")
        view = source.need(_FIELDS_AT, 16)
        self.dims, self.row_bits, self.pieces, self.gain, self.bits, self.layers = unpack_from("<HHIIHH", view, source.at)
        if (
            self.dims % 32
            or not 32 <= self.dims <= 512
            or self.row_bits not in (2, 4, 8)
            or self.pieces > 0xFFFF
            or not _MIN_GAIN <= self.gain <= _MAX_GAIN
            or self.bits not in _WIDTHS
            or not 1 <= self.layers <= 8
        ):
            raise Bad(FORMAT)
        self.vocabulary, self.vocabulary_size = find_section(source, count, b"VOCB")
        self.rows, rows_size = find_section(source, count, b"ROWS")
        self.scales, scales_size = find_section(source, count, b"SCAL")
        self.head, self.head_size = find_section(source, count, b"HEAD")
        self.row_size = self.dims // 8 * self.row_bits
        last = LAYER * (self.layers - 1)
        if rows_size != self.pieces * self.row_size or scales_size != self.pieces or self.head_size < last + LAYER:
            raise Bad(FORMAT)
        self.seed = unpack_from("<I", source.need(_SEED_AT, 4), source.at)[0]  # of the projection; 0: none
        inputs, outputs = unpack_from("<HH", source.need(self.head + last, 4), source.at)
        self.units = outputs if self.seed else inputs  # of an embedding
        if self.seed and self.units > _MAX_PROJECTED:  # without a projection, the head's layers are checked when they run
            raise Bad(FORMAT)


class Table:
    """The fields of a table file, in their ranges."""

    def __init__(self, source):
        number = open_page(source, b"BWT1")
        fields = unpack_from("<IHBBIBBH", source.need(_FIELDS_AT, 32), source.at)
        self.count, self.bits, self.layout, _, _, self.lanes, planes, staged = fields
        self.slots = self.count + staged
        if self.count < 1 or self.bits not in _WIDTHS or self.slots > most_slots(self.bits) or self.layout > ROWS:
            raise Bad(FORMAT)
        self.codes, codes_size = find_section(source, number, b"CODE")
        self.live, live_size = find_section(source, number, b"LIVE")
        self.offsets, offsets_size = find_section(source, number, b"OFFS")
        self.documents, self.documents_size = find_section(source, number, b"DOCS")
        row = self.bits // 8
        agree = live_size == (self.slots + LANES - 1) // LANES * 4 and offsets_size == 4 * (self.slots + 1)
        if agree and staged:
            self.staged, size = find_section(source, number, b"STAG")
            agree = size == staged * row
        if not agree:
            raise Bad(FORMAT)
        if self.layout == RESIDUAL:
            lanes = self.lanes
            if self.bits > _MAX_RESIDUAL or (lanes != 32 and lanes != 64) or 1 << planes > 2 * self.bits:
                raise Bad(FORMAT)
            blocks = (self.count + lanes - 1) // lanes
            self.pivots, size = find_section(source, number, b"PIVT")
            self.before = row + planes * lanes // 8  # bytes of a block in front of its residual planes
            agree = size == blocks * (row + 4) and codes_size == blocks * (self.before + lanes * row)
        else:
            lanes = self.lanes = 1 if self.layout == ROWS else LANES
            self.before = 0
            agree = codes_size == (self.count + lanes - 1) // lanes * lanes * row
        if not agree:
            raise Bad(FORMAT)

    def record(self, source, slot):
        """Where a slot's record lies in the file: offset and length."""
        if slot >= self.slots:
            raise Bad(ARGUMENT)
        begin, end = unpack_from("<II", source.need(self.offsets + 4 * slot, 8), source.at)
        if end - begin < 4 or end > self.documents_size:
            raise Bad(FORMAT)
        return self.documents + begin, end - begin


def most_slots(bits):
    """How many slots a table of this width, with what is added to it, may have."""
    return _MAX_SLOTS if bits < 1024 else _MAX_SLOTS // 2


def check(source, magic, every_section):
    """Refuse a file whose page 0, or one of whose sections, is not what it should be."""
    count = open_page(source, magic)
    size, wanted = unpack_from("<II", source.need(8, 8), source.at)
    crc = _crc32(bytes(4), crc32(source, 0, _CRC_AT))
    if crc32(source, _CRC_AT + 4, PAGE - _CRC_AT - 4, crc) != wanted:
        raise Bad(CHECKSUM)
    if size != source.size or size % PAGE:
        raise Bad(READ if size > source.size else FORMAT)
    for index in range(count):
        _, offset, length, wanted = _section(source, index)
        if every_section and crc32(source, offset, length) != wanted:
            raise Bad(CHECKSUM)


def crc32(source, offset, length, crc=0):
    """The checksum of a range, continued from another."""
    if offset + length > source.size:
        raise Bad(READ)
    while length:
        here = min(source.locate(offset, 1, length), length)
        crc = _crc32(source.view[source.at : source.at + here], crc)
        offset += here
        length -= here
    return crc


def open_page(source, magic):
    """The number of sections of a file of the wanted kind."""
    found, version, count = unpack_from("<4sHH", source.need(0, 8), source.at)
    if source.size < PAGE:
        raise Bad(READ)
    if found != magic:
        raise Bad(MAGIC)
    if version != _VERSION:
        raise Bad(VERSION)
    if count > _MAX_SECTIONS:
        raise Bad(FORMAT)
    return count


def _section(source, index):
    """A section's tag, offset, length and checksum."""
    entry = unpack_from("<4sIII", source.need(_ENTRIES_AT + 16 * index, 16), source.at)
    if entry[1] % PAGE or entry[1] < PAGE or entry[1] + entry[2] > source.size:
        raise Bad(FORMAT)
    return entry


def find_section(source, count, wanted):
    """Offset and length of a section of a file with so many."""
    for index in range(count):
        tag, offset, length, _ = _section(source, index)
        if tag == wanted:
            return offset, length
    raise Bad(FORMAT)
