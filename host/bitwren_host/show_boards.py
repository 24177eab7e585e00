"""Boards, and images of their flash, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bitwren.boards import Board
from bitwren.image import XIP


def show_board(board: Board) -> Iterator[str]:
    """All that a board file says."""
    yield f"{board.name}: {board.title}"
    yield f"  chip          {board.chip}, native module {board.arch}"
    psram = f", {_size(board.psram_bytes)} of PSRAM" if board.psram_bytes else ""
    yield f"  memory        {_size(board.flash_bytes)} of flash, {_size(board.ram_bytes)} of RAM{psram}"
    if board.emulator:
        yield f"  emulated by   {board.emulator}"
    if board.firmware:
        yield f"  MicroPython   {board.firmware.at_least} or later, {board.firmware.published}"
        yield f"                {board.firmware.page}"
    base = XIP if board.family == "rp2" else 0
    for index, part in enumerate(board.parts):
        about = ", ".join(text for text in (part.kind, part.label if part.label != part.name else "") if text)
        head = "flash" if not index else ""
        yield f"  {head:<13} {base + part.offset:#010x}  {_size(part.bytes):>7}  {part.name}{f' ({about})' if about else ''}"
    if board.usb.running:
        yield f"  USB           {', '.join(board.usb.running)}"
    if board.usb.boot and board.usb.boot != board.usb.running:
        yield f"  boot loader   {', '.join(board.usb.boot)}"
    if board.boot.how:
        yield f"  to enter it   {board.boot.how}"
    if board.limits.documents:
        yield f"  room for      {_size(board.limits.bundle_bytes)} of bundle, some {board.limits.documents:,} documents"
    if board.notes:
        yield f"  {board.notes}"


def show_image(found: dict[str, Any]) -> Iterator[str]:
    """What :func:`bitwren.readback.describe` found."""
    kinds = {"uf2": "UF2", "esp32": "ESP32 flash", "partition": "bundle for a partition"}
    yield f"{found['file']}: {kinds[found['kind']]}, {found['bytes']:,} bytes"
    for family in found.get("families", []):
        yield f"  family        {family['name']} ({family['family']})"
    for piece in found.get("ranges", []):
        yield f"  writes        {piece['address']:#010x}  {piece['bytes']:>9,} bytes"
    if "chip" in found:
        yield f"  chip          {found['chip']}; goes to {found['starts_at']:#x} of flash"
    for part in found.get("partitions", []):
        yield f"  partition     {part['offset']:#010x}  {part['bytes']:>9,} bytes  {_printable(part['label'])} ({part['type']})"
    if "firmware" in found:
        firmware = found["firmware"]
        version, machine = firmware["version"] or "of unknown version", firmware["machine"] or "for an unknown board"
        yield f"  firmware      MicroPython {version}, {machine}"
    if "filesystem" in found:
        system = found["filesystem"]
        yield (
            f"  filesystem    {system['address']:#010x}  {system['bytes']:>9,} bytes, {system['used']:,} in use, "
            f"{len(system['files'])} files"
        )
        for file in system["files"]:
            yield f"                {file['bytes']:>9,}  {_printable(file['path'])}"
    if "bundle" in found:
        bundle = found["bundle"]
        yield f"  bundle        {bundle['address']:#010x}  {bundle['bytes']:>9,} bytes, every checksum right"
        encoder, table = bundle["files"]
        yield f"                encoder {encoder['notes'].get('name', encoder['identity'])}, {encoder['bytes']:,} bytes"
        yield f"                table of {table['documents']:,} documents, {table['bits']} bits, {table['bytes']:,} bytes"


def _printable(text: str) -> str:
    """A name from a file of anyone's, without what a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _size(count: int) -> str:
    for unit, name in ((1 << 20, "MB"), (1 << 10, "KB")):
        if count and not count % unit:
            return f"{count // unit} {name}"
    return f"{count:,} bytes"
