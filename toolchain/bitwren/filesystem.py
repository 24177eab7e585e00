"""Images of the littlefs filesystems that MicroPython mounts: made from files, and read back."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from littlefs import LittleFS, LittleFSError

from .errors import BitwrenError, FormatError

BLOCK = 4096
# littlefs 2.0, which every MicroPython reads; newer ones raise it at their first write.
_DISK_VERSION = 0x00020000
_READ = 32
_MAGIC = b"littlefs"
_MARGIN = 4  # blocks on either side of one with contents that are written all the same: 1 would do


@dataclass(frozen=True)
class Sizes:
    """With what sizes MicroPython mounts: an image written with the board's own is appended to without moving anything first."""

    program: int
    cache: int


SIZES = {"rp2": Sizes(256, 1024), "esp32": Sizes(32, 128)}
"""By a board's family."""


class FilesystemFull(BitwrenError):
    """Files that do not fit. :ivar over: bytes of whole blocks by which."""

    def __init__(self, said: str, over: int) -> None:
        super().__init__(said)
        self.over = over


def image(files: Mapping[str, bytes], size: int, sizes: Sizes, what: str) -> bytes:
    """A filesystem of ``size`` bytes with ``files``: path on the board → contents. Folders are made as needed.

    What of it is to be written, if not all, says :func:`written`.

    :param what: whose filesystem it is, for an error: "the Pico's filesystem".
    :raises FilesystemFull: with by how much. :raises BitwrenError: for a path that cannot be.
    """
    made = _write(files, size // BLOCK, sizes)
    if made is not None:
        return bytes(made.context.buffer)
    needed = sum(len(contents) for contents in files.values())
    # Twice the contents holds them and all bookkeeping, so that how much is missing can be told.
    larger = _write(files, 2 * needed // BLOCK + 64 + 4 * len(files), sizes)
    over = max(BLOCK, BLOCK * larger.used_block_count - size) if larger else needed
    raise FilesystemFull(
        f"flash full: the files are {needed:,} bytes and {what} holds {size:,}, its own bookkeeping included: {over:,} too many",
        over,
    )


def written(data: bytes) -> list[tuple[int, int]]:
    """What of a new image must be written over an old filesystem: (begin, end) in bytes, in order.

    Not all blocks without contents can be left out. A directory is a pair of blocks, of which littlefs takes the one with the
    higher revision: where one was not used yet, an old filesystem's might be taken for it. But littlefs hands blocks out in a
    row, so both lie side by side, the last block beside the first.
    """
    count = len(data) // BLOCK
    needed: set[int] = set()
    for block in range(count):
        if block < 2 or data[block * BLOCK : (block + 1) * BLOCK] != b"\xff" * BLOCK:
            needed.update((block + beside) % count for beside in range(-_MARGIN, _MARGIN + 1))
    pieces: list[tuple[int, int]] = []
    for block in sorted(needed):
        begin = block * BLOCK
        if pieces and pieces[-1][1] == begin:
            begin = pieces.pop()[0]
        pieces.append((begin, (block + 1) * BLOCK))
    return pieces


def _write(files: Mapping[str, bytes], blocks: int, sizes: Sizes) -> LittleFS | None:
    """The filesystem, or None where the files do not fit."""
    filesystem = _open(blocks, sizes)
    for name, contents in files.items():
        path = PurePosixPath("/") / name
        try:
            filesystem.makedirs(str(path.parent), exist_ok=True)
            with filesystem.open(str(path), "wb") as file:
                file.write(contents)
        except (LittleFSError, OSError) as error:
            if getattr(error, "code", None) == LittleFSError.Error.LFS_ERR_NOSPC:
                return None
            raise BitwrenError(f"the file {path} cannot be put on the board: {error}") from error
    return filesystem


def block_count(data: bytes, at: int = 0) -> int:
    """How many blocks the filesystem has whose superblock, its block 0 or 1, begins at ``at``; 0 where none does."""
    if data[at + 8 : at + 16] == _MAGIC and len(data) >= at + 32:
        version, size, count = struct.unpack_from("<3I", data, at + 20)
        if version >> 16 == 2 and size == BLOCK:
            return int(count)
    return 0


@dataclass(frozen=True)
class Contents:
    """What a filesystem holds. :ivar files: by path without the first slash. :ivar used: bytes of the blocks in use."""

    files: dict[str, bytes]
    used: int


def read(data: bytes, name: str) -> Contents:
    """Read a whole image.

    :param name: what to call it in an error.
    :raises FormatError: when it is damaged.
    """
    files: dict[str, bytes] = {}
    try:
        filesystem = _open(len(data) // BLOCK, SIZES["rp2"], mount=False)
        filesystem.context.buffer = bytearray(data)
        filesystem.mount()
        for folder, _, names in filesystem.walk("/"):
            for file_name in names:
                path = str(PurePosixPath(folder) / file_name)
                if filesystem.stat(path).size > len(data):
                    raise FormatError(f"{name} is damaged: {path} is larger than the filesystem")
                with filesystem.open(path, "rb") as file:
                    files[path.lstrip("/")] = bytes(file.read())
        return Contents(dict(sorted(files.items())), int(filesystem.used_block_count) * BLOCK)
    except (LittleFSError, OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{name} is damaged: {error}") from error


def _open(blocks: int, sizes: Sizes, mount: bool = True) -> LittleFS:
    return LittleFS(
        block_size=BLOCK,
        block_count=blocks,
        read_size=_READ,
        prog_size=sizes.program,
        cache_size=sizes.cache,
        lookahead_size=_READ,
        disk_version=_DISK_VERSION,
        mount=mount,
    )
