"""The native module for ESP32 and ESP32-S3: a sound .mpy file, whose functions under qemu-xtensa give the reference's answers.

The emulator runs the file's own machine code, relocated as MicroPython does it; only MicroPython itself is stood in for.
"""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import test_residual
from conftest import CACHE
from elftools.elf.elffile import ELFFile
from makers import random_encoder
from test_native_search import expected, make_codes, make_table
from test_rows import Case
from xtensa import QEMU, Argument, File, Machine, Module, Raised, Room

from bitwren import lower, residual
from bitwren.encoder import Encoder, EncoderFolder
from bitwren.hamming import WIDTHS
from bitwren.table import LAYOUTS

MPY_DIR = CACHE / "micropython" / "source"
TOOLS = ("clang-22", "llvm-link-22", "llvm-mc-22", "xtensa-lx106-elf-ld", "xtensa-lx106-elf-gcc", QEMU)
# Espressif's gcc is not to be had here: Debian's for the ESP8266 with LLVM's assembler goes the same way (xtensa/gcc.mk).
GCC = ("XTENSA=gcc", "XTENSA_AS=llvm", "CROSS=xtensa-lx106-elf-")
XTENSAWIN = 10
WORK = Room(8192)  # enough for every function

TEXTS = [
    b"",
    b"?!",
    b"the light blinks twice",
    "Éire, straße; naïve ﬁnish 日本語 42".encode(),
    b"e" * 48,
    b"e" * 49,
    b"tonight " * 20,
    b"z" * 4096,
    b"a \xff" * 1300,
]
HOSTILE = [
    b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\x81\xa1", b"\xf0\x80\x81\xa1", b"\xf4\x90\x80\x80", b"\xed\xa0\x80",
    b"\x80", b"\xbf", b"\xc2", b"\xe0", b"\xef", b"\xf0\x9f", b"\xf4", b"\xf5", b"\xff", b"\x00", b"e", b"to", b"N", b"9", b"'",
    b" ", "ß".encode(), "日".encode(), "é".encode(), "e\u0301".encode(), "\u200d".encode(), "ﬁ".encode(), "𝛼".encode(),
]  # fmt: skip
QUESTIONS = [b"how do I reset the device?", b"The battery won't charge", b"wifi keeps dropping at night", b"factory defaults"]


@pytest.fixture(scope="session")
def build(make_native: Callable[..., Path]) -> Path:
    """Where the module, its object and the stand-in are."""
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if not (MPY_DIR / "py" / "dynruntime.mk").is_file():
        pytest.skip("MicroPython's source is not there: make micropython")
    return make_native("", "natmod", "stand-in", "ARCH=xtensawin", f"MPY_DIR={MPY_DIR}")


@pytest.fixture(scope="session", params=["clang", "gcc"])
def module(request: pytest.FixtureRequest, build: Path, make_native: Callable[..., Path]) -> Module:
    if request.param == "gcc":
        build = make_native("xtensa-gcc", "natmod", "ARCH=xtensawin", f"MPY_DIR={MPY_DIR}", *GCC)
    return Module.read((build / "bitwren_native_xtensawin.mpy").read_bytes())


@pytest.fixture
def machine(module: Module, build: Path) -> Machine:
    return Machine(module, build / "xtensawin")


def sources(machine: Machine, data: bytes) -> Iterator[File]:
    """A file in each of the three ways a board reads one."""
    index = machine.keep(data)
    yield from (File(index), File(index, piece=4084), File(index, window=700))


def hostile_texts(seed: int, count: int) -> list[bytes]:
    random = np.random.default_rng(seed)
    return [b"".join(HOSTILE[i] for i in random.integers(0, len(HOSTILE), random.integers(1, 60))) for _ in range(count)]


def ask_encoder(machine: Machine, encoder: Encoder, texts: list[bytes]) -> None:
    """Compare tokens, codes, and embeddings beside codes about a centre."""
    centre = (np.arange(encoder.units) % 50 - 25).astype(np.int8)
    for source in sources(machine, lower.write(encoder)):
        machine.call("check", source, b"BWE1", 1)
        for text in texts:
            machine.call("tokens", source, text, bytes(2 * 100))
            machine.call("encode", source, text, bytes(encoder.bits // 8), WORK)
            machine.call("encode", source, text, bytes(encoder.bits // 8), WORK, centre.tobytes(), bytes(encoder.units))
    answers = iter(machine.answers())
    for _ in range(3):
        assert next(answers)[0] == 0
        for text in texts:
            ids = encoder.tokens(text)
            count, (_, found) = next(answers)
            assert (count, list(np.frombuffer(found, "<u2")[: len(ids)])) == (len(ids), ids[:100]), text
            count, (_, code) = next(answers)
            assert (count, code) == (len(ids), encoder.encode([text]).tobytes()), text
            count, (_, code, _, embedding) = next(answers)
            assert (count, code) == (len(ids), encoder.encode([text], centre).tobytes()), text
            assert embedding == encoder.embed([text]).tobytes(), text


def test_the_file_is_what_micropython_loads(module: Module) -> None:
    assert (module.version, module.sub_version, module.arch, module.small_int_bits) == (6, 3, XTENSAWIN, 31)
    assert {"check", "crc32", "encode", "record", "search", "tokens", "vector", "ABI"} <= set(module.qstrs)
    places = [(in_rodata, index) for in_rodata, index, _ in module.relocations]
    assert len(set(places)) == len(places)
    for in_rodata, index, _ in module.relocations:
        assert 4 * index + 4 <= len(module.rodata if in_rodata else module.text)


@pytest.mark.parametrize("module", ["clang"], indirect=True)
def test_the_file_holds_the_code_of_the_object(module: Module, build: Path) -> None:
    """All bytes but the distances of l32r, each of which leads to a word before the code."""
    with (build / "xtensawin" / "whole.o").open("rb") as file:
        elf = ELFFile(file)
        code = bytearray(elf.get_section_by_name(".text").data())
        loads = [relocation["r_offset"] for relocation in elf.get_section_by_name(".rela.text").iter_relocations()]
    begin = len(module.text) - len(code)
    linked = bytearray(module.text[begin:])
    for load in loads:
        assert code[load] & 15 == linked[load] & 15 == 1
        (words,) = struct.unpack_from("<H", linked, load + 1)
        target = (begin + load + 3) // 4 * 4 + 4 * (words - 0x10000)
        assert 4 <= target < begin
        linked[load + 1 : load + 3] = code[load + 1 : load + 3] = bytes(2)
    assert linked == code
    jump = int.from_bytes(module.text[:3], "little")
    assert jump & 0x3F == 6
    assert (jump >> 6) + 4 >= begin  # to mpy_init


@pytest.mark.parametrize(
    ("bits", "dims", "row_bits", "hidden", "projected"),
    [
        (64, 32, 8, (), None),
        (128, 96, 4, (64,), None),
        (256, 256, 2, (128, 64), None),
        (512, 512, 2, (1024,), None),
        (1024, 64, 2, (32,), None),
        (64, 96, 4, (32,), 100),
        (1024, 64, 2, (), 512),
    ],
)
def test_encoders(machine: Machine, bits: int, dims: int, row_bits: int, hidden: tuple[int, ...], projected: int | None) -> None:
    encoder = random_encoder(bits, bits=bits, dims=dims, row_bits=row_bits, hidden=hidden, embedding=projected)
    ask_encoder(machine, encoder, [*TEXTS, *hostile_texts(bits, 60)])


def test_the_base_encoder(machine: Machine) -> None:
    ask_encoder(machine, lower.lower(EncoderFolder.find("base"), 256), [*QUESTIONS, *TEXTS])


@pytest.mark.parametrize("bits", WIDTHS)
def test_searches(module: Module, machine: Machine, bits: int) -> None:
    """Few documents and many, copies and ties, deleted ones, the nearest and the farthest distance, every k."""
    work = [WORK]
    random = np.random.default_rng(bits)
    wanted: list[list[tuple[int, int]]] = []
    for count in (1, 31, 32, 33, 65, 1025):
        for copies in ("none", "few", "all", "near"):
            codes = make_codes(random, count, bits, copies)
            live = random.random(count) < random.choice([1.0, 0.9, 0.3])
            queries = [make_codes(random, 1, bits, "none")[0], codes[random.integers(count)], ~codes[0]]
            files = [make_table(codes, live)]
            if bits in residual.WIDTHS:
                files += [test_residual.make_table(codes, live, lanes) for lanes in residual.LANE_CHOICES]
            for source in (source for file in files for source in sources(machine, file)):
                for query in queries:
                    for k in (1, 10, 33, count):
                        machine.call("search", source, query.tobytes(), k, bytes(8 * k), *work)
                        wanted.append(expected(query, codes, k, live))
    for (count, (_, hits)), pairs in zip(machine.answers(), wanted, strict=True):
        assert (count, list(struct.iter_unpack("<II", hits[: 8 * count]))) == (len(pairs), pairs)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_and_changes(machine: Machine, layout: str) -> None:
    """Staged rows, rows in memory, and live words in place of the file's."""
    wanted: list[list[tuple[int, int]]] = []
    for seed, (count, staged, added) in enumerate([(1, 0, 1), (40, 25, 31), (300, 33, 2), (64, 0, 0)]):
        case = Case(count, staged, added, layout, 64, 128, seed, "near", 0.8, True)
        data, codes, live, changes = case.make()
        query = codes[-1]
        for source in sources(machine, data):
            for k in (1, 10, 70):
                hits = bytes(8 * k)
                machine.call("search", source, query.tobytes(), k, hits, WORK, 100, changes["live"], changes["rows"])
                wanted.append(expected(query, codes, k, live))
    for (count, (_, hits, *_)), pairs in zip(machine.answers(), wanted, strict=True):
        assert (count, list(struct.iter_unpack("<II", hits[: 8 * count]))) == (len(pairs), pairs)


def test_the_rest_of_the_module(machine: Machine) -> None:
    codes = make_codes(np.random.default_rng(1), 40, 64, "none")
    data = make_table(codes, np.ones(40, bool))
    documents = int.from_bytes(data[32 + 3 * 16 + 4 :][:4], "little")
    damaged = bytearray(data)
    damaged[documents + 9] ^= 1
    for source in sources(machine, data):
        machine.call("check", source, b"BWT1", 1)
        machine.call("check", source, b"BWE1", 1)
        machine.call("crc32", source, 1, len(data) - 2)
        machine.call("read", source, len(data) - 1203, bytes(1203))
        machine.call("read", source, len(data) - 1202, bytes(1203))
        machine.call("record", source, 1, bytes(8))
        machine.call("record", source, 40, bytes(8))
    for source in sources(machine, bytes(damaged)):
        machine.call("check", source, b"BWT1", 0)
        machine.call("check", source, b"BWT1", 1)
    answers = machine.answers()
    place = struct.pack("<II", documents + 7, 4 + len("id1") + len("answer "))
    for start in range(0, 21, 7):
        assert [value for value, _ in answers[start : start + 2]] == [0, -2]
        assert answers[start + 2][0] & 0xFFFFFFFF == zlib.crc32(data[1:-1])
        assert answers[start + 3] == (0, [data[-1203:]])
        assert [value for value, _ in answers[start + 4 : start + 7]] == [-1, 0, -7]
        assert answers[start + 5][1] == [place]
    assert [value for value, _ in answers[21:]] == [0, -4] * 3


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("crc32", (bytes(64), -1, 1)),
        ("crc32", (5, 0, 1)),
        ("encode", (bytes(64), b"a", bytes(32), Room(4095))),
        ("check", (bytes(64), b"BWE", 1)),
        ("record", (bytes(64), 1, bytes(7))),
        ("crc32", (File(0, window=508), 0, 1)),
    ],
)
def test_misuse_raises(machine: Machine, name: str, arguments: tuple[Argument, ...]) -> None:
    machine.keep(bytes(4096))
    machine.call(name, *arguments)
    with pytest.raises(Raised):
        machine.answers()
