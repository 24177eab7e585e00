"""Damaged and malicious files end in an error or in a valid result, never in a stray access.

The campaign runs in a process of its own, in which the core is built with the address and undefined-behaviour sanitizers where
the compiler has them:  python test_native_hostile.py LIBRARY SEED ROUNDS
"""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from makers import random_encoder, with_stages
from native import CHECKSUM, FORMAT, KINDS, MAGIC, READ, VERSION, CoreError, NativeCore, Source

from bitwren import lower, residual, table
from bitwren.encoder import Dense, Encoder
from bitwren.frontend import Rows
from bitwren.hamming import Codes
from bitwren.table import Record, Table
from bitwren.tokenizer import Vocabulary

PAGE = 4096
PRESENT = 0xF3  # a byte of live bits
TEXTS = (
    "The light blinks 2 times, naïve ßtraße 日本 \udc80 abcabcabca".encode("utf-8", "surrogatepass"),
    b"tsilhgcbaabclightstsghilcab" * 3 + b"\xf0\x90\x80",
    b"abc\xe6\x97",
)
EMBEDDING = bytes(range(256)) * 4
EXTREMES = (0, 1, 3, 16, 63, 255, 1024, 0x7FFF, 0x8000, 0xFFFF)
EXTREMES_32 = (*EXTREMES, 4095, 4096, 4097, 1 << 31, (1 << 31) - 1, 0xFFFFF000, 0xFFFFFFFC, 0xFFFFFFFF)
SOURCES: dict[str, Callable[[bytes], Source]] = {**KINDS, "shredded": lambda data: Source.extents(data, range(0, len(data), 20))}


def an_encoder(bits: int = 128) -> bytes:
    random = np.random.default_rng(bits)
    pieces = sorted({bytes(random.choice(list(b"abclights"), 1 + index % 6).astype(np.uint8)) for index in range(150)})
    vocabulary = Vocabulary(pieces, pieces[::3])
    rows = Rows(random.integers(0, 256, (len(vocabulary), 16)).astype(np.uint8), np.full(len(vocabulary), 9, np.uint8), 2)
    first = Dense(
        random.integers(-128, 128, (72, 64)).astype(np.int8),
        random.integers(-9999, 9999, 72).astype(np.int32),
        random.integers(1 << 30, (1 << 31) - 1, 72).astype(np.int32),
        random.integers(36, 44, 72).astype(np.uint8),
        -5,
        -128,
        127,
    )
    last = Dense(random.integers(-128, 128, (bits, 72)).astype(np.int8), np.zeros(bits, np.int32))
    return lower.write(Encoder(vocabulary, rows, (first, last), bytes(16), {"name": "hostile"}))


def a_projecting_encoder() -> bytes:
    return lower.write(random_encoder(3, 256, 32, extra=40, embedding=48))


def a_table(bits: int = 128, count: int = 300) -> bytes:
    random = np.random.default_rng(bits)
    codes: Codes = random.integers(0, 1 << 32, (count, bits // 32), dtype=np.uint64).astype(np.uint32)
    records = [Record(str(slot), "answer", "text") for slot in range(count)]
    return table.write(Table(codes, records, random.random(count) < 0.9, bytes(16), 40))


def a_residual_table(bits: int = 128, count: int = 300) -> bytes:
    flat = table.read(a_table(bits, count))
    base = np.random.default_rng(1).integers(0, 1 << 32, (3, bits // 32), dtype=np.uint64).astype(np.uint32)
    near = base[np.arange(count) // 100] ^ (flat.codes & (flat.codes >> 1) & (flat.codes >> 2))
    return table.write(replace(flat, codes=near, layout="residual"))


def a_table_of_rows() -> bytes:
    """The row layout, with staged rows."""
    return table.write(replace(table.read(a_table()), layout="rows", staged=77))


def a_staged_table() -> bytes:
    """Residual blocks, with staged rows."""
    return table.write(replace(table.read(a_residual_table()), staged=77))


def a_wide_table() -> bytes:
    """Codes of 1024 bits, in blocks and staged."""
    return table.write(replace(table.read(a_table(1024, 70)), staged=33))


def a_ranked_table(layout: str = "flat", vector_bits: int = 4) -> bytes:
    """With vectors and words, lists of all lengths among them, and staged rows without."""
    random, encoder = np.random.default_rng(7), random_encoder(3, 256, 32, extra=40, embedding=48)
    vocabulary = [
        "the",
        "light",
        "lights",
        "blinks",
        "2",
        "straße",
        "日",
        "abc",
        *("".join(word) for word in permutations("abc")),
    ]
    texts = [" ".join(random.choice(vocabulary, random.integers(1, 6))) for _ in range(300)]
    made = Table(
        encoder.encode(texts), [Record("", "")] * 300, random.random(300) < 0.9, encoder.identity, layout=layout, staged=44
    )
    return table.write(with_stages(made, encoder, texts[:270], vector_bits))


FILES: dict[bytes, Callable[[], bytes]] = {b"BWE1": an_encoder, b"BWT1": a_table}
OTHERS = (a_residual_table, a_table_of_rows, a_staged_table, a_wide_table, a_ranked_table)
EVERY_FILE = [*FILES.items(), (b"BWE1", a_projecting_encoder), *((b"BWT1", make) for make in OTHERS)]


def mend(data: bytearray) -> None:
    """Make every checksum right again, as somebody who means harm would."""
    for entry in range(32, 32 + 16 * min(16, int.from_bytes(data[6:8], "little")), 16):
        offset, length = struct.unpack_from("<II", data, entry + 4)
        if offset + length <= len(data):
            struct.pack_into("<I", data, entry + 12, zlib.crc32(data[offset : offset + length]))
    data[12:16] = bytes(4)
    struct.pack_into("<I", data, 12, zlib.crc32(data[:PAGE]))


def covered(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Where the bytes are that a checksum covers: all but the padding."""
    parts = [np.arange(PAGE)]
    for entry in range(32, 32 + 16 * int.from_bytes(data[6:8], "little"), 16):
        offset, length = struct.unpack_from("<II", data, entry + 4)
        parts.append(np.arange(offset, offset + length))
    return np.concatenate(parts)


def use(core: NativeCore, source: Source) -> None:
    """Call everything, whatever the checks say. An error is fine; a result must be one that a caller can work with."""
    for action in (_use_encoder, _use_table, _use_stages, _use_records):
        with contextlib.suppress(CoreError):
            action(core, source)


def _use_encoder(core: NativeCore, source: Source) -> None:
    opened = core.open_encoder(source)
    for text in TEXTS:
        assert all(token < opened.pieces for token in core.tokens(source, text))
        core.embed(source, text)
        core.encode(source, text, bytes([0x80]) * opened.units)


def _use_table(core: NativeCore, source: Source) -> None:
    opened = core.open_table(source)
    query = np.random.default_rng(0).integers(0, 1 << 32, opened.bits // 32, dtype=np.uint64).astype(np.uint32)
    slots = opened.count + opened.staged
    for k, added in ((1, 0), (40, 0), (70, 3)):
        rows = np.tile(query, added).astype("<u4").tobytes()
        hits = core.search(source, query, k, 100, bytes([PRESENT]) * ((slots + added + 31) // 32 * 4) if added else None, rows)
        assert hits == sorted(set(hits)), hits
        assert len({slot for _, slot in hits}) == len(hits)
        assert all(distance <= opened.bits and slot < slots + added for distance, slot in hits)


def _use_stages(core: NativeCore, source: Source) -> None:
    opened = core.open_table(source)
    query = np.random.default_rng(1).integers(0, 1 << 32, opened.bits // 32, dtype=np.uint64).astype(np.uint32)
    slots = opened.count + opened.staged
    fold = Source.contiguous(an_encoder())
    # Not what a search found: what somebody has, a slot past the end and a distance above all others included.
    hits = [(opened.bits // 2, 0), *[(3, slots - 1)] * (slots > 1), (opened.bits, slots), (0xFFFFFFFF, 0xFFFFFFFF)]
    for stages, text in zip((1, 2, 3), (b"", b"light", TEXTS[0]), strict=True):
        found = core.rank((source, fold), (text, query, EMBEDDING), hits, 20, stages)
        assert len(found) >= min(20, len(hits))
        assert found == sorted(found, key=lambda result: (-result[0], result[2]))
        assert len({slot for _, _, slot in found}) == len(found)
        assert {slot for _, _, slot in found} <= {*range(slots), *(slot for _, slot in hits)}


def _use_records(core: NativeCore, source: Source) -> None:
    opened = core.open_table(source)
    for slot in (0, 17, opened.count - 1, opened.count + opened.staged - 1):
        offset, length = core.record(source, slot)
        assert offset + length <= source.struct.size


def truncated(core: NativeCore) -> None:
    for magic, make in EVERY_FILE:
        data = make()
        sizes = [*range(0, len(data), PAGE), *range(PAGE - 4, len(data), PAGE), 1, 7, 12, 300, 4095, len(data) - 1]
        for size in sizes:
            for kind in SOURCES.values():
                source = kind(data[:size])
                assert core.check(source, magic) == READ, size
                use(core, source)


def flipped(core: NativeCore, random: np.random.Generator, rounds: int) -> None:
    """Bits flipped, left so (then a check must notice) or with the checksums made right."""
    kinds = list(SOURCES.values())
    originals = [(magic, make(), covered(make())) for magic, make in EVERY_FILE]
    for number in range(rounds):
        magic, original, places = originals[number % len(originals)]
        data = bytearray(original)
        for place in random.choice(places, random.integers(1, 4), replace=False):
            data[place] ^= 1 << random.integers(8)
        source = kinds[number % len(kinds)](bytes(data))
        assert core.check(source, magic) in (MAGIC, VERSION, CHECKSUM, FORMAT)
        use(core, source)
        mend(data)
        use(core, kinds[random.integers(len(kinds))](bytes(data)))


def fields_of(data: bytes) -> Iterator[tuple[int, int]]:
    """Where fields lie that say how large or where something is, and their sizes."""
    yield from ((6, 2), (8, 4))
    yield from ((offset, 2) for offset in (*range(288, 304, 2), 320, 322, 324, 544))
    yield from ((offset, 4) for offset in (288, 292, 296, 544))
    for entry in range(32, 32 + 16 * int.from_bytes(data[6:8], "little"), 16):
        yield from ((entry + 4, 4), (entry + 8, 4))
        if data[entry : entry + 4] in (b"VOCB", b"HEAD", b"PIVT", b"WORD", b"VECS"):
            begin = int.from_bytes(data[entry + 4 : entry + 8], "little")
            yield from ((begin + offset, 2) for offset in range(0, 64, 2))
            yield from ((begin + offset, 4) for offset in range(8, 64, 4))


def extreme_fields(core: NativeCore) -> None:
    kinds = list(SOURCES.values())
    for _, make in EVERY_FILE:
        original = make()
        for number, (offset, size) in enumerate(fields_of(original)):
            for value in EXTREMES if size == 2 else EXTREMES_32:
                data = bytearray(original)
                data[offset : offset + size] = value.to_bytes(size, "little")
                mend(data)
                use(core, kinds[number % len(kinds)](bytes(data)))


def failing_reads(core: NativeCore) -> None:
    """A read that fails, whichever it is, ends in BW_ERR_READ, and leaves nothing in the window that is taken for good."""
    for magic, make in EVERY_FILE:
        data = make()
        for number in range(12):
            source = Source.streamed(data, fails_at=number)
            assert core.check(source, magic) == READ
            assert core.crc32(source, 0, 400) == zlib.crc32(data[:400])
    data = an_encoder()
    whole = Source.streamed(data)
    right = core.encode(whole, TEXTS[0]).tolist()
    for number in range(0, len(whole.reads), 3):
        source = Source.streamed(data, fails_at=number)
        with pytest.raises(CoreError) as error:
            core.encode(source, TEXTS[0])
        assert error.value.code == READ
        assert core.encode(source, TEXTS[0]).tolist() == right


def vocabularies(core: NativeCore, random: np.random.Generator, rounds: int) -> None:
    """Bucket offsets and pieces that contradict each other, in pieces of flash so small that all of them are copied."""
    original = an_encoder()
    begin, length = struct.unpack_from("<II", original, 36)
    starts, continuations = struct.unpack_from("<HH", original, begin + 4)
    pool = begin + 8 + 2 * (starts + continuations + 1)
    kinds = (SOURCES["shredded"], SOURCES["contiguous"])
    for number in range(rounds):
        data = bytearray(original)
        for _ in range(random.integers(1, 5)):
            bucket = random.integers(starts + continuations + 1)
            struct.pack_into("<H", data, begin + 8 + 2 * bucket, random.integers(begin + length - pool + 9))
        for place in random.integers(pool, begin + length, random.integers(0, 30)):
            data[place] = random.choice([0, 0x0F, 0x10, 0xF0, 0xFF, *b"abclights"])
        mend(data)
        use(core, kinds[number % 2](bytes(data)))


def _bytewise(count: int) -> bytes:
    """A bucket of so many pieces of one letter, the last one j or t."""
    return b"".join(bytes([0, letter]) for letter in b"abcdefghijklmnopqrst"[:count])


def _with_bucket(data: bytearray, bucket: bytes) -> bytearray:
    """The encoder with another bucket in place of its only one, whatever the counts say."""
    wrong = bytearray(data)
    begin = struct.unpack_from("<I", data, 36)[0]
    struct.pack_into("<H", wrong, begin + 10, len(bucket))
    wrong[begin + 12 : begin + 12 + len(bucket)] = bucket
    struct.pack_into("<I", wrong, 40, 12 + len(bucket))
    return wrong


def crafted(core: NativeCore) -> None:
    """Files that agree with themselves and are still wrong."""
    vocabulary = Vocabulary([b"a", b"b"], [])
    rows = Rows(np.full((2, 256), 0x99, np.uint8), np.full(2, 255, np.uint8), 4)
    last = Dense(np.full((64, 512), -128, np.int8), np.full(64, -(1 << 31), np.int32))
    data = bytearray(lower.write(Encoder(vocabulary, rows, (last,), bytes(16), {})))
    assert core.encode(Source.contiguous(bytes(data)), b"a b") is not None
    wide_rows = bytearray(data)  # the same bytes as rows of 1024 values of 2 bits
    struct.pack_into("<HH", wide_rows, 288, 1024, 2)
    spike = replace(rows, packed=np.where(np.arange(512).reshape(2, 256) % 256 == 7, np.uint8(0x80), np.uint8(0x88)))
    large_gain = bytearray(lower.write(Encoder(vocabulary, spike, (last,), bytes(16), {})))
    struct.pack_into("<I", large_gain, 296, 0xFFFFFFFF)
    units = 4096
    first = Dense(np.zeros((units, 32), np.int8), np.zeros(units, np.int32), np.zeros(units, np.int32), np.ones(units, np.uint8))
    wide_layer = Encoder(
        vocabulary,
        Rows(np.zeros((2, 8), np.uint8), np.ones(2, np.uint8), 2),
        (first, Dense(np.zeros((64, units), np.int8), np.zeros(64, np.int32))),
        bytes(16),
        {},
    )
    many, more, most = (_with_bucket(data, pool) for pool in (_bytewise(10), _bytewise(20), b"\0a" * 135 + b"\x0ft"))
    whole_layer = bytearray(lower.write(wide_layer))
    pairs = ((wide_rows, b"a"), (large_gain, b"a"), (whole_layer, b"a"), (many, b"j"), (more, b"t"), (most, b"tttt"))
    for wrong, text in pairs:
        mend(wrong)
        for kind in SOURCES.values():
            with pytest.raises(CoreError):
                core.encode(kind(bytes(wrong)), text)


def noise(core: NativeCore, random: np.random.Generator, rounds: int) -> None:
    """Sections of random bytes behind a header that is right."""
    for _ in range(rounds):
        for _, make in EVERY_FILE:
            data = bytearray(make())
            begin, end = sorted(random.integers(PAGE, len(data) + 1, 2))
            data[begin:end] = random.bytes(end - begin)
            mend(data)
            use(core, Source.contiguous(bytes(data)))


def contradicting_blocks(core: NativeCore, random: np.random.Generator, rounds: int) -> None:
    """Statistics, weights and planes of blocks that are not of one another: wherever they lie, and 0, 1 or all ones."""
    for number in range(rounds):
        bits = int(random.choice(residual.WIDTHS))
        data = bytearray(a_residual_table(bits))
        sections = [struct.unpack_from("<4sII", data, 32 + 16 * index) for index in range(data[6])]
        for tag, begin, length in sections:
            if tag in (b"PIVT", b"CODE"):
                for place in random.integers(0, length // 4, random.integers(0, 40)):
                    value = int(random.choice([0, 1, 0xFFFFFFFF, random.integers(1 << 32), bits * 0x00100401]))
                    struct.pack_into("<I", data, begin + 4 * place, value)
            if tag == b"PIVT" and number % 2:  # weights that may be anything: the planes are then read and disagree
                for record in range(begin, begin + length, bits // 8 + 4):
                    least = int(random.integers(0, 3))
                    struct.pack_into("<I", data, record, least | (least + 15) << 10 | int(random.integers(bits)) << 20)
        mend(data)
        for kind in ("contiguous", "shredded", "streamed"):
            use(core, SOURCES[kind](bytes(data)))


def contradicting_words(core: NativeCore, random: np.random.Generator, rounds: int) -> None:
    """Lists that begin elsewhere, that are longer, of more documents, or full of ones, so that no gap ends."""
    originals = [a_ranked_table(layout, bits) for layout, bits in (("flat", 2), ("residual", 4), ("rows", 8))]
    for number in range(rounds):
        data = bytearray(originals[number % 3])
        entries = {bytes(data[at : at + 4]): struct.unpack_from("<II", data, at + 4) for at in range(32, 32 + 16 * data[6], 16)}
        begin, length = entries[b"WORD"]
        groups = begin + 12 + -(-struct.unpack_from("<I", data, begin)[0] // 4) * 4
        lists = groups + (36 << data[begin + 4] - 5)
        for _ in range(random.integers(1, 4)):
            group = groups + 36 * int(random.integers((lists - groups) // 36))
            kind = random.integers(6)
            if kind == 0:
                struct.pack_into(
                    "<I", data, group, int(random.choice([0, 1, begin + length - lists, 0xFFFFFFFF, random.integers(length)]))
                )
            elif kind == 1:
                data[group + 4 + random.integers(32)] = random.choice([0, 1, 2, 254, 255])
            elif kind == 2:
                data[groups:lists] = bytes(data[groups:lists]).replace(b"\x05", bytes([int(random.choice([1, 4, 6, 255]))]))
            elif kind == 3:
                start = int(random.integers(lists, begin + length))
                data[start : begin + length] = bytes([int(random.choice([0, 0x55, 0xFF]))]) * (begin + length - start)
            elif kind == 4:
                for place in random.integers(lists, begin + length, 20):
                    data[place] = random.choice([0, 1, 0x7F, 0x80, 0xFF])
            else:
                struct.pack_into("<I", data, begin, int(random.choice([1, 2, 31, 269, 271, 314, 315])))
        mend(data)
        for kind_of_source in ("contiguous", "shredded", "streamed"):
            use(core, SOURCES[kind_of_source](bytes(data)))


def campaign(library: Path, seed: int, rounds: int) -> None:
    core, random = NativeCore(library), np.random.default_rng(seed)
    truncated(core)
    extreme_fields(core)
    failing_reads(core)
    crafted(core)
    vocabularies(core, random, rounds)
    contradicting_blocks(core, random, rounds // 3)
    contradicting_words(core, random, rounds // 3)
    flipped(core, random, rounds)
    noise(core, random, rounds // 10)


def _sanitizers() -> list[str]:
    """The runtimes to preload, or none where the compiler comes without them."""
    names = ("libasan.so", "libubsan.so")
    try:
        found = [
            subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
            for name in names
        ]
    except (OSError, subprocess.CalledProcessError):
        return []
    return found if all(Path(path).is_file() for path in found) else []


def test_hostile_files(make_native: Callable[..., Path]) -> None:
    runtimes = _sanitizers()
    environment = dict(os.environ)
    if runtimes:
        flags = "HOST_FLAGS=-O1 -fsanitize=address,undefined -fno-sanitize-recover=all"
        library = make_native("sanitized", "host", flags, "HOST_LINK=") / "libbitwren.so"
        environment |= {"LD_PRELOAD": " ".join(runtimes), "PYTHONMALLOC": "malloc", "ASAN_OPTIONS": "detect_leaks=0"}
    else:
        library = make_native("", "host") / "libbitwren.so"
    command = [sys.executable, __file__, str(library), "1", "300"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


@pytest.mark.parametrize("magic", FILES)
def test_what_check_says(native_core: NativeCore, magic: bytes) -> None:
    data = FILES[magic]()
    other = bytearray(data)
    assert native_core.check(Source.contiguous(data), magic) == 0
    assert native_core.check(Source.contiguous(data), b"BWX1") == MAGIC
    other[4] = 2
    mend(other)
    assert native_core.check(Source.contiguous(bytes(other)), magic) == VERSION
    other = bytearray(data)
    other[PAGE + 5] ^= 1
    assert native_core.check(Source.contiguous(bytes(other)), magic) == CHECKSUM
    assert native_core.check(Source.contiguous(bytes(other)), magic, False) == 0


if __name__ == "__main__":
    campaign(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
