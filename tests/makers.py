"""Small encoders and bundles for tests, made from a seed."""

from __future__ import annotations

import string

import numpy as np

from bitwren import lower
from bitwren.encoder import Dense, Encoder
from bitwren.frontend import Rows
from bitwren.tokenizer import Vocabulary


def random_encoder(
    seed: int = 0, bits: int = 256, dims: int = 64, row_bits: int = 2, hidden: tuple[int, ...] = (), extra: int = 300
) -> Encoder:
    """An encoder with random rows and layers over single characters and random short pieces."""
    random = np.random.default_rng(seed)
    letters = string.ascii_lowercase + string.digits
    pieces = {letter.encode() for letter in letters}
    while len(pieces) < len(letters) + extra:
        pieces.add("".join(random.choice(list("etaoinsrh"), random.integers(2, 6))).encode())
    vocabulary = Vocabulary(sorted(pieces), sorted(pieces))
    count = len(vocabulary)
    rows = Rows(
        random.integers(0, 256, (count, dims * row_bits // 8), dtype=np.uint8),
        random.integers(0, 256, count, dtype=np.uint8),
        row_bits,
    )
    layers: list[Dense] = []
    inputs = dims
    for units in (*hidden, bits):
        weights = random.integers(-127, 128, (units, inputs), dtype=np.int8)
        bias = random.integers(-20000, 20000, units, dtype=np.int32)
        if units == bits and len(layers) == len(hidden):
            layers.append(Dense(weights, bias))
        else:
            multiplier = random.integers(1 << 30, 1 << 31, units, dtype=np.int64).astype(np.int32)
            shift = random.integers(36, 44, units).astype(np.uint8)
            layers.append(Dense(weights, bias, multiplier, shift, int(random.integers(-10, 10)), -128, 127))
        inputs = units
    return lower.with_identity(Encoder(vocabulary, rows, tuple(layers), b"", {"name": f"random {seed}"}))
