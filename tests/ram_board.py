"""A board of QEMU's with a filesystem that is written to and outlives a reset: the stock port has none.

A log in memory that MicroPython does not use: a record for each file written, folder made, name changed or removed. What counts
is what has been written to its end, as in a filesystem that survives a cut of power.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from board_bundle import CACHE

from bitwren_host.qemu import MACHINES, MOUNT, MOUNTED, QemuBoard
from bitwren_host.serial_link import PortLine

PATIENCE = 60.0
ROOM = 1 << 20

RAMFS = """
import gc, io, os, struct, sys, uctypes, vfs

BASE, ROOM, BLOCK = {base}, {room}, 4096
WRITE, FOLDER, RENAME, REMOVE = 1, 2, 3, 4

def memory(at, size):
    return uctypes.bytearray_at(BASE + at, size)

class File(io.IOBase):
    def __init__(self, fs, path, mode):
        self.fs, self.path, self.text, self.at = fs, path, "b" not in mode, 0
        self.writing = "w" in mode
        if self.writing:
            fs.demand(0)
            self.begin = fs.end + 12 + len(path)
            self.size = 0
        else:
            self.begin, self.size = fs.file(path)

    def write(self, data):
        data = data.encode() if isinstance(data, str) else data
        self.fs.demand(self.size + len(data))
        memory(self.begin + self.size, len(data))[:] = data
        self.size += len(data)
        return len(data)

    def readinto(self, buffer):
        count = min(len(buffer), self.size - self.at)
        buffer[:count] = memory(self.begin + self.at, count)
        self.at += count
        return count

    def read(self, size=-1):
        count = self.size - self.at if size < 0 else min(size, self.size - self.at)
        data = bytes(memory(self.begin + self.at, count))
        self.at += count
        return data.decode() if self.text else data

    def seek(self, at, whence=0):
        self.at = at
        return at

    def ioctl(self, request, argument):
        return 0

    def close(self):
        if self.writing:
            self.writing = False
            self.fs.log(WRITE, self.path, self.size)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

class Filesystem:
    def __init__(self):
        self.entries, self.end, self.here = {{"": None}}, 0, "/"
        while True:
            kind, name, size = struct.unpack("<III", memory(self.end, 12))
            if not kind:
                break
            self.apply(kind, bytes(memory(self.end + 12, name)).decode(), size)

    def apply(self, kind, name, size):
        at = self.end + 12 + len(name)
        if kind == RENAME:
            new = bytes(memory(at, size)).decode()
            self.entries[new] = self.entries.pop(name)
        elif kind == REMOVE:
            del self.entries[name]
        else:
            self.entries[name] = (at, size) if kind == WRITE else None
        self.end = (at + size + 3) & ~3

    def log(self, kind, name, size=0, data=b""):
        begin = self.end
        memory(begin + 12, len(name))[:] = name.encode()
        memory(begin + 12 + len(name), len(data))[:] = data
        memory((begin + 12 + len(name) + (len(data) or size) + 3) & ~3, 4)[:] = bytes(4)
        memory(begin, 12)[:] = struct.pack("<III", kind, len(name), len(data) or size)
        self.apply(kind, name, len(data) or size)

    def full(self, path):
        path = path if path.startswith("/") else self.here.rstrip("/") + "/" + path
        return path.rstrip("/")

    def demand(self, size):
        if self.free() * BLOCK < size:
            raise OSError(28)

    def free(self):
        used = sum(-(-entry[1] // BLOCK) for entry in self.entries.values() if entry)
        return (ROOM // BLOCK) - used

    def file(self, path):
        entry = self.entries.get(path)
        if entry is None:
            raise OSError(2)
        return entry

    def mount(self, readonly, mkfs):
        pass

    def umount(self):
        pass

    def open(self, path, mode):
        return File(self, self.full(path), mode)

    def chdir(self, path):
        self.here = path

    def getcwd(self):
        return self.here

    def stat(self, path):
        path = self.full(path)
        if path not in self.entries:
            raise OSError(2)
        entry = self.entries[path]
        return (0x8000 if entry else 0x4000, 0, 0, 0, 0, 0, entry[1] if entry else 0, 0, 0, 0)

    def statvfs(self, path):
        return (BLOCK, BLOCK, ROOM // BLOCK, self.free(), self.free(), 0, 0, 0, 0, 255)

    def ilistdir(self, path):
        folder = self.full(path)
        if folder not in self.entries or self.entries[folder]:
            raise OSError(2)
        for name in list(self.entries):
            if name and name.rsplit("/", 1)[0] == folder:
                entry = self.entries[name]
                yield (name.rsplit("/", 1)[1], 0x8000 if entry else 0x4000, 0, entry[1] if entry else 0)

    def mkdir(self, path):
        path = self.full(path)
        if path in self.entries:
            raise OSError(17)
        self.log(FOLDER, path)

    def remove(self, path):
        path = self.full(path)
        self.file(path)
        self.log(REMOVE, path)

    def rename(self, old, new):
        old, new = self.full(old), self.full(new)
        self.file(old)
        self.log(RENAME, old, 0, new.encode())

def seed(names):
    for name in names:
        folder = "/ram"
        for part in name.split("/")[:-1]:
            folder += "/" + part
            try:
                os.mkdir(folder)
            except OSError:
                pass
        with open("/rom/seed/" + name, "rb") as source, open("/ram/" + name, "wb") as sink:
            data = source.read(512)
            while data:
                sink.write(data)
                data = source.read(512)

made = Filesystem()
vfs.mount(made, "/ram")
if len(made.entries) == 1:
    seed({names!r})
os.chdir("/ram")
sys.path[:] = ["", "/ram/lib", "/rom/lib"]
gc.collect()
print("ramfs:", "mounted")
"""


class RamBoard:
    """A QEMU board whose root is ``/ram``. :attr:`port` is its pseudo-terminal."""

    def __init__(self, name: str, board: QemuBoard, image: int) -> None:
        self.port = board.port
        self._mount = MOUNT.format(MACHINES[name].address, image)

    def boot(self, main: bool = False) -> None:
        """Reset it, mount its filesystem, and start its main.py if that is wanted: the stock port does not by itself."""
        with PortLine(self.port) as line:
            line.write(b"\r\x03\x03\x02")
            self._until(line, b'Type "help()"')
            line.write(b"\x04")
            self._until(line, b"soft reboot")
            self._until(line, b'Type "help()"')
            line.write(self._mount.encode() + b"\r")
            self._until(line, MOUNTED)
            line.write(b"import ramfs\r")
            self._until(line, b"ramfs: mounted")
            if main:
                line.write(b"import main\r")

    def _until(self, line: PortLine, wanted: bytes) -> None:
        deadline = time.monotonic() + PATIENCE
        while wanted not in line.readline(max(0.0, deadline - time.monotonic())):
            pass


@contextmanager
def ram_board(name: str, contents: Mapping[str, bytes] | None = None) -> Iterator[RamBoard]:
    """A board, and what its filesystem holds at first."""
    machine, contents = MACHINES[name], contents or {}
    module = RAMFS.format(base=machine.address + machine.room // 2, room=ROOM, names=list(contents))
    # Compiled, so that it is run from ROM: the heap is small.
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary, "ramfs.py")
        source.write_text(module)
        cross = CACHE / "micropython" / "mpy-cross" / "mpy-cross"
        compiled = subprocess.run([cross, "-o", "-", source], check=True, capture_output=True).stdout
    files = {"ramfs.mpy": compiled} | {f"seed/{path}": data for path, data in contents.items()}
    with QemuBoard(name, CACHE / "micropython" / name / "firmware.elf", files, boot_timeout=PATIENCE) as board:
        ram = RamBoard(name, board, board.image_bytes)
        ram.boot()
        yield ram
