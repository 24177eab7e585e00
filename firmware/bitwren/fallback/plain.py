"""The hot loops in plain Python, for firmware that compiles no native code. fast.py has the same functions."""

NAME = "python"


def add_row(sums, view, at, size, bits, scale):
    """Add a token's row of `size` bytes to the sums; `bits` of a value."""
    values = [(2 * field - 3 if bits == 2 else field - (1 << (bits - 1))) * scale for field in range(1 << min(bits, 4))]
    place = 0
    for byte in range(at, at + size):
        fields = view[byte]
        if bits == 2:
            sums[place] += values[fields & 3]
            sums[place + 1] += values[fields >> 2 & 3]
            sums[place + 2] += values[fields >> 4 & 3]
            sums[place + 3] += values[fields >> 6]
            place += 4
        elif bits == 4:
            sums[place] += values[fields & 15]
            sums[place + 1] += values[fields >> 4]
            place += 2
        else:
            sums[place] += (fields - 128) * scale
            place += 1


def dense(sums, first, count, view, at, vector, inputs):
    """Add weights . vector to `count` sums, the int8 weights in `view` from `at` on. Wraps around as 32 bits do.

    The weights' bytes XOR 128 are the weights + 128, which one subtraction at the end takes back.
    """
    excess = 128 * sum(vector)
    for index in range(first, first + count):
        total = sums[index] - excess
        for place in range(0, inputs, 4):
            here = at + place
            total += (
                (view[here] ^ 128) * vector[place]
                + (view[here + 1] ^ 128) * vector[place + 1]
                + (view[here + 2] ^ 128) * vector[place + 2]
                + (view[here + 3] ^ 128) * vector[place + 3]
            )
        if not -0x80000000 <= total <= 0x7FFFFFFF:
            total = (total + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        sums[index] = total
        at += inputs


def signs(sums):
    """Which of 32 sums are not negative, as four bytes: a word would not be a small integer."""
    octets = bytearray(4)
    for index, value in enumerate(sums):
        if value >= 0:
            octets[index >> 3] |= 1 << (index & 7)
    return octets


def prepare(code, lanes):
    """A code as near() takes it: as many times each of its bits, in one integer."""
    none, all_ones = bytes(lanes // 8), b"\xff" * (lanes // 8)
    nibbles = [b"".join(all_ones if nibble >> bit & 1 else none for bit in range(4)) for nibble in range(16)]
    planes = []
    for octet in memoryview(code):
        planes.append(nibbles[octet & 15])
        planes.append(nibbles[octet >> 4])
    return int.from_bytes(b"".join(planes), "little")


def near(view, at, query, bits, lanes, live, limit, out):
    """Lanes of a block that are live and nearer than `limit`, as pairs (distance, lane) in `out`; returns how many.

    A block is one long integer, and adding up its planes is a tree: the upper half of the planes onto the lower, all lanes
    and many planes a step. So the work is done by MicroPython's long arithmetic and not by bytecode.
    """
    digits = [int.from_bytes(view[at : at + lanes // 8 * bits], "little") ^ query]
    width = lanes * bits
    while width > lanes:
        width >>= 1
        mask = (1 << width) - 1
        carry = 0
        for index, digit in enumerate(digits):
            high, low = digit >> width, digit & mask
            both = high ^ low
            digits[index] = both ^ carry
            carry = high & low | both & carry
        digits.append(carry)
    nearer, equal = 0, live
    for index in range(len(digits) - 1, -1, -1):
        if limit >> index & 1:
            nearer |= equal & ~digits[index]
            equal &= digits[index]
        else:
            equal &= ~digits[index]
    found = lane = 0
    while nearer:
        if nearer & 1:
            distance = 0
            for index, digit in enumerate(digits):
                distance |= (digit >> lane & 1) << index
            out[2 * found] = distance
            out[2 * found + 1] = lane
            found += 1
        nearer >>= 1
        lane += 1
    return found


def near_rows(view, at, code, size, live, limit, out):
    """Rows of `size` bytes that are live and nearer than `limit`, as near() gives them."""
    code = int.from_bytes(code, "little")
    found = row = 0
    while live:
        if live & 1:
            distance = bin(int.from_bytes(view[at : at + size], "little") ^ code).count("1")
            if distance < limit:
                out[2 * found] = distance
                out[2 * found + 1] = row
                found += 1
        live >>= 1
        row += 1
        at += size
    return found
