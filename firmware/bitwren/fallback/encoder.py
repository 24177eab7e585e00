"""Text to a binary code: rows summed and rescaled to an int8 vector, dense int8 layers, signs of the last one or of a projection.

`loops` is the module with the hot loops: plain or fast. Sums stay below 2**30, so that they are small integers on 32-bit
chips, except where a comment says why not.
"""

from array import array
from struct import pack_into, unpack_from

from .check import LAYER, MAX_UNITS
from .integers import int8, square_root
from .source import FORMAT, Bad
from .tokenizer import END, Tokens

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
    reciprocal = gain // square_root((high << 24) + squares)
    for index, value in enumerate(sums):
        value = (value * reciprocal + (1 << (_GAIN_SHIFT - 1))) >> _GAIN_SHIFT
        sums[index] = -127 if value < -127 else 127 if value > 127 else value


class Layer:
    """A layer's record, checked."""

    def __init__(self, source, encoder, index, inputs):
        self.last = index + 1 == encoder.layers and not encoder.seed  # its signs are the code
        view = source.need(encoder.head + LAYER * index, LAYER)
        fields = unpack_from("<HHbbbbIIII", view, source.at)
        self.inputs, self.outputs, self.zero_point, self.low, self.high = fields[:5]
        outputs = self.outputs
        if self.inputs != inputs or outputs % 4 or not 4 <= outputs <= MAX_UNITS or (self.last and outputs != encoder.bits):
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


def run_head(source, encoder, vector, loops, code, centre, embedding):
    """The vector, one value an element, to a code.

    :param centre: int8 [E], or None for the origin. :param embedding: where what goes into the last step is written, or None.
    """
    tile = array("i", bytes(4 * _TILE))
    for index in range(encoder.layers):
        layer = Layer(source, encoder, index, len(vector))
        if layer.last:
            _give(vector, embedding)
        output = None if layer.last else array("i", bytes(4 * layer.outputs))
        for first in range(0, layer.outputs, _TILE):
            count = layer.sums(source, first, vector, loops, tile)
            if output is None:
                pack_into("BBBB", code, first // 8, *loops.signs(tile))
            else:
                layer.hidden(source, first, count, tile, output)
        vector = output
    if encoder.seed:
        from .projection import project  # not before it is needed: it takes RAM

        _give(vector, embedding)
        for index, value in enumerate(vector):
            vector[index] = value - (layer.zero_point if centre is None else int8(centre[index]))
        project(vector, encoder.bits, encoder.seed, loops, code)


def _give(vector, embedding):
    if embedding is not None:
        for index, value in enumerate(vector):
            pack_into("b", embedding, index, value)
