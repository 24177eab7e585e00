"""Small encoders and tables with scoring stages for tests, made from a seed."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bitwren import lexical, lower
from bitwren.encoder import Dense, Encoder, Projection
from bitwren.frontend import Rows
from bitwren.table import Table
from bitwren.tokenizer import Vocabulary
from bitwren.vectors import quantize


def random_encoder(
    seed: int = 0,
    bits: int = 256,
    dims: int = 64,
    row_bits: int = 2,
    hidden: tuple[int, ...] = (),
    extra: int = 300,
    embedding: int | None = None,
) -> Encoder:
    """An encoder with random rows and layers over single characters and random short pieces.

    :param embedding: components of the embedding, which a projection then makes bits of, with the seed ``seed + 1``; None: the
        last layer's signs are the code.
    """
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
    widths = (*hidden, bits if embedding is None else embedding)
    for index, units in enumerate(widths):
        weights = random.integers(-127, 128, (units, inputs), dtype=np.int8)
        bias = random.integers(-20000, 20000, units, dtype=np.int32)
        if index == len(hidden) and embedding is None:
            layers.append(Dense(weights, bias))
        else:
            multiplier = random.integers(1 << 30, 1 << 31, units, dtype=np.int64).astype(np.int32)
            shift = random.integers(36, 44, units).astype(np.uint8)
            layers.append(Dense(weights, bias, multiplier, shift, int(random.integers(-10, 10)), -128, 127))
        inputs = units
    projection = None if embedding is None else Projection(bits, seed + 1)
    return lower.with_identity(Encoder(vocabulary, rows, tuple(layers), b"", {"name": f"random {seed}"}, projection))


def with_stages(
    table: Table, encoder: Encoder, texts: Sequence[str], vector_bits: int = 4, word_bytes: int = 80, weight: int = 180
) -> Table:
    """A table of the encoder with scoring stages: vectors and words of the first ``len(texts)`` documents, whose texts these are.

    Where the encoder projects, the codes of those documents are made anew, about the centre that vectors need.

    :param vector_bits: of a component, 2, 4 or 8; 0: no vectors. :param word_bytes: a document at most, on average; 0: no words.
    :param weight: of the words, in 1/256.
    """
    embeddings = encoder.embed(texts)
    if vector_bits:
        centre = np.rint(embeddings.mean(axis=0)).astype(np.int8)
        vectors = quantize(embeddings.astype(np.float64) - centre, vector_bits)
        codes = table.codes.copy()
        if encoder.projection:
            codes[: len(texts)] = encoder.binarize(embeddings, centre)
        table = replace(table, codes=codes, centre=centre, vectors=vectors)
    if word_bytes:
        table = replace(table, words=lexical.build(texts, word_bytes * len(texts)), weight=weight)
    return table
