"""A vector to a code by random signs and Walsh-Hadamard transforms: docs/format.md, toolchain/bitwren/projection.py."""

from array import array
from struct import pack_into

_TILE = 32  # of the bits, a word of the code


def project(vector, bits, seed, loops, code):
    """Bits of a code: 1 where the projection of a centred vector is above 0."""
    transform = hadamard
    if loops.NAME == "viper":
        from .fast_projection import hadamard as transform
    inputs = len(vector)
    size = 1
    while size < inputs and size < bits:
        size *= 2
    span = max(size, _TILE)
    values = array("i", bytes(4 * span))
    view = memoryview(values)
    state = seed
    for begin in range(0, bits, span):
        for block in range(0, span, size):
            for index in range(block, block + size):
                values[index] = 0
            values[block] = -1  # is taken from every output: not negative means above 0
            for index, value in enumerate(vector):
                if index % 32 == 0:
                    state = _next(state)
                    flips = state
                values[block + index % size] += -value if flips & 1 else value
                flips >>= 1
            transform(values, block, size)
        for tile in range(0, span, _TILE):
            pack_into("BBBB", code, (begin + tile) // 8, *loops.signs(view[tile : tile + _TILE]))


def hadamard(values, begin, size):
    """Walsh-Hadamard transform of `size` values from `begin` on, in place."""
    half = 1
    while half < size:
        for first in range(begin, begin + size, 2 * half):
            for place in range(first, first + half):
                a, b = values[place], values[place + half]
                values[place] = a + b
                values[place + half] = a - b
        half *= 2


def _next(state):
    """Marsaglia's xorshift32."""
    state ^= state << 13 & 0xFFFFFFFF
    state ^= state >> 17
    return state ^ state << 5 & 0xFFFFFFFF
