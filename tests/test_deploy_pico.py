"""bitwren deploy and bitwren console with the emulated Raspberry Pi Pico: genuine firmware, littlefs, a reset."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from board_bundle import make_bundle, make_encoder, text_of, write_bundle
from test_command import bitwren, fails
from test_pico_console import PICO_FIRMWARE, pytestmark

from bitwren.bundle import Bundle
from bitwren.table import Record
from bitwren_host.board_files import bundle_files, firmware_files
from bitwren_host.emulator import EmulatedPico, pico_image

__all__ = ["pytestmark"]


@pytest.fixture(scope="module")
def old() -> Bundle:
    return make_bundle(12, make_encoder(1))


@pytest.fixture(scope="module")
def new(old: Bundle) -> Bundle:
    """The same encoder: it is not sent again."""
    records = [Record(record.id, f"new {record.answer}", record.text) for record in old.table.records]
    return Bundle(old.encoder, replace(old.table, records=records))


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, old: Bundle) -> Iterator[str]:
    files = firmware_files("armv6m") | bundle_files(write_bundle(old, tmp_path_factory.mktemp("old")))
    with EmulatedPico(PICO_FIRMWARE, pico_image(files), boot_timeout=60) as pico:
        yield pico.port


def test_a_table_is_sent_and_answers(port: str, tmp_path: Path, new: Bundle) -> None:
    folder = write_bundle(new, tmp_path / "new")
    done = bitwren("deploy", folder, "--port", port, "--json")
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    size = (folder / "table.bwt").stat().st_size
    assert report["sent"] == {"bundle/table.bwt": size}
    assert done.stderr.decode() == f"sending 1/1 bundle/table.bwt, {size:,} bytes\n"
    assert report["answer"] == new.answer(report["question"], 1)
    assert report["answer"]["hits"][0]["answer"].startswith("new answer 0")

    again = bitwren("deploy", folder, "--port", port)
    assert again.returncode == 0, again.stderr.decode()
    assert again.stderr == b""
    said = again.stdout.decode().splitlines()
    assert said[0].startswith("Raspberry Pi Pico with RP2040, MicroPython 1.")
    assert said[1] == f"nothing to send: {len(firmware_files('armv6m')) + 2} are there already"
    assert said[3].startswith("  1. new answer 0: “")

    query = text_of(new, 7)
    asked = bitwren("console", "--port", port, "-k", 2, stdin=query.encode())
    assert asked.returncode == 0, asked.stderr.decode()
    assert json.loads(asked.stdout) == new.answer(query, 2)


def test_what_does_not_fit_is_refused_before_anything_is_written(port: str, tmp_path: Path, new: Bundle) -> None:
    records = [Record(record.id, "x" * 60_000, None) for record in new.table.records]
    large = write_bundle(Bundle(new.encoder, replace(new.table, records=records * 1)), tmp_path / "large")
    folder = tmp_path / "large"
    padding = bytes(700_000)
    assert (large / "table.bwt").stat().st_size > len(padding)
    fails(
        bitwren("deploy", folder, "--port", port, "--name", "another"),
        f"The board on {port} opens the bundle bundle first" if "another" > "bundle" else "flash full",
    )
