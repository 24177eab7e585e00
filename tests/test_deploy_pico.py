"""bitwren deploy and bitwren console with the emulated Raspberry Pi Pico: genuine firmware, littlefs, a reset."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_bundle import make_bundle, make_encoder, text_of, write_bundle
from test_command import bitwren
from test_pico_console import PICO_FIRMWARE, pytestmark

from bitwren.bundle import Bundle
from bitwren_host.board_files import bundle_files, firmware_files
from bitwren_host.emulator import EmulatedPico, pico_image

__all__ = ["pytestmark"]
OUTDATED = "lib/bitwren/fallback/integers.mpy"
SHADOW = "lib/bitwren/messages.py"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return make_bundle(12, make_encoder(1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Path:
    return write_bundle(bundle, tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[str]:
    """It lacks a small file, as each byte takes long, and has a source that would be imported in place of what is compiled."""
    files = firmware_files("armv6m") | bundle_files(folder)
    del files[OUTDATED]
    files[SHADOW] = b"# of another version\n"
    with EmulatedPico(PICO_FIRMWARE, pico_image(files), boot_timeout=60) as pico:
        yield pico.port


def test_it_gets_what_it_lacks_and_answers(port: str, folder: Path, bundle: Bundle) -> None:
    done = bitwren("deploy", folder, "--port", port, "--json")
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    size = len(firmware_files("armv6m")[OUTDATED])
    assert report["sent"] == {OUTDATED: size}
    assert report["removed"] == [SHADOW]
    assert len(report["unchanged"]) == len(firmware_files("armv6m")) + 1
    assert done.stderr.decode().splitlines() == [
        f"looking at the board on {port}",
        f"sending 1/1 {OUTDATED}, {size:,} bytes",
        "checking what has arrived",
        "restarting the board, to ask it a question",
    ]
    assert report["board"]["machine"] == "Raspberry Pi Pico with RP2040"
    assert 1_000_000 < report["board"]["free"] < 352 * 4096
    assert report["answer"] == bundle.answer(report["question"], 1)

    query = text_of(bundle, 7)
    asked = bitwren("console", "--port", port, "-k", 2, stdin=query.encode())
    assert asked.returncode == 0, asked.stderr.decode()
    assert json.loads(asked.stdout) == bundle.answer(query, 2)
