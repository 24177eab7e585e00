"""A bundle in an rp2 chip's mapped flash, in front of the filesystem: firmware/bitwren/flash.py in MicroPython's unix port, where
memory stands in for flash. tests/test_image_pico.py has the real thing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from board_bundle import NATIVE, bundle_bytes, make_bundle, make_encoder, text_of
from partition_board import partition_image
from test_firmware_console import needs_unix_port, run

from bitwren.bundle import Bundle

pytestmark = needs_unix_port

PAGE = 4096
FIRMWARE_BYTES, FILESYSTEM = 8 * PAGE, 4 * PAGE
EARLY = "cannot be read, or ends early; copy or build it again"
STRANGE = "is not the kind of file its name says; copy or build it again"
DAMAGED = "is damaged: a checksum does not match; copy or build it again"

# Flash as an image's file; `open_at` opens what lies at an offset of it, `found` what is found by itself.
FLASH = """
import bitwren, json, sys, uctypes

class rp2:
    class Flash:
        def ioctl(self, command, argument):
            return {4: 4, 5: 4096}[command]

sys.modules["rp2"] = rp2
from bitwren import flash

def load(name):
    global memory
    with open(name, "rb") as file:
        memory = bytearray(file.read())
    flash.XIP = uctypes.addressof(memory)
    flash.flash_address = lambda *about: flash.XIP + len(memory) - 4 * 4096

def open_at(offset, **how):
    path = "flash:" + ("" if offset is None else hex(flash.XIP + offset))
    try:
        return bitwren.open(path, **how)
    except bitwren.Error as error:
        return str(error).replace(path, "F")
"""


def image(*pieces: bytes) -> bytes:
    """Firmware, what lies in the gap, and a filesystem behind it."""
    return b"\x5a" * FIRMWARE_BYTES + b"".join(pieces) + b"littlefs".ljust(FILESYSTEM, b"\xff")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return make_bundle(documents=300, encoder=make_encoder(bits=128), store_text=True)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "bitwren_native.mpy").write_bytes(NATIVE["x64"].read_bytes())
    return tmp_path


@pytest.mark.parametrize("engine", ["native", "viper", "python"])
@pytest.mark.parametrize(("storage", "kind"), [("auto", "mapped"), ("ram", "ram")])
@pytest.mark.parametrize("at", [FIRMWARE_BYTES + 3 * PAGE, None], ids=["given", "found"])
def test_same_answers_as_the_host(board: Path, bundle: Bundle, engine: str, storage: str, kind: str, at: int | None) -> None:
    (board / "flash.img").write_bytes(image(b"\xff" * 3 * PAGE, partition_image(bundle, 2 * PAGE)))
    queries = [*(text_of(bundle, slot) for slot in (0, 17, 299)), "hello world", "...", ""]
    script = f"""{FLASH}
load("flash.img")
wren = open_at({at}, storage={storage!r}, engine={engine!r})
print(json.dumps(wren.info()["storage"]))
print(json.dumps([wren.answer(query, 20) for query in {queries!r}]))
"""
    storages, answers = (json.loads(line) for line in run(board, script).splitlines())
    assert storages == {"encoder": kind, "table": kind}
    assert answers == [bundle.answer(query, 20) for query in queries]


def test_the_console_finds_it(board: Path, bundle: Bundle) -> None:
    (board / "flash.img").write_bytes(image(b"\xff" * 3 * PAGE, partition_image(bundle)))
    (board / "none.img").write_bytes(image(b"\xff" * 5 * PAGE))
    script = f"""{FLASH}
from bitwren import console
load("none.img")
print(flash.path_of_bundle())
load("flash.img")
path = flash.path_of_bundle()
print(path.split(":")[0], int(path.split(":")[1], 16) - flash.XIP)
class Platform:
    platform = "rp2"
console.sys = Platform
print(console.find_bundle() == path)
import os
os.mkdir("faq")
open("faq/table.bwt", "w").close()
print(console.find_bundle())
"""
    assert run(board, script).splitlines() == ["None", f"flash {FIRMWARE_BYTES + 3 * PAGE}", "True", "faq"]


def test_what_is_short_strange_or_half_written(board: Path, bundle: Bundle) -> None:
    files, whole = bundle_bytes(bundle), partition_image(bundle)
    encoder = len(files["encoder.bwe"])
    cases = [
        (b"\xff" * 65536, f"F/encoder.bwe {STRANGE}"),
        (files["table.bwt"], f"F/encoder.bwe {STRANGE}"),
        (whole[:8] + (1 << 31).to_bytes(4, "little") + whole[12:], f"F/encoder.bwe {EARLY}"),
        (whole[:8] + (encoder - 4).to_bytes(4, "little") + whole[12:], f"F/encoder.bwe {EARLY}"),
        (whole[: encoder - PAGE], f"F/encoder.bwe {EARLY}"),
        (files["encoder.bwe"], f"F/table.bwt {EARLY}"),
        (files["encoder.bwe"] + b"\xff" * 65536, f"F/table.bwt {STRANGE}"),
        (whole[:-PAGE], f"F/table.bwt {EARLY}"),
        (whole[: encoder + PAGE] + b"\xff" * 65536, f"F/table.bwt {DAMAGED}"),
        (whole[:PAGE] + b"\xff" * (encoder - PAGE) + files["table.bwt"], f"F/encoder.bwe {DAMAGED}"),
        (whole, "None"),
    ]
    for index, (data, _) in enumerate(cases):
        (board / f"{index}.img").write_bytes(image(data))
    script = f"""{FLASH}
for index in range({len(cases)}):
    load(str(index) + ".img")
    said = open_at({FIRMWARE_BYTES})
    print(said if isinstance(said, str) else None)
"""
    assert run(board, script).splitlines() == [sentence for _, sentence in cases]


def test_sentences(board: Path, bundle: Bundle) -> None:
    (board / "flash.img").write_bytes(image(partition_image(bundle)))
    (board / "none.img").write_bytes(image(b"\xff" * PAGE))
    script = f"""{FLASH}
load("none.img")
print(open_at(None))
load("flash.img")
for given in ("0", "nonsense", "-1", hex(flash.XIP + 4097), hex(flash.XIP + len(memory) - 16384)):
    try:
        bitwren.open("flash:" + given)
    except bitwren.Error as error:
        print(error)
print(open_at({FIRMWARE_BYTES}, storage="file"))
flash.flash_address = lambda *about: None
print(open_at(None), flash.path_of_bundle())
del sys.modules["rp2"]
print(open_at(None), flash.path_of_bundle())
"""
    lines = run(board, script).splitlines()
    assert lines[0].startswith("no bundle lies in flash from 0x")
    assert lines[0].endswith(": flash one (bitwren image), or copy it as a directory")
    for line, given in zip(lines[1:6], ("0", "nonsense", "-1", "0x", "0x"), strict=True):
        assert line.startswith("flash: takes an address in steps of 4096 from 0x")
        assert f', as in "flash:0x10060000"; this is "{given}' in line
    assert lines[6] == 'F/encoder.bwe cannot be read as a file here: open it with storage="auto"'
    assert lines[7:] == ["this board's flash cannot be read in place: copy a bundle as a directory (bitwren deploy) None"] * 2
