"""Text to a binary code: rows summed and rescaled to an int8 vector, dense int8 layers, the last one for its signs.

`loops` is the module with the hot loops: plain or fast. Sums stay below 2**30, so that they are small integers on 32-bit
chips, except where a comment says why not.
"""

from array import array
from struct import pack_into, unpack_from

from .source import FORMAT, Bad
from .tokenizer import END, Tokens

_RECORD = 32
_MAX_UNITS = 1024
_GAIN_SHIFT = 20
_MANTISSA_BITS = 11
_TILE = 32  # outputs that are computed together: their biases are fetched once, and they are a word of the code


def count_tokens(source, encoder, text, ids, capacity):
    """Write the first `capacity` token ids of a text; returns how many there are in all."""
    tokens = Tokens(source, encoder, text)
    count = 0
    while True:
        token = tokens.step()
        if token == END:
            return count
        if count < capacity:
            pack_into("H", ids, 2 * count, token)
        count += 1


def pool(source, encoder, text, loops, sums):
    """Add up the rows of a text's tokens; returns the number of tokens."""
    tokens = Tokens(source, encoder, text)
    rows, scales, size, bits = encoder.rows, encoder.scales, encoder.row_size, encoder.row_bits
    count = 0
    while True:
        token = tokens.step()
        if token == END:
            return count
        scale = source.need(scales + token, 1, 1)[source.at]
        view = source.need(rows + token * size, size, size)
        loops.add_row(sums, view, source.at, size, bits, scale)
        count += 1


def rescale(sums, gain):
    """Sums to int8 values in place: docs/format.md, "Rescaling"."""
    largest = 0
    for value in sums:
        if value > largest:
            largest = value
        elif -value > largest:
            largest = -value
    if not largest:
        return
    left, right, rest = _MANTISSA_BITS, 0, largest
    while rest:
        if left:
            left -= 1
        else:
            right += 1
        rest >>= 1
    squares = high = 0  # of 2**31 at most, so in two parts
    for index, value in enumerate(sums):
        value = value << left >> right
        sums[index] = value
        squares += value * value
        if squares >= 1 << 24:
            high += squares >> 24
            squares &= (1 << 24) - 1
    reciprocal = gain // _square_root((high << 24) + squares)
    for index, value in enumerate(sums):
        value = (value * reciprocal + (1 << (_GAIN_SHIFT - 1))) >> _GAIN_SHIFT
        sums[index] = -127 if value < -127 else 127 if value > 127 else value


def _square_root(value):
    """floor(sqrt(value)), a bit of the root a step."""
    root, bit = 0, 1 << 30
    while bit:
        if value >= root + bit:
            value -= root + bit
            root = (root >> 1) + bit
        else:
            root >>= 1
        bit >>= 2
    return root


class Layer:
    """A layer's record, checked."""

    def __init__(self, source, encoder, index, inputs):
        self.last = index + 1 == encoder.layers
        if encoder.head_size < _RECORD * encoder.layers:
            raise Bad(FORMAT)
        view = source.need(encoder.head + _RECORD * index, _RECORD)
        fields = unpack_from("<HHbbbbIIII", view, source.at)
        self.inputs, self.outputs, self.zero_point, self.low, self.high = fields[:5]
        outputs = self.outputs
        if self.inputs != inputs or outputs % 4 or not 4 <= outputs <= _MAX_UNITS or (self.last and outputs != encoder.bits):
            raise Bad(FORMAT)
        sizes = (inputs * outputs, 4 * outputs, 0 if self.last else 4 * outputs, 0 if self.last else outputs)
        for offset, size in zip(fields[6:], sizes):  # noqa: B905 - MicroPython's zip has no strict
            if offset % 4 or offset + size > encoder.head_size:
                raise Bad(FORMAT)
        self.weights, self.biases, self.multipliers, self.shifts = (encoder.head + offset for offset in fields[6:])

    def sums(self, source, first, vector, loops, tile):
        """bias + weights . vector of the outputs from `first` on; returns how many."""
        count = min(self.outputs - first, _TILE)
        view = source.need(self.biases + 4 * first, 4 * count, 4 * count)
        for index, bias in enumerate(unpack_from("<{}i".format(count), view, source.at)):
            tile[index] = bias
        inputs, done = self.inputs, 0
        while done < count:
            at, ahead = self.weights + (first + done) * inputs, (count - done) * inputs
            together = min(source.locate(at, inputs, ahead) // inputs, count - done)
            view = source.view if together else source.need(at, inputs, ahead)
            loops.dense(tile, done, max(together, 1), view, source.at, vector, inputs)
            done += together or 1
        return count

    def hidden(self, source, first, count, tile, output):
        """A tile's sums to int8 outputs, rounded once; the products need 64 bits."""
        view = source.need(self.shifts + first, count, count)
        shifts = bytes(view[source.at : source.at + count])
        view = source.need(self.multipliers + 4 * first, 4 * count, 4 * count)
        for index in range(count):
            shift = shifts[index]
            if not 1 <= shift <= 62:
                raise Bad(FORMAT)
            multiplier = unpack_from("<i", view, source.at + 4 * index)[0]
            value = self.zero_point + ((tile[index] * multiplier + (1 << (shift - 1))) >> shift)
            output[first + index] = self.low if value < self.low else self.high if value > self.high else value


def run_head(source, encoder, vector, loops, code):
    """The vector, one value an element, to a code."""
    tile = array("i", bytes(4 * _TILE))
    for index in range(encoder.layers):
        layer = Layer(source, encoder, index, len(vector))
        output = None if layer.last else array("i", bytes(4 * layer.outputs))
        for first in range(0, layer.outputs, _TILE):
            count = layer.sums(source, first, vector, loops, tile)
            if output is None:
                pack_into("BBBB", code, first // 8, *loops.signs(tile))
            else:
                layer.hidden(source, first, count, tile, output)
        vector = output
