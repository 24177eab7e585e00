"""A bundle in an rp2 chip's mapped flash, between firmware and filesystem: the encoder, then the table; docs/format.md.

Stock MicroPython never writes there; `bitwren image` does, before the board is flashed.
"""

from . import messages
from .messages import Error
from .storage import FLASH, PAGE, XIP, flash_address, size_within


class InFlash:
    """A file of a bundle: `size` bytes at an address. What storage.File takes."""

    def __init__(self, uctypes, path, magic, address, end):
        """Find the file's size, checked against where the filesystem begins, in its first bytes."""
        self._uctypes, self.address, self.path = uctypes, address, path
        self.size = size_within(end - address, lambda: uctypes.bytearray_at(address, 12), magic, path)

    def ways(self):
        """Ways of reading, best first, each with what makes a source for native code."""
        return (("mapped", self._mapped), ("ram", self._in_ram))

    def _mapped(self):
        return self._uctypes.bytearray_at(self.address, self.size)

    def _in_ram(self):
        try:
            return bytearray(self._mapped())
        except MemoryError:
            return None


def files(path):
    """The encoder and the table at the address in a path, "flash:0x10060000", or where they are found: "flash:"."""
    gap = _gap()
    if gap is None:
        raise Error(messages.no_flash())
    uctypes, end = gap
    given = path[len(FLASH) :]
    try:
        address = int(given, 16) if given else _find(uctypes, end)
    except ValueError:
        address = -1
    if address is None:
        raise Error(messages.no_bundle_in_flash(XIP, end))
    if not XIP <= address < end or (address - XIP) % PAGE:
        raise Error(messages.no_address(given, XIP, end))
    encoder = InFlash(uctypes, path + "/encoder.bwe", b"BWE1", address, end)
    return encoder, InFlash(uctypes, path + "/table.bwt", b"BWT1", address + encoder.size, end)


def path_of_bundle():
    """What open() takes for the bundle in front of the filesystem; None where there is none."""
    gap = _gap()
    address = gap and _find(*gap)
    return "{}0x{:08x}".format(FLASH, address) if address else None


def _gap():
    """The module uctypes, and where the filesystem begins in mapped flash; None on chips that are not rp2."""
    try:
        import rp2
        import uctypes
    except ImportError:
        return None
    flash = rp2.Flash()
    end = flash_address(flash, flash.ioctl(4, 0) * flash.ioctl(5, 0), uctypes)
    return None if end is None else (uctypes, end)


def _find(uctypes, end):
    """The address of the first page that begins as an encoder does; None where no page does."""
    flash = uctypes.bytearray_at(XIP, end - XIP)
    for at in range(0, len(flash), PAGE):
        if flash[at : at + 4] == b"BWE1":
            return XIP + at
    return None
