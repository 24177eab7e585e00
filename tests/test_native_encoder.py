"""The C core's int8 vectors and codes equal the reference's bit for bit."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native import KINDS, MAX_TEXT, NativeCore, Source
from numpy.typing import NDArray

from bitwren import lower
from bitwren.encoder import Dense, Encoder, Projection
from bitwren.frontend import Rows, pool
from bitwren.hamming import WIDTHS
from bitwren.tokenizer import Vocabulary

LETTERS = [bytes([letter]) for letter in b"abcdefghijklmnopqrstuvwxyz"]


@dataclass(frozen=True)
class Shape:
    """What an encoder is made from."""

    seed: int
    dims: int
    row_bits: int
    hidden: tuple[int, ...]
    bits: int
    scale: int
    projected: int | None = None

    def encoder(self) -> Encoder:
        """Random rows and layers: int32 multipliers of either sign, shifts that leave the outputs in and out of range."""
        random = np.random.default_rng(self.seed)
        vocabulary = Vocabulary(LETTERS, LETTERS[:13])
        count = len(vocabulary)
        packed = random.integers(0, 256, (count, self.dims * self.row_bits // 8)).astype(np.uint8)
        scales = random.integers(0, self.scale + 1, count).astype(np.uint8)
        widths = [self.dims, *self.hidden, self.projected or self.bits]
        layers = [_layer(random, inputs, outputs) for inputs, outputs in itertools.pairwise(widths)]
        projection = Projection(self.bits, int(random.integers(1, 1 << 32))) if self.projected else None
        if projection is None:
            layers[-1] = Dense(layers[-1].weights, layers[-1].bias)
        return Encoder(vocabulary, Rows(packed, scales, self.row_bits), tuple(layers), bytes(16), {}, projection)


def _layer(random: np.random.Generator, inputs: int, outputs: int) -> Dense:
    weights = random.integers(-128, 128, (outputs, inputs)).astype(np.int8)
    reach = int(random.choice([10, 100_000, (1 << 31) - (1 << 25)]))
    bias = random.integers(-reach, reach, outputs).astype(np.int32)
    multiplier = random.integers(-(1 << 31), 1 << 31, outputs).astype(np.int32)
    multiplier[: outputs // 2] = random.integers(1 << 30, (1 << 31) - 1, outputs // 2)
    shift = random.integers(1, 63, outputs).astype(np.uint8)
    shift[outputs // 4 :] = random.integers(38, 50, outputs - outputs // 4)
    low, high = sorted(int(bound) for bound in random.integers(-128, 128, 2))
    return Dense(weights, bias, multiplier, shift, int(random.integers(-128, 128)), low, high)


shapes = st.builds(
    Shape,
    seed=st.integers(0, 2**32),
    dims=st.integers(1, 16).map(lambda count: 32 * count),
    row_bits=st.sampled_from([2, 4, 8]),
    hidden=st.lists(st.sampled_from([4, 60, 64, 68, 128, 516, 1024]), max_size=2).map(tuple),
    bits=st.sampled_from(WIDTHS),
    scale=st.sampled_from([0, 1, 16, 255]),
    projected=st.sampled_from([None, None, 4, 12, 16, 32, 60, 64, 100, 256, 300, 512]),
)
texts = st.one_of(
    st.text("abcxyz 1", max_size=60), st.sampled_from(["", "?!", "a", "z" * 48, "q" * MAX_TEXT, "ab " * (MAX_TEXT // 3)])
).map(str.encode)


@settings(max_examples=300, deadline=None)
@given(shape=shapes, text=texts, kind=st.sampled_from(list(KINDS)))
def test_vectors_and_codes_equal_the_reference(native_core: NativeCore, shape: Shape, text: bytes, kind: str) -> None:
    encoder = shape.encoder()
    source = KINDS[kind](lower.write(encoder))
    assert native_core.check(source, b"BWE1") == 0
    assert native_core.tokens(source, text) == encoder.tokens(text)
    assert native_core.vector(source, text).tolist() == encoder.vector(text).tolist()
    embedding = encoder.embed([text])
    centre = np.random.default_rng(shape.seed).integers(-128, 128, encoder.units).astype(np.int8)
    for middle in (None, centre):
        code, embedded = native_core.embed(source, text, None if middle is None else middle.tobytes())
        assert code.tolist() == encoder.binarize(embedding, middle)[0].tolist()
        assert embedded.tolist() == embedding[0].tolist()


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("units", [4, 8, 36, 64, 252, 512])
def test_the_largest_projections(native_core: NativeCore, bits: int, units: int) -> None:
    """Components of 255 of either sign, all, some or none of them; a sum of 0 is a bit of 0."""
    random = np.random.default_rng(units)
    rows = Rows(np.zeros((1, 8), np.uint8), np.ones(1, np.uint8), 2)
    extremes = [np.array(values, np.int8)[random.integers(0, len(values), units)] for values in ([127], [-128], [-128, 127], [0])]
    for number, embedding in enumerate(extremes):
        forced = Dense(np.zeros((units, 32), np.int8), 2 * (embedding.astype(np.int32) + 128), np.ones(units, np.int32),
                       np.ones(units, np.uint8), -128, -128, 127)  # fmt: skip
        encoder = Encoder(Vocabulary([b"a"], []), rows, (forced,), bytes(16), {}, Projection(bits, 1 + number))
        source = Source.contiguous(lower.write(encoder))
        assert native_core.embed(source, b"a")[1].tolist() == embedding.tolist()
        for centre in (np.where(embedding < 0, 127, -128).astype(np.int8), embedding, None):
            expected = encoder.binarize(embedding[None], centre)[0]
            assert native_core.encode(source, b"a", None if centre is None else centre.tobytes()).tolist() == expected.tolist()
            assert centre is not embedding or not expected.any()


@settings(max_examples=150, deadline=None)
@given(data=st.data(), row_bits=st.sampled_from([2, 4, 8]), count=st.integers(0, 40), scale=st.integers(0, 255))
def test_rescaling_at_the_edges(native_core: NativeCore, data: st.DataObject, row_bits: int, count: int, scale: int) -> None:
    """One token again and again, its row all but constant: magnitudes around powers of two, all signs, single spikes."""
    fill = data.draw(st.sampled_from([0, 0xFF, 0x55, 0xAA, 0x80, 0x7F, 0x88, 0x77]))
    spike = data.draw(st.integers(0, 255))
    packed = np.full((1, 32 * row_bits // 8), fill, np.uint8)
    packed[0, 3] = spike
    layer = Dense(np.ones((64, 32), np.int8), np.zeros(64, np.int32))
    encoder = Encoder(Vocabulary([b"a"], []), Rows(packed, np.array([scale], np.uint8), row_bits), (layer,), bytes(16), {})
    text = b"a " * count
    source = Source.contiguous(lower.write(encoder))
    assert native_core.vector(source, text).tolist() == encoder.vector(text).tolist()


def _near_powers(random: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Int32 values at, just below and just above powers of two, of either sign."""
    values = random.choice([-1, 1], count) * (1 << random.integers(0, 32, count)) + random.choice([-1, 0, 0, 1], count)
    clipped: NDArray[np.int64] = np.clip(values, -(1 << 31), (1 << 31) - 1)
    return clipped


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_requantization_at_the_edges(native_core: NativeCore, seed: int) -> None:
    """Products near powers of two, on both sides of every rounding. No tokens, so the sums are the biases; the last layer
    asks of each of 64 outputs whether it reaches the reference's value, and whether it exceeds it."""
    random = np.random.default_rng(seed)
    sums, multipliers, above = _near_powers(random, 64), _near_powers(random, 64), random.integers(-1, 9, 64)
    product_bits = [(int(a) * int(b)).bit_length() for a, b in zip(sums, multipliers, strict=True)]
    shifts = np.clip(np.array(product_bits) - above, 1, 62).astype(np.uint8)
    weights = np.zeros((64, 32), np.int8)
    hidden = Dense(weights, sums.astype(np.int32), multipliers.astype(np.int32), shifts, 0, -128, 127)
    values = hidden.forward(np.zeros((1, 32), np.int8))[0].astype(np.int32)
    exact = [
        (int(a) * int(b) + (1 << (int(shift) - 1))) >> int(shift) for a, b, shift in zip(sums, multipliers, shifts, strict=True)
    ]
    assert values.tolist() == [max(-128, min(127, value)) for value in exact]
    ask = Dense(np.vstack([np.eye(64, dtype=np.int8)] * 2), np.concatenate([-values, -values - 1]))
    rows = Rows(np.zeros((1, 8), np.uint8), np.ones(1, np.uint8), 2)
    encoder = Encoder(Vocabulary([b"a"], []), rows, (hidden, ask), bytes(16), {})
    code = native_core.encode(Source.contiguous(lower.write(encoder)), b"")
    assert code.tolist() == [0xFFFFFFFF, 0xFFFFFFFF, 0, 0]


def test_the_largest_sums(native_core: NativeCore) -> None:
    layer = Dense(np.full((64, 512), -128, np.int8), np.zeros(64, np.int32))
    rows = Rows(np.zeros((2, 512), np.uint8), np.full(2, 255, np.uint8), 8)
    encoder = Encoder(Vocabulary([b"a"], [b"a"]), rows, (layer,), bytes(16), {})
    text = b"a 1" * (MAX_TEXT // 3)
    assert abs(int(pool(rows, encoder.tokens(text)).min())) == 128 * 255 * (MAX_TEXT // 3)
    source = Source.contiguous(lower.write(encoder))
    assert native_core.vector(source, text).tolist() == encoder.vector(text).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_streamed_head_is_read_about_once(native_core: NativeCore, kind: str) -> None:
    """Tiles share the window: the head's bytes are not fetched again for every output."""
    encoder = Shape(3, 256, 2, (256,), 256, 16).encoder()
    data = lower.write(encoder)
    source = KINDS[kind](data)
    native_core.encode(source, b"abc")
    assert sum(length for _, length in source.reads) < 2.2 * len(data)
