"""How a file of a bundle is read: in place from mapped flash or ROMFS, held in RAM, or streamed through one small window, from a
filesystem or from a partition of flash.

What the native module takes as a *source*: a buffer; (extents, size) for pieces of mapped flash; (read, window, size).
"""

import gc
import os
from struct import unpack_from

from . import littlefs, messages
from .messages import Error

XIP = 0x10000000  # where rp2 chips map their flash
PAGE = 4096  # what files of a bundle are whole numbers of
WINDOW = 4096  # more saves few reads: a table is read from front to back, an encoder in small pieces
KINDS = ("mapped", "ram", "file", "partition")
PARTITION, FLASH = "partition:", "flash:"  # begin a path that names a partition, or an address of mapped flash


class Window:
    """The buffer through which files are streamed. Both files of a bundle share it: every call on one begins by filling it."""

    def __init__(self):
        self._buffer = None

    def buffer(self):
        """The bytes, from the first time they are wanted."""
        if self._buffer is None:
            self._buffer = bytearray(WINDOW)
        return self._buffer


def files(path):
    """Where a bundle's encoder and table are: in a directory, in the partition after "partition:", at the address after "flash:".

    In a directory the encoder is None where only the table is there: its codes may be from elsewhere.
    """
    window = Window()
    if path.startswith(PARTITION):
        from . import partition  # not before it is needed: it takes RAM

        return partition.files(path, window)
    if path.startswith(FLASH):
        from . import flash

        return flash.files(path)
    encoder, table = path + "/encoder.bwe", path + "/table.bwt"
    alone = _is_there(table) and not _is_there(encoder)
    return None if alone else InDirectory(encoder, window), InDirectory(table, window)


def _is_there(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


class InDirectory:
    """A file of a filesystem, as File wants it."""

    def __init__(self, path, window):
        self.path, self._window = path, window
        try:
            self.size = os.stat(path)[6]
        except OSError:
            raise Error(messages.missing(path))

    def ways(self):
        """Ways of reading, best first, each with what makes a source for native code, or None where it is not possible."""
        return (("mapped", self._mapped), ("ram", self._in_ram), ("file", self._streamed))

    def _mapped(self):
        return _mapped(self.path, self.size)

    def _in_ram(self):
        return _in_ram(self.path, self.size)

    def _streamed(self):
        return _streamed(self.path, self._window.buffer(), self.size)


class File:
    """A checked file. `kind` says how it is read; `source` is for the native module.

    What is mapped stays in place until the file is replaced or removed: open a bundle anew after that.
    """

    def __init__(self, native, place, magic, storage):
        """Take the best way that gives the file's checked contents.

        :param place: InDirectory, or another that has path, size and ways(). :param storage: "auto" or one of KINDS.
        """
        if storage != "auto" and storage not in KINDS:
            raise Error(messages.unknown_storage(storage))
        code = None
        for kind, make in place.ways():
            automatic = storage == "auto" and (kind != "ram" or _is_small(place.size))
            if not automatic and storage != kind:
                continue
            try:
                source = make()
                if source is None:
                    continue
                code = native.check(source, magic, True)
            except OSError:
                code = messages.READ
            if code == 0:
                self.path, self.size, self.kind, self.source = place.path, place.size, kind, source
                return
        path = place.path
        raise Error(messages.no_storage(path, storage) if code is None else messages.bad_file(path, code))


def _mapped(path, size):
    """A file where it lies in memory: in ROMFS, on any port, or in the flash that an rp2 chip maps; None if it does not."""
    try:
        import uctypes
    except ImportError:
        return None
    return _in_romfs(path, uctypes) or _in_rp2_flash(path, size, uctypes)


def _in_romfs(path, uctypes):
    """The open file: those of ROMFS, and only those, are buffers over their contents."""
    file = open(path, "rb")
    try:
        if uctypes.addressof(file) % 4 == 0:  # mpremote aligns no file, `bitwren` every one
            return file
    except TypeError:
        pass
    file.close()
    return None


def _in_rp2_flash(path, size, uctypes):
    """Extents of a file in flash; None where it is not in littlefs there."""
    try:
        import rp2
    except ImportError:
        return None
    flash = rp2.Flash()
    length = flash.ioctl(4, 0) * flash.ioctl(5, 0)
    address = flash_address(flash, length, uctypes)
    if address is None:
        return None
    try:
        region = uctypes.bytearray_at(address, length)
        places, found_size = littlefs.extents(region, absolute(path), flash.ioctl(5, 0), address)
    except littlefs.NotFound:
        return None
    return (places, size) if found_size == size else None


def flash_address(flash, length, uctypes):
    """Where the filesystem's flash is mapped: the last part of a flash of 1 to 16 MB, its first bytes tell which."""
    try:
        return uctypes.addressof(flash)  # MicroPython 1.25 and later
    except TypeError:
        pass
    first = bytearray(512)
    flash.readblocks(0, first, 0)
    for megabytes in (1, 2, 4, 8, 16):
        address = XIP + (megabytes << 20) - length
        if address >= XIP and uctypes.bytearray_at(address, len(first)) == first:
            return address
    return None


def size_within(room, head, magic, path):
    """The size of a bundle's file that lies outside a filesystem: what its first bytes say, checked against `room`.

    :param head: gives its first 12 bytes; not called where there is no room for a file.
    """
    if room < PAGE:
        raise Error(messages.bad_file(path, messages.READ))
    first = head()
    if first[:4] != magic:
        raise Error(messages.bad_file(path, messages.MAGIC))
    size = unpack_from("<I", first, 8)[0]
    if not PAGE <= size <= room or size % PAGE:
        raise Error(messages.bad_file(path, messages.READ))
    return size


def absolute(path):
    """A path from the root, as bytes, without "." and ".."."""
    names = []
    for name in (path if path.startswith("/") else os.getcwd() + "/" + path).split("/"):
        if name == "..":
            del names[-1:]
        elif name and name != ".":
            names.append(name)
    return "/".join(names).encode()


def _is_small(size):
    gc.collect()
    return size <= gc.mem_free() // 4  # leaves room for the other file, queries and answers


def _in_ram(path, size):
    """All of a file; None where it does not fit."""
    try:
        contents = bytearray(size)
    except MemoryError:
        return None
    with open(path, "rb") as file:
        read = file.readinto(contents)
    return contents if read == size else None


def _streamed(path, window, size):
    """A window over a file that stays open."""
    file = open(path, "rb")
    view = memoryview(window)

    def read(offset, length):
        try:
            file.seek(offset)
            if file.readinto(view[:length]) == length:
                return 0
        except OSError:
            pass
        raise Error(messages.bad_file(path, messages.READ))  # since it was opened it became shorter, or its card was taken out

    return read, window, size
