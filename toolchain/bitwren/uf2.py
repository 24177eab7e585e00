"""UF2 files, as the boot loader of an RP2040 or RP2350 takes them on its drive: blocks of 512 bytes, each 256 with their address.

After Microsoft's specification of the format (github.com/microsoft/uf2) and the chips' datasheets (RP2040 2.8.4, RP2350 5.5).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import FormatError

BLOCK, PAYLOAD, SECTOR = 512, 256, 4096
FAMILIES = {
    0xE48BFF56: "RP2040",
    0xE48BFF57: "absolute",
    0xE48BFF58: "data",
    0xE48BFF59: "RP2350, Arm",
    0xE48BFF5A: "RP2350, RISC-V",
    0xE48BFF5B: "RP2350, Arm non-secure",
}
ABSOLUTE = 0xE48BFF57
"""The family that an RP2350 writes to its flash wherever partitions lie; an RP2040 does not know it."""
_START, _SECOND, _END = 0x0A324655, 0x9E5D5157, 0x0AB16F30
_NOT_FLASH, _CONTAINER, _HAS_FAMILY, _HAS_TAGS = 0x1, 0x1000, 0x2000, 0x8000
# picotool begins an RP2350's file with a block that the boot loader is to pass over (erratum RP2350-E10), numbered by itself.
_IGNORED_TAG = 0x9957E304
_HEAD = struct.Struct("<8I")
_MOST_PAYLOAD = 476


@dataclass(frozen=True)
class Run:
    """Bytes in a row.

    :ivar address: of the first, as the chip maps it. :ivar family: of chips that they are for; None where the file does not say.
    """

    address: int
    data: bytes
    family: int | None

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + len(self.data)


@dataclass(frozen=True)
class Uf2:
    """What a file writes. :ivar runs: by address. :ivar ignored: whole blocks that every boot loader passes over, as they are."""

    runs: tuple[Run, ...]
    ignored: bytes = b""


def write(content: Uf2) -> bytes:
    """A file of 256-byte blocks in whole sectors, numbered from 0 on; blocks to be ignored come first.

    What is missing of a sector is 0xFF: an RP2040 may leave the rest of a sector unerased (erratum RP2040-E14).

    :raises FormatError: when runs overlap, or two families share a sector.
    """
    sectors: dict[int, tuple[bytearray, int | None]] = {}
    end = 0
    for run in sorted(content.runs, key=lambda run: run.address):
        if run.address < end or run.end > 1 << 32:
            raise FormatError(f"what begins at {run.address:#x} cannot be in the UF2: up to {end:#x} it is taken already")
        end, at = run.end, run.address
        while at < end:
            begin = at - at % SECTOR
            sector, family = sectors.setdefault(begin, (bytearray(b"\xff" * SECTOR), run.family))
            if family != run.family:
                raise FormatError(f"the sector at {begin:#x} cannot be for two kinds of chips")
            piece = run.data[at - run.address : begin + SECTOR - run.address]
            sector[at - begin : at - begin + len(piece)] = piece
            at += len(piece)
    count = len(sectors) * SECTOR // PAYLOAD
    pieces = [content.ignored]
    number = 0
    for begin, (sector, family) in sectors.items():
        flags = 0 if family is None else _HAS_FAMILY
        for at in range(0, SECTOR, PAYLOAD):
            pieces.append(_HEAD.pack(_START, _SECOND, flags, begin + at, PAYLOAD, number, count, family or 0))
            pieces.append(bytes(sector[at : at + PAYLOAD]).ljust(_MOST_PAYLOAD, b"\0") + _END.to_bytes(4, "little"))
            number += 1
    return b"".join(pieces)


def family_name(family: int) -> str:
    """A family's name, or its number."""
    return FAMILIES.get(family, f"the family {family:#x}")


def is_uf2(data: bytes) -> bool:
    """Whether a file begins as a UF2 does."""
    return len(data) >= 8 and struct.unpack_from("<2I", data) == (_START, _SECOND)


def read(data: bytes, name: str) -> Uf2:
    """Check a file as a boot loader would, and take it apart.

    :param name: what to call it in an error.
    :raises FormatError: what no boot loader would take whole: bytes missing, blocks that are numbered wrong, addresses twice.
    """
    if len(data) % BLOCK or not data:
        raise FormatError(
            f"{name} is no whole UF2: {len(data)} bytes, and a UF2 has blocks of {BLOCK}; download or copy it again"
        )
    blocks: list[Run] = []
    ignored: list[bytes] = []
    numbers: set[int] = set()
    total: int | None = None
    for index in range(len(data) // BLOCK):
        block = data[index * BLOCK : (index + 1) * BLOCK]
        start, second, flags, address, size, number, count, family = _HEAD.unpack_from(block)
        if (start, second, *struct.unpack_from("<I", block, BLOCK - 4)) != (_START, _SECOND, _END):
            raise FormatError(f"{name} is no UF2, or damaged: block {index} has wrong magic numbers; download or copy it again")
        if flags & (_NOT_FLASH | _CONTAINER) or _is_ignored(block, flags, size):
            ignored.append(block)
            continue
        if not 0 < size <= _MOST_PAYLOAD or address + size > 1 << 32:
            raise FormatError(f"{name} is damaged: block {index} holds {size} bytes for address {address:#x}")
        total = count if total is None else total
        if number in numbers or count != total or number >= count:
            raise FormatError(
                f"{name} cannot be flashed: block {index} is number {number} of {count}, which does not fit the others; where "
                "files were joined, blocks must be numbered anew"
            )
        numbers.add(number)
        blocks.append(Run(address, block[32 : 32 + size], family if flags & _HAS_FAMILY else None))
    if total is not None and len(numbers) != total:
        raise FormatError(f"{name} is truncated: {len(numbers)} of {total} blocks are there; download or copy it again")
    return Uf2(_joined(blocks, name), b"".join(ignored))


def _is_ignored(block: bytes, flags: int, size: int) -> bool:
    """Whether a tag behind the payload says that an RP2350 is to pass over the block."""
    tagged = flags & _HAS_TAGS and size <= _MOST_PAYLOAD - 4
    return bool(tagged and struct.unpack_from("<I", block, 32 + size)[0] == _IGNORED_TAG)


def _joined(blocks: Sequence[Run], name: str) -> tuple[Run, ...]:
    """Blocks of one family that touch each other as one run."""
    runs: list[tuple[Run, list[bytes]]] = []
    end = -1
    for block in sorted(blocks, key=lambda block: block.address):
        if block.address < end:
            raise FormatError(f"{name} cannot be flashed: it writes to address {block.address:#x} twice")
        if block.address == end and runs[-1][0].family == block.family:
            runs[-1][1].append(block.data)
        else:
            runs.append((block, [block.data]))
        end = block.end
    return tuple(Run(first.address, b"".join(pieces), first.family) for first, pieces in runs)
