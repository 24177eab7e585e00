"""relocations.py FROM.o TO.o: LLVM's Xtensa object, with its relocations as gcc writes them and MicroPython's mpy_ld reads them.

The address of a section plus a number, as a literal: the number stands in the section, not in the relocation.
A load of a literal (`l32r`): its distance stands at zero until it is linked.
"""

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from elftools.elf.elffile import ELFFile

R_XTENSA_32, R_XTENSA_SLOT0_OP = 1, 20
L32R = 1  # the low four bits of the instruction; its distance is the upper two of three bytes
ADDEND_AT = 8  # in a relocation: offset, symbol and type, addend, each of 32 bits


class UnknownRelocation(Exception):
    """What no rule here is for."""


def edits(elf: ELFFile) -> Iterator[tuple[int, bytes]]:
    """What to write where in the file."""
    for table in elf.iter_sections("SHT_RELA"):
        section = elf.get_section(table["sh_info"])
        if not section.name.startswith((".text", ".literal")):
            continue
        for number, relocation in enumerate(table.iter_relocations()):
            place = section["sh_offset"] + relocation["r_offset"]
            kind, addend = relocation["r_info_type"], relocation["r_addend"]
            symbol = elf.get_section(table["sh_link"]).get_symbol(relocation["r_info_sym"])
            if kind == R_XTENSA_32 and section.name == ".literal":
                if symbol["st_info"]["type"] == "STT_SECTION":
                    yield place, struct.pack("<I", addend)
                    yield table["sh_offset"] + number * table["sh_entsize"] + ADDEND_AT, bytes(4)
            elif kind == R_XTENSA_SLOT0_OP and elf.get_section(symbol["st_shndx"]).name == ".literal":
                if section.data()[relocation["r_offset"]] & 15 != L32R:
                    raise UnknownRelocation(f"no l32r at {section.name}+{relocation['r_offset']:#x}")
                yield place + 1, bytes(2)
            else:
                raise UnknownRelocation(f"type {kind} at {section.name}+{relocation['r_offset']:#x}")


def main() -> None:
    """Rewrite a file."""
    source, target = map(Path, sys.argv[1:])
    data = bytearray(source.read_bytes())
    with source.open("rb") as file:
        for at, content in edits(ELFFile(file)):
            data[at : at + len(content)] = content
    target.write_bytes(data)


if __name__ == "__main__":
    main()
