"""What is in an image of a board's flash, read back from its bytes alone: ``bitwren inspect``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import esp_image, filesystem, lower, micropython, partitions, uf2
from . import table as tables
from .bundle import ENCODER_FILE, TABLE_FILE, describe_bytes
from .container import PAGE
from .errors import FormatError

KINDS = ("uf2", "esp32", "partition")
_MOST_FLASH = 16 << 20  # that these chips map
_SIZE_AT = 8  # of a bundle's file, in its first page


def kind_of(data: bytes) -> str:
    """One of :data:`KINDS`, the last of which is a bundle for a partition, by the first bytes; "" for all else."""
    if uf2.is_uf2(data):
        return "uf2"
    if partitions.is_table(data[partitions.OFFSET :]) or partitions.is_table(data[partitions.OFFSET - 0x1000 :]):
        return "esp32"
    return "partition" if data[:4] == lower.MAGIC.encode() and len(data) > _size(data) else ""


def describe(data: bytes, name: str) -> dict[str, Any]:
    """Everything in an image of a kind that :func:`kind_of` knows.

    :param name: the file's, for errors. :raises FormatError: when the file, or a filesystem or bundle in it, is damaged.
    """
    kind = kind_of(data)
    found: dict[str, Any] = {"file": name, "kind": kind, "bytes": len(data)}
    if kind == "uf2":
        return found | _uf2(data, name)
    if kind == "esp32":
        return found | _esp32(data, name)
    return found | {"bundle": _bundle(data, 0, name)}


def _uf2(data: bytes, name: str) -> dict[str, Any]:
    content = uf2.read(data, name)
    families = {run.family: uf2.family_name(run.family) if run.family else "of no family" for run in content.runs}
    pieces = _joined(content.runs)
    found: dict[str, Any] = {
        "families": [{"family": f"{family:#x}" if family else None, "name": title} for family, title in families.items()],
        "ranges": [{"address": run.address, "bytes": len(run.data)} for run in content.runs],
    }
    version, machine = micropython.describe(b"".join(run.data for run in content.runs))
    if version or machine:
        found["firmware"] = {"version": version, "machine": machine}
    for index, run in enumerate(pieces):
        at = 0
        while at < len(run.data):
            size = filesystem.block_count(run.data, at) * filesystem.BLOCK
            if 0 < size <= _MOST_FLASH:
                found["filesystem"] = _filesystem(_flash(pieces[index:], run.address + at, size), run.address + at, name)
                at += size
                continue
            if run.data[at : at + 4] == lower.MAGIC.encode():
                found["bundle"] = _bundle(run.data[at:], run.address + at, name)
            at += PAGE - (run.address + at) % PAGE
    return found


def _flash(runs: Sequence[uf2.Run], address: int, size: int) -> bytes:
    """Flash from an address on; 0xFF where nothing is written."""
    flash = bytearray(b"\xff" * size)
    for run in runs:
        skip = max(0, address - run.address)
        if run.address < address + size and skip < len(run.data):
            piece = run.data[skip : address + size - run.address]
            flash[run.address + skip - address : run.address + skip - address + len(piece)] = piece
    return bytes(flash)


def _joined(runs: Sequence[uf2.Run]) -> list[uf2.Run]:
    """Runs that touch as one, whatever their families."""
    pieces: list[uf2.Run] = []
    for run in runs:
        if pieces and pieces[-1].end == run.address:
            pieces[-1] = uf2.Run(pieces[-1].address, pieces[-1].data + run.data, None)
        else:
            pieces.append(run)
    return pieces


def _esp32(data: bytes, name: str) -> dict[str, Any]:
    begin = 0 if partitions.is_table(data[partitions.OFFSET :]) else 0x1000
    if begin:  # a published file for the ESP32 itself goes to 0x1000
        data = b"\xff" * begin + data
    table = partitions.decode(data[partitions.OFFSET :], f"{name}'s partition table")
    loader_at = 0 if data[0] == esp_image.MAGIC else 0x1000
    loader = esp_image.parse(data[loader_at : partitions.OFFSET], f"{name}'s boot loader")
    found: dict[str, Any] = {
        "chip": loader.chip,
        "starts_at": begin,
        "partitions": [{"label": part.label, "type": part.kind, "offset": part.offset, "bytes": part.size} for part in table],
    }
    for part in table:
        contents = data[part.offset : part.offset + part.size]
        if part.type == partitions.TYPES["app"] and contents[:1] == bytes([esp_image.MAGIC]):
            program = esp_image.parse(contents, f"{name}'s program")
            version, machine = micropython.describe(contents)
            found["firmware"] = {"version": version or program.version, "machine": machine, "bytes": program.size}
        elif filesystem.block_count(contents) or filesystem.block_count(contents, filesystem.BLOCK):
            found["filesystem"] = _filesystem(contents.ljust(part.size, b"\xff"), part.offset, name)
        elif contents[:4] == lower.MAGIC.encode():
            found["bundle"] = _bundle(contents, part.offset, name)
    return found


def _filesystem(data: bytes, address: int, name: str) -> dict[str, Any]:
    found = filesystem.read(data, f"the filesystem in {name}")
    listed = [{"path": path, "bytes": len(contents)} for path, contents in found.files.items()]
    return {"address": address, "bytes": len(data), "used": found.used, "files": listed}


def _bundle(data: bytes, address: int, name: str) -> dict[str, Any]:
    """Encoder and table, one behind the other, every checksum checked."""
    size = _size(data)
    table = data[size : size + _size(data[size:])]
    if table[:4] != tables.MAGIC.encode():
        raise FormatError(f"the bundle in {name} is damaged: no table follows its encoder")
    parts = ((ENCODER_FILE, data[:size]), (TABLE_FILE, table))
    described = [describe_bytes(contents, f"{name}, {file}") for file, contents in parts]
    return {"address": address, "bytes": size + len(table), "files": described}


def _size(data: bytes) -> int:
    """A file's size by its own first page; 0 where none is."""
    return int.from_bytes(data[_SIZE_AT : _SIZE_AT + 4], "little")
