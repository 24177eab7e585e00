"""The images of programs that an ESP32's boot loaders start: what chip one is for, how long it is, what it says of itself."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .errors import FormatError

CHIPS = {0: "ESP32", 2: "ESP32-S2", 5: "ESP32-C3", 9: "ESP32-S3", 12: "ESP32-C2", 13: "ESP32-C6", 16: "ESP32-H2", 18: "ESP32-P4"}
"""By the number in the header."""
MAGIC = 0xE9
_HEAD = struct.Struct("<BBBBIBBBBH")  # magic, segments, flash mode, flash size and speed, entry, pins, chip
HEADER = 24
_HAS_SHA256 = 23
_DESCRIPTION, _DESCRIPTION_AT = 0xABCD5432, HEADER + 8  # esp_app_desc_t: the first bytes of a program's first segment


@dataclass(frozen=True)
class EspImage:
    """An image. :ivar chip: its name, as in :data:`CHIPS`. :ivar size: in bytes, its checksum and SHA-256 included.

    :ivar project: what its description says it is; "" where it has none, as boot loaders. :ivar version: of the same.
    """

    chip: str
    size: int
    project: str
    version: str


def parse(data: bytes, name: str) -> EspImage:
    """Read the image that begins a buffer.

    :param name: what to call it in an error.
    :raises FormatError: when it is none, or not all of it is there.
    """
    if len(data) < HEADER or data[0] != MAGIC:
        raise FormatError(f"{name} is no program of an ESP32: it does not begin with {MAGIC:#x}")
    _, segments, *_, chip = _HEAD.unpack_from(data)
    at = HEADER
    for _ in range(segments):
        if at + 8 > len(data):
            break
        at += 8 + struct.unpack_from("<I", data, at + 4)[0]
    size = at + 16 - at % 16  # a checksum is the last of 16 bytes
    if data[_HAS_SHA256] == 1:
        size += 32
    if size > len(data):
        raise FormatError(f"{name} is truncated: its program is {size} bytes, {len(data)} are there; download or copy it again")
    project, version = _description(data)
    return EspImage(CHIPS.get(chip, f"chip {chip}"), size, project, version)


def _description(data: bytes) -> tuple[str, str]:
    if len(data) < _DESCRIPTION_AT + 80 or struct.unpack_from("<I", data, _DESCRIPTION_AT)[0] != _DESCRIPTION:
        return "", ""
    version, project = (data[_DESCRIPTION_AT + at : _DESCRIPTION_AT + at + 32].split(b"\0")[0] for at in (16, 48))
    return project.decode("utf-8", "replace"), version.decode("utf-8", "replace")
