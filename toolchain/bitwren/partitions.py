"""An ESP32's partition table, as ESP-IDF's boot loader reads it at 0x8000 of flash.

Entries of 32 bytes: magic AA 50, type, subtype, offset u32, size u32, label of 16 bytes padded with zeros, flags u32. Behind the
last one EB EB, fourteen FF and the MD5 of all entries; the rest of 0xC00 bytes is FF.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from .boards import ERASE, Board
from .errors import FormatError

OFFSET, SIZE = 0x8000, 0xC00
TYPES = {"app": 0, "data": 1}
SUBTYPES = {
    "app": {"factory": 0x00, "ota_0": 0x10, "ota_1": 0x11, "test": 0x20},
    "data": {
        "ota": 0x00,
        "phy": 0x01,
        "nvs": 0x02,
        "coredump": 0x03,
        "undefined": 0x06,
        "fat": 0x81,
        "spiffs": 0x82,
        "littlefs": 0x83,
    },
}
_ENTRY = struct.Struct("<2sBBII16sI")
_MAGIC, _MD5 = b"\xaa\x50", b"\xeb\xeb" + b"\xff" * 14
_APP_ALIGNMENT = 0x10000  # of the flash that is mapped for code


@dataclass(frozen=True)
class Partition:
    """A part of flash. :ivar type: 0 a program, 1 data. :ivar size: in bytes."""

    label: str
    type: int
    subtype: int
    offset: int
    size: int
    flags: int = 0

    @property
    def kind(self) -> str:
        """``type/subtype`` in words, or numbers where there are no words."""
        type_name = next((name for name, number in TYPES.items() if number == self.type), f"{self.type:#04x}")
        known = SUBTYPES.get(type_name, {})
        return f"{type_name}/{next((name for name, number in known.items() if number == self.subtype), f'{self.subtype:#04x}')}"


def of_board(board: Board) -> tuple[Partition, ...]:
    """The partitions of a board's flash map.

    :raises FormatError: for a type or subtype without a number, or a program that does not begin at a multiple of 64 KB.
    """
    partitions = []
    for part in board.parts:
        type_name, _, subtype = part.kind.partition("/")
        try:
            partition = Partition(part.label, TYPES[type_name], SUBTYPES[type_name][subtype], part.offset, part.bytes)
        except KeyError:
            known = ", ".join(f"{type_name}/{name}" for type_name, names in SUBTYPES.items() for name in names)
            raise FormatError(f"the board {board.name}'s part {part.name} is of type {part.kind}; known are {known}") from None
        if partition.type == TYPES["app"] and partition.offset % _APP_ALIGNMENT:
            raise FormatError(f"the board {board.name}'s part {part.name} must begin at a multiple of {_APP_ALIGNMENT:#x}")
        partitions.append(partition)
    return tuple(partitions)


def encode(partitions: Sequence[Partition]) -> bytes:
    """The table, 0xC00 bytes.

    :raises FormatError: when there are more than 95, or a label is too long.
    """
    body = b""
    for partition in partitions:
        label = partition.label.encode()
        if len(label) > 16:
            raise FormatError(f'a partition\'s label has at most 16 bytes: "{partition.label}"')
        body += _ENTRY.pack(_MAGIC, partition.type, partition.subtype, partition.offset, partition.size, label, partition.flags)
    table = body + _MD5 + hashlib.md5(body).digest()
    if len(table) > SIZE:
        raise FormatError(f"{len(partitions)} partitions are too many: a table holds {SIZE // _ENTRY.size - 1}")
    return table.ljust(SIZE, b"\xff")


def is_table(data: bytes) -> bool:
    """Whether bytes begin as a table with entries does."""
    return data[:2] == _MAGIC


def decode(data: bytes, name: str) -> tuple[Partition, ...]:
    """Check a table and read it; what is behind its end is of no account.

    :param name: what to call it in an error.
    :raises FormatError: when it is damaged, or partitions overlap.
    """
    partitions: list[Partition] = []
    for at in range(0, min(len(data), SIZE) - _ENTRY.size + 1, _ENTRY.size):
        row = data[at : at + _ENTRY.size]
        if row == b"\xff" * _ENTRY.size:
            break
        if row[:16] == _MD5:
            if hashlib.md5(data[:at]).digest() != row[16:]:
                raise FormatError(f"{name} is damaged: its MD5 does not match")
            break
        magic, type_number, subtype, offset, size, label, flags = _ENTRY.unpack(row)
        if magic != _MAGIC:
            raise FormatError(f"{name} is damaged: entry {at // _ENTRY.size} begins with {magic.hex()}, not aa50")
        partitions.append(Partition(label.rstrip(b"\0").decode("utf-8", "replace"), type_number, subtype, offset, size, flags))
    else:
        raise FormatError(f"{name} is damaged: it has no end")
    end = OFFSET + ERASE
    for partition in sorted(partitions, key=lambda partition: partition.offset):
        if partition.offset < end:
            raise FormatError(f"{name} is damaged: {partition.label} begins at {partition.offset:#x}, before {end:#x}")
        end = partition.offset + partition.size
    return tuple(partitions)
