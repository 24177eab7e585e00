"""A bundle in a data partition of an ESP32's flash: the encoder at its beginning, the table right behind it; docs/format.md.

MicroPython does not map partitions, and reads any bytes of them without a filesystem.
"""

from . import messages
from .messages import Error
from .storage import PARTITION, size_within

LABEL = "bitwren"  # of the one that is looked for


class InPartition:
    """A file of a bundle: `size` bytes from `offset` on. What storage.File takes."""

    def __init__(self, partition, path, magic, offset, window):
        """Find the file's size, checked against the partition's, in its first bytes."""
        self._partition, self._offset, self._window = partition, offset, window
        self._block = partition.ioctl(5, 0)
        self.path = path
        self.size = size_within(partition.info()[3] - offset, self._head, magic, path)

    def ways(self):
        """Ways of reading, best first, each with what makes a source for native code."""
        return (("ram", self._in_ram), ("partition", self._streamed))

    def _in_ram(self):
        try:
            contents = bytearray(self.size)
        except MemoryError:
            return None
        self._fill(0, contents)
        return contents

    def _streamed(self):
        window = self._window.buffer()
        view = memoryview(window)

        def read(offset, length):
            self._fill(offset, view[:length])
            return 0

        return read, window, self.size

    def _head(self):
        head = bytearray(12)
        self._fill(0, head)
        return head

    def _fill(self, offset, buffer):
        """Bytes of the file from `offset` on."""
        offset += self._offset
        try:
            self._partition.readblocks(offset // self._block, buffer, offset % self._block)
        except OSError:  # with a number of ESP-IDF's
            raise Error(messages.bad_file(self.path, messages.READ))


def files(path, window):
    """The encoder and the table in the partition that a path names."""
    label = path[len(PARTITION) :]
    partition = find(label)
    if partition is None:
        raise Error(messages.no_partition(label))
    encoder = InPartition(partition, path + "/encoder.bwe", b"BWE1", 0, window)
    return encoder, InPartition(partition, path + "/table.bwt", b"BWT1", encoder.size, window)


def find(label):
    """The data partition of that label, or None."""
    try:
        from esp32 import Partition
    except ImportError:
        return None
    found = Partition.find(Partition.TYPE_DATA, label=label)
    return found[0] if found else None


def path_of_bundle():
    """What open() takes for the bundle in partition LABEL; None where there is none."""
    partition = find(LABEL)
    head = bytearray(4)
    try:
        if partition is not None:
            partition.readblocks(0, head, 0)
    except OSError:
        pass
    return PARTITION + LABEL if head == b"BWE1" else None
