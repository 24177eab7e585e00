"""What a user is told when bitwren flash does not go well: a sentence, exit 1, and what state the board is in."""

from __future__ import annotations

import importlib
import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from board_bundle import make_bundle, make_encoder, write_bundle
from esp_firmware import firmware
from esp_rom import CHIPS, EspRom, Faults
from fake_board import MicroPython, Plugged, PtyBoard, make_drive, mpy, read_bundle
from fake_pico import StandInPico
from rich.console import Console

from bitwren import uf2
from bitwren.boards import find_board
from bitwren.bundle import Bundle
from bitwren.edit import delete
from bitwren.errors import BitwrenError
from bitwren.image import XIP, Region
from bitwren_host.cli import main
from bitwren_host.flash import checks, many, rp2
from bitwren_host.flash.many import Failure
from bitwren_host.flash.work import HALF, HALF_A_BUNDLE, UNTOUCHED, Patience, Stopped, Work
from bitwren_host.ports import Drive

command = importlib.import_module("bitwren_host.cli.flash")  # the package has the click command by this name
PICO = find_board("pico")
DATA = PICO.part("data")
RUNS = {"version": [1, 25, 0], "mpy": mpy(4), "machine": "Raspberry Pi Pico with RP2040", "heap": 190_000, "bitwren": True}
RUNS |= {"native": "armv6m", "notice": None, "bundle": None, "root": "", "block": 4096, "free": 0}
WHOLE = f"flash the board whole, with its firmware (without --only data). {UNTOUCHED}"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return make_bundle(documents=60, encoder=make_encoder(bits=64), store_text=True)


@pytest.fixture
def faq(bundle: Bundle, tmp_path: Path) -> Path:
    return write_bundle(bundle, tmp_path / "faq")


@pytest.fixture
def patience() -> Patience:
    return Patience(drive=20, start=20, answer=20, verify=20, repl=20)


@pytest.fixture(autouse=True)
def plugged(monkeypatch: pytest.MonkeyPatch, patience: Patience) -> Plugged:
    plugged = Plugged()
    monkeypatch.setattr(command, "Computer", plugged.computer)
    monkeypatch.setattr(command, "Patience", lambda: patience)
    return plugged


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A UF2 for a Pico, of 1 MB, with a bundle in its data part; what it is made of does not matter here."""
    path = tmp_path / "pico.uf2"
    runs = (uf2.Run(XIP, bytes(range(256)) * 1000, 0xE48BFF56), uf2.Run(XIP + 0xA0000, b"files" * 50_000, 0xE48BFF56))
    path.write_bytes(uf2.write(uf2.Uf2(runs)))
    return path


def in_flash(flash: bytes) -> Bundle:
    """The bundle in a Pico's data part."""
    return read_bundle(flash[DATA.offset : DATA.end])


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The command; its exit status."""
    monkeypatch.setattr(sys, "argv", ["bitwren", "flash", *map(str, arguments)])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


class Told:
    """Runs the command, which is to fail with one sentence."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str | Path) -> str:
        status = run(self._monkeypatch, *arguments)
        said = self._capsys.readouterr()
        assert (status, said.out) == (1, ""), said
        assert "Traceback" not in said.err
        (sentence,) = said.err.splitlines()
        assert sentence.startswith("bitwren: ")
        return sentence.removeprefix("bitwren: ")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    return Told(monkeypatch, capsys)


# --- Before anything is written ------------------------------------------------------------------------------------


def test_what_is_no_use(faq: Path, image: Path, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told("--board", "pico").startswith("nothing to flash: give a bundle's directory, --image FILE, or --firmware FILE")
    assert told("--board", "qemu-m3", faq) == (
        "Arm MPS2 AN385, a Cortex-M3 in QEMU is not flashed: bitwren console DIR --on qemu-m3 runs a bundle there"
    )
    assert told("--board", "picco", faq).startswith("no board is called picco: did you mean pico?")
    assert told("--board", "pico", tmp_path / "none").startswith(f"{tmp_path}/none")
    for wrong in (
        ["--all", "-p", "x"],
        ["--all", "--drive", "x"],
        ["-p", "x", "--drive", "y"],
        ["--image", "x", "--firmware", "y"],
    ):
        assert run(monkeypatch, "--board", "pico", faq, *wrong) == 2


def test_no_board(image: Path, told: Told) -> None:
    assert told("--board", "pico", "--image", image).startswith("no Raspberry Pi Pico is plugged in, nor any other board.")
    assert told("--board", "pico", "--image", image, "--all").startswith("no Raspberry Pi Pico is plugged in, nor any other")


def test_a_table_of_another_encoder(faq: Path, tmp_path: Path, told: Told) -> None:
    other = write_bundle(make_bundle(encoder=make_encoder(seed=9, bits=64)), tmp_path / "other")
    (faq / "encoder.bwe").write_bytes((other / "encoder.bwe").read_bytes())
    for only in ([], ["--only", "data"]):
        assert told("--board", "pico", faq, *only).startswith("the table was made with another encoder: build the bundle again")


def test_images_for_other_boards(image: Path, tmp_path: Path, told: Told) -> None:
    assert told("--board", "pico2", "--image", image) == (
        "wrong board: pico.uf2 is for RP2040, and a Raspberry Pi Pico 2 has an RP2350"
    )
    assert told("--board", "esp32", "--image", image).startswith(f"wrong board: {image} is a UF2, for a Pico's boot loader")
    esp = tmp_path / "s3.bin"
    esp.write_bytes(firmware("ESP32-S3"))
    assert told("--board", "esp32-c3", "--image", esp) == (
        "wrong board: s3.bin is for the ESP32-S3, and an ESP32-C3 with 4 MB of flash has an ESP32-C3"
    )
    published = tmp_path / "c3.bin"
    published.write_bytes(firmware("ESP32-C3"))
    assert told("--board", "esp32-c3", "--image", published).startswith(
        "c3.bin has another partition table than esp32-c3: make it"
    )
    assert told("--board", "esp32-c3", "--image", esp, "--only", "data").startswith(f"{esp} is no bundle for a data part")
    assert told("--board", "pico", "--image", image, "--only", "data") == (
        f"{image} writes more than the data part of a Raspberry Pi Pico: flash it without --only data"
    )


def test_flash_full(faq: Path, tmp_path: Path, told: Told, plugged: Plugged) -> None:
    plugged.mounts.append(make_drive(tmp_path / "RPI-RP2"))
    beyond = tmp_path / "beyond.uf2"
    beyond.write_bytes(uf2.write(uf2.Uf2((uf2.Run(XIP + PICO.flash_bytes - 4096, bytes(8192), 0xE48BFF56),))))
    assert told("--board", "pico", "--image", beyond) == (
        f"{tmp_path}/RPI-RP2: flash full: the image ends 4,096 bytes behind the 2,097,152 of a Raspberry Pi Pico. {UNTOUCHED}"
    )
    large = write_bundle(make_bundle(documents=3000, encoder=make_encoder(bits=64), store_text=True), tmp_path / "large")
    assert re.match(
        r"the bundle is [0-9,]+ bytes, [0-9,]+ more than pico's data part has", told("--board", "pico", large, "--only", "data")
    )


def test_ram_too_small(image: Path, told: Told, tmp_path: Path, plugged: Plugged) -> None:
    mine = tmp_path / "tiny.toml"
    text = (Path(__file__).parents[1] / "boards" / "pico.toml").read_text()
    mine.write_text(text.replace("ram_bytes = 270336", "ram_bytes = 32768").replace('title = "', 'title = "Tiny '))
    plugged.mounts.append(make_drive(tmp_path / "RPI-RP2"))
    assert told("--board", mine, "--image", image) == (
        f"{tmp_path}/RPI-RP2: RAM too small: a Tiny Raspberry Pi Pico has 32 KB, and a search takes 80. {UNTOUCHED}"
    )


def test_a_port_that_cannot_be_opened(image: Path, told: Told) -> None:
    assert told("--board", "pico", "--image", image, "--port", "/dev/none").startswith(
        "/dev/none is not there: is the board plugged"
    )


@pytest.mark.parametrize(
    ("reports", "wanted"),
    [
        (
            {"machine": "Raspberry Pi Pico W with RP2040"},
            f'wrong board: PORT is "Raspberry Pi Pico W with RP2040", not a Raspberry Pi Pico. {UNTOUCHED}',
        ),
        ({"version": [1, 22, 2]}, f"PORT runs MicroPython 1.22.2, too old: bitwren needs 1.23 or later; {WHOLE}"),
        ({"mpy": mpy(4, sub=2)}, f"PORT loads native modules of .mpy ABI 6.2, and bitwren's are 6.3; {WHOLE}"),
        ({"mpy": mpy(7)}, f"PORT loads native modules for armv7emsp, and a Raspberry Pi Pico's are armv6m; {WHOLE}"),
        (
            {"bitwren": False, "native": None},
            f"PORT has no bitwren that starts, to read a bundle with: .*. {UNTOUCHED}",
        ),
        ({"heap": 40_000}, f"RAM too small: PORT has 39 KB of heap, and a search takes 80. Free some: .*. {UNTOUCHED}"),
        (
            {"bundle": "faq"},
            f"PORT reads the bundle in its folder 'faq', and would go on reading that one: .*mpremote rm -r :faq.*{UNTOUCHED}",
        ),
        (
            {"bundle": "flash:0x10060000"},
            f"PORT has something else than a bundle at 0x60000 of flash, perhaps its firmware; .*{UNTOUCHED}",
        ),
    ],
    ids=["wrong board", "too old", "wrong ABI", "wrong architecture", "no bitwren", "RAM", "a folder", "no place"],
)
def test_a_firmware_that_cannot_stay(reports: dict[str, object], wanted: str, faq: Path, told: Told, plugged: Plugged) -> None:
    board = MicroPython({"look()": RUNS | reports, "first": {"first": "00b5f8bd"}})
    with PtyBoard(board.hear) as line:
        plugged.plug(line.port)
        said = told("--board", "pico", faq, "--only", "data")
        pattern = wanted if ".*" in wanted else re.escape(wanted)
        assert re.fullmatch(pattern.replace("PORT", line.port), said), said
        assert not any("bootloader" in script for script in board.heard)


def test_an_esp32_with_another_partition_table(faq: Path, told: Told, plugged: Plugged) -> None:
    runs = RUNS | {"mpy": mpy(10), "machine": "Generic ESP32 module with ESP32"}
    board = MicroPython({"look()": runs, "Partition": {"parts": [[0x9000, 0x6000, "nvs"], [0x200000, 0x200000, "vfs"]]}})
    with PtyBoard(board.hear) as line:
        assert told("--board", "esp32", faq, "--only", "data", "-p", line.port).startswith(
            f"{line.port} has no partition bitwren of 1,572,864 bytes at 0x280000: its partition table is another; flash"
        )


def test_what_is_no_micropython(faq: Path, image: Path, told: Told, patience: Patience, plugged: Plugged) -> None:
    patience.repl = 0.1
    with PtyBoard(lambda data: b"") as line:
        plugged.plug(line.port)
        assert told("--board", "pico", faq, "--only", "data") == (
            f"{line.port} does not answer as MicroPython, so it cannot keep its firmware: flash the board whole, without "
            f"--only data. {UNTOUCHED}"
        )
        assert told("--board", "pico", "--image", image).startswith(
            f"{line.port} does not answer as MicroPython, so it cannot enter its boot loader by itself. Hold BOOT"
        )


# --- While it is written -------------------------------------------------------------------------------------------


def test_no_drive_appears(image: Path, told: Told, patience: Patience, plugged: Plugged, tmp_path: Path, bundle: Bundle) -> None:
    patience.drive = 0.3
    with PtyBoard(MicroPython({"look()": RUNS}).hear) as line:
        plugged.plug(line.port)
        assert told("--board", "pico", "--image", image).startswith(
            f"{line.port} was sent to its boot loader, but no drive RPI-RP2 appeared within 0 s: if the system does not, mount "
            "it (udisksctl mount -b /dev/disk/by-label/RPI-RP2) and give --drive. Nothing was written; the board is in its boot"
        )


@pytest.mark.parametrize(("only", "state"), [([], HALF), (["--only", "data"], HALF_A_BUNDLE)], ids=["whole", "bundle"])
def test_unplugged_while_its_drive_is_written(
    only: list[str],
    state: str,
    image: Path,
    faq: Path,
    told: Told,
    plugged: Plugged,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with StandInPico(tmp_path, plugged, in_flash, vanish=1).start() as pico:

        def wait(descriptor: int) -> None:
            """A piece takes until the board is unplugged."""
            deadline = time.monotonic() + 20
            while pico.drive.exists():
                assert time.monotonic() < deadline
                time.sleep(0.01)

        monkeypatch.setattr(rp2, "PIECE", 16384)
        monkeypatch.setattr(rp2.os, "fsync", wait)
        said = told("--board", "pico", *([faq, *only] if only else ["--image", image]))
        assert re.fullmatch(rf"{pico.drive} vanished after \d+ % was written: was the board unplugged\? {state}", said)
        assert pico.flashed == 0


def test_stopped_while_a_drive_is_written(image: Path, tmp_path: Path) -> None:
    drive = Drive(make_drive(tmp_path / "RPI-RP2"), "RPI-RP2")
    stop = threading.Event()
    work = Work(lambda step, done, total: stop.set() if done else None, stop)
    with pytest.raises(Stopped, match=f"^stopped. {HALF}$"):
        rp2.copy(image.read_bytes(), drive, work)


def test_a_drive_that_cannot_be_written(image: Path, told: Told, plugged: Plugged, tmp_path: Path) -> None:
    drive = make_drive(tmp_path / "RPI-RP2")
    (drive / "bitwren.uf2").mkdir()
    assert told("--board", "pico", "--image", image, "--drive", drive) == (
        f"{drive} cannot be written (Is a directory): is it mounted for you? udisksctl mount does so. {UNTOUCHED}"
    )


def test_a_full_drive(image: Path, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    drive = make_drive(tmp_path / "RPI-RP2")
    monkeypatch.setattr(rp2.os, "fsync", full)
    assert told("--board", "pico", "--image", image, "--drive", drive).startswith(f"{drive} takes no more after 0 of 1,")


def test_a_board_that_stays_in_its_boot_loader(image: Path, told: Told, patience: Patience, tmp_path: Path) -> None:
    patience.start = 0.3
    drive = make_drive(tmp_path / "RPI-RP2")
    assert told("--board", "pico", "--image", image, "--drive", drive) == (
        f"{drive} took the image, but the board stays in its boot loader: the image was not taken, or is for another board. Run "
        "this again"
    )


# --- Afterwards ----------------------------------------------------------------------------------------------------


def test_a_board_that_does_not_start(image: Path, told: Told, patience: Patience, plugged: Plugged, tmp_path: Path) -> None:
    patience.start = 2
    with StandInPico(tmp_path, plugged, in_flash, starts=False).start() as pico:
        assert told("--board", "pico", "--image", image).removeprefix(f"{pico.drive}: ") == (
            "the image was copied, but no serial port of a Raspberry Pi Pico appeared within 2 s: unplug the board and plug it "
            "in; if a drive appears, run this again, else see `bitwren doctor`"
        )


def test_flash_that_does_not_keep_what_is_written(image: Path, told: Told, plugged: Plugged, tmp_path: Path) -> None:
    with StandInPico(tmp_path, plugged, in_flash, decay=XIP + 0x12345).start():
        assert re.search(
            r"\S+: flash from 0x10010000 to 0x10020000 differs from what was written: flash it again; if that stays so, the",
            told("--board", "pico", "--image", image),
        )


def test_a_console_that_does_not_answer(image: Path, told: Told, patience: Patience, plugged: Plugged, tmp_path: Path) -> None:
    patience.answer = 0.5
    with StandInPico(tmp_path, plugged, in_flash) as pico:
        pico.board.bundle = None
        pico.start()
        assert re.search(
            r"\S+ was flashed, but its console does not answer within 0 s: reset the board and see `bitwren doctor`",
            told("--board", "pico", "--image", image),
        )


def test_an_answer_that_is_not_this_computers(
    bundle: Bundle, image: Path, faq: Path, told: Told, plugged: Plugged, tmp_path: Path
) -> None:
    other = delete(bundle, ["d0"])
    with StandInPico(tmp_path, plugged, lambda flash: other).start():
        assert re.search(
            r'\S+ was flashed, but answers ".*" otherwise than this computer \(answer \d+: .* instead of answer 0: .*\): ',
            told("--board", "pico", faq, "--image", image),
        )


# --- Several, and stopped ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("located", [True, False], ids=["by socket", "by turns"])
def test_all_picos_side_by_side(
    located: bool,
    bundle: Bundle,
    image: Path,
    faq: Path,
    plugged: Plugged,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One runs MicroPython, one is a drive already, one's flash is worn out, and one is a Pico W."""
    first = StandInPico(tmp_path / "a", plugged, lambda flash: bundle, location="1-1" if located else "").start(
        image.read_bytes()
    )
    second = StandInPico(tmp_path / "b", plugged, lambda flash: bundle, location="1-2" if located else "").start()
    third = StandInPico(tmp_path / "c", plugged, lambda flash: bundle, location="1-3" if located else "", decay=XIP).start()
    with first, second, third:
        runs = RUNS | {"machine": "Raspberry Pi Pico W with RP2040"}
        with PtyBoard(MicroPython({"look()": runs}).hear) as stranger:
            plugged.plug(stranger.port, location="1-4" if located else "")
            while not first.port:
                first._thread.join(0.01)
                assert first._thread.is_alive()
            assert run(monkeypatch, "--board", "pico", "--image", image, faq, "--all", "--json") == 1
            said = capsys.readouterr()
            good, bad = [], []
            for result in json.loads(said.out):
                (bad if "text" in result else good).append(result)
            assert [done["reply"]["answer"] for done in good] == [bundle.table.records[0].answer] * 2
            assert len(bad) == 2
            texts = "\n".join(result["text"] for result in bad)
            assert f'wrong board: {stranger.port} is "Raspberry Pi Pico W with RP2040", not a Raspberry Pi Pico' in texts
            assert "flash from 0x10000000 to 0x10010000 differs from what was written" in texts
            assert "bitwren: 2 of 4 boards not flashed: " in said.err
            assert (first.flashed, second.flashed, third.flashed) == (2, 1, 1)
            if located:
                assert {done["place"]: done["port"] for done in good}[str(second.drive)] == second.port


def test_stopped_by_the_user(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not done yet says what state it is in; what is done, says so."""
    busy, real = threading.Event(), many.wait

    def wait(futures: object, timeout: float) -> object:
        if not busy.is_set():
            assert busy.wait(20)
            raise KeyboardInterrupt
        return real(futures, timeout)  # type: ignore[arg-type]

    def flash(number: int, work: Work) -> str:
        if number:
            work.state = "It is half written"
            busy.set()
            while True:
                work.at("writing", 1, 2)
                work.stop.wait(0.01)
        return "done"

    monkeypatch.setattr(many, "wait", wait)
    with pytest.raises(KeyboardInterrupt):
        many.run(["/dev/a", "/dev/b"], flash, Console(stderr=True), Patience())
    assert capsys.readouterr().err == "/dev/a: flashed\n/dev/b: stopped. It is half written\n"


def test_ctrl_c_ends_esptool_and_says_what_state_the_board_is_in(tmp_path: Path) -> None:
    image = tmp_path / "fw.bin"
    image.write_bytes(firmware("ESP32"))
    with EspRom(CHIPS["esp32"], faults=Faults(stall=9)) as rom:
        arguments = ["flash", "--board", "esp32", "--firmware", str(image), "--no-stub", "-p", rom.port]
        program = "from bitwren_host.cli import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        while rom.blocks < 9:
            assert process.poll() is None
            rom._thread.join(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.split("\n") == [f"{rom.port}: stopped. {HALF}", "", "bitwren: stopped", ""]


def test_micropython_alone(
    image: Path, tmp_path: Path, plugged: Plugged, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it is published: nobody is asked a question."""
    published = tmp_path / "fw.bin"
    published.write_bytes(firmware("ESP32"))
    bare = tmp_path / "bare.uf2"
    bare.write_bytes(uf2.write(uf2.Uf2((uf2.Run(XIP, b"code" * 50_000, 0xE48BFF56),))))
    with StandInPico(tmp_path, plugged, in_flash).start() as pico, EspRom(CHIPS["esp32"]) as rom:
        assert run(monkeypatch, "--board", "pico", "--firmware", bare) == 0
        assert pico.flash[:200_000] == b"code" * 50_000
        assert re.fullmatch(r".*/RPI-RP2 → \S+: 200,704 bytes written and read back\n", capsys.readouterr().out)
        assert run(monkeypatch, "--board", "esp32", "--firmware", published, "-p", rom.port) == 0
        assert rom.memory[0x10000:].startswith(published.read_bytes()[0x10000 - 0x1000 :])
        assert rom.memory[:0x1000] == bytes(0x1000)


def test_a_failure_of_one_is_not_the_others() -> None:
    def flash(number: int, work: Work) -> int:
        work.at("writing", 1, 2)
        if number == 1:
            raise BitwrenError("it failed")
        return number

    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=100)
    assert many.run(["/dev/a", "/dev/b", "/dev/c"], flash, console, Patience()) == [0, Failure("/dev/b", "it failed"), 2]
    lines = [line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.getvalue())) if line.strip()]
    assert [line.split()[:2] for line in lines[-3:]] == [["/dev/a", "writing"], ["/dev/b", "failed"], ["/dev/c", "writing"]]


def test_checks_that_pass(bundle: Bundle) -> None:
    """So that none of the above fails for another reason."""
    checks.check_board(PICO)
    checks.check_space(PICO, [Region("x", PICO.flash_bytes - 4096, bytes(4096))])
    with pytest.raises(BitwrenError, match="flash full"):
        checks.check_space(PICO, [Region("x", PICO.flash_bytes - 4096, bytes(4097))])
    with pytest.raises(BitwrenError, match="RAM too small"):
        checks.check_board(replace(PICO, ram_bytes=81919))
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(Stopped, match=UNTOUCHED):
        Work(stop=stopped).at("x")
