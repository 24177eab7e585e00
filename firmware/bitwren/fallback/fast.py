"""The hot loops of plain.py as machine code that MicroPython's compiler makes (viper).

Viper's integers are machine words, of 32 bits on a chip and of 64 in the unix port. Loads through ptr32 fill up with zeros there,
so only the lower 32 bits of anything mean something: results are stored through ptr32, which cuts them off, and what
is shifted right or compared is small and positive. No constant exceeds a small integer of 31 bits.
"""

import micropython

NAME = "viper"


@micropython.viper
def add_row(sums, view, at: int, size: int, bits: int, scale: int):
    """Add a token's row of `size` bytes to the sums; `bits` of a value."""
    to = ptr32(sums)  # noqa: F821
    row = ptr8(view)  # noqa: F821
    mask = (1 << bits) - 1
    step = scale
    least = 0 - (scale << (bits - 1))
    if bits == 2:
        step = 2 * scale
        least = 0 - 3 * scale
    place = 0
    for byte in range(at, at + size):
        fields = row[byte]
        left = 8
        while left > 0:
            to[place] = to[place] + (fields & mask) * step + least
            fields >>= bits
            place += 1
            left -= bits


@micropython.viper
def _products(weights: int, values: int, total: int, end: int) -> int:
    # Whoever comes first among the arguments lives in a register.
    while weights < end:
        total += (ptr8(weights)[0] ^ 128) * ptr32(values)[0]  # noqa: F821
        total += (ptr8(weights)[1] ^ 128) * ptr32(values)[1]  # noqa: F821
        total += (ptr8(weights)[2] ^ 128) * ptr32(values)[2]  # noqa: F821
        total += (ptr8(weights)[3] ^ 128) * ptr32(values)[3]  # noqa: F821
        weights += 4
        values += 16
    return total


@micropython.viper
def dense(sums, first: int, count: int, view, at: int, vector, inputs: int):
    """Add weights . vector to `count` sums, the int8 weights in `view` from `at` on. Wraps around as 32 bits do.

    The weights' bytes XOR 128 are the weights + 128, which one subtraction takes back.
    """
    to = ptr32(sums)  # noqa: F821
    values = ptr32(vector)  # noqa: F821
    weights = int(ptr8(view)) + at  # noqa: F821
    excess = 0
    for place in range(inputs):
        excess += values[place]
    for index in range(first, first + count):
        products = int(_products(weights, int(values), 0, weights + inputs))
        to[index] = to[index] + products - 128 * excess
        weights += inputs


@micropython.viper
def signs(sums):
    """Which of 32 sums are not negative, as four bytes: a word would not be a small integer."""
    values = ptr32(sums)  # noqa: F821
    octets = bytearray(4)
    to = ptr8(octets)  # noqa: F821
    for index in range(32):
        if not values[index] >> 31 & 1:
            to[index >> 3] = to[index >> 3] | 1 << (index & 7)
    return octets


def prepare(code, lanes):
    """A code as near() takes it: its bytes."""
    return code


def near(view, at, code, bits, lanes, live, limit, out):
    """Lanes of a block that are live and nearer than `limit`, as pairs (distance, lane) in `out`; returns how many."""
    found = 0
    for lane in range(0, lanes, 32):
        found = _near(at + lane // 8, lanes // 8, view, code, bits, live >> lane & 0xFFFFFFFF, limit, out, found, lane)
    return found


@micropython.viper
def _near(at: int, step: int, view, code, bits: int, live: int, limit: int, out, found: int, first: int) -> int:
    """32 lanes, the first of which has the number `first`, of planes that are `step` bytes apart; `found` pairs are there.

    Four planes are added at a time (Harley and Seal); what carries out of two bits goes on through the counters.
    """
    at += int(ptr8(view))  # noqa: F821
    query = ptr8(code)  # noqa: F821
    most = 7  # planes of a count, 11 where a code has 1024 bits
    while bits >> most:
        most += 1
    counters = bytearray(4 * most)
    upper = ptr32(counters)  # noqa: F821
    ones = 0
    twos = 0
    bit = 0
    while bit < bits:
        four = query[bit >> 3] >> (bit & 4)
        a = ptr32(at)[0] ^ (0 - (four & 1))  # noqa: F821
        at += step
        b = ptr32(at)[0] ^ (0 - (four >> 1 & 1))  # noqa: F821
        at += step
        both = ones ^ a
        two = (ones & a) | (both & b)
        ones = both ^ b
        a = ptr32(at)[0] ^ (0 - (four >> 2 & 1))  # noqa: F821
        at += step
        b = ptr32(at)[0] ^ (0 - (four >> 3 & 1))  # noqa: F821
        at += step
        both = ones ^ a
        b2 = (ones & a) | (both & b)
        ones = both ^ b
        both = twos ^ two
        carry = (twos & two) | (both & b2)
        twos = both ^ b2
        place = 2
        while carry and place < most:
            both = upper[place]
            upper[place] = both ^ carry
            carry &= both
            place += 1
        bit += 4
    upper[0] = ones
    upper[1] = twos
    to = ptr16(out)  # noqa: F821
    lane = 0
    while lane < 32:
        if live >> lane & 1:
            distance = 0
            place = 0
            while place < most:
                distance |= (upper[place] >> lane & 1) << place
                place += 1
            if distance < limit:
                to[2 * found] = distance
                to[2 * found + 1] = first + lane
                found += 1
        lane += 1
    return found


@micropython.viper
def near_rows(view, at: int, code, size: int, live: int, limit: int, out) -> int:
    """Rows of `size` bytes that are live and nearer than `limit`, as near() gives them. In fields of ever more bits."""
    rows = ptr16(int(ptr8(view)) + at)  # noqa: F821
    query = ptr16(code)  # noqa: F821
    to = ptr16(out)  # noqa: F821
    found = 0
    row = 0
    place = 0
    size >>= 1
    while row < 32:
        if live >> row & 1:
            distance = 0
            for index in range(size):
                x = rows[place + index] ^ query[index]
                x -= x >> 1 & 0x5555
                x = (x & 0x3333) + (x >> 2 & 0x3333)
                x = (x + (x >> 4)) & 0x0F0F
                distance += (x + (x >> 8)) & 0x1F
            if distance < limit:
                to[2 * found] = distance
                to[2 * found + 1] = row
                found += 1
        place += size
        row += 1
    return found
