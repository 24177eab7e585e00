"""Files: every byte that can flip, every place they can be cut, and atomic replacement."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from makers import random_encoder

from bitwren import container, lower, table
from bitwren.errors import FormatError
from bitwren.table import Record, Table


def small_table(count: int = 40) -> Table:
    codes = np.random.default_rng(0).integers(0, 1 << 32, (count, 4), dtype=np.uint32)
    records = [Record(f"id{i}", f"answer \u00fc {i}", f"text {i}" if i else "", "ab"[i % 2]) for i in range(count)]
    return Table(codes, records, np.arange(count) % 7 != 3, bytes(range(16)), 37, {"made_by": "a test"})


def test_table_round_trip() -> None:
    made = small_table()
    again = table.read(table.write(made))
    assert np.array_equal(again.codes, made.codes)
    assert np.array_equal(again.live, made.live)
    assert (again.records, again.identity, again.threshold) == (made.records, made.identity, made.threshold)
    assert again.notes == {"made_by": "a test"}


@pytest.mark.parametrize("count", [1, 31, 32, 33])
def test_table_sizes(count: int) -> None:
    assert len(table.read(table.write(small_table(count))).codes) == count


@pytest.mark.parametrize("kind", ["table", "encoder"])
def test_flipped_and_truncated_files(kind: str) -> None:
    data = table.write(small_table()) if kind == "table" else lower.write(random_encoder(extra=20))
    read = table.read if kind == "table" else lower.read
    file = container.unpack(data, data[:4].decode())
    random = np.random.default_rng(1)
    inside = [i for tag, body in file.sections.items() for i in (file.offsets[tag], file.offsets[tag] + len(body) - 1)]
    for position in [*range(0, 300, 7), *random.integers(0, 4096, 60), *inside]:
        flipped = bytearray(data)
        flipped[position] ^= 1 << int(random.integers(8))
        with pytest.raises(FormatError):
            read(bytes(flipped))
    for size in (0, 1, 4095, 4096, 8192, len(data) - 4096, len(data) - 1):
        with pytest.raises(FormatError, match="truncated"):
            read(data[:size])
    with pytest.raises(FormatError, match="truncated"):
        read(data + bytes(4096))


def test_other_kinds_and_versions() -> None:
    data = table.write(small_table())
    with pytest.raises(FormatError, match="not an encoder"):
        lower.read(data, "faq/table.bwt")
    newer = data[:4] + b"\x02\x00" + data[6:]
    with pytest.raises(FormatError, match="version 2"):
        table.read(newer)


def test_write_atomic_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "table.bwt"
    container.write_atomic(target, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FormatError, match=r"No space left on device; nothing was changed"):
        container.write_atomic(target, b"new")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["table.bwt"]
