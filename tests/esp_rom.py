"""An emulated ROM loader of the ESP32 family on a pseudo-terminal, after Espressif's published serial protocol.

It is a stand-in for a board with esptool at the other end: SLIP frames, registers as far as a client asks for them, flash that
behaves as NOR flash does (writing clears bits, erasing sets them). A program sent into
RAM is taken for esptool's stub: it is not run, but what it would answer is answered. What a chip does besides is `application`'s.
"""

from __future__ import annotations

import errno
import hashlib
import os
import pty
import select
import struct
import threading
import tty
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from port_name import PortName

SECTOR = 4096
END, ESCAPE = 0xC0, 0xDB
FLASH_BEGIN, FLASH_DATA, FLASH_END = 0x02, 0x03, 0x04
MEM_BEGIN, MEM_END, MEM_DATA = 0x05, 0x06, 0x07
SYNC, WRITE_REG, READ_REG = 0x08, 0x09, 0x0A
SPI_SET_PARAMS, SPI_ATTACH, READ_SLOW, CHANGE_BAUDRATE = 0x0B, 0x0D, 0x0E, 0x0F
DEFL_BEGIN, DEFL_DATA, DEFL_END = 0x10, 0x11, 0x12
SPI_FLASH_MD5, SECURITY_INFO = 0x13, 0x14
# What the ROM says of a command it cannot carry out.
INVALID, FAILED, WRONG_CHECKSUM, FLASH_WRITE_ERROR, NO_INFLATE = 0x05, 0x06, 0x07, 0x08, 0x0B


@dataclass(frozen=True)
class Chip:
    """What of a chip's registers a client asks for.

    :ivar magic: at 0x40001000. :ivar id: in the answer to GET_SECURITY_INFO; None where the ROM does not know that command.
    :ivar spi: its flash controller's base. :ivar usr: offset of the first of four registers of a transaction of one's own.
    :ivar data: offset of its buffer. :ivar mac: efuses with the MAC address.
    :ivar clock: the UART's divider, where it is asked for.
    """

    name: str
    magic: int
    id: int | None
    spi: int
    usr: int
    data: int
    mac: int
    clock: int = 0


CHIPS = {
    "esp32": Chip("esp32", 0x00F01D83, None, 0x3FF42000, 0x1C, 0x80, 0x3FF5A004, 0x3FF40014),
    "esp32s3": Chip("esp32s3", 0x00000009, 9, 0x60002000, 0x18, 0x58, 0x60007044),
    "esp32c3": Chip("esp32c3", 0x1B31506F, 5, 0x60002000, 0x18, 0x58, 0x60008844),
}
MAC = bytes.fromhex("a0b1c2d3e4f5")
CRYSTAL = 40_000_000


@dataclass
class Faults:
    """What goes wrong; blocks of data are counted from 1 on, None or False: never.

    :ivar lose: the data block of which a byte is lost on the line. :ivar losses: how often. :ivar stall: the data block that is
        never answered, nor is anything after it. :ivar unplug: the data block at which the port vanishes.
    :ivar decay: a bit in flash that does not take what is written. :ivar silent: nothing is ever answered.
    :ivar busy: data blocks that answer with an error, as flash does that cannot be written.
    """

    lose: int | None = None
    losses: int = 1
    stall: int | None = None
    unplug: int | None = None
    decay: int | None = None
    silent: bool = False
    busy: bool = False


@dataclass
class EspRom:
    """A board with an ESP32, ESP32-S3 or ESP32-C3 and ``flash_bytes`` of flash, in its boot loader.

    :ivar application: gets what a client says that is not the loader's protocol, and the flash; returns what the board answers.
    :ivar memory: the flash. :ivar commands: what the client asked for, in order.
    """

    chip: Chip
    flash_bytes: int = 4 << 20
    faults: Faults = field(default_factory=Faults)
    application: Callable[[bytes, bytes], bytes] | None = None

    def __post_init__(self) -> None:
        self.memory = bytearray(b"\x00" * self.flash_bytes)  # not erased: who forgets to will be found out
        self.commands: list[int] = []
        self.blocks = 0
        self.error: BaseException | None = None
        self._registers: dict[int, int] = {}
        self.stub = False  # whether a stub was sent and started: its answers are shorter
        self._writing = 0
        self._inflate = zlib.decompressobj()
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self._name = PortName(self._slave)
        self.port = self._name.path
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> EspRom:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self.error:
            raise self.error

    def close(self) -> None:
        """Unplug it for good."""
        os.write(self._waker, b".")
        self._thread.join(10)
        self._unplug()

    def _unplug(self) -> None:
        self._name.remove()
        for name in ("_slave", "_master"):
            if (descriptor := getattr(self, name)) >= 0:
                setattr(self, name, -1)
                os.close(descriptor)

    def _serve(self) -> None:
        try:
            self._listen()
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EBADF):
                self.error = error
        except BaseException as error:
            self.error = error

    def _listen(self) -> None:
        frame: bytearray | None = None  # None: between frames
        said = bytearray()
        while self._master >= 0:
            ready, _, _ = select.select([self._master, self._wake], [], [])
            if self._wake in ready:
                return
            for byte in os.read(self._master, 65536):
                if byte != END:
                    (said if frame is None else frame).append(byte)
                elif frame:
                    self._take(_unescape(bytes(frame)))
                    frame = None
                    if self._master < 0:
                        return
                else:  # a frame's beginning, or two ends in a row
                    frame = bytearray()
                    said.clear()
            if frame is None and said and self.application:
                self._send(self.application(bytes(said), bytes(self.memory)))
                said.clear()

    def _take(self, frame: bytes) -> None:
        if self.faults.silent or len(frame) < 8 or frame[0] != 0:
            return
        command, size, checksum = struct.unpack_from("<xBHI", frame)
        data = frame[8:]
        self.commands.append(command)
        if command in (FLASH_DATA, DEFL_DATA):
            self.blocks += 1
            if self.faults.unplug == self.blocks:
                return self._unplug()
            if self.faults.stall is not None and self.blocks >= self.faults.stall:
                return None
            if self.faults.lose is not None and self.blocks >= self.faults.lose and self.faults.losses > 0:
                self.faults.losses -= 1
                self.blocks -= 1
                data = data[:40] + data[41:]
        if len(data) != size:
            return self._reply(command, error=INVALID)
        if command == SYNC:
            for _ in range(8):
                self._reply(command, 0 if self.stub else 0x20120707)  # by which a client tells them apart
            return None
        try:
            value, answer = self._do(command, data, checksum)
        except Refused as refused:
            return self._reply(command, error=refused.args[0])
        self._reply(command, value, answer)
        if command == MEM_END and struct.unpack_from("<II", data)[1]:
            # The program in RAM is esptool's stub, which greets and then speaks the same protocol with differences.
            self.stub = True
            self._send(_frame(b"OHAI"))
        return None

    def _do(self, command: int, data: bytes, checksum: int) -> tuple[int, bytes]:
        if command == READ_REG:
            return self._read(*struct.unpack("<I", data)), b""
        if command == WRITE_REG:
            address, value, mask, _ = struct.unpack("<IIII", data[:16])
            self._write(address, value & mask | self._registers.get(address, 0) & ~mask)
        elif command == SECURITY_INFO:
            if self.chip.id is None:
                raise Refused(INVALID)
            return 0, struct.pack("<IB7xII", 0, 0, self.chip.id, 3)
        elif command in (FLASH_BEGIN, DEFL_BEGIN):
            self._begin(data)
        elif command in (FLASH_DATA, DEFL_DATA):
            self._data(command, data, checksum)
        elif command == SPI_FLASH_MD5:
            start, size = struct.unpack_from("<II", data)
            digest = hashlib.md5(self.memory[start : start + size])
            return 0, digest.digest() if self.stub else digest.hexdigest().encode()
        elif command == READ_SLOW:
            start, size = struct.unpack_from("<II", data)
            return 0, bytes(self.memory[start : start + size]).ljust(64, b"\x00")
        elif command in (MEM_BEGIN, MEM_DATA, MEM_END):
            if self.stub or (command == MEM_DATA and checksum != _checksum(data[16:])):
                raise Refused(WRONG_CHECKSUM)
        elif command not in (FLASH_END, DEFL_END, SPI_SET_PARAMS, SPI_ATTACH, CHANGE_BAUDRATE):
            raise Refused(INVALID)
        return 0, b""

    def _begin(self, data: bytes) -> None:
        """Erase what will be written. All ROMs but the ESP32's are told in a fifth word whether it is to be encrypted."""
        if len(data) not in ((16, 20) if self.stub else (16,) if self.chip.id is None else (20,)):
            raise Refused(INVALID)
        size, blocks, block, offset = struct.unpack_from("<IIII", data)
        if offset % SECTOR or offset + size > self.flash_bytes or (size > blocks * block and blocks and size > 1 << 24):
            raise Refused(FLASH_WRITE_ERROR)
        end = min(self.flash_bytes, -(-(offset + size) // SECTOR) * SECTOR)
        self.memory[offset:end] = b"\xff" * (end - offset)
        self._writing = offset
        self._inflate = zlib.decompressobj()

    def _data(self, command: int, data: bytes, checksum: int) -> None:
        size, _sequence = struct.unpack_from("<II", data)
        payload = data[16:]
        if len(payload) != size:
            raise Refused(INVALID)
        if checksum != _checksum(payload):
            raise Refused(WRONG_CHECKSUM)
        if self.faults.busy:
            raise Refused(FLASH_WRITE_ERROR)
        if command == DEFL_DATA:
            try:
                payload = self._inflate.decompress(payload)
            except zlib.error as error:
                raise Refused(NO_INFLATE) from error
        begin, end = self._writing, self._writing + len(payload)
        if end > self.flash_bytes:
            raise Refused(FLASH_WRITE_ERROR)
        there, new = int.from_bytes(self.memory[begin:end], "big"), int.from_bytes(payload, "big")
        self.memory[begin:end] = (there & new).to_bytes(len(payload), "big")
        if self.faults.decay is not None and begin <= self.faults.decay < end:
            self.memory[self.faults.decay] ^= 0x10
        self._writing = end

    def _read(self, address: int) -> int:
        chip = self.chip
        if address == 0x40001000:
            return chip.magic
        if address == chip.mac:
            return int.from_bytes(MAC[2:], "big")
        if address == chip.mac + 4:
            return int.from_bytes(MAC[:2], "big")
        if chip.clock and address == chip.clock:
            return CRYSTAL // 115200
        return self._registers.get(address, 0)

    def _write(self, address: int, value: int) -> None:
        """A register; a transaction is done at once, so that its bit is clear when it is next asked for."""
        self._registers[address] = value
        spi = self.chip.spi
        if address == spi and value & 1 << 18:
            self._registers[spi] = 0
            opcode = self._registers.get(spi + self.chip.usr + 8, 0) & 0xFF
            # RDID: manufacturer, type, and the capacity as a power of two.
            answer = 0
            if opcode == 0x9F:
                answer = (self.flash_bytes.bit_length() - 1) << 16 | 0x40 << 8 | 0xC8
            self._registers[spi + self.chip.data] = answer

    def _reply(self, command: int, value: int = 0, data: bytes = b"", error: int = 0) -> None:
        data += bytes((1 if error else 0, error)) + (b"" if self.stub else bytes(2))
        self._send(_frame(struct.pack("<BBHI", 1, command, len(data), value) + data))

    def _send(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._master, left) :]


class Refused(Exception):
    """A command that the ROM answers with an error."""


def _checksum(data: bytes) -> int:
    state = 0xEF
    for byte in data:
        state ^= byte
    return state


def _frame(data: bytes) -> bytes:
    return b"\xc0" + data.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def _unescape(data: bytes) -> bytes:
    return data.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
