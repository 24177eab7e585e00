"""A made-up MicroPython for an ESP32, as its published .bin is laid out: boot loader, partition table, program."""

from __future__ import annotations

import hashlib
import random
import struct

CHIPS = {"ESP32": (0, 0x1000), "ESP32-S3": (9, 0), "ESP32-C3": (5, 0)}
"""Number in the header, and where in flash the file begins."""
TABLE = 0x8000
PROGRAM = 0x10000


def program(chip: int, size: int, texts: bytes = b"", project: str = "", version: str = "", sha: bool = True) -> bytes:
    """An image with three segments of noise, a checksum, and a SHA-256 at its end."""
    noise = random.Random(size)
    header = struct.pack("<BBBBIBBBBHBHHIB", 0xE9, 3, 2, 0x20, 0x40080000, 0xEE, 0, 0, 0, chip, 0, 0, 0xFFFF, 0, sha)
    description = b""
    if project:
        description = struct.pack("<4I32s32s", 0xABCD5432, 0, 0, 0, version.encode(), project.encode()).ljust(256, b"\0")
    segments = [description + texts, noise.randbytes(size), noise.randbytes(100)]
    body, checksum = header, 0xEF
    for index, segment in enumerate(segments):
        segment += bytes(-len(segment) % 4)
        body += struct.pack("<II", 0x3F400020 + 0x10000 * index, len(segment)) + segment
        for byte in segment:
            checksum ^= byte
    body += bytes(15 - len(body) % 16) + bytes([checksum])
    return body + hashlib.sha256(body).digest() if sha else body


def table(*rows: tuple[str, int, int, int, int]) -> bytes:
    """A partition table: (label, type, subtype, offset, size)."""
    body = b""
    for label, kind, subtype, offset, size in rows:
        body += (
            b"\xaa\x50" + bytes([kind, subtype]) + struct.pack("<II", offset, size) + label.encode().ljust(16, b"\0") + bytes(4)
        )
    return (body + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(body).digest()).ljust(0xC00, b"\xff")


STOCK = table(
    ("nvs", 1, 2, 0x9000, 0x6000),
    ("phy_init", 1, 1, 0xF000, 0x1000),
    ("factory", 0, 0, 0x10000, 0x1F0000),
    ("vfs", 1, 0x81, 0x200000, 0x200000),
)
"""MicroPython's own."""


def firmware(
    chip: str = "ESP32",
    version: str = "1.25.0",
    machine: str = "Generic ESP32 module with ESP32",
    size: int = 200_000,
    table: bytes = STOCK,
) -> bytes:
    """The published file."""
    number, begin = CHIPS[chip]
    texts = f"MicroPython v{version} on 2025-04-15\0; {machine}\r\n\0".encode()
    loader = program(number, 20_000)
    whole = loader.ljust(TABLE - begin, b"\xff") + table
    return whole.ljust(PROGRAM - begin, b"\xff") + program(number, size, texts, "micropython", f"v{version}")
