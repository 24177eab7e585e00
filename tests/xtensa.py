"""The native module for Xtensa, read as MicroPython reads it, and its functions run by qemu-xtensa."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

QEMU = "qemu-xtensa"
CPU = "dc233c"  # of those that qemu has, the one with the instructions of an ESP32 that the module uses
VIPER, RELOCATED, RODATA, BSS, END = 2, 0x10, 0x20, 0x40, 0xFF
TEXT, QSTRS, OBJECTS, FUNCTIONS = 0, 6, 7, 8  # what is added to a word; from FUNCTIONS + 1 on, an entry of mp_fun_table
KEEP, OWN_QSTRS = 0xFFFF, 256


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, length: int) -> bytes:
        assert self.at + length <= len(self.data)
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self) -> int:
        value = 0
        while True:
            byte = self.take(1)[0]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value

    def qstr(self) -> str:
        length = self.number()
        assert length & 1 == 0  # mpy_ld writes all names out
        name = self.take((length >> 1) + 1)
        assert name[-1] == 0
        return name[:-1].decode()


@dataclass
class Module:
    """A .mpy file of native code alone. Relocations are (in rodata, index of the word, what is added)."""

    version: int
    sub_version: int
    arch: int
    small_int_bits: int
    qstrs: list[str]
    text: bytes
    rodata: bytes
    relocations: list[tuple[bool, int, int]]

    @classmethod
    def read(cls, data: bytes) -> Module:
        reader = _Reader(data)
        magic, version, features, small_int_bits = reader.take(4)
        assert magic == ord("M")
        qstr_count, object_count = reader.number(), reader.number()
        assert object_count == 0
        qstrs = [reader.qstr() for _ in range(qstr_count)]
        head = reader.number()
        assert head & 7 == VIPER  # and no children
        text = reader.take(head >> 3)
        flags = reader.number()
        assert flags & RELOCATED
        assert not flags & BSS
        rodata = reader.take(reader.number()) if flags & RODATA else b""
        relocations = list(_relocations(reader))
        assert reader.at == len(data)
        return cls(version, features & 3, features >> 2 & 15, small_int_bits, qstrs, text, rodata, relocations)

    def placed(self, text_at: int, rodata_at: int, qstrs_at: int, functions_at: int, functions: bytes) -> tuple[bytes, bytes]:
        """Text and rodata for these addresses."""
        text, rodata = bytearray(self.text), bytearray(self.rodata)
        for in_rodata, index, kind in self.relocations:
            entry = 4 * (kind - FUNCTIONS - 1)
            added = {TEXT: text_at, 1: rodata_at, QSTRS: qstrs_at, FUNCTIONS: functions_at}.get(kind)
            if added is None:
                (added,) = struct.unpack_from("<I", functions, entry)
                assert added, f"entry {kind - FUNCTIONS - 1} of mp_fun_table is not in the stand-in"
            section = rodata if in_rodata else text
            (word,) = struct.unpack_from("<I", section, 4 * index)
            struct.pack_into("<I", section, 4 * index, (word + added) & 0xFFFFFFFF)
        return bytes(text), bytes(rodata)


def _relocations(reader: _Reader) -> Iterator[tuple[bool, int, int]]:
    in_rodata, index = False, -1
    while (operation := reader.take(1)[0]) != END:
        if operation & 1:
            place = reader.number()
            in_rodata, index = bool(place & 1), place >> 1
        kind = operation >> 1
        count = 1
        if kind < QSTRS:
            count = reader.number() if kind & 1 else 1
            kind >>= 1
        assert index >= 0
        for _ in range(count):
            yield in_rodata, index, kind
            index += 1


@dataclass(frozen=True)
class File:
    """A kept file as a source: whole, in pieces, or through a window."""

    index: int
    piece: int = 0
    window: int = 0

    def packed(self) -> bytes:
        if self.piece:
            return struct.pack("<III", 4, self.index, self.piece)
        return struct.pack("<III", 5, self.index, self.window) if self.window else struct.pack("<II", 3, self.index)


@dataclass(frozen=True)
class Room:
    """A buffer whose contents do not matter."""

    length: int

    def packed(self) -> bytes:
        return struct.pack("<II", 2, self.length)


Argument = int | bytes | File | Room


class Raised(Exception):
    """The module raised an exception."""


class Machine:
    """Calls of the module's functions, collected and then answered by one run of the emulator."""

    def __init__(self, module: Module, build: Path) -> None:
        self._program, self._files = build / "stand_in", 0
        # The module's own names, and those that every MicroPython numbers alike.
        shared = re.findall(r"#define MP_QSTR_(\w+) \((\d+)\)", (build / "bitwren_native.config.h").read_text())
        self._names = {name: int(number) for name, number in shared}
        self._names |= {name: OWN_QSTRS + number for number, name in enumerate(module.qstrs)}
        self._sizes: list[list[int]] = []
        with self._program.open("rb") as file:
            elf = ELFFile(file)
            symbols = elf.get_section_by_name(".symtab")
            at = {symbol.name: symbol["st_value"] for symbol in symbols.iter_symbols()}
            data = elf.get_section_by_name(".data")
            functions = data.data()[at["mp_fun_table"] - data["sh_addr"] :]
        names = ("module_text", "module_rodata", "qstr_table", "mp_fun_table")
        text, rodata = module.placed(*(at[name] for name in names), functions)
        self._input = [_counted(text), _counted(rodata), struct.pack("<I", len(module.qstrs))]

    def keep(self, data: bytes) -> int:
        """A file for later calls."""
        self._input += [struct.pack("<I", KEEP), _counted(data)]
        self._files += 1
        return self._files - 1

    def call(self, name: str, *arguments: Argument) -> None:
        """Call a function; what is bytes, it may write to."""
        self._input.append(struct.pack("<II", self._names[name], len(arguments)))
        for argument in arguments:
            if isinstance(argument, int):
                self._input.append(struct.pack("<II", 0, argument & 0xFFFFFFFF))
            elif isinstance(argument, bytes):
                self._input += [struct.pack("<I", 1), _counted(argument)]
            else:
                self._input.append(argument.packed())
        self._sizes.append([len(argument) for argument in arguments if isinstance(argument, bytes)])

    def answers(self) -> list[tuple[int, list[bytes]]]:
        """For each call what it returned and what its buffers then held."""
        command = [QEMU, "-cpu", CPU, str(self._program)]
        done = subprocess.run(command, input=b"".join(self._input), capture_output=True, timeout=300, check=False)
        assert done.returncode == 0, (done.returncode, done.stderr[-500:])
        reader, found = _Reader(done.stdout), []
        for sizes in self._sizes:
            raised, value = struct.unpack("<Ii", reader.take(8))
            if raised:
                raise Raised
            found.append((value, [reader.take(size) for size in sizes]))
        assert reader.at == len(done.stdout)
        return found


def _counted(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data
