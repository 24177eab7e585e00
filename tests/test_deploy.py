"""bitwren deploy, onto a board of QEMU's: what is sent, and what answers when it is cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from board_bundle import CACHE, make_bundle, make_encoder, text_of, write_bundle
from ram_board import PATIENCE, RamBoard, ram_board
from test_command import bitwren

from bitwren.bundle import Bundle
from bitwren_host.board_files import bundle_files, firmware_files
from bitwren_host.board_line import BoardOnPort
from bitwren_host.port_access import PortBusy, check_port
from bitwren_host.qemu import MACHINES

NAME = "qemu-m3"
pytestmark = pytest.mark.skipif(
    not (CACHE / "micropython" / NAME / "firmware.elf").is_file(), reason="not built: make qemu natmods"
)
OUTDATED = "lib/bitwren/fallback/integers.mpy"
SENT = [OUTDATED, "bundle/encoder.bwe", "bundle/table.bwt"]


@pytest.fixture(scope="module")
def old() -> Bundle:
    return make_bundle(90, make_encoder(1))


@pytest.fixture(scope="module")
def new() -> Bundle:
    return make_bundle(94, make_encoder(2))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, new: Bundle) -> Path:
    return write_bundle(new, tmp_path_factory.mktemp("new"))


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory, old: Bundle) -> Iterator[RamBoard]:
    """It has the old bundle, and one file of the package that is not what it should be, with its source beside."""
    files = firmware_files(MACHINES[NAME].arch) | bundle_files(write_bundle(old, tmp_path_factory.mktemp("old")))
    files[OUTDATED] = files["lib/bitwren/partition.mpy"]
    files["lib/bitwren/partition.py"] = b"# of an earlier version\n"
    with ram_board(NAME, files) as made:
        yield made


def deploy(board: RamBoard, folder: Path, *options: str) -> dict[str, Any]:
    done = bitwren("deploy", folder, "--port", board.port, "--no-reset", "--json", *options)
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    assert isinstance(report, dict)
    return report


def cut(board: RamBoard, folder: Path) -> list[str]:
    """Kill a deploy, and mpremote, while it sends its second file, or the only one; what it began to send."""
    command = [sys.executable, "-c", "from bitwren_host.cli import main; main()"]
    command += ["deploy", str(folder), "--port", board.port, "--no-reset"]
    begun: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr
        for line in process.stderr:
            if not line.startswith("sending "):
                continue
            place, path = line.split()[1:3]
            begun.append(path.rstrip(","))
            if place.startswith("2/") or place == "1/1":
                break
        os.killpg(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while True:  # mpremote is no child of ours to wait for: until it is dead, it holds the port
        try:
            check_port(board.port)
            return begun
        except PortBusy:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def answers(board: RamBoard, bundle: Bundle) -> None:
    """After a reset, the board's console answers with a bundle."""
    board.boot(main=True)
    target = BoardOnPort(board.port, lambda said: None)
    try:
        query = text_of(bundle, 11)
        assert target.answer(query, 3) == bundle.answer(query, 3)
    finally:
        target.close()


def test_a_cut_at_each_file_leaves_the_old_bundle(board: RamBoard, folder: Path, old: Bundle) -> None:
    assert cut(board, folder) == SENT[:2]
    answers(board, old)
    assert cut(board, folder) == SENT[1:]
    answers(board, old)
    assert cut(board, folder) == SENT[2:]
    answers(board, old)


def test_what_is_left_is_sent_and_the_new_bundle_answers(board: RamBoard, folder: Path, new: Bundle) -> None:
    tried = deploy(board, folder, "--dry-run")
    report = deploy(board, folder)
    for one in (tried, report):
        assert list(one["sent"]) == SENT[2:]
        assert one["ready"] == SENT[:2]
        assert one["removed"] == ["lib/bitwren/partition.py"]
        assert len(one["unchanged"]) == len(firmware_files(MACHINES[NAME].arch)) - 1
    assert report["board"]["arch"] == "armv7m"
    answers(board, new)


def test_a_second_time_nothing_is_sent(board: RamBoard, folder: Path, new: Bundle) -> None:
    done = bitwren("deploy", folder, "--port", board.port, "--no-reset")
    assert done.returncode == 0, done.stderr.decode()
    assert b"sending" not in done.stderr
    said = done.stdout.decode().splitlines()
    assert "MicroPython 1." in said[0]
    assert said[1] == f"nothing to send: {len(firmware_files(MACHINES[NAME].arch)) + 2} are there already"
    assert said[2].startswith("not restarted")
    answers(board, new)
