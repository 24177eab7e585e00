"""The native module on Cortex-M3, Cortex-M4F and 32-bit RISC-V: MicroPython in QEMU answers as the reference does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import CACHE, ROOT
from makers import random_encoder
from test_natmod_unix import TEXTS, Vectors, compare

from bitwren import bundle, lower, table
from bitwren.boards import all_boards
from bitwren.corpus import read_corpus, read_questions
from bitwren.encoder import Encoder, EncoderFolder
from bitwren.hamming import WIDTHS
from bitwren.table import LAYOUTS, Record, Table
from bitwren_host.board_files import firmware_files
from bitwren_host.emulator import EmulatorError
from bitwren_host.qemu import MACHINES, QemuBoard
from bitwren_host.serial_link import LinkError, PortLine
from bitwren_host.verify import verify

SAMPLE = ROOT / "examples" / "board-help"
MPY_DIR = CACHE / "micropython" / "source"
PATIENCE = 60.0
ZBB = "rv32imc_zbb"  # rv32imc, for chips that count a word's ones by an instruction
DONE = "that is all"

# What each board says, a line each, with what a test wants to know behind "ANSWER ".
SEARCH = """
import array, binascii, json, sys
import bitwren

def main():
    sys.path.append("/rom/modules")
    native, _ = bitwren.import_native(bitwren.architecture()[0])
    with open("asked.json") as file:
        asked, texts = json.load(file)
    work = bytearray(max(native.ENCODE_WORK, native.SEARCH_WORK))
    for name, queries, ks in asked:
        with open("tables/" + name, "rb") as source:
            answers = [native.check(source, b"BWT1", True)]
            for query in queries:
                for k in ks:
                    hits = array.array("I", bytes(8 * k))
                    count = native.search(source, binascii.unhexlify(query), k, hits, work)
                    answers.append([count, list(hits[: 2 * count])])
        print("ANSWER ", end="")
        json.dump([name, answers], sys.stdout)  # in pieces: as one string it may be too long
        print()
    code = bytearray(16)
    with open("encoder.bwe", "rb") as source:
        for text in texts:
            print("ANSWER " + json.dumps([text, [native.encode(source, text, code, work), binascii.hexlify(code).decode()]]))

main()
"""

LOADER = """
import json, sys
import bitwren

def attempt():
    native, found = bitwren.import_native(bitwren.architecture()[0])
    return [native and native.__name__, found]

def main():
    print("ANSWER " + json.dumps(bitwren.architecture()))
    print("ANSWER " + json.dumps(attempt()))
    sys.path.append("/rom/wrong")
    print("ANSWER " + json.dumps(attempt()))
    sys.path.append("/rom/modules")
    print("ANSWER " + json.dumps(attempt()))

main()
"""


def firmware_of(name: str) -> Path:
    """MicroPython for a board; the test is skipped where that or QEMU is missing."""
    path = CACHE / "micropython" / name / "firmware.elf"
    if not path.is_file():
        pytest.skip(f"MicroPython for {name} is not built: make qemu")
    if shutil.which(MACHINES[name].emulator) is None:
        pytest.skip(f"{MACHINES[name].emulator} is not installed: apt-get install {MACHINES[name].package}")
    return path


def hostile_tables() -> Iterator[tuple[str, Table, list[str], list[int]]]:
    """A table's name, itself, the codes asked of it, in hexadecimal, and the values of k."""
    for bits in WIDTHS:
        random = np.random.default_rng(bits)
        words = bits // 32

        def codes(count: int, random: np.random.Generator = random, words: int = words) -> np.ndarray:
            return random.integers(0, 1 << 32, (count, words), dtype=np.uint64).astype(np.uint32)

        found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for count in (1, 31, 32, 33):
            found[f"{count}"] = codes(count), np.ones(count, dtype=bool)
        found["duplicates"] = np.repeat(codes(1), 33, axis=0), np.ones(33, dtype=bool)
        # Each code and its complement: distances of 0 and of every bit, and all pairs of them tie.
        half = codes(20)
        found["opposites"] = np.concatenate([half, ~half, half]), np.ones(60, dtype=bool)
        deleted = {"first": [0], "last": [32], "block": range(32), "all but one": [slot for slot in range(70) if slot != 40]}
        for which, slots in deleted.items():
            live = np.ones({"last": 33, "block": 65}.get(which, 70), dtype=bool)
            live[list(slots)] = False
            found[f"deleted {which}"] = codes(len(live)), live
        for name, (stored, live) in found.items():
            count = len(stored)
            records = [Record(f"id{slot}", "") for slot in range(count)]
            queries = [stored[-1], ~stored[0], codes(1)[0], np.zeros(words, np.uint32), np.full(words, 0xFFFFFFFF, np.uint32)]
            asked = [query.astype("<u4").tobytes().hex() for query in queries]
            ks = sorted({1, min(10, count), int(live.sum()), count})
            yield f"{bits} {name}", Table(stored, records, live, bytes(16)), asked, ks


def reference(one: Table, queries: list[str], ks: list[int]) -> list[object]:
    """What :data:`SEARCH` has to print for a table."""
    answers: list[object] = [0]
    for query in queries:
        for k in ks:
            hits = one.nearest(np.frombuffer(bytes.fromhex(query), "<u4"), k)
            answers.append([len(hits), [number for pair in hits for number in pair]])
    return answers


@pytest.fixture(scope="module")
def modules(make_native: Callable[..., Path]) -> dict[str, bytes]:
    """The native modules of all three architectures, by file name."""
    if not (MPY_DIR / "py" / "dynruntime.mk").is_file():
        pytest.skip("MicroPython's source is not there: make micropython")
    archs = [*(machine.arch for machine in MACHINES.values()), ZBB]
    folders = [make_native("", f"ARCH={arch}", f"MPY_DIR={MPY_DIR}") for arch in archs]
    names = [f"bitwren_native_{arch}.mpy" for arch in archs]
    return {name: (folder / name).read_bytes() for name, folder in zip(names, folders, strict=True)}


def test_popcount_on_a_chip_that_has_it(modules: dict[str, bytes]) -> None:
    """All that the rows of every width are found to be, by the instruction, by a chip that would trap on it otherwise."""
    name = "qemu-rv32"
    firmware = firmware_of(name)
    asked, expected = [], {}
    loads = "    native, _ = bitwren.import_native(bitwren.architecture()[0])\n"
    assert loads in SEARCH
    script = SEARCH.replace(loads, "").replace("import bitwren\n", "import bitwren_native as native\n")
    files = {"lib/bitwren_native.mpy": modules[f"bitwren_native_{ZBB}.mpy"], "searching.py": script.encode()}
    for label, one, queries, ks in hostile_tables():
        rows = replace(one, layout="rows", staged=len(one.codes) // 3)
        files[f"tables/{label}"] = table.write(rows)
        asked.append([label, queries, ks])
        expected[label] = reference(rows, queries, ks)
    files |= {"asked.json": json.dumps([asked, []]).encode(), "encoder.bwe": b""}
    with QemuBoard(name, firmware, files, boot_timeout=PATIENCE) as emulated:
        output = Board(name, emulated).run("searching")
    assert dict(json.loads(line[7:]) for line in output.splitlines() if line.startswith("ANSWER ")) == expected


class Board:
    """A board at MicroPython's prompt."""

    def __init__(self, name: str, board: QemuBoard) -> None:
        self.name = name
        self.port = board.port

    def run(self, module: str) -> str:
        """Import a module, once; what it prints."""
        said = []
        with PortLine(self.port) as line:
            line.write(f"import {module}\rprint('{DONE[:4]}' '{DONE[4:]}')\r".encode())
            while not said or said[-1] != DONE:
                said.append(line.readline(PATIENCE).decode())
        return "\n".join(said)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return random_encoder(7, bits=128, dims=64, hidden=(32,), extra=20)


@pytest.fixture(scope="module", params=list(MACHINES))
def board(request: pytest.FixtureRequest, modules: dict[str, bytes], encoder: Encoder) -> Iterator[Board]:
    name = request.param
    firmware = firmware_of(name)
    arch = MACHINES[name].arch
    files = {path: data for path, data in firmware_files(arch).items() if path not in ("main.py", "lib/bitwren_native.mpy")}
    files |= {f"modules/{module}": data for module, data in modules.items()}
    # A Cortex-M4F would run the Cortex-M3's.
    wrong = "armv7m" if arch == "rv32imc" else "rv32imc"
    files["wrong/bitwren_native.mpy"] = modules[f"bitwren_native_{wrong}.mpy"]
    files |= {"searching.py": SEARCH.encode(), "loading.py": LOADER.encode()}
    asked = []
    for label, one, queries, ks in hostile_tables():
        files[f"tables/{label}"] = table.write(one)
        asked.append([label, queries, ks])
    files |= {"asked.json": json.dumps([asked, TEXTS]).encode(), "encoder.bwe": lower.write(encoder)}
    with QemuBoard(name, firmware, files, boot_timeout=PATIENCE) as emulated:
        yield Board(name, emulated)


def test_loader_takes_the_module_for_this_board(board: Board) -> None:
    lines = [json.loads(line[7:]) for line in board.run("loading").splitlines() if line.startswith("ANSWER ")]
    arch = MACHINES[board.name].arch
    wrong = "armv7m" if arch == "rv32imc" else "rv32imc"
    trouble = f"/rom/wrong/bitwren_native.mpy is for {wrong} (.mpy version 6.3)"
    assert lines == [[arch, "6.3"], [None, None], [None, trouble], [f"bitwren_native_{arch}", arch]]


def test_hostile_tables_and_texts(board: Board, encoder: Encoder) -> None:
    output = board.run("searching")
    found = dict(json.loads(line[7:]) for line in output.splitlines() if line.startswith("ANSWER "))
    for label, one, queries, ks in hostile_tables():
        assert found.get(label) == reference(one, queries, ks), label if label in found else output[-2000:]
    for text in TEXTS:
        assert found.get(text) == [len(encoder.tokens(text)), encoder.encode([text]).tobytes().hex()], text


@pytest.mark.parametrize(
    ("name", "arch", "layout"),
    [*((name, machine.arch, layout) for name, machine in MACHINES.items() for layout in LAYOUTS), ("qemu-rv32", ZBB, "rows")],
)
def test_every_function_and_kind_of_source(
    name: str, arch: str, layout: str, modules: dict[str, bytes], encoder: Encoder
) -> None:
    """Encoder and table in one buffer, in pieces and streamed through a window; tables with staged rows, and with changes."""
    firmware = firmware_of(name)
    vectors = Vectors(128, 40, encoder, TEXTS[:4], layout, 13, 9)  # small: each file is twice in a heap of 139 KB, and the module
    vectors.ks.remove(10)
    module = {"lib/bitwren_native.mpy": modules[f"bitwren_native_{arch}.mpy"]}
    for file in vectors.asked:
        vectors.asked = [file]
        with QemuBoard(name, firmware, module | vectors.files(), boot_timeout=PATIENCE) as emulated:
            compare(vectors, Board(name, emulated).run("run"))


@pytest.mark.parametrize("name", list(MACHINES))
@pytest.mark.parametrize("bits", [512, 64])
def test_sample_corpus_is_read_in_place(name: str, bits: int, tmp_path: Path, modules: dict[str, bytes]) -> None:
    firmware_of(name)
    base = EncoderFolder.find("base")
    bundle.write(bundle.build(read_corpus(SAMPLE / "corpus.csv"), base, bits), tmp_path / "faq")
    texts = [question.query for question in read_questions(SAMPLE / "questions.csv")]
    report = verify(tmp_path / "faq", texts, [name], 10, {name: 100}, base, lambda step, done, total: None)
    (found,) = report.targets
    assert found.queries == 100
    assert found.differing == 0, found.first
    assert found.info["storage"] == {"encoder": "mapped", "table": "mapped"}
    assert found.info["native"] == MACHINES[name].arch
    assert found.info["ram"] < 32_000


def test_board_files_say_the_same() -> None:
    boards = {board.name: board for board in all_boards()}
    for name, machine in MACHINES.items():
        assert (boards[name].arch, boards[name].emulator, boards[name].flash_bytes) == (
            machine.arch,
            machine.emulator,
            machine.room,
        )


def test_closed_board_is_gone() -> None:
    name = "qemu-m3"
    with QemuBoard(name, firmware_of(name), {}) as board:
        port = board.port
    board.close()
    with pytest.raises(LinkError):
        PortLine(port).readline(1)


def test_more_files_than_room() -> None:
    with pytest.raises(EmulatorError, match="qemu-m3 holds 16,777,216"):
        QemuBoard("qemu-m3", firmware_of("qemu-m3"), {"large": bytes(17 << 20)})


def test_firmware_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(EmulatorError, match="make qemu"):
        QemuBoard("qemu-m3", tmp_path / "firmware.elf", {})
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(EmulatorError, match="apt-get install qemu-system-misc"):
        QemuBoard("qemu-rv32", tmp_path / "firmware.elf", {})


def test_firmware_that_does_not_boot(tmp_path: Path) -> None:
    firmware_of("qemu-m3")
    (tmp_path / "firmware.elf").write_bytes(b"\x00" * 4096)
    with pytest.raises(EmulatorError, match=r"qemu-m3 did not boot|did not start"):
        QemuBoard("qemu-m3", tmp_path / "firmware.elf", {}, boot_timeout=3)
