"""The container of ``.bwe`` and ``.bwt`` files: a header page, sections on 4 KB boundaries, a CRC-32 each.

docs/format.md specifies the bytes. Writing is atomic: a new file beside the old, flushed, then renamed.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import BitwrenError, FormatError

PAGE = 4096
VERSION = 1
FIELDS_OFFSET, FIELDS_SIZE = 288, 736
JSON_OFFSET = 1024
MAX_SECTIONS = 16
_HEAD = struct.Struct("<4sHHII")
_ENTRY = struct.Struct("<4sIII")
_CRC_OFFSET = 12


@dataclass(frozen=True)
class Container:
    """A checked file in memory.

    :ivar magic: ``BWE1`` or ``BWT1``.
    :ivar fields: the 736 bytes of fields of this kind of file.
    :ivar notes: the JSON object of the header, for people.
    :ivar sections: contents by 4-character tag, in file order.
    :ivar offsets: where each section begins in the file, bytes.
    """

    magic: str
    fields: bytes
    notes: dict[str, Any]
    sections: dict[str, bytes]
    offsets: dict[str, int]


def pack(magic: str, fields: bytes, notes: Mapping[str, Any], sections: Mapping[str, bytes]) -> bytes:
    """Lay out a whole file.

    :raises FormatError: when fields, notes or sections do not fit the header page.
    """
    text = json.dumps(dict(notes), ensure_ascii=False, sort_keys=True).encode()
    if len(fields) > FIELDS_SIZE or len(text) > PAGE - JSON_OFFSET or len(sections) > MAX_SECTIONS:
        raise FormatError(f"the header's notes are too long: {len(text)} bytes, {PAGE - JSON_OFFSET} are possible")
    page = bytearray(PAGE)
    position = PAGE
    body = bytearray()
    for index, (tag, data) in enumerate(sections.items()):
        _ENTRY.pack_into(page, 32 + 16 * index, tag.encode("ascii"), position, len(data), zlib.crc32(data))
        body += data + bytes(-len(data) % PAGE)
        position = PAGE + len(body)
    _HEAD.pack_into(page, 0, magic.encode("ascii"), VERSION, len(sections), position, 0)
    page[FIELDS_OFFSET : FIELDS_OFFSET + len(fields)] = fields
    page[JSON_OFFSET : JSON_OFFSET + len(text)] = text
    struct.pack_into("<I", page, _CRC_OFFSET, zlib.crc32(page))
    return bytes(page + body)


def unpack(data: bytes, magic: str, name: str = "the file") -> Container:
    """Check everything and take a file apart.

    :param magic: the kind that is wanted.
    :param name: what to call the file in an error.
    :raises FormatError: a sentence on what is wrong with it.
    """
    kind = {"BWE1": "an encoder (.bwe)", "BWT1": "a table (.bwt)"}
    if len(data) < PAGE:
        raise FormatError(f"{name} is truncated or not a bitwren file: {len(data)} bytes, {PAGE} at least are needed")
    found, version, count, size, crc = _HEAD.unpack_from(data)
    if found != magic.encode("ascii"):
        raise FormatError(f"{name} is not {kind.get(magic, magic)}: it starts with {found!r}")
    if version != VERSION:
        raise FormatError(f"{name} has format version {version}, this bitwren reads {VERSION}: update it or rebuild")
    if zlib.crc32(data[:_CRC_OFFSET] + bytes(4) + data[_CRC_OFFSET + 4 : PAGE]) != crc:
        raise FormatError(f"{name} is damaged: its header's checksum does not match; copy or build it again")
    if size != len(data):
        raise FormatError(f"{name} is truncated: {len(data)} of {size} bytes are there; copy or build it again")
    sections: dict[str, bytes] = {}
    offsets: dict[str, int] = {}
    for index in range(min(count, MAX_SECTIONS)):
        tag, offset, length, section_crc = _ENTRY.unpack_from(data, 32 + 16 * index)
        label = tag.decode("ascii", "replace")
        if offset % PAGE or offset < PAGE or offset + length > size:
            raise FormatError(f"{name} is damaged: section {label} lies outside the file")
        section = data[offset : offset + length]
        if zlib.crc32(section) != section_crc:
            raise FormatError(f"{name} is damaged: section {label} has a wrong checksum; copy or build it again")
        sections[label], offsets[label] = section, offset
    fields = data[FIELDS_OFFSET : FIELDS_OFFSET + FIELDS_SIZE]
    return Container(magic, fields, _notes(data[JSON_OFFSET:PAGE]), sections, offsets)


def section(container: Container, tag: str, name: str) -> bytes:
    """A section's bytes.

    :raises FormatError: when the file has none of that tag.
    """
    try:
        return container.sections[tag]
    except KeyError:
        raise FormatError(f"{name} has no section {tag}; build it again") from None


def read_file(path: str | os.PathLike[str]) -> bytes:
    """A file's bytes, or :class:`FormatError` with a sentence."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FormatError(f"{os.fspath(path)} cannot be read: {error.strerror}") from error


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file as a whole: whatever interrupts this, the old contents or the new are there.

    :raises FormatError: when it cannot be written (full disk, no permission); the old file is untouched.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise FormatError(f"{path} cannot be written: {error.strerror}; nothing was changed") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def replace_folder(directory: Path, files: Mapping[str, bytes], known: Collection[str]) -> int:
    """Write a directory of files as a whole; returns their bytes. What was there is replaced only once everything is written.

    :param known: names of files that may be there already.
    :raises BitwrenError: when the directory holds something else, or cannot be written.
    """
    check_folder(directory, known)
    staging: Path | None = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        new, old = staging / "new", staging / "old"
        for name, data in files.items():
            write_atomic(new / name, data)
        if directory.exists():
            os.rename(directory, old)
        try:
            os.rename(new, directory)
        except BaseException:
            if old.exists():
                os.rename(old, directory)
            raise
    except OSError as error:
        raise BitwrenError(f"{directory} cannot be written: {error.strerror}; nothing was changed") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
    return sum(map(len, files.values()))


def check_folder(directory: Path, known: Collection[str]) -> None:
    """Refuse to replace a directory that holds something else.

    :raises BitwrenError: with what it holds.
    """
    others = [directory.name] if directory.exists() else []
    if directory.is_dir():
        others = sorted(file.name for file in directory.iterdir() if file.name not in known)
    if others:
        raise BitwrenError(f"{directory} holds other files ({', '.join(others[:3])}): give a new one, or an earlier result's")


def _notes(padded: bytes) -> dict[str, Any]:
    try:
        notes = json.loads(padded.rstrip(b"\0") or b"{}")
    except ValueError:
        return {}
    return notes if isinstance(notes, dict) else {}
