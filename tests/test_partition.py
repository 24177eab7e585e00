"""A bundle in an ESP32's data partition, through a stand-in for the module esp32: in MicroPython's unix port and in CPython."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from board_bundle import NATIVE, bundle_bytes, make_bundle, make_encoder, text_of
from hypothesis import given, settings
from hypothesis import strategies as st
from partition_board import ESP32, LOAD, partition_image
from test_firmware_console import needs_unix_port, package, run

from bitwren.bundle import Bundle

__all__ = ["package"]  # a fixture

ROOM = 12288
EARLY = "cannot be read, or ends early; copy or build it again"
STRANGE = "is not the kind of file its name says; copy or build it again"
DAMAGED = "is damaged: a checksum does not match; copy or build it again"
OPEN = """
import bitwren, json
def attempt(**how):
    try:
        return bitwren.open("partition:bitwren", **how)
    except bitwren.Error as error:
        return str(error)
"""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return make_bundle(documents=300, encoder=make_encoder(bits=128), store_text=True)


@pytest.fixture
def board(tmp_path: Path, bundle: Bundle) -> Path:
    """An ESP32 whose filesystem holds no bundle, and whose partition does."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "bitwren_native.mpy").write_bytes(NATIVE["x64"].read_bytes())
    (tmp_path / "lib" / "esp32.py").write_text(ESP32)
    (tmp_path / "partition.img").write_bytes(partition_image(bundle, ROOM))
    return tmp_path


# --- In MicroPython ------------------------------------------------------------------------------------------------


@needs_unix_port
@pytest.mark.parametrize("engine", ["native", "viper", "python"])
@pytest.mark.parametrize(("storage", "kind"), [("auto", "ram"), ("ram", "ram"), ("partition", "partition")])
def test_same_answers_as_the_host(board: Path, bundle: Bundle, engine: str, storage: str, kind: str) -> None:
    queries = [*(text_of(bundle, slot) for slot in (0, 17, 299)), "hello world", "...", ""]
    script = f"""{LOAD}{OPEN}
wren = attempt(storage={storage!r}, engine={engine!r})
print(json.dumps(wren.info()["storage"]))
print(json.dumps([wren.answer(query, 20) for query in {queries!r}]))
"""
    storages, answers = (json.loads(line) for line in run(board, script).splitlines())
    assert storages == {"encoder": kind, "table": kind}
    assert answers == [bundle.answer(query, 20) for query in queries]


@needs_unix_port
def test_what_does_not_fit_in_ram_is_streamed_through_one_window(board: Path) -> None:
    large = make_bundle(documents=3000)
    (board / "partition.img").write_bytes(partition_image(large))
    lines = run(
        board,
        f"""
from esp32 import Partition
class Flash:  # not in MicroPython's heap
    def __init__(self):
        self.file = open("partition.img", "rb")
    def __len__(self):
        return self.file.seek(0, 2)
    def __getitem__(self, part):
        self.file.seek(part.start)
        return self.file.read(part.stop - part.start)
Partition.contents["bitwren"] = Flash()
{OPEN}
wren = attempt()
print(json.dumps(wren.info()))
wren = None
ram = attempt(storage="partition").info()["ram"]
print(json.dumps(ram))
print(json.dumps(attempt().answer({text_of(large, 2999)!r}, 3)))
""",
        heap="250k",
    ).splitlines()
    assert json.loads(lines[0])["storage"] == {"encoder": "ram", "table": "partition"}
    assert 4096 < json.loads(lines[1]) < 45_000  # of it the native module 30 KB; a Pico's has 13
    assert json.loads(lines[2]) == large.answer(text_of(large, 2999), 3)


@needs_unix_port
def test_the_console_serves_it_and_shows_how_it_is_read(board: Path, bundle: Bundle) -> None:
    script = f"{LOAD}\nfrom bitwren import console\nconsole.main()"
    said = run(board, script, typed=b':info\n{"cmd": "info"}\nabc\n')
    assert said.startswith(
        "bitwren: partition:bitwren, 300 documents, 128 bits, encoder random 1; read from: encoder ram, table ram\n"
    )
    shown = dict(line[2:].split(None, 1) for line in said.partition("> ")[2].partition("> ")[0].splitlines())
    info = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    assert list(shown) == list(info)
    assert shown["storage"] == "encoder ram, table ram"
    assert shown["layout"] == "flat"
    assert shown["native"] == "x64"
    assert shown["ram"].startswith(f"{info['ram']} bytes taken by this, ")
    assert f"id {bundle.answer('abc', 1)['hits'][0]['id']}]" in said


@needs_unix_port
def test_a_directory_comes_before_the_partition(board: Path, bundle: Bundle) -> None:
    (board / "faq").mkdir()
    for name, data in bundle_bytes(bundle).items():
        (board / "faq" / name).write_bytes(data)
    script = f"{LOAD}\nfrom bitwren import console\nprint(console.find_bundle())\n"
    assert run(board, script) == "faq\n"
    (board / "faq" / "table.bwt").unlink()
    assert run(board, script) == "partition:bitwren\n"
    (board / "partition.img").write_bytes(b"\xff" * 8192)
    assert run(board, script) == "None\n"
    assert run(board, "from bitwren import console\nprint(console.find_bundle())\n") == "None\n"


@needs_unix_port
@pytest.mark.parametrize("storage", ["ram", "partition"])
def test_partitions_that_are_short_strange_or_half_written(board: Path, bundle: Bundle, storage: str) -> None:
    files = bundle_bytes(bundle)
    encoder, whole = len(files["encoder.bwe"]), partition_image(bundle)
    huge = whole[:8] + (1 << 31).to_bytes(4, "little") + whole[12:]
    odd = whole[:8] + (encoder - 4).to_bytes(4, "little") + whole[12:]
    table = whole[:encoder] + whole[encoder : encoder + 8] + b"\xff" * 4 + whole[encoder + 12 :]
    cases = [
        (b"", f"encoder.bwe {EARLY}"),
        (b"\xff" * 4095, f"encoder.bwe {EARLY}"),
        (b"\xff" * 65536, f"encoder.bwe {STRANGE}"),
        (b"\0" * 65536, f"encoder.bwe {STRANGE}"),
        (files["table.bwt"] + files["encoder.bwe"], f"encoder.bwe {STRANGE}"),
        (whole[: encoder - 1], f"encoder.bwe {EARLY}"),
        (huge, f"encoder.bwe {EARLY}"),
        (odd, f"encoder.bwe {EARLY}"),
        (files["encoder.bwe"], f"table.bwt {EARLY}"),
        (whole[:-1], f"table.bwt {EARLY}"),
        (table, f"table.bwt {EARLY}"),
        (files["encoder.bwe"] + b"\xff" * 65536, f"table.bwt {STRANGE}"),
        (files["encoder.bwe"] * 2, f"table.bwt {STRANGE}"),
        (whole[: encoder + 4096] + b"\xff" * 65536, f"table.bwt {DAMAGED}"),
        (whole[:4096] + b"\xff" * (encoder - 4096) + files["table.bwt"], f"encoder.bwe {DAMAGED}"),
        (whole, None),
    ]
    for index, (data, _) in enumerate(cases):
        (board / f"{index}.img").write_bytes(data)
    script = f"""{LOAD}{OPEN}
for index in range({len(cases)}):
    with open(str(index) + ".img", "rb") as file:
        Partition.contents["bitwren"] = file.read()
    said = attempt(storage={storage!r})
    print(said if isinstance(said, str) else None)
"""
    expected = [f"partition:bitwren/{sentence}" if sentence else "None" for _, sentence in cases]
    assert run(board, script).splitlines() == expected


@needs_unix_port
def test_sentences(board: Path) -> None:
    script = f"""{OPEN}
print(attempt())
import esp32
print(attempt())
esp32.Partition.contents["bitwren"] = open("partition.img", "rb").read()
for storage in ("mapped", "file", "flash"):
    print(attempt(storage=storage))
try:
    bitwren.open("partition:other")
except bitwren.Error as error:
    print(error)
try:
    bitwren.open(".", storage="partition")
except bitwren.Error as error:
    print(error)
"""
    missing = "this board has no data partition {}: copy a bundle as a directory, or flash an image with that partition"
    encoder = 'partition:bitwren/encoder.bwe cannot be {} here: open it with storage="auto"'
    assert run(board, script).splitlines() == [
        missing.format("bitwren"),
        missing.format("bitwren"),
        encoder.format("mapped"),
        encoder.format("read as a file"),
        'storage is "flash" but must be "auto", "mapped", "ram", "file" or "partition"',
        missing.format("other"),
        "./encoder.bwe is not there: copy the bundle again (bitwren deploy)",
    ]


@needs_unix_port
def test_flash_that_fails_later_is_a_sentence(board: Path, bundle: Bundle) -> None:
    script = f"""{LOAD}{OPEN}
wren = attempt(storage="partition")
print(json.dumps(wren.answer("abc", 3)))
whole, Partition.contents["bitwren"] = Partition.contents["bitwren"], b""
print(json.dumps(wren.answer("abc", 3)))
Partition.contents["bitwren"] = whole
print(json.dumps(wren.answer("abc", 3)))
"""
    answers = [json.loads(line) for line in run(board, script).splitlines() if line.startswith("{")]
    assert answers[0] == answers[2] == bundle.answer("abc", 3)
    assert answers[1] == {"query": "abc", "error": f"partition:bitwren/encoder.bwe {EARLY}"}


# --- In CPython, with the code that stands in for the native module ---------------------------------------------------


@pytest.fixture
def esp32(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("esp32")
    exec(ESP32, vars(module))
    monkeypatch.setitem(sys.modules, "esp32", module)
    return module


SMALL = make_bundle(documents=9)


def test_cpython(package: ModuleType, esp32: ModuleType) -> None:
    esp32.Partition.contents["bitwren"] = partition_image(SMALL, ROOM)
    for storage in ("ram", "partition"):
        wren = package.open("partition:bitwren", storage=storage, engine="python")
        assert wren.answer(text_of(SMALL, 4), 9) == SMALL.answer(text_of(SMALL, 4), 9)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_other_partition_is_refused(package: ModuleType, data: st.DataObject) -> None:
    """Cut anywhere, the rest erased or not there, or with a byte changed."""
    whole = partition_image(SMALL)
    place = data.draw(st.integers(0, len(whole) - 1))
    change = data.draw(st.integers(1, 255))
    erased = whole[:place] + b"\xff" * (len(whole) - place)
    changed = whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :]
    contents = data.draw(st.sampled_from([whole[:place], erased, changed]))
    module = ModuleType("esp32")
    exec(ESP32, vars(module))
    module.Partition.contents["bitwren"] = contents
    padding = contents != whole and not any_covered(contents, whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "esp32", module)
        if contents == whole or padding:
            package.open("partition:bitwren", storage="partition", engine="python")
        else:
            with pytest.raises(package.Error, match="partition:bitwren/"):
                package.open("partition:bitwren", storage="partition", engine="python")


def any_covered(contents: bytes, whole: bytes) -> bool:
    """Whether two partitions differ in bytes that a checksum covers, or in length: padding between sections is none of them."""
    if len(contents) != len(whole):
        return True
    covered = bytearray(len(whole))
    files = bundle_bytes(SMALL)
    begin = 0
    for data in (files["encoder.bwe"], files["table.bwt"]):
        covered[begin : begin + 4096] = b"\1" * 4096
        for entry in range(32, 288, 16):
            offset, length = (int.from_bytes(data[entry + at : entry + at + 4], "little") for at in (4, 8))
            covered[begin + offset : begin + offset + length] = b"\1" * length
        begin += len(data)
    return any(a != b and mark for a, b, mark in zip(contents, whole, covered, strict=True))
