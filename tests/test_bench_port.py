"""bitwren bench --port: a board's own timings, of a QEMU board, which says that they are simulated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_bundle import CACHE, make_bundle, write_bundle
from fake_repl import Fake, look
from test_command import bitwren, fails

from bitwren.bundle import Scoring
from bitwren_host.bench.on_port import QUESTIONS, STEPS, is_simulated
from bitwren_host.board_files import bundle_files, firmware_files
from bitwren_host.qemu import MACHINES, QemuBoard

NAME = "qemu-m3"
FIRMWARE = CACHE / "micropython" / NAME / "firmware.elf"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = write_bundle(make_bundle(60, scoring=Scoring(vector_bits=0)), tmp_path_factory.mktemp("bundle"))
    files = firmware_files(MACHINES[NAME].arch) | bundle_files(folder)
    del files["main.py"]  # a reset would not start it again
    with QemuBoard(NAME, FIRMWARE, files, boot_timeout=60) as board:
        yield board.port


@pytest.mark.skipif(not FIRMWARE.is_file(), reason="not built: make qemu natmods")
def test_a_board(port: str) -> None:
    done = bitwren("bench", "--port", port, "-k", 2, "--json")
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["simulated"] is True
    assert found["machine"].startswith("mps2-an385")
    assert (found["questions"], found["info"]["documents"], found["info"]["native"]) == (QUESTIONS, 60, "armv7m")
    assert list(found["ms"]) == list(STEPS)
    for times in found["ms"].values():
        assert 0 <= times["median"] <= times["most"]


def test_what_counts_as_simulated() -> None:
    assert is_simulated("/dev/pts/3", "Raspberry Pi Pico with RP2040")
    assert is_simulated("socket://host:1", "mps2-an386 with Cortex-M4")
    assert not is_simulated("/dev/ttyACM0", "Raspberry Pi Pico with RP2040")


def test_a_board_without_a_bundle(tmp_path: Path) -> None:
    with Fake(found=look(bitwren=False)) as fake:
        fails(bitwren("bench", "--port", fake.port), "has no bundle that bitwren opens: bitwren deploy DIRECTORY --port")
