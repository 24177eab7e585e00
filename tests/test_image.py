"""bitwren image and inspect: every byte at its place, and a sentence for every file that makes no working board."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from board_bundle import bundle_bytes, make_bundle, make_encoder, write_bundle
from esp_firmware import CHIPS, PROGRAM, TABLE, firmware, program, table
from hypothesis import given, settings
from hypothesis import strategies as st
from littlefs import LittleFS
from test_command import fails

from bitwren import filesystem, image, readback, uf2
from bitwren.boards import Part, find_board
from bitwren.bundle import Bundle
from bitwren.errors import BitwrenError, FormatError
from bitwren.uf2 import Run, Uf2
from bitwren_host import flash_image
from bitwren_host.cli import main

XIP = 0x10000000
FILES = {"main.py": b"import bitwren.console\n", "lib/bitwren/a.mpy": bytes(range(256)) * 40}
MACHINES = {"ESP32": ("esp32", "ESP32"), "ESP32-S3": ("esp32-s3", "ESP32S3"), "ESP32-C3": ("esp32-c3", "ESP32C3")}


def bitwren(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """The command, without a Python started for it."""
    said, told, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["bitwren", *map(str, arguments)])
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return subprocess.CompletedProcess(arguments, code, said.getvalue().encode(), told.getvalue().encode())


def rp2_firmware(
    name: str = "pico",
    machine: str = "Raspberry Pi Pico with RP2040",
    version: str = "1.25.0",
    size: int = 300_000,
    ignored: bytes = b"",
) -> bytes:
    text = f"MicroPython v{version} on 2025-04-15\0; {machine}\r\n\0".encode()
    return uf2.write(Uf2((Run(XIP, text.ljust(size, b"\x5a"), find_board(name).boot.uf2_family),), ignored))


def esp_firmware(chip: str, **how: object) -> bytes:
    return firmware(chip, machine=f"Generic {MACHINES[chip][1]} module with {MACHINES[chip][1]}", **how)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return make_bundle(documents=60, encoder=make_encoder(bits=128))


@pytest.fixture(scope="module")
def folder(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(bundle, tmp_path_factory.mktemp("bundle") / "faq")


def flash_of(data: bytes, size: int) -> bytes:
    """What a chip's flash holds after a UF2."""
    flash = bytearray(b"\xff" * size)
    for run in uf2.read(data, "x").runs:
        flash[run.address - XIP : run.end - XIP] = run.data
    return bytes(flash)


def mounted(data: bytes) -> dict[str, bytes]:
    """A filesystem's files, read as MicroPython's own sizes have it, by littlefs itself."""
    system = LittleFS(block_size=4096, block_count=len(data) // 4096, read_size=32, prog_size=256, cache_size=1024, mount=False)
    system.context.buffer = bytearray(data)
    system.mount()
    return {
        f"{root}/{name}".lstrip("/"): bytes(system.open(f"{root}/{name}", "rb").read())
        for root, _, names in system.walk("/")
        for name in names
    }


# --- The rp2 family --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        ("pico", "Raspberry Pi Pico with RP2040"),
        ("pico-w", "Raspberry Pi Pico W with RP2040"),
        ("pico2", "Raspberry Pi Pico2 with RP2350"),
        ("pico2-riscv", "Raspberry Pi Pico2 with RP2350-RISCV"),
        ("pico2-w", "Raspberry Pi Pico 2 W with RP2350"),
    ],
)
def test_a_uf2_holds_firmware_bundle_and_filesystem(name: str, machine: str, bundle: Bundle) -> None:
    board = find_board(name)
    published = rp2_firmware(name, machine)
    made = image.make(board, published, FILES, bundle_bytes(bundle), "bundle")
    data = image.to_uf2(board, made)
    assert {run.family for run in uf2.read(data, "x").runs} == {board.boot.uf2_family}
    flash = flash_of(data, board.flash_bytes)
    assert flash[:300_000] == flash_of(published, board.flash_bytes)[:300_000]
    both = b"".join(bundle_bytes(bundle).values())
    data_at, system_at = board.part("data").offset, board.part("filesystem").offset
    assert flash[data_at : data_at + len(both)] == both
    assert set(flash[data_at + len(both) : system_at]) == {0xFF}
    assert mounted(flash[system_at:]) == FILES
    assert not made.why_not


def test_blocks_that_an_rp2350_ignores_stay_first(bundle: Bundle) -> None:
    """Erratum RP2350-E10's block, numbered by itself, as in every published UF2 for a Pico 2."""
    head = struct.pack("<8I", 0x0A324655, 0x9E5D5157, 0xA000, 0x10FFFF00, 256, 0, 2, 0xE48BFF57)
    block = head + b"\xef" * 256 + (0x9957E304).to_bytes(4, "little") + bytes(216) + (0x0AB16F30).to_bytes(4, "little")
    board = find_board("pico2")
    published = rp2_firmware("pico2", "Raspberry Pi Pico2 with RP2350", ignored=block)
    data = image.to_uf2(board, image.make(board, published, FILES, bundle_bytes(bundle), "bundle"))
    assert data[:512] == block
    assert data[512:].count(b"\xef" * 256) == 0
    assert flash_of(data, board.flash_bytes)[:4] == b"Micr"


def test_a_bundle_that_does_not_fit_beside_goes_into_the_filesystem(bundle: Bundle) -> None:
    board, files = find_board("pico"), bundle_bytes(bundle)
    large = files | {"table.bwt": files["table.bwt"] + bytes(300_000)}
    for published, parts, why in (
        (rp2_firmware(), large, r"the bundle is [\d,]+ bytes, [\d,]+ more than pico's data part has \(262,144\)"),
        (rp2_firmware(size=400_000), files, "x.uf2 ends at 0x62000 of flash, in pico's data part \\(from 0x60000\\)"),
        (rp2_firmware(), {"table.bwt": files["table.bwt"]}, "a table of codes from elsewhere has no encoder"),
    ):
        made = image.make(board, published, FILES, parts, "bundle", "x.uf2")
        with pytest.raises(BitwrenError, match=why):
            raise BitwrenError(made.why_not)
        assert "--bits" not in made.why_not  # nothing has to be done
        found = mounted(flash_of(image.to_uf2(board, made), board.flash_bytes)[0xA0000:])
        assert found == FILES | {f"bundle/{name}": data for name, data in parts.items()}
        assert [region.name for region in made.regions] == ["firmware", "filesystem"]


def test_by_how_much_a_bundle_is_too_large(bundle: Bundle) -> None:
    board = find_board("pico")
    files = bundle_bytes(bundle)
    sizes = (1_400_000, 1_500_000)
    overs = []
    for size in sizes:
        with pytest.raises(BitwrenError) as caught:
            image.make(board, rp2_firmware(), FILES, files | {"table.bwt": bytes(size)}, "bundle")
        said = str(caught.value)
        assert "flash full: the files are " in said
        assert "Raspberry Pi Pico's filesystem holds 1,441,792" in said
        assert "--encoder tiny" in said
        overs.append(int(said.split(": ")[2].split(" too many")[0].replace(",", "")))
    # 100,000 bytes more are 24 or 25 blocks more.
    assert overs[1] - overs[0] in (24 * 4096, 25 * 4096)
    # Less that much, it fits: what is left out is whole blocks, each with its pointers.
    fits = files | {"table.bwt": bytes(sizes[0] - overs[0])}
    assert image.make(board, rp2_firmware(), FILES, fits, "bundle").why_not


def test_firmware_for_something_else(bundle: Bundle) -> None:
    files = bundle_bytes(bundle)
    pico_w = rp2_firmware("pico-w", "Raspberry Pi Pico W with RP2040")
    none = uf2.write(Uf2((Run(XIP, bytes(4096), None),)))
    ram = uf2.write(Uf2((Run(0x20000000, bytes(4096), 0xE48BFF56),)))
    where = r".*RPI_PICO-DATE-VERSION.uf2 from https://micropython.org/download/RPI_PICO/"
    for published, sentence in (
        (rp2_firmware("pico2", "x"), "x.uf2 is for RP2350, Arm, and Raspberry Pi Pico takes RP2040: " + where),
        (pico_w, 'x.uf2 is for another board: it calls itself "Raspberry Pi Pico W with RP2040"; ' + where),
        (rp2_firmware(version="1.22.2"), r"x.uf2 is MicroPython 1.22.2, and bitwren needs 1.23 or later: " + where),
        (rp2_firmware(size=700_000), r"x.uf2 ends at 0xab000 of flash, where pico's filesystem is \(from 0xa0000\)"),
        (none, "x.uf2 does not say for which chip, and Raspberry Pi Pico takes RP2040"),
        (ram, "x.uf2 writes to 0x20000000, which is not in Raspberry Pi Pico's flash"),
        (rp2_firmware()[:-512], "x.uf2 is truncated"),
        (b"<!DOCTYPE html>".ljust(512), "x.uf2 is no UF2, or damaged"),
    ):
        with pytest.raises(BitwrenError, match=sentence):
            image.make(find_board("pico"), published, FILES, files, "bundle", "x.uf2")
    riscv = rp2_firmware("pico2", "Raspberry Pi Pico2 with RP2350-RISCV")
    with pytest.raises(BitwrenError, match='calls itself "Raspberry Pi Pico2 with RP2350-RISCV"'):
        image.make(find_board("pico2"), riscv, FILES, files, "bundle")
    with pytest.raises(BitwrenError, match="is not flashed: bitwren console DIR --on qemu-m3"):
        image.make(find_board("qemu-m3"), b"", FILES, files, "bundle")
    # A preview, and a build of one's own that says nothing of itself, are taken.
    for published in (rp2_firmware(version="1.26.0-preview.7"), uf2.write(Uf2((Run(XIP, bytes(4096), 0xE48BFF56),)))):
        image.make(find_board("pico"), published, FILES, files, "bundle")


# --- The ESP32 family ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chip", MACHINES)
def test_every_byte_of_a_merged_image(chip: str, bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    board = find_board(MACHINES[chip][0])
    published = esp_firmware(chip)
    (tmp_path / "fw.bin").write_bytes(published)
    done = bitwren(
        "image", folder, "--board", board.name, "--firmware", tmp_path / "fw.bin", "-o", tmp_path / "out.bin", "--json"
    )
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert (told["offset"], told["in_filesystem_because"]) == (0, None)
    flash = (tmp_path / "out.bin").read_bytes()
    begin = CHIPS[chip][1]
    expected = bytearray(b"\xff" * len(flash))
    loader = bytearray(program(CHIPS[chip][0], 20_000))
    if chip == "ESP32-S3":  # the published loader is for 4 MB; the flash's size is the high half of byte 3
        loader[3] = 0x30
        loader[-32:] = hashlib.sha256(loader[:-32]).digest()
    expected[begin : begin + len(loader)] = loader
    rows = [(part.label, *codes[part.kind], part.offset, part.bytes) for part in board.parts if (codes := KINDS)]
    expected[TABLE : TABLE + 0xC00] = table(*rows)
    app = published[PROGRAM - begin :]
    expected[PROGRAM : PROGRAM + len(app)] = app
    system = board.part("filesystem")
    expected[system.offset : system.end] = flash[system.offset : system.end]
    both = b"".join(bundle_bytes(bundle).values())
    expected[board.part("data").offset : board.part("data").offset + len(both)] = both
    assert flash == bytes(expected)
    files = mounted(flash[system.offset : system.end])
    assert {"main.py", "lib/bitwren_native.mpy", "lib/bitwren/__init__.mpy"} <= files.keys()
    found = json.loads(bitwren("inspect", tmp_path / "out.bin", "--json").stdout)
    assert found["chip"] == chip
    assert found["firmware"]["version"] == "1.25.0"
    assert found["bundle"]["files"][1]["documents"] == 60
    assert {file["path"]: file["bytes"] for file in found["filesystem"]["files"]} == {
        name: len(data) for name, data in files.items()
    }
    assert [part["label"] for part in found["partitions"]] == ["nvs", "phy_init", "factory", "vfs", "bitwren"]


KINDS = {"data/nvs": (1, 2), "data/phy": (1, 1), "app/factory": (0, 0), "data/fat": (1, 0x81), "data/undefined": (1, 6)}


def test_esp32_firmware_that_does_not_fit_the_board(bundle: Bundle) -> None:
    files = bundle_bytes(bundle)
    elsewhere = table(("factory", 0, 0, 0x20000, 0x100000))
    good = esp_firmware("ESP32")
    for name, published, sentence in (
        (
            "esp32",
            esp_firmware("ESP32-S3"),
            "x.bin is for the ESP32-S3, and ESP32 with 4 MB of flash has the ESP32: take ESP32_GENERIC-",
        ),
        ("esp32-s3", good, "x.bin is for the ESP32, and ESP32-S3 with 8 MB .* take ESP32_GENERIC_S3-DATE-VERSION.bin from https"),
        ("esp32", program(0, 50_000), "x.bin is a program alone, without boot loader and partition table"),
        ("esp32", rp2_firmware(), "x.bin is no program of an ESP32: it does not begin with 0xe9"),
        ("esp32", b"", "x.bin is no program of an ESP32"),
        ("esp32", good[:-1], "x.bin's program is truncated: its program is [0-9]* bytes"),
        ("esp32", esp_firmware("ESP32", version="1.22.0"), "x.bin is MicroPython 1.22.0, and bitwren needs 1.23 or later"),
        ("esp32", esp_firmware("ESP32", size=2_200_000), "x.bin is [0-9,]* bytes too large for esp32's firmware part"),
        ("esp32", esp_firmware("ESP32", table=elsewhere), "x.bin's program begins at 0x20000, and esp32's at 0x10000"),
        ("esp32", firmware(machine="M5Stack with ESP32"), 'x.bin is for another board: it calls itself "M5Stack with ESP32"'),
        (
            "esp32-s3",
            firmware("ESP32-S3", machine="Generic ESP32S3 module with Octal-SPIRAM with ESP32S3"),
            "Octal-SPIRAM with ESP32S3",
        ),
    ):
        with pytest.raises(BitwrenError, match=sentence):
            image.make(find_board(name), published, FILES, files, "bundle", "x.bin")
    damaged = bytearray(good)
    damaged[TABLE - 0x1000 + 5] ^= 1
    with pytest.raises(FormatError, match=r"x.bin's partition table is damaged: its MD5"):
        image.make(find_board("esp32"), bytes(damaged), FILES, files, "bundle", "x.bin")


def test_a_bundle_too_large_for_its_partition_and_the_filesystem(bundle: Bundle) -> None:
    files = bundle_bytes(bundle) | {"table.bwt": bytes(2_000_000)}
    with pytest.raises(
        BitwrenError, match=r"flash full: .* too many; and the bundle is .* more than esp32's data part has .*--bits"
    ):
        image.make(find_board("esp32"), esp_firmware("ESP32"), FILES, files, "bundle")


def test_what_esptool_says_is_passed_on(bundle: Bundle, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fw.bin").write_bytes(esp_firmware("ESP32"))
    board = find_board("esp32")

    def refuse(command: list[str], **how: object) -> subprocess.CompletedProcess[str]:
        assert command[command.index("--chip") + 1] == "esp32"
        assert ("merge_bin" in command) == ("--flash_size" in command) == (version == 4)
        return subprocess.CompletedProcess(command, 2, "", "A fatal error occurred: no")

    monkeypatch.setattr(flash_image.subprocess, "run", refuse)
    monkeypatch.setattr(flash_image, "firmware_files", lambda arch: FILES)
    for version in (4, 5):
        monkeypatch.setattr(flash_image, "esptool_version", lambda version=version: version)
        with pytest.raises(BitwrenError, match=r"esptool could not merge the image. It said:\nA fatal error occurred: no"):
            flash_image.make(board, folder, tmp_path / "fw.bin")
    monkeypatch.setattr(flash_image, "esptool_version", lambda: 0)
    with pytest.raises(BitwrenError, match="need esptool, which is not installed: pip install esptool"):
        flash_image.make(board, folder, tmp_path / "fw.bin")
    # The bundle alone is written without it.
    done = bitwren("image", folder, "--board", "esp32", "--only", "data", "-o", tmp_path / "data.bin")
    assert (done.returncode, done.stdout) == (0, b"")


# --- The command -----------------------------------------------------------------------------------------------------


def test_the_bundle_alone(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    both = b"".join(bundle_bytes(bundle).values())
    for name, family, address in (("pico", 0xE48BFF56, 0x10060000), ("pico2", 0xE48BFF57, 0x10080000)):
        done = bitwren("image", folder, "--board", name, "--only", "data", "-o", tmp_path / "x.uf2")
        assert done.returncode == 0, done.stderr.decode()
        assert uf2.read((tmp_path / "x.uf2").read_bytes(), "x").runs == (Run(address, both, family),)
    done = bitwren("image", folder, "--board", "esp32", "--only", "data", "-o", tmp_path / "x.bin")
    assert (tmp_path / "x.bin").read_bytes() == both
    assert done.stderr.decode().splitlines()[-1].startswith("esptool --chip esp32 --baud 460800 write-flash 0x280000 ")
    found = json.loads(bitwren("inspect", tmp_path / "x.bin", "--json").stdout)
    assert (found["kind"], found["bundle"]["bytes"]) == ("partition", len(both))
    (tmp_path / "fw.uf2").write_bytes(rp2_firmware(size=400_000))
    done = bitwren(
        "image", folder, "--board", "pico", "--only", "data", "-o", tmp_path / "y.uf2", "--firmware", tmp_path / "fw.uf2"
    )
    fails(done, "fw.uf2 ends at 0x62000 of flash, in pico's data part (from 0x60000)")
    assert not (tmp_path / "y.uf2").exists()


def test_a_users_own_board(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "boards" / "pico.toml").read_text()
    mine = text.replace("0x60000", "0x70000").replace("0x40000", "0x30000").replace('name = "pico"', 'name = "mine"')
    (tmp_path / "mine.toml").write_text(mine)
    (tmp_path / "fw.uf2").write_bytes(rp2_firmware())
    at = ("--board", tmp_path / "mine.toml", "--firmware", tmp_path / "fw.uf2", "-o", tmp_path / "x.uf2")
    done = bitwren("image", folder, *at)
    assert done.returncode == 0, done.stderr.decode()
    assert b"  bundle          0x10070000 " in done.stderr
    assert b"emulated by   rp2040py" in bitwren("boards", tmp_path / "mine.toml").stdout
    found = json.loads(bitwren("inspect", tmp_path / "x.uf2", "--json").stdout)
    assert found["bundle"]["address"] == 0x10070000


def test_what_a_user_gets_wrong(folder: Path, tmp_path: Path) -> None:
    out = ("-o", tmp_path / "x.uf2")
    fails(
        bitwren("image", folder, "--board", "pico2", *out),
        "an image for Raspberry Pi Pico 2 needs its MicroPython: download RPI_PICO2-DATE-VERSION.uf2 from https://micropython.org/",
        "give it with --firmware",
    )
    fails(bitwren("image", folder, "--board", "pico3", *out), "no board is called pico3: did you mean pico")
    fails(bitwren("image", folder, "--board", "pico", "-o", tmp_path / "x.bin"), "must be called *.uf2", code=2)
    fails(bitwren("image", folder, "--board", "unix", "-o", tmp_path / "x.bin"), "is not flashed")
    fails(bitwren("image", folder, "--board", "unix", "-o", tmp_path / "x.bin", "--only", "data"), "is not flashed")
    fails(bitwren("image", tmp_path, "--board", "pico", *out), "table.bwt")
    fails(
        bitwren("image", folder, "--board", "pico", *out, "--firmware", tmp_path / "no.uf2"),
        "no.uf2 cannot be read: No such file",
    )
    assert not (tmp_path / "x.uf2").exists()


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_hostile_firmware_is_taken_or_refused(data: st.DataObject) -> None:
    """Heads of blocks and images, tables, and texts, changed and cut."""
    name, published = data.draw(st.sampled_from([("pico", rp2_firmware(size=5000)), ("esp32", esp_firmware("ESP32", size=5000))]))
    changed = bytearray(published)
    places = st.sampled_from([0, 512, 1024, TABLE - 0x1000, PROGRAM - 0x1000])
    for _ in range(data.draw(st.integers(1, 4))):
        changed[(data.draw(places) + data.draw(st.integers(0, 127))) % len(changed)] = data.draw(st.integers(0, 255))
    del changed[data.draw(st.sampled_from([len(changed)] * 3 + [0, 3, 23, 512, 30_000, len(changed) - 512])) :]
    with contextlib.suppress(BitwrenError):
        regions = image.firmware_regions(find_board(name), bytes(changed), "x")
        assert regions[-1].offset + len(regions[-1].data) <= find_board(name).part("filesystem").offset


# --- Reading back ----------------------------------------------------------------------------------------------------


def test_inspect_shows_what_image_wrote(bundle: Bundle, tmp_path: Path) -> None:
    board = find_board("pico")
    made = image.make(board, rp2_firmware(), FILES, bundle_bytes(bundle), "bundle")
    (tmp_path / "x.uf2").write_bytes(image.to_uf2(board, made))
    written = uf2.read((tmp_path / "x.uf2").read_bytes(), "x").runs
    assert sum(len(run.data) for run in written[2:]) < 32 * 4096  # most of the filesystem is empty
    lines = bitwren("inspect", tmp_path / "x.uf2").stdout.decode().splitlines()
    assert lines[1:] == [
        "  family        RP2040 (0xe48bff56)",
        "  writes        0x10000000    303,104 bytes",
        "  writes        0x10060000     53,248 bytes",
        *(f"  writes        {run.address:#010x}  {len(run.data):>9,} bytes" for run in written[2:]),
        "  firmware      MicroPython 1.25.0, Raspberry Pi Pico with RP2040",
        f"  filesystem    0x100a0000  1,441,792 bytes, {filesystem.read(made.regions[-1].data, 'x').used:,} in use, 2 files",
        "                   10,240  lib/bitwren/a.mpy",
        "                       23  main.py",
        "  bundle        0x10060000     53,248 bytes, every checksum right",
        "                encoder random 1, 32,768 bytes",
        "                table of 60 documents, 128 bits, 20,480 bytes",
    ]


def test_inspect_finds_damage(bundle: Bundle, tmp_path: Path) -> None:
    both = b"".join(bundle_bytes(bundle).values())
    encoder = len(bundle_bytes(bundle)["encoder.bwe"])
    for data, sentence in (
        (both[:-1], "table.bwt is truncated"),
        (both[:-4096], "table.bwt is truncated"),
        (both[:encoder] + b"\xff" * 8192, "is damaged: no table follows its encoder"),
        (both[:5000] + bytes([both[5000] ^ 1]) + both[5001:], "encoder.bwe is damaged"),
    ):
        (tmp_path / "x.bin").write_bytes(data)
        fails(bitwren("inspect", tmp_path / "x.bin"), sentence)
    board = find_board("pico")
    whole = uf2.read(image.to_uf2(board, image.make(board, rp2_firmware(), FILES, bundle_bytes(bundle), "bundle")), "x")
    flash = bytearray(whole.runs[2].data)
    flash[:8] = flash[4096:4104] = bytes(8)  # revisions; the checksums of both superblocks are wrong
    damaged = (*whole.runs[:2], replace(whole.runs[2], data=bytes(flash)), *whole.runs[3:])
    (tmp_path / "x.uf2").write_bytes(uf2.write(Uf2(damaged)))
    fails(bitwren("inspect", tmp_path / "x.uf2"), "the filesystem in", "is damaged")


@pytest.fixture(scope="module")
def images(bundle: Bundle) -> list[bytes]:
    """One of each kind that inspect reads, small."""
    pico = find_board("pico")
    small = replace(pico, parts=(*pico.parts[:2], Part("filesystem", 0xA0000, 0x10000, "", "filesystem")))
    made = image.make(small, rp2_firmware(size=5000), FILES, bundle_bytes(bundle), "bundle")
    return [image.to_uf2(small, made), esp_firmware("ESP32", size=5000), b"".join(bundle_bytes(bundle).values())]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_hostile_images_are_read_or_refused(data: st.DataObject, images: list[bytes]) -> None:
    changed = bytearray(data.draw(st.sampled_from(images)))
    for _ in range(data.draw(st.integers(1, 8))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    del changed[data.draw(st.integers(len(changed) - 3, len(changed)) | st.integers(0, len(changed))) :]
    kind = readback.kind_of(bytes(changed))
    if not kind:
        return
    try:
        found = readback.describe(bytes(changed), "x")
    except BitwrenError:
        return
    assert found["kind"] == kind


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_hostile_filesystems_are_read_or_refused(data: st.DataObject, images: list[bytes]) -> None:
    system = bytearray(flash_of(images[0], 2 << 20)[0xA0000:0xB0000])
    used = [block for block in range(len(system) // 4096) if set(system[4096 * block : 4096 * block + 4096]) != {0xFF}]
    for _ in range(data.draw(st.integers(1, 8))):
        place = 4096 * data.draw(st.sampled_from(used)) + data.draw(st.integers(0, 200) | st.integers(0, 4095))
        system[place] = data.draw(st.integers(0, 255))
    try:
        found = filesystem.read(bytes(system), "x")
    except FormatError:
        return
    assert found.used <= len(system)
