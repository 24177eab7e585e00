"""The native module inside MicroPython, on this machine (x64) and on the emulated Pico (armv6m): the reference's answers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CACHE
from makers import random_encoder

from bitwren import container, lower, residual, table
from bitwren.encoder import Encoder
from bitwren.hamming import WIDTHS, search
from bitwren.slicing import live_words
from bitwren.table import LAYOUTS, Record, Table
from bitwren_host.emulator import pico_image

MICROPYTHON = CACHE / "micropython" / "unix" / "micropython"
PICO_FIRMWARE = CACHE / "micropython" / "pico" / "firmware.uf2"
MPY_DIR = CACHE / "micropython" / "source"

TEXTS = ["", "?!", "the light blinks twice", "Éire, straße; naïve ﬁnish 日本語 42", "e" * 48, "tonight " * 20, "z" * 4096]

RUN = """
import array, binascii, gc, json, uctypes
import bitwren_native as native

def sources(name):
    with open(name, "rb") as file:
        data = file.read()
    yield "buffer", data
    gc.collect()
    places, pieces = array.array("L"), []
    for start in range(0, len(data), 4084):
        pieces.append(bytearray(data[start : start + 4084]))
        for number in (start, uctypes.addressof(pieces[-1])):
            places.append(number)
    yield "extents", (places, len(data))
    size = len(data)
    places = pieces = data = None
    gc.collect()
    file = open(name, "rb")
    window = bytearray(700)
    view = memoryview(window)
    def read(offset, length):
        file.seek(offset)
        if file.readinto(view[:length]) != length:
            raise OSError(5)
    yield "stream", (read, window, size)

def hexadecimal(buffer):
    return binascii.hexlify(buffer).decode()

def encoder_answers(source, asked):
    work, code = bytearray(native.ENCODE_WORK), bytearray(asked["bits"] // 8)
    embedding, ids = bytearray(asked["units"]), array.array("H", bytes(2 * 100))
    answers = [native.check(source, b"BWE1", True), native.check(source, b"BWT1", False)]
    for text in asked["texts"]:
        count = native.tokens(source, text, ids)
        answers.append([count, list(ids[: min(count, 100)])])
        answers.append([native.encode(source, text, code, work), hexadecimal(code)])
        count = native.encode(source, text, code, work, asked["centre"] and binascii.unhexlify(asked["centre"]), embedding)
        answers.append([count, hexadecimal(code), hexadecimal(embedding)])
    return answers

def table_answers(source, asked):
    work = bytearray(native.SEARCH_WORK)
    place, end = array.array("I", (0, 0)), bytearray(asked["size"] - asked["read_from"])
    answers = [native.check(source, b"BWT1", True), native.crc32(source, 1, asked["size"] - 2)]
    answers += [native.read(source, asked["read_from"], end), hexadecimal(end), native.read(source, asked["read_from"] + 1, end)]
    for query in asked["queries"]:
        for k in asked["ks"]:
            hits = array.array("I", bytes(8 * k))
            count = native.search(source, binascii.unhexlify(query), k, hits, work)
            answers.append([count, list(hits[: 2 * count])])
            for live, rows in asked["changes"]:
                live, rows = live and array.array("I", live), rows and bytearray(binascii.unhexlify(rows))
                count = native.search(source, binascii.unhexlify(query), k, hits, work, 100, live, rows)
                answers.append([count, list(hits[: 2 * count])])
    for slot in asked["slots"]:
        answers.append([native.record(source, slot, place), list(place)])
    return answers

def main():
    with open("asked.json") as file:
        asked = json.load(file)
    for name, answers in (("encoder.bwe", encoder_answers), ("table.bwt", table_answers)):
        for kind, source in sources(name):
            gc.collect()
            print("ANSWER " + json.dumps([name, kind, answers(source, asked)]))

main()
"""

MISUSES = """
import array
import bitwren_native as native

data, work, hits = bytes(8192), bytearray(native.SEARCH_WORK), bytearray(80)
def stop(offset, length):
    raise KeyError("read")

for name, call in (
    ("no source", lambda: native.crc32(5, 0, 1)),
    ("source of one", lambda: native.crc32((data,), 0, 1)),
    ("misaligned source", lambda: native.crc32(memoryview(data)[1:], 0, 1)),
    ("negative", lambda: native.crc32(data, -1, 1)),
    ("short window", lambda: native.crc32((stop, bytearray(511), 8192), 0, 1)),
    ("read-only window", lambda: native.crc32((stop, bytes(512), 8192), 0, 1)),
    ("no extents", lambda: native.crc32((array.array("L"), 8192), 0, 1)),
    ("extents from 4", lambda: native.crc32((array.array("L", (4, 4096)), 8192), 0, 1)),
    ("descending extents", lambda: native.crc32((array.array("L", (0, 4096, 8, 4096, 8, 4096)), 8192), 0, 1)),
    ("misaligned extents", lambda: native.crc32((array.array("L", (0, 4097)), 8192), 0, 1)),
    ("short magic", lambda: native.check(data, b"BWE", True)),
    ("short work", lambda: native.encode(data, "a", bytearray(64), bytearray(4095))),
    ("misaligned work", lambda: native.encode(data, "a", bytearray(64), memoryview(bytearray(4099))[2:])),
    ("misaligned rows", lambda: native.search(data, bytes(64), 1, hits, work, 100, None, memoryview(data)[1:])),
    ("misaligned live words", lambda: native.search(data, bytes(64), 1, hits, work, 100, memoryview(data)[2:])),
    ("live words of a number", lambda: native.search(data, bytes(64), 1, hits, work, 100, 5)),
    ("no room for hits", lambda: native.search(data, bytes(64), 11, hits, work)),
    ("k of zero", lambda: native.search(data, bytes(64), 0, hits, work)),
    ("short work to search", lambda: native.search(data, bytes(64), 10, hits, memoryview(work)[4:])),
    ("misaligned hits", lambda: native.search(data, bytes(64), 9, memoryview(hits)[2:], work)),
    ("read raises", lambda: native.crc32((stop, bytearray(512), 8192), 0, 1)),
    ("not a file", lambda: native.search(data, bytes(64), 10, hits, work)),
    ("past the end", lambda: native.crc32(data, 8190, 3)),
):
    try:
        result = call()
    except Exception as error:
        result = type(error).__name__
    print(name, "=", result)
print(native.ABI, native.ENCODE_WORK, native.SEARCH_WORK, native.MAX_TEXT, native.MIN_WINDOW)
"""


@pytest.fixture(scope="session")
def natmod(make_native: Callable[..., Path]) -> Callable[[str], bytes]:
    """A native module for an architecture."""

    def build(arch: str) -> bytes:
        if not (MPY_DIR / "py" / "dynruntime.mk").is_file():
            pytest.skip("MicroPython's source is not there: make micropython")
        return (make_native("", f"ARCH={arch}", f"MPY_DIR={MPY_DIR}") / f"bitwren_native_{arch}.mpy").read_bytes()

    return build


class Vectors:
    """An encoder, a table, what is asked of them, and what the reference answers."""

    def __init__(
        self, bits: int, count: int, encoder: Encoder, texts: list[str], layout: str = "flat", staged: int = 0, added: int = 0
    ) -> None:
        random = np.random.default_rng(bits)
        codes = random.integers(0, 1 << 32, (count, bits // 32), dtype=np.uint64).astype(np.uint32)
        codes[count // 2 :] = codes[random.integers(0, min(5, count), count - count // 2)]
        records = [Record(f"id{slot}", "answer" * (slot % 4)) for slot in range(count)]
        self.encoder, self.texts = encoder, texts
        self.centre = random.integers(-99, 99, encoder.units).astype(np.int8) if encoder.projection else None
        self.table = Table(codes, records, random.random(count) < 0.9, bytes(16), layout=layout, staged=staged)
        rows = random.integers(0, 1 << 32, (added, bits // 32), dtype=np.uint64).astype(np.uint32)
        rows[added // 2 :] = codes[random.integers(0, count, added - added // 2)]
        self.changed = np.concatenate([codes, rows]) if added else codes
        added_live, fewer = np.append(self.table.live, np.ones(added, bool)), random.random(count + added) < 0.8
        self.changes = [(None, added_live), (fewer, fewer)] if added else []
        self._rows = rows.tobytes().hex() or None
        self.encoder_file, self.table_file = lower.write(encoder), table.write(self.table)
        self.queries = [codes[0], random.integers(0, 1 << 32, bits // 32, dtype=np.uint64).astype(np.uint32), ~codes[0]]
        self.ks = [1, 10, 40]
        self.slots = [0, count - 1, count]

    def files(self) -> dict[str, bytes]:
        asked = {
            "bits": self.encoder.bits,
            "units": self.encoder.units,
            "centre": None if self.centre is None else self.centre.tobytes().hex(),
            "texts": self.texts,
            "size": len(self.table_file),
            "read_from": len(self.table_file) - 1203,
            "queries": [query.tobytes().hex() for query in self.queries],
            "ks": self.ks,
            "slots": self.slots,
            "changes": [[None if live is None else live_words(live).tolist(), self._rows] for live, _ in self.changes],
        }
        return {
            "encoder.bwe": self.encoder_file,
            "table.bwt": self.table_file,
            "asked.json": json.dumps(asked).encode(),
            "run.py": RUN.encode(),
        }

    def expected(self) -> Iterator[tuple[str, list[Any]]]:
        answers: list[Any] = [0, -2]
        for text in self.texts:
            ids = self.encoder.tokens(text)
            embedding = self.encoder.embed([text])
            answers.append([len(ids), ids[:100]])
            answers.append([len(ids), self.encoder.binarize(embedding).tobytes().hex()])
            centred = self.encoder.binarize(embedding, self.centre)
            answers.append([len(ids), centred.tobytes().hex(), embedding.tobytes().hex()])
        yield "encoder.bwe", answers
        data = self.table_file
        answers = [0, zlib.crc32(data[1:-1]), 0, data[-1203:].hex(), -1]
        for query in self.queries:
            for k in self.ks:
                hits = self.table.nearest(query, k)
                answers.append([len(hits), [number for pair in hits for number in pair]])
                for _, live in self.changes:
                    slots, distances = search(query, self.changed, k, live)
                    pairs = zip(distances.tolist(), slots.tolist(), strict=True)
                    answers.append([len(slots), [number for pair in pairs for number in pair]])
        begin = container.unpack(data, table.MAGIC).offsets["DOCS"]
        place = [0, 0]
        for slot in self.slots:
            if slot < len(self.table.records):
                sizes = [4 + len(record.id) + len(record.answer) for record in self.table.records]
                place = [begin + sum(sizes[:slot]), sizes[slot]]
            answers.append([0 if slot < len(self.table.records) else -7, place])
        yield "table.bwt", answers


def compare(vectors: Vectors, output: str) -> None:
    """What a board printed with the reference's answers, for all three kinds of source."""
    lines = [json.loads(line.partition("ANSWER ")[2]) for line in output.splitlines() if line.startswith("ANSWER ")]
    found = {(name, kind): answers for name, kind, answers in lines}
    for name, answers in vectors.expected():
        for kind in ("buffer", "extents", "stream"):
            assert found.get((name, kind)) == answers, output[-2000:] if (name, kind) not in found else (name, kind)


def run_unix(folder: Path, script: str) -> str:
    done = subprocess.run([str(MICROPYTHON), script], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.fixture
def unix_folder(natmod: Callable[[str], bytes], tmp_path: Path) -> Path:
    if not MICROPYTHON.is_file():
        pytest.skip("the unix port is not built: make unix")
    (tmp_path / "bitwren_native.mpy").write_bytes(natmod("x64"))
    return tmp_path


@pytest.mark.parametrize(
    ("bits", "dims", "row_bits", "hidden", "projected"),
    [
        (64, 32, 8, (), None),
        (128, 96, 4, (64,), None),
        (256, 256, 2, (128, 64), None),
        (512, 512, 2, (), None),
        (1024, 64, 2, (32,), None),
        (64, 96, 4, (32,), 100),
        (512, 160, 2, (), 160),
        (1024, 64, 2, (), 512),
    ],
)
def test_unix_port(
    unix_folder: Path, bits: int, dims: int, row_bits: int, hidden: tuple[int, ...], projected: int | None
) -> None:
    encoder = random_encoder(bits, bits=bits, dims=dims, row_bits=row_bits, hidden=hidden, embedding=projected)
    vectors = Vectors(bits, 1000, encoder, TEXTS)
    for name, data in vectors.files().items():
        (unix_folder / name).write_bytes(data)
    compare(vectors, run_unix(unix_folder, "run.py"))


@pytest.mark.parametrize(
    ("layout", "bits"), [(layout, bits) for layout in LAYOUTS for bits in (residual.WIDTHS if layout == "residual" else WIDTHS)]
)
def test_every_layout_with_changes(unix_folder: Path, layout: str, bits: int) -> None:
    for count, staged, added in ((900, 0, 70), (300, 131, 33), (1, 0, 1), (34, 2, 31), (64, 31, 1)):
        vectors = Vectors(bits, count, random_encoder(bits, bits=bits), TEXTS[:1], layout, staged, added)
        vectors.ks.append(100)
        for name, data in vectors.files().items():
            (unix_folder / name).write_bytes(data)
        compare(vectors, run_unix(unix_folder, "run.py"))


def check_misuses(printed: str) -> None:
    """What MISUSES must print, whatever computes."""
    *lines, constants = printed.splitlines()
    found = dict(line.split(" = ") for line in lines)
    assert constants == "4 4096 4096 4096 512"
    assert {name: result for name, result in found.items() if result != "ValueError"} == {
        "no source": "TypeError",
        "source of one": "TypeError",
        "live words of a number": "TypeError",
        "read-only window": "TypeError",
        "read raises": "KeyError",
        "not a file": "-2",
        "past the end": "-1",
    }
    assert len(found) == 23


def test_misuse_raises(unix_folder: Path) -> None:
    (unix_folder / "misuses.py").write_text(MISUSES)
    check_misuses(run_unix(unix_folder, "misuses.py"))


@pytest.mark.parametrize(("layout", "bits"), [("residual", 128), ("flat", 1024)])
def test_emulated_pico(natmod: Callable[[str], bytes], tmp_path: Path, layout: str, bits: int) -> None:
    if not PICO_FIRMWARE.is_file():
        pytest.skip("the Pico's firmware is not built: make pico-firmware")
    # Small: each file is three times in a heap of 240 KB, and the emulator runs 6 million instructions a second.
    encoder = random_encoder(7, bits=bits, dims=32, hidden=(32,), extra=60)
    vectors = Vectors(bits, 70, encoder, TEXTS[2:4], layout, 17, 9)
    image = tmp_path / "filesystem.img"
    image.write_bytes(pico_image({**vectors.files(), "bitwren_native.mpy": natmod("armv6m")}))
    command = shutil.which("rp2040py", path=str(Path(sys.executable).parent)) or "rp2040py"
    arguments = ["micropython", "--image", str(PICO_FIRMWARE), "--littlefs", str(image), "-c", "import run"]
    done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=120, check=False)
    compare(vectors, done.stdout)
