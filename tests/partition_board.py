"""An ESP32's data partitions, for boards that have none: a module `esp32` for MicroPython and CPython, and what lies in it.

It does what MicroPython's own (ports/esp32/esp32_partition.c) and ESP-IDF's esp_partition_read do: blocks of 4096 bytes, any
offset and length, and an OSError with ESP-IDF's error code, negative, for what goes beyond the partition.
"""

from __future__ import annotations

from board_bundle import bundle_bytes

from bitwren.bundle import ENCODER_FILE, TABLE_FILE, Bundle

ESP32 = """
class Partition:
    TYPE_APP, TYPE_DATA = 0, 1
    contents = {}  # of the data partitions, by label
    reads = []  # (offset, length)

    def __init__(self, label):
        self._label = label

    @staticmethod
    def find(type=0, subtype=255, label=None, block_size=4096):
        return [Partition(name) for name in Partition.contents if type == 1 and label in (None, name)]

    def info(self):
        return 1, 0x40, 0x200000, len(Partition.contents[self._label]), self._label, False

    def ioctl(self, command, argument):
        return {4: len(Partition.contents[self._label]) // 4096, 5: 4096}.get(command)

    def readblocks(self, block, buffer, offset=0):
        data, begin = Partition.contents[self._label], 4096 * block + offset
        Partition.reads.append((begin, len(buffer)))
        if not 0 <= begin <= len(data):
            raise OSError(-0x102)  # ESP_ERR_INVALID_ARG
        if begin + len(buffer) > len(data):
            raise OSError(-0x104)  # ESP_ERR_INVALID_SIZE
        buffer[:] = data[begin : begin + len(buffer)]
"""

# In a board's folder, where the partition's contents are a file.
LOAD = """
from esp32 import Partition
with open("partition.img", "rb") as file:
    Partition.contents["bitwren"] = file.read()
"""


def partition_image(bundle: Bundle, room: int = 0) -> bytes:
    """The encoder, the table behind it, and erased flash."""
    files = bundle_bytes(bundle)
    return files[ENCODER_FILE] + files[TABLE_FILE] + b"\xff" * room
