"""Where a file's bytes lie inside a littlefs v2 region that is mapped into memory.

Written against littlefs's SPEC.md. A directory is a chain of metadata pairs; a pair is two blocks, the newer of which
holds a log of commits; a commit is a run of tags ending in a CRC tag. Tags are big-endian, XORed with the tag before:

    bit 31 invalid | bits 30-20 type | bits 19-10 id | bits 9-0 length, 0x3ff: deleted

Pending moves are not looked at: after a cut of power a file may be found under its old name, too. Whoever reads the
extents checks the contents anyway.
"""

from array import array
from binascii import crc32
from struct import unpack_from

_FILE, _DIRECTORY, _SUPERBLOCK = 0x001, 0x002, 0x0FF
_DIRECTORY_PAIR, _CTZ_LIST = 0x200, 0x202
_CREATE, _DELETE = 0x401, 0x4FF
_NAME, _STRUCTURE, _CRC, _TAIL = 0, 2, 5, 6  # type >> 8
_HARD_TAIL = 0x601
_GONE = 0x3FF
_MAGIC = b"littlefs"


class NotFound(Exception):
    """The file cannot be read in place: it is not there, is stored inside a directory's log, or this is no littlefs."""


def extents(region, path, block_size=4096, address=0):
    """Where a file lies.

    :param region: buffer over the whole filesystem. :param path: bytes, absolute, without "." and "..".
    :param address: of the region in memory, added to every place.
    :return: pairs (offset in the file, address of what begins there), one for each block; and the file's size.
    """
    reader = _Reader(region, block_size)
    pair = (0, 1)
    _, _, at = reader.find(pair, None)
    version, size = reader.words(at)
    if version >> 16 != 2 or size != block_size:
        raise NotFound
    names = [name for name in path.split(b"/") if name]
    for depth, name in enumerate(names, 1):
        kind, structure, at = reader.find(pair, name)
        if depth < len(names):
            if kind != _DIRECTORY or structure != _DIRECTORY_PAIR:
                raise NotFound
            pair = reader.words(at)
    if not names or kind != _FILE or structure != _CTZ_LIST:
        raise NotFound
    head, size = reader.words(at)
    return reader.blocks(head, size, address), size


class _Reader:
    def __init__(self, region, block_size):
        self.region = memoryview(region)
        self.block_size = block_size
        self.count = len(region) // block_size

    def find(self, pair, name):
        """An entry's type, its structure's type and place.

        :param pair: where the directory begins. :param name: of the entry; None: the superblock.
        """
        for _ in range(self.count):  # a damaged chain may be a circle
            found, tail = self._newest(pair, name)
            if found is not None:
                return found
            if tail is None:
                break
            pair = tail
        raise NotFound

    def words(self, at):
        """Two words: a pair of blocks, or a list's head and size."""
        if at + 8 > len(self.region):
            raise NotFound
        return unpack_from("<II", self.region, at)

    def blocks(self, head, size, address):
        """Places of a CTZ list's data: block n > 0 begins with ctz(n) + 1 pointers, the first to block n - 1."""
        if size > len(self.region):
            raise NotFound
        offsets, position = [], 0
        while position < size:
            offsets.append(position)
            position += self.block_size - self._pointers(len(offsets) - 1)
        places = array("L", bytes(array("L", [0])) * (2 * len(offsets)))
        for index in range(len(offsets) - 1, -1, -1):
            start = self._start(head)
            skip = self._pointers(index)
            places[2 * index] = offsets[index]
            places[2 * index + 1] = address + start + skip
            if skip:
                head = unpack_from("<I", self.region, start)[0]
        return places

    def _pointers(self, index):
        """Bytes of pointers before a list's block."""
        size = 0
        while index:
            size += 4
            if index & 1:
                break
            index >>= 1
        return size

    def _start(self, block):
        if block >= self.count:
            raise NotFound
        return block * self.block_size

    def _newest(self, pair, name):
        first, second = self._start(pair[0]), self._start(pair[1])
        age = unpack_from("<I", self.region, second)[0] - unpack_from("<I", self.region, first)[0]
        if 0 < age & 0xFFFFFFFF < 0x80000000:  # revisions wrap around
            first, second = second, first
        result = self._log(first, name) or self._log(second, name)
        if result is None:
            raise NotFound
        return result

    def _log(self, start, name):
        """Follow one name through a block's commits: ((type, structure's type, place) or None, the next pair or None).

        None where the block has no valid commit.
        """
        region, end = self.region, start + self.block_size
        result = None
        found = tail = None  # found: id, type, structure's type, place
        previous = 0xFFFFFFFF
        commit, at = start, start + 4
        while at + 4 <= end:
            tag = unpack_from(">I", region, at)[0] ^ previous
            kind, entry, length = tag >> 20 & 0x7FF, tag >> 10 & 0x3FF, tag & 0x3FF
            data = at + 4
            following = data + (0 if length == _GONE else length)
            if tag >> 31 or following > end:
                break
            group = kind >> 8
            if group == _CRC and kind & 0x80 == 0:  # 0x5ff is a forward CRC: of what follows, for writers
                stored = unpack_from("<I", region, data)[0] if length >= 4 else None
                if crc32(region[commit:data]) ^ 0xFFFFFFFF != stored:
                    break
                result = found and found[1:], tail
                commit = following
                tag ^= (kind & 1) << 31  # the CRC tag says what an unwritten tag after it does not look like
            elif kind == _CREATE or kind == _DELETE:
                if found and entry == found[0] and kind == _DELETE:
                    found = None
                elif found and entry <= found[0]:
                    found = (found[0] + (1 if kind == _CREATE else -1), found[1], found[2], found[3])
            elif group == _NAME:
                # A file may have the superblock's name, too.
                if region[data:following] == (name or _MAGIC) and (kind == _SUPERBLOCK) == (name is None):
                    found = (entry, kind, None, 0)
                elif found and entry == found[0]:
                    found = None
            elif group == _STRUCTURE and found and entry == found[0]:
                found = (entry, found[1], kind, data)
            elif group == _TAIL:
                tail = self.words(data) if kind == _HARD_TAIL else None
            previous, at = tag, following
        return result
