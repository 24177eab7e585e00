"""An emulated Raspberry Pi Pico, started from nothing but the UF2 that bitwren image writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from board_bundle import make_bundle, make_encoder, text_of, write_bundle
from test_image import bitwren
from test_pico_console import PATIENCE, PICO_FIRMWARE, pytestmark  # noqa: F401  (skips where it is not built)

from bitwren import uf2
from bitwren.bundle import Bundle, Scoring
from bitwren.uf2 import Uf2
from bitwren_host.emulator import EmulatedPico
from bitwren_host.serial_link import PortLine
from bitwren_host.targets import LineTarget


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """With everything that a table can have."""
    return make_bundle(documents=200, encoder=make_encoder(bits=128), threshold=40, scoring=Scoring(4, 80, 0.7))


def write_image(folder: Path, output: Path, *options: str) -> Path:
    done = bitwren("image", folder, "--board", "pico", "--firmware", PICO_FIRMWARE, "-o", output, *options)
    assert done.returncode == 0, done.stderr.decode()
    return output


def check_board(image: Path, bundle: Bundle, name: str) -> None:
    """It answers as the host does, from mapped flash."""
    with EmulatedPico(image, boot_timeout=PATIENCE) as pico, PortLine(pico.port) as line:
        board = LineTarget(line, PATIENCE)
        info = board.info()
        assert (info["name"], info["documents"], info["native"]) == (name, len(bundle.table.records), "armv6m")
        assert info["storage"] == {"encoder": "mapped", "table": "mapped"}
        for query in [
            *(text_of(bundle, slot) for slot in (0, len(bundle.table.records) - 1)),
            "hello world",
            "né 漢字",
            "...",
        ]:
            assert board.answer(query, 5) == bundle.answer(query, 5)


def test_firmware_filesystem_and_bundle_from_one_uf2(bundle: Bundle, tmp_path: Path) -> None:
    image = write_image(write_bundle(bundle, tmp_path / "faq"), tmp_path / "pico.uf2")
    check_board(image, bundle, "flash:0x10060000")
    found = json.loads(bitwren("inspect", image, "--json").stdout)
    assert [part["address"] for part in found["ranges"]][:3] == [0x10000000, 0x10060000, 0x100A0000]
    assert not any(file["path"].startswith("bundle/") for file in found["filesystem"]["files"])


def test_the_bundle_is_replaced_alone(bundle: Bundle, tmp_path: Path) -> None:
    """What is in flash after the first UF2 and then the second: a boot loader writes the sectors that a UF2 names."""
    whole = uf2.read(write_image(write_bundle(bundle, tmp_path / "faq"), tmp_path / "pico.uf2").read_bytes(), "x")
    other = make_bundle(documents=60, encoder=make_encoder(2, bits=64))
    only = write_image(write_bundle(other, tmp_path / "other"), tmp_path / "data.uf2", "--only", "data")
    new = uf2.read(only.read_bytes(), "x").runs
    assert [run.address for run in new] == [0x10060000]
    (tmp_path / "both.uf2").write_bytes(uf2.write(Uf2((whole.runs[0], *new, *whole.runs[2:]))))
    check_board(tmp_path / "both.uf2", other, "flash:0x10060000")
