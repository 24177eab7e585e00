"""The hot loops of plain_ranking.py as machine code that MicroPython's compiler makes (viper); fast.py has the rules."""

import micropython


@micropython.viper
def bucket(octets, begin: int, end: int, trigram: int, hash_bits: int) -> int:
    """FNV-1a of bytes, behind a # for a trigram; its highest bits after one more product."""
    data = ptr8(octets)  # noqa: F821
    high = 0x811C  # in two parts, since a constant is a small integer
    value = high << 16 | 0x9DC5
    if trigram:
        value = (value ^ 35) * 0x01000193
    for place in range(begin, end):
        value = (value ^ data[place]) * 0x01000193
    high = 0x9E37
    value *= high << 16 | 0x79B1
    return value >> (32 - hash_bits) & ((1 << hash_bits) - 1)


@micropython.viper
def postings(states, base: int, view, at: int, size: int, first: int, end: int, sums) -> int:
    """Read a list whose state (words.py) begins at `base` on, from its `size` bytes in `view`, as far as slot `end`.

    Slots count from `first` on in the sums. Returns how many bytes are done with; -1: no list looks so.
    """
    octets = ptr8(int(ptr8(view)) + at)  # noqa: F821
    to = ptr16(sums)  # noqa: F821
    state = ptr32(int(ptr32(states)) + 4 * base)  # noqa: F821
    position = state[1]
    ones = state[3]
    following = state[4]
    left = state[5]
    bits = state[6]
    rarity = state[7]
    limit = 8 * size
    if state[8]:
        if following > end:
            return 0
        place = following - 1 - first
        to[place] = to[place] + rarity
        left -= 1
        state[8] = 0
    while left > 0:
        while position < limit and octets[position >> 3] >> (position & 7) & 1:
            position += 1
            ones += 1
        if position + bits >= limit:
            break
        if ones >> (22 - bits):
            return -1
        position += 1
        value = 0
        if bits > 0:
            place = position >> 3
            value = octets[place] >> (position & 7)
            got = 8 - (position & 7)
            while got < bits:
                place += 1
                value |= octets[place] << got
                got += 8
            value &= (1 << bits) - 1
            position += bits
        following += (ones << bits) + value + 1
        ones = 0
        if following > end:
            state[8] = 1
            break
        place = following - 1 - first
        to[place] = to[place] + rarity
        left -= 1
    state[1] = position & 7
    state[3] = ones
    state[4] = following
    state[5] = left
    return position >> 3


@micropython.viper
def above(sums, gains, at: int, begin: int, end: int, limit: int) -> int:
    """The first place from `begin` on where the sum times its gain is above the limit; else `end`."""
    values = ptr16(sums)  # noqa: F821
    factors = ptr8(int(ptr8(gains)) + at)  # noqa: F821
    while begin < end:
        if values[begin] and values[begin] * factors[begin] > limit:
            break
        begin += 1
    return begin


@micropython.viper
def weigh(view, at: int, size: int, bits: int, values, out):
    """To out[0] the sum of a row's fields, `bits` each, times the values."""
    row = ptr8(int(ptr8(view)) + at)  # noqa: F821
    factors = ptr32(values)  # noqa: F821
    to = ptr32(out)  # noqa: F821
    mask = (1 << bits) - 1
    total = 0
    place = 0
    for byte in range(size):
        fields = row[byte]
        left = 8
        while left > 0:
            total += (fields & mask) * factors[place]
            fields >>= bits
            place += 1
            left -= bits
    to[0] = total


@micropython.viper
def of_lane(view, at: int, step: int, code, size: int, lane: int) -> int:
    """Distance of a code of `size` bytes to a lane of planes that are `step` bytes apart."""
    planes = int(ptr8(view)) + at + (lane >> 3)  # noqa: F821
    octets = ptr8(code)  # noqa: F821
    lane &= 7
    distance = 0
    for index in range(size):
        octet = octets[index]
        for _ in range(8):
            distance += (ptr8(planes)[0] >> lane ^ octet) & 1  # noqa: F821
            octet >>= 1
            planes += step
    return distance


@micropython.viper
def of_row(view, at: int, code, size: int) -> int:
    """Distance of a code of `size` bytes to a row."""
    row = ptr8(int(ptr8(view)) + at)  # noqa: F821
    octets = ptr8(code)  # noqa: F821
    distance = 0
    for index in range(size):
        x = row[index] ^ octets[index]
        x -= x >> 1 & 0x55
        x = (x & 0x33) + (x >> 2 & 0x33)
        distance += (x + (x >> 4)) & 0x0F
    return distance
