"""bitwren flash on ESP32, ESP32-S3 and ESP32-C3: esptool at an emulated ROM loader's line, and what goes wrong there."""

from __future__ import annotations

import importlib
import json
import random
import re
import sys
import threading
from pathlib import Path

import pytest
from board_bundle import make_bundle, make_encoder, write_bundle
from esp_firmware import firmware
from esp_rom import CHIPS, MAC, EspRom, Faults
from fake_board import RV32IMC, XTENSAWIN, MicroPython, Plugged, mpy, read_bundle

from bitwren.boards import Board, find_board
from bitwren.bundle import Bundle
from bitwren.errors import BitwrenError
from bitwren.image import Region
from bitwren_host import flash_image
from bitwren_host.cli import main
from bitwren_host.flash.esp32 import Esptool
from bitwren_host.flash.payload import esp32_regions
from bitwren_host.flash.work import HALF, UNTOUCHED, Stopped, Work

command = importlib.import_module("bitwren_host.cli.flash")  # the package has the click command by this name
BOARDS = {"esp32": "esp32", "esp32-s3": "esp32s3", "esp32-c3": "esp32c3"}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return make_bundle(documents=60, encoder=make_encoder(bits=64), store_text=True)


@pytest.fixture
def faq(bundle: Bundle, tmp_path: Path) -> Path:
    return write_bundle(bundle, tmp_path / "faq")


@pytest.fixture(autouse=True)
def plugged(monkeypatch: pytest.MonkeyPatch) -> Plugged:
    plugged = Plugged()
    monkeypatch.setattr(command, "Computer", plugged.computer)
    # What would run there matters to nobody here, and native modules need not be built.
    monkeypatch.setattr(
        flash_image, "firmware_files", lambda *how: {"main.py": b"import bitwren.console", "lib/x.mpy": bytes(9999)}
    )
    return plugged


def published(board: Board, folder: Path) -> Path:
    """A made-up MicroPython for a board."""
    path = folder / f"{board.name}.bin"
    assert board.firmware
    path.write_bytes(firmware(board.chip, machine=f"{board.firmware.machine} {board.chip.replace('-', '')}"))
    return path


def in_partition(board: Board) -> MicroPython:
    """A console that answers from the data partition of the flash, as the board's own would."""

    data = board.part("data")
    arch = RV32IMC if board.chip == "ESP32-C3" else XTENSAWIN
    assert board.firmware
    runs = {"version": [1, 25, 0], "mpy": mpy(arch), "machine": board.firmware.machine, "heap": 160_000}
    runs |= {"bitwren": True, "native": "xtensawin", "notice": None, "bundle": None, "root": "", "block": 4096, "free": 0}
    parts = {"parts": [[part.offset, part.bytes, part.label] for part in board.parts if part.kind.startswith("data")]}
    return MicroPython({"look()": runs, "Partition": parts}, lambda flash: read_bundle(flash[data.offset : data.end]))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The command; its exit status."""
    monkeypatch.setattr(sys, "argv", ["bitwren", "flash", *map(str, arguments)])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def check_memory(rom: EspRom, regions: tuple[Region, ...]) -> None:
    """Byte for byte: what was to be written is there, and no sector besides was touched."""
    expected = bytearray(rom.flash_bytes)
    for region in regions:
        end = -(-(region.offset + len(region.data)) // 4096) * 4096
        expected[region.offset : end] = region.data.ljust(end - region.offset, b"\xff")
    assert rom.memory == expected


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_flashed_read_back_and_asked(
    name: str,
    bundle: Bundle,
    faq: Path,
    tmp_path: Path,
    plugged: Plugged,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    board = find_board(name)
    image = flash_image.make(board, faq, published(board, tmp_path))
    with EspRom(CHIPS[BOARDS[name]], board.flash_bytes, application=in_partition(board).hear) as rom:
        plugged.plug(rom.port, board.usb.running[0])
        assert run(monkeypatch, "--no-stub", "--board", name, faq, "--firmware", tmp_path / f"{name}.bin", "--json") == 0, (
            capsys.readouterr()
        )
        (done,) = json.loads(capsys.readouterr().out)
        assert done["reply"] == {
            "query": bundle.table.records[0].text,
            "answer": bundle.table.records[0].answer,
            "documents": 60,
            "native": "stand-in",
        }
        assert done["details"] == {
            "chip": board.chip,
            "flash_bytes": board.flash_bytes,
            "mac": ":".join(f"{octet:02x}" for octet in MAC),
            "board": name,
        }
        regions = esp32_regions(board, image.data, "image")
        check_memory(rom, regions)
        for region in image.regions:
            # Of the boot loader esptool changes the flash's size; of the filesystem, blocks without contents are left out.
            if region.name not in ("boot loader", "filesystem"):
                assert rom.memory[region.offset : region.offset + len(region.data)] == region.data
        nvs = board.part("nvs")
        assert rom.memory[nvs.offset : nvs.end] == bytes(nvs.bytes), "settings are kept"


def test_a_bundle_alone_and_an_image_by_esptools_stub(
    faq: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    board = find_board("esp32-c3")
    image, data = tmp_path / "x.bin", tmp_path / "data.bin"
    image.write_bytes(flash_image.make(board, faq, published(board, tmp_path)).data)
    made = flash_image.make_data(board, faq)
    data.write_bytes(made.data)
    with EspRom(CHIPS["esp32c3"], board.flash_bytes, application=in_partition(board).hear) as rom:
        for given in ([faq], ["--image", data]):
            rom.memory[:] = bytes(board.flash_bytes)
            rom.stub = False  # it was reset
            assert run(monkeypatch, "--board", "esp32-c3", "-p", rom.port, "--only", "data", *given) == 0, capsys.readouterr()
            check_memory(rom, made.regions)
        rom.stub = False
        assert run(monkeypatch, "--board", "esp32-c3", "-p", rom.port, "--image", image) == 0, capsys.readouterr()
        assert rom.stub
        assert capsys.readouterr().out.endswith("bytes written and read back; 60 documents, stand-in\n")


@pytest.mark.parametrize(
    ("board", "chip", "flash", "faults", "wanted"),
    [
        (
            "esp32-s3",
            "esp32c3",
            8,
            Faults(),
            "wrong board: PORT is an ESP32-C3, and an ESP32-S3 with .* has an ESP32-S3. UNTOUCHED",
        ),
        (
            "esp32-s3",
            "esp32s3",
            4,
            Faults(),
            r"wrong flash size: PORT has 4 MB, and an ESP32-S3 .* 8 MB \(the .* UNTOUCHED",
        ),
        (
            "esp32",
            "esp32",
            4,
            Faults(lose=3, losses=99),
            r"PORT: what was sent arrived damaged: .* \(--baud 115200\). HALF",
        ),
        ("esp32", "esp32", 4, Faults(stall=5), "PORT: it stopped answering: try another cable or port, .*. HALF"),
        ("esp32", "esp32", 4, Faults(decay=0x11000), "PORT: what its flash holds differs from what was written: .*. HALF"),
        ("esp32", "esp32", 4, Faults(busy=True), "PORT: its flash does not take what is written: .*. HALF"),
        ("esp32", "esp32", 4, Faults(unplug=5), "PORT: it was unplugged, or its cable lost contact. HALF"),
    ],
    ids=["wrong chip", "wrong size", "lost byte", "stalled", "MD5", "write error", "unplugged"],
)
def test_what_goes_wrong_is_a_sentence(
    board: str,
    chip: str,
    flash: int,
    faults: Faults,
    wanted: str,
    tmp_path: Path,
    faq: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image = published(find_board(board), tmp_path)
    rom = EspRom(CHIPS[chip], flash << 20, faults)
    try:
        status = run(monkeypatch, "--no-stub", "--board", board, faq, "--firmware", image, "--port", rom.port)
        said = capsys.readouterr()
    finally:
        rom.close()
    pattern = wanted.replace("PORT", rom.port).replace("UNTOUCHED", UNTOUCHED).replace("HALF", HALF)
    assert (status, said.out) == (1, "")
    assert re.fullmatch(f"bitwren: {pattern}\n", said.err), said.err
    if "UNTOUCHED" in wanted:
        assert rom.memory == bytes(flash << 20)


def test_one_lost_byte_is_sent_again(tmp_path: Path, faq: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = find_board("esp32")
    application = in_partition(board).hear
    with EspRom(CHIPS["esp32"], 4 << 20, Faults(lose=3), application) as rom:
        assert (
            run(monkeypatch, "--no-stub", "--board", "esp32", faq, "--firmware", published(board, tmp_path), "--port", rom.port)
            == 0
        )
        made = flash_image.make(board, faq, tmp_path / "esp32.bin")
        check_memory(rom, esp32_regions(board, made.data, "image"))


def test_what_is_no_boot_loader() -> None:
    with (
        EspRom(CHIPS["esp32"], faults=Faults(silent=True)) as rom,
        pytest.raises(BitwrenError, match=f"{rom.port}: it does not answer as an ESP32's boot loader. Hold BOOT. {UNTOUCHED}"),
    ):
        Esptool(rom.port, 115200, "Hold BOOT.", False, "no-reset", 1).identify(Work())


def test_stopped_in_the_middle_says_what_state_the_board_is_in() -> None:
    stop = threading.Event()

    def report(step: str, done: int, total: int) -> None:
        if done > 2000:
            stop.set()

    with EspRom(CHIPS["esp32"], 4 << 20, Faults(stall=50)) as rom:
        tool = Esptool(rom.port, 460800, stub=False)
        tool.identify(Work())
        with pytest.raises(Stopped, match=f"^stopped. {HALF}$"):
            tool.write([Region("x", 0x10000, random.Random(1).randbytes(200_000))], Work(report, stop))
        assert 2 <= rom.blocks <= 50


def test_all_boards_side_by_side(
    faq: Path, tmp_path: Path, plugged: Plugged, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two that work, one of another chip, one that is unplugged: each is named."""
    board = find_board("esp32-c3")
    image = published(board, tmp_path)
    roms = [
        EspRom(CHIPS[chip], 4 << 20, faults, in_partition(board).hear)
        for chip, faults in (("esp32c3", Faults()), ("esp32", Faults()), ("esp32c3", Faults(busy=True)), ("esp32c3", Faults()))
    ]
    try:
        for number, rom in enumerate(roms):
            plugged.plug(rom.port, "10c4:ea60", f"1-{number}", "CP2102")
        plugged.plug("/dev/ttyS0", "")
        assert run(monkeypatch, "--board", "esp32-c3", faq, "--firmware", image, "--all") == 1
    finally:
        for rom in roms:
            rom.close()
    said = capsys.readouterr()
    ports = [rom.port for rom in sorted(roms, key=lambda rom: rom.port)]
    good = [roms[0].port, roms[3].port]
    assert [line.partition(":")[0] for line in said.out.splitlines() if line.startswith("/")] == [p for p in ports if p in good]
    bad = [port for port in ports if port not in good]
    assert f"wrong board: {roms[1].port} is an ESP32" in said.err
    assert f"{roms[2].port}: its flash does not take" in said.err
    assert said.err.splitlines()[-1] == f"bitwren: 2 of 4 boards not flashed: {', '.join(bad)}"
