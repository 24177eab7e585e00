"""The hot loops of ranking in plain Python. fast_ranking.py has the same functions."""


def bucket(octets, begin, end, trigram, hash_bits):
    """FNV-1a of bytes, behind a # for a trigram; its highest bits after one more product."""
    value = 0x811C9DC5
    if trigram:
        value = (value ^ 35) * 0x01000193 & 0xFFFFFFFF
    for place in range(begin, end):
        value = (value ^ octets[place]) * 0x01000193 & 0xFFFFFFFF
    return (value * 0x9E3779B1 & 0xFFFFFFFF) >> 32 - hash_bits


def postings(states, base, view, at, size, first, end, sums):
    """Read a list whose state (words.py) begins at `base` on, from its `size` bytes in `view`, as far as slot `end`.

    Slots count from `first` on in the sums. Returns how many bytes are done with; -1: no list looks so.
    """
    _, position, _, ones, following, left, bits, rarity, waits = states[base : base + 9]
    limit = 8 * size
    if waits:
        if following > end:
            return 0
        sums[following - 1 - first] += rarity
        left -= 1
        waits = 0
    while left:
        while position < limit and view[at + (position >> 3)] >> (position & 7) & 1:
            position += 1
            ones += 1
        if position + bits >= limit:
            break  # the rest of this gap is not here
        if ones >> (22 - bits):
            return -1  # no table has so many slots
        position += 1
        value = 0
        if bits:
            place = at + (position >> 3)
            value = view[place] >> (position & 7)
            got = 8 - (position & 7)
            while got < bits:
                place += 1
                value |= view[place] << got
                got += 8
            value &= (1 << bits) - 1
            position += bits
        following += (ones << bits) + value + 1
        ones = 0
        if following > end:
            waits = 1
            break
        sums[following - 1 - first] += rarity
        left -= 1
    states[base + 1], states[base + 3], states[base + 4] = position & 7, ones, following
    states[base + 5], states[base + 8] = left, waits
    return position >> 3


def above(sums, gains, at, begin, end, limit):
    """The first place from `begin` on where the sum times its gain is above the limit; else `end`."""
    for place in range(begin, end):
        value = sums[place]
        if value and value * gains[at + place] > limit:
            return place
    return end


def weigh(view, at, size, bits, values, out):
    """To out[0] the sum of a row's fields, `bits` each, times the values."""
    total = place = 0
    for byte in range(at, at + size):
        fields = view[byte]
        if bits == 4:
            total += (fields & 15) * values[place] + (fields >> 4) * values[place + 1]
            place += 2
        elif bits == 2:
            total += (
                (fields & 3) * values[place]
                + (fields >> 2 & 3) * values[place + 1]
                + (fields >> 4 & 3) * values[place + 2]
                + (fields >> 6) * values[place + 3]
            )
            place += 4
        else:
            total += fields * values[place]
            place += 1
    out[0] = total


def of_lane(view, at, step, code, size, lane):
    """Distance of a code of `size` bytes to a lane of planes that are `step` bytes apart."""
    at += lane >> 3
    lane &= 7
    distance = 0
    for octet in code:
        for _ in range(8):
            distance += (view[at] >> lane ^ octet) & 1
            octet >>= 1
            at += step
    return distance


def of_row(view, at, code, size):
    """Distance of a code of `size` bytes to a row."""
    return bin(int.from_bytes(view[at : at + size], "little") ^ int.from_bytes(code, "little")).count("1")
