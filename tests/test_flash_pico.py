"""bitwren flash on a Raspberry Pi Pico: the emulated one, behind a drive as a real one's boot loader has it."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
from board_bundle import CACHE, NATIVE, make_bundle, make_encoder, write_bundle
from fake_board import Plugged
from fake_pico import FakePico

from bitwren import uf2
from bitwren.boards import find_board
from bitwren.bundle import Bundle
from bitwren.image import XIP
from bitwren_host import flash_image
from bitwren_host.cli import main
from bitwren_host.flash.work import Patience

PICO_FIRMWARE = CACHE / "micropython" / "pico" / "firmware.uf2"
needs_pico = pytest.mark.skipif(
    not (PICO_FIRMWARE.is_file() and NATIVE["armv6m"].is_file()),
    reason="the Pico's firmware or the armv6m native module is not built: make pico-firmware natmods",
)
command = importlib.import_module("bitwren_host.cli.flash")  # the package has the click command by this name
PATIENT = Patience(drive=60, start=120, answer=120, verify=300, repl=60)


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Plugged:
    plugged = Plugged()
    monkeypatch.setattr(command, "Computer", plugged.computer)
    monkeypatch.setattr(command, "Patience", lambda: PATIENT)
    return plugged


@pytest.fixture
def bundle() -> Bundle:
    return make_bundle(documents=60, encoder=make_encoder(bits=64), store_text=True)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The command; its exit status."""
    monkeypatch.setattr(sys, "argv", ["bitwren", "flash", *map(str, arguments)])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@needs_pico
def test_a_pico_from_its_boot_loader_to_its_answer_and_again_with_another_bundle(
    tmp_path: Path,
    plugged: Plugged,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    faq = write_bundle(bundle, tmp_path / "faq")
    with FakePico(tmp_path, plugged).start() as pico:
        assert run(monkeypatch, "--board", "pico", faq) == 0, capsys.readouterr().err
        said = capsys.readouterr()
        assert f"{pico.drive} → {pico.port}: " in said.out
        assert "60 documents, armv6m" in said.out
        assert f"→ {bundle.table.records[0].answer}" in said.out
        written = flash_image.make(find_board("pico"), faq)
        for run_of_bytes in uf2.read(written.data, "image").runs:
            assert pico.flash[run_of_bytes.address - XIP : run_of_bytes.end - XIP] == run_of_bytes.data

        # It runs now: it goes into its boot loader by itself, and keeps its firmware and files.
        before = bytes(pico.flash)
        part = find_board("pico").part("data")
        other = make_bundle(documents=50, encoder=make_encoder(seed=3, bits=128), store_text=True)
        assert run(monkeypatch, "--board", "pico", "--only", "data", "--json", write_bundle(other, tmp_path / "other")) == 0
        (done,) = json.loads(capsys.readouterr().out)
        assert (done["reply"]["documents"], done["reply"]["answer"]) == (50, other.table.records[0].answer)
        assert pico.flashed == 2
        assert bytes(pico.flash[: part.offset]) == before[: part.offset]
        assert bytes(pico.flash[part.end :]) == before[part.end :]
        assert bytes(pico.flash[part.offset : part.end]) != before[part.offset : part.end]
