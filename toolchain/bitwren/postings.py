"""The bytes of a word index, section ``WORD`` of a table: gaps in Rice code, behind a table of the lists' lengths.

docs/format.md specifies them. Both directions work on all lists at once, since a table may have a million postings.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from .errors import FormatError
from .lexical import HASH_BITS, Words

GROUP = 32
"""Buckets whose lists begin at one offset."""
BITMAP = 5
"""A list of at least one in so many documents is a bitmap."""
LONG = 255
"""Length byte of a list that begins with its own length, of three bytes, those included."""
_HEAD = struct.Struct("<IBBHI")  # documents, hash bits, zero, mean length, zero
_GROUP = 4 + GROUP

Ints = NDArray[np.int64]


def parameter(documents: int, count: int) -> int:
    """Rice parameter for a list of that many of ``count`` documents: the remainder's bits, for gaps of mean count / documents.

    0 makes a bitmap, since each bit then says of one slot whether it is passed over; its last byte is filled up with ones. The
    commonest terms get it: a chip can ask it about single slots. Otherwise it is the largest one whose power of two is at most
    15/16 of the mean gap, but at least 1.
    """
    return 0 if documents * BITMAP >= count else max(1, (count * 15 // (documents * 16)).bit_length() - 1)


def pack(words: Words) -> bytes:
    """The section's bytes."""
    quotients, remainders, parameters, counts, headers, sizes = _plan(words)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    listed = np.repeat(np.arange(len(sizes)), counts)
    lengths = quotients + 1 + parameters
    ends = np.cumsum(lengths)
    before = np.concatenate([[0], ends])[np.concatenate([[0], np.cumsum(counts)])[:-1]]  # bits of the lists before each list
    at = ends - lengths - before[listed] + 8 * (starts[:-1] + headers)[listed]
    bits = np.zeros(8 * int(starts[-1]), dtype=np.uint8)
    ones = np.repeat(at - np.cumsum(quotients) + quotients, quotients) + np.arange(int(quotients.sum()))
    bits[ones] = 1
    for bit in range(int(parameters.max(initial=0))):
        with_it = parameters > bit
        bits[(at + quotients + 1 + bit)[with_it]] = remainders[with_it] >> bit & 1
    last = (np.cumsum(counts) - 1)[(counts > 0) & (counts * BITMAP >= len(words.gains))]
    for bit in range(1, 8):  # the slots behind a bitmap's last posting are passed over, too
        behind = at[last] + quotients[last] + bit
        bits[behind[behind < 8 * (starts[:-1] + sizes)[listed[last]]]] = 1
    body = bytearray(np.packbits(bits, bitorder="little").tobytes())
    for bucket in np.flatnonzero(sizes):
        size, start = int(sizes[bucket]), int(starts[bucket])
        head = (size.to_bytes(3, "little") if size >= LONG else b"") + _number(int(counts[bucket]))
        body[start : start + len(head)] = head
    groups = np.zeros((len(sizes) // GROUP, _GROUP), dtype=np.uint8)
    groups[:, :4] = starts[:-1:GROUP].astype("<u4").view(np.uint8).reshape(-1, 4)
    groups[:, 4:] = np.minimum(sizes, LONG).reshape(-1, GROUP)
    gains = words.gains.tobytes() + bytes(-len(words.gains) % 4)
    head = _HEAD.pack(len(words.gains), words.hash_bits, 0, words.mean_length, 0)
    return head + gains + groups.tobytes() + bytes(body)


def size(words: Words) -> int:
    """Bytes that :func:`pack` makes."""
    return _HEAD.size + -(-len(words.gains) // 4) * 4 + (1 << words.hash_bits) // GROUP * _GROUP + int(_plan(words)[-1].sum())


def _plan(words: Words) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints]:
    """Of each posting quotient, remainder, parameter; of each list its documents, bytes before its postings, all its bytes."""
    counts = np.diff(words.starts)
    by_count = {int(count): parameter(int(count), len(words.gains)) for count in np.unique(counts) if count}
    of_list = np.array([by_count.get(int(count), 0) for count in counts], dtype=np.int64)
    gaps = np.diff(words.slots, prepend=-1) - 1
    first = words.starts[:-1][counts > 0]
    gaps[first] = words.slots[first]
    parameters = np.repeat(of_list, counts)
    quotients, remainders = gaps >> parameters, gaps & (1 << parameters) - 1
    bits = np.concatenate([[0], np.cumsum(quotients + 1 + parameters)])
    headers = np.where(counts > 0, 1 + (counts > 0x7F) + (counts > 0x3FFF) + (counts > 0x1FFFFF), 0)
    sizes = headers + (np.diff(bits[words.starts]) + 7) // 8
    sizes = np.where(words.dropped, 1, sizes)
    long = sizes > LONG - 1
    return quotients, remainders, parameters, counts, headers + 3 * long, sizes + 3 * long


def unpack(data: bytes, slots: int, name: str = "the table") -> Words:
    """The inverse of :func:`pack`.

    :param slots: of the table: the index cannot cover more.
    :raises FormatError: when the bytes are not an index.
    """
    try:
        count, hash_bits, _, mean, _ = _HEAD.unpack_from(data)
        if not 1 <= count <= slots or hash_bits not in HASH_BITS:
            raise ValueError
        at = _HEAD.size + -(-count // 4) * 4
        gains = np.frombuffer(data, np.uint8, count, _HEAD.size)
        groups = np.frombuffer(data, np.uint8, (1 << hash_bits) // GROUP * _GROUP, at).reshape(-1, _GROUP)
        body = np.frombuffer(data, np.uint8, offset=at + groups.size)
        starts, sizes, counts, positions = _lists(body, groups)
        found = _decode(body, 8 * positions, counts, count, 8 * (starts + sizes))
    except (struct.error, ValueError, IndexError):
        raise FormatError(f"{name} is damaged: its word index is not sound; build it again") from None
    return Words(hash_bits, gains, np.concatenate([[0], np.cumsum(counts)]), found, (sizes > 0) & (counts == 0), mean)


def _lists(body: NDArray[np.uint8], groups: NDArray[np.uint8]) -> tuple[Ints, Ints, Ints, Ints]:
    """Of each list where it begins, its bytes, its documents, and where its postings begin."""
    sizes = groups[:, 4:].reshape(-1).astype(np.int64)
    starts = np.repeat(np.ascontiguousarray(groups[:, :4]).view("<u4").reshape(-1).astype(np.int64), GROUP)
    octets = np.concatenate([body, np.zeros(8, dtype=np.uint8)]).astype(np.int64)
    for place in range(GROUP):  # a long list says its size itself, and where the next one begins depends on it
        here = slice(place, None, GROUP)
        long = sizes[here] == LONG
        at = np.where(long, starts[here], 0)
        sizes[here] = np.where(long, octets[at] | octets[at + 1] << 8 | octets[at + 2] << 16, sizes[here])
        if place + 1 < GROUP:
            starts[place + 1 :: GROUP] = starts[here] + sizes[here]
    if (starts + sizes > len(body)).any():
        raise ValueError
    positions = starts + 3 * (groups[:, 4:].reshape(-1) == LONG)
    counts, more = np.zeros(len(sizes), dtype=np.int64), sizes > 0
    for shift in (0, 7, 14, 21):
        octet = octets[np.where(more, positions, 0)]
        counts += np.where(more, (octet & 0x7F) << shift, 0)
        positions = positions + more
        more = more & (octet > 0x7F)
    return starts, sizes, counts, positions


def _decode(body: NDArray[np.uint8], at: Ints, counts: Ints, count: int, ends: Ints) -> Ints:
    """The lists' slots one after the other; one posting of every list that has one left at a time."""
    bits = np.concatenate([np.unpackbits(body, bitorder="little"), np.zeros(64, dtype=np.uint8)])
    zeros = np.where(bits == 0, np.arange(len(bits)), len(bits) - 1)
    zeros = np.minimum.accumulate(zeros[::-1])[::-1]  # the next 0 at or after each bit
    known = {int(each): parameter(int(each), count) for each in np.unique(counts) if each}
    parameters = np.array([known.get(int(each), 0) for each in counts], dtype=np.int64)
    found = np.empty(int(counts.sum()), dtype=np.int64)
    into = np.concatenate([[0], np.cumsum(counts)])[:-1]
    left = np.flatnonzero(counts)
    last, at = np.full(len(counts), -1, dtype=np.int64), at.copy()
    for index in range(int(counts.max(initial=0))):
        left = left[counts[left] > index]
        here, width = at[left], parameters[left]
        stop = zeros[here]
        gaps = stop - here << width
        for bit in range(int(width.max(initial=0))):
            gaps |= np.where(width > bit, bits[np.minimum(stop + 1 + bit, len(bits) - 1)].astype(np.int64) << bit, 0)
        last[left] += gaps + 1
        at[left] = stop + 1 + width
        if (at[left] > ends[left]).any() or (last[left] >= count).any():
            raise ValueError
        found[into[left] + index] = last[left]
    return found


def _number(value: int) -> bytes:
    """LEB128: seven bits a byte, the lowest first, the highest bit set where another follows."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(found + bytes([value]))
