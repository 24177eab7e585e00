"""bitwren deploy: what can be wrong with a board or a bundle is a sentence, where it can be before anything is written."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from board_bundle import NATIVE, bundle_bytes, make_bundle, make_encoder, write_bundle
from fake_repl import ARMV6M, MPY_6_3, NONE, XTENSA, Fake, look
from test_command import bitwren, fails

from bitwren_host import repl
from bitwren_host.board_files import bundle_files, firmware_files
from bitwren_host.board_line import BoardOnPort
from bitwren_host.deploy import DeployError, Report, Wish, deploy
from bitwren_host.on_board import INVENTORY
from bitwren_host.port_access import PortForbidden, PortMissing
from bitwren_host.port_names import resolve
from bitwren_host.ports import Computer
from bitwren_host.repl import NoAnswer
from bitwren_host.serial_link import LinkError, PortLine

pytestmark = pytest.mark.skipif(not NATIVE["armv6m"].is_file(), reason="the armv6m native module is not built: make natmods")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(make_bundle(12), tmp_path_factory.mktemp("bundle"))


def attempt(fake: Fake, folder: Path, **wish: Any) -> Report:
    with fake:
        return deploy(folder, fake.port, Wish(**wish), lambda step: None)


def untouched(fake: Fake) -> None:
    assert not any("prepare" in script or "commit" in script or script.startswith("w(") for script in fake.scripts)


@pytest.mark.parametrize(
    ("fake", "words"),
    [
        (
            Fake(found=look(version=[1, 19, 1])),
            "MicroPython 1.19.1 on .* is too old: bitwren needs 1.23 or later. Flash",
        ),
        (
            Fake(found=look(mpy=6 | 1 << 8 | ARMV6M)),
            "loads .mpy files of version 6.1, and bitwren's are of 6.3: flash",
        ),
        (Fake(found=look(mpy=MPY_6_3 | NONE)), "loads no native modules: flash one that does .* or deploy with --no-native"),
        (Fake(found=look(mpy=MPY_6_3 | XTENSA)), "the native module for xtensa is not built: .* or deploy with --no-native"),
        (Fake(found=look(heap=60_000)), "has 58 KB of RAM for programs and bitwren needs 80: take a board with more"),
        (
            Fake(found=look(free=100_000)),
            r"flash full: .* has 100,000 bytes free, and [\d,]+ more are needed .* --replace",
        ),
        (
            Fake(rest={"bundles": [], "main": "none", "writable": False}),
            "The filesystem at / of .* is read-only: nothing",
        ),
        (
            Fake(rest={"bundles": ["another"], "main": "ours", "writable": True}),
            "opens the bundle another first, by name: --name another replaces it, or remove it: mpremote .* rm -r :another",
        ),
    ],
)
def test_a_board_that_cannot_have_it(fake: Fake, words: str, folder: Path) -> None:
    with pytest.raises(DeployError, match=words):
        attempt(fake, folder)
    untouched(fake)


def test_the_bytes_that_are_lacking(folder: Path) -> None:
    """Refused with too little by one block, and not with enough."""
    with pytest.raises(DeployError) as refused:
        attempt(Fake(found=look(free=100_000 // 4096 * 4096)), folder)
    lacking = int(str(refused.value).split(" bytes free, and ")[1].split(" more")[0].replace(",", ""))
    enough = 100_000 // 4096 * 4096 + lacking
    assert attempt(Fake(found=look(free=enough)), folder, dry_run=True).sent
    with pytest.raises(DeployError, match="flash full"):
        attempt(Fake(found=look(free=enough - 4096)), folder)


def test_nothing_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitwren_host.deploy._PATIENCE", 0.5)
    with pytest.raises(NoAnswer, match="does not answer: press the board's reset button"):
        attempt(Fake(kind="silent"), folder)
    with pytest.raises(NoAnswer, match="answers, but not as MicroPython: flash that first"):
        attempt(Fake(kind="echo"), folder)


def test_ports_that_do_not_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "/dev/no-such-port"
    fails(bitwren("deploy", folder, "--port", nowhere), f"{nowhere} is not there: is the board plugged in? `bitwren ports` lists")
    fails(bitwren("console", "--port", nowhere), f"{nowhere} is not there: is the board plugged in?")
    with Fake() as fake:
        with PortLine(fake.port):
            done = bitwren("deploy", folder, "--port", fake.port)
            fails(done, f"{fake.port} is busy: ", "has it open", "Close that, and try again")
            with pytest.raises(LinkError, match="no other program"):
                PortLine(fake.port)

        def refuse(*arguments: Any) -> int:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(PortForbidden, match=rf"you may not open {fake.port}"):
            resolve(fake.port)


def plugged(*ports: tuple[str, int, str]) -> Computer:
    """A computer with ports: path, product id of Raspberry Pi's, serial number."""
    usb = {"vid": 0x2E8A, "location": "", "description": "x"}
    made = [SimpleNamespace(device=path, pid=pid, serial_number=number, **usb) for path, pid, number in ports]
    return Computer(list_ports=lambda: made, list_mounts=list)


def test_names_of_ports() -> None:
    with Fake() as one, Fake() as other:
        pico, unknown = (one.port, 5, "E66"), (other.port, 0xFFFF, "77")
        assert resolve("auto", plugged(pico, unknown)) == one.port
        assert resolve("auto", plugged(unknown)) == other.port
        assert resolve("id:77", plugged(pico, unknown)) == other.port
        assert resolve(f"port:{one.port}", plugged()) == one.port
        for url in ("socket://10.0.0.1:2000", "rfc2217://gateway:2217"):
            assert resolve(url, plugged()) == url
        two = re.escape(
            f"2 boards are seen: say which by --port. There are: {one.port} (x, USB 2e8a:0005), id:E66; {other.port} "
        )
        with pytest.raises(LinkError, match=two):
            resolve("auto", plugged(pico, (other.port, 5, "E67")))
    with pytest.raises(PortMissing, match="no board is seen: plug one in"):
        resolve("auto", plugged())
    with pytest.raises(PortMissing, match=r"no board with the serial number 9 is plugged in\. There is none"):
        resolve("id:9", plugged())
    for name, path in (("a17", "/dev/ttyACM17"), ("u18", "/dev/ttyUSB18"), ("c19", "COM19")):
        with pytest.raises(PortMissing, match=f"^{path} is not there"):
            resolve(name, plugged())


def test_bundles_that_are_none(tmp_path: Path) -> None:
    one, other = bundle_bytes(make_bundle(12)), bundle_bytes(make_bundle(12, make_encoder(2)))
    for name, data in (one | {"encoder.bwe": other["encoder.bwe"]}).items():
        (tmp_path / name).write_bytes(data)
    with Fake() as fake:
        fails(bitwren("deploy", tmp_path, "--port", fake.port), "the table was made with another encoder: build the bundle again")
        fails(bitwren("deploy", tmp_path / "no", "--port", fake.port), "table.bwt")
        assert not fake.scripts
    fails(bitwren("deploy", tmp_path, "--port", "/dev/none", "--name", "a/b"), "--name is a folder in the board's root", code=2)


def there(files: dict[str, bytes], *without: str) -> list[list[Any]]:
    return [[path, len(data), hashlib.sha256(data).hexdigest()] for path, data in files.items() if path not in without]


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, bytes]:
    return firmware_files("armv6m") | bundle_files(folder)


def test_what_is_sent_and_removed(folder: Path, files: dict[str, bytes]) -> None:
    table, update = "bundle/table.bwt", "lib/bitwren/update.mpy"
    listed = there(files, table, update, "main.py")
    listed += [[table + ".new", len(files[table]), hashlib.sha256(files[table]).hexdigest()]]  # of a deploy that was cut off
    listed += [["lib/bitwren/update.py", 99, None], ["bundle/encoder.bwe.new", 5, ""], ["lib/bitwren/old.mpy.new", 5, None]]
    fake = Fake(files=listed, rest={"bundles": ["bundle"], "main": "other", "writable": True})
    report = attempt(fake, folder, dry_run=True)
    assert report.sent == {update: len(files[update])}
    assert report.ready == [table]
    assert report.removed == ["lib/bitwren/update.py"]
    assert len(report.unchanged) == len(files) - 3
    assert report.notes[0].startswith("main.py on the board is another program's and was left alone: --main")
    untouched(fake)
    assert "main.py" in attempt(fake, folder, dry_run=True, main=True).sent

    fake = Fake(files=listed, rest={"bundles": ["bundle"], "main": "other", "writable": True})
    attempt(fake, folder, reset=False)
    prepared = next(script for script in fake.scripts if script.startswith("say(prepare"))
    assert "bundle/encoder.bwe.new" in prepared
    assert "lib/bitwren/old.mpy.new" in prepared
    assert table not in prepared
    steps = "".join(script for script in fake.scripts if script.startswith("lines.update"))
    assert [step for step in steps.split("'") if step[:1] in "+-"] == [f"+/{update}", "-/lib/bitwren/update.py", f"+/{table}"]


def test_replace_makes_room_first(folder: Path, files: dict[str, bytes]) -> None:
    """An old bundle of 100 KB goes where the new one does not fit beside it."""
    listed = [
        *there(files, "bundle/table.bwt", "bundle/encoder.bwe"),
        ["bundle/table.bwt", 60_000, ""],
        ["bundle/encoder.bwe", 40_000, ""],
    ]
    fake = Fake(found=look(free=30_000), files=listed)
    with pytest.raises(DeployError, match="flash full"):
        attempt(fake, folder)
    report = attempt(fake, folder, replace=True, dry_run=True)
    assert list(report.sent) == ["bundle/encoder.bwe", "bundle/table.bwt"]


def test_a_board_that_is_unplugged_or_full_while_it_is_written(folder: Path, files: dict[str, bytes]) -> None:
    for at, what, words in (
        (9, "gone", "the board is gone, unplugged or reset"),
        (9, "full", "flash full: its filesystem has no room for it"),
    ):
        fake = Fake(files=there(files, "bundle/table.bwt", "main.py"), at_write=(at, what))
        with pytest.raises(repl.BitwrenError, match=words) as failed:
            attempt(fake, folder)
        assert str(failed.value).startswith("bundle/table.bwt did not get onto the board on ")
        assert "What was there before still answers, after a reset; run it again: what has arrived" in str(failed.value)
        assert not any("commit(" in script for script in fake.scripts)


def test_a_file_that_did_not_arrive_whole(folder: Path, files: dict[str, bytes]) -> None:
    fake = Fake(files=there(files, "main.py"), wrong=["/main.py.new"])
    with pytest.raises(DeployError, match=r"These files did not arrive whole on .*: /main\.py\. What was there"):
        attempt(fake, folder)
    assert not any("commit(" in script for script in fake.scripts)


def test_whose_main_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of the user's that uses bitwren is theirs."""

    def list_folder(folder: str) -> list[tuple[str, int]]:
        return [(entry.name, 0x4000 if entry.is_dir() else 0x8000) for entry in os.scandir(folder)]

    monkeypatch.setattr(os, "ilistdir", list_folder, raising=False)
    board: dict[str, Any] = {}
    exec("\n".join(INVENTORY), board)
    (tmp_path / "faq").mkdir()
    (tmp_path / "faq" / "table.bwt").touch()
    main = tmp_path / "main.py"
    assert board["rest"](str(tmp_path)) == {"bundles": ["faq"], "main": "none", "writable": True}
    for text, whose in (
        (firmware_files("armv6m")["main.py"], "ours"),
        (b"import bitwren\nwren = bitwren.open('faq')\n", "other"),
    ):
        main.write_bytes(text)
        assert board["rest"](str(tmp_path))["main"] == whose


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"bitwren": False}, "runs MicroPython 1.25.0, but not bitwren: put it there: bitwren deploy DIRECTORY --port"),
        ({"bitwren": True, "trouble": "E: x"}, r"but not bitwren: bitwren there does not start \(E: x\): bitwren deploy"),
        (
            {"bitwren": True, "native": "armv6m", "notice": None, "bundle": None},
            "has bitwren, but no bundle: bitwren",
        ),
    ],
)
def test_a_console_tells_what_is_missing(found: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitwren_host.board_line._GREETING", 0.3)
    with Fake(found=look(**found)) as fake, pytest.raises(repl.BitwrenError, match=words):
        BoardOnPort(fake.port, lambda said: None)


def test_a_console_and_a_silent_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitwren_host.board_line._GREETING", 0.3)
    monkeypatch.setattr("bitwren_host.board_line._PATIENCE", 0.5)
    with Fake(kind="silent") as fake, pytest.raises(NoAnswer, match="does not answer: press the board's reset button"):
        BoardOnPort(fake.port, lambda said: None)
