"""ROMFS images: MicroPython's read-only filesystem (1.25 and later), whose files are used where they lie in memory.

``mpremote romfs build`` makes such images too, with every file at whatever address comes next. A bundle that is to be
read in place must begin at a multiple of 4, and here every file does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from bitwren.errors import BitwrenError

ALIGNMENT = 4
MAGIC = b"\xd2\xcd\x31"
PADDING, VERBATIM, DIRECTORY, FILE = 1, 2, 4, 5  # kinds of records
# A length may have leading zeroes. With 4 digits of 7 bits for each, the place of what follows is known beforehand.
LENGTH_DIGITS = 4
LARGEST = (1 << 7 * LENGTH_DIGITS) - 1

_Tree = dict[str, "bytes | _Tree"]


def romfs_image(files: Mapping[str, bytes]) -> bytes:
    """Return a filesystem with ``files``: path → contents. Folders are made as needed.

    :raises BitwrenError: when a name is both a file and a folder, or all of it is larger than the format's 256 MB.
    """
    tree: _Tree = {}
    for name, contents in files.items():
        *folders, last = PurePosixPath("/", name).parts[1:]
        place = tree
        for folder in folders:
            inner = place.setdefault(folder, {})
            if not isinstance(inner, dict):
                raise BitwrenError(f"{name} cannot be put into ROMFS: {folder} is a file there")
            place = inner
        if isinstance(place.get(last), dict):
            raise BitwrenError(f"{name} cannot be put into ROMFS: it is a folder there")
        place[last] = contents
    contents = _contents(tree, len(MAGIC) + LENGTH_DIGITS)
    # MicroPython wants an even number of bytes.
    if (len(MAGIC) + LENGTH_DIGITS + len(contents)) % 2:
        contents += _record(PADDING, b"")
    return MAGIC + _length(len(contents)) + contents


def _contents(tree: _Tree, at: int) -> bytes:
    """The records of a folder's entries. :param at: where in the image they begin."""
    made = bytearray()
    for name, entry in tree.items():
        label = name.encode()
        head = _length(len(label)) + label
        begin = at + len(made) + 1 + LENGTH_DIGITS + len(head)  # of what follows the entry's name
        if isinstance(entry, dict):
            made += _record(DIRECTORY, head + _contents(entry, begin))
        else:
            made += _record(FILE, head + _aligned(begin + 1 + LENGTH_DIGITS) + _record(VERBATIM, entry))
    return bytes(made)


def _aligned(at: int) -> bytes:
    """A record that moves what would lie at ``at`` to a multiple of ALIGNMENT; nothing if it is there already."""
    if at % ALIGNMENT == 0:
        return b""
    return _record(PADDING, bytes(-(at + 1 + LENGTH_DIGITS) % ALIGNMENT))


def _record(kind: int, payload: bytes) -> bytes:
    return bytes([kind]) + _length(len(payload)) + payload


def _length(value: int) -> bytes:
    """A number, most significant digit first; the last digit is the one without bit 7."""
    if value > LARGEST:
        raise BitwrenError(f"a ROMFS image holds at most {LARGEST:,} bytes: use fewer documents")
    digits = [value >> 7 * place & 0x7F for place in reversed(range(LENGTH_DIGITS))]
    return bytes([digit | 0x80 for digit in digits[:-1]] + digits[-1:])
