"""Where training on a corpus begins: at an encoder that there is, with its vocabulary or another one, or at a teacher's words.

A token's *contribution* is what its row adds to an embedding before the sum is brought to length. Contributions of a word's
tokens add up, so a piece that an encoder does not have begins as the sum of those that it would read there; and rows of fewer
dimensions begin as the contributions' principal components.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..compiler import Teacher
from ..container import PAGE
from ..encoder import EncoderFolder
from ..frontend import INPUT_SCALE, unpack_rows
from ..lower import read_head
from ..tokenizer import Vocabulary
from . import TrainingError
from .hyper import Hyper
from .student import Weights, initial_kernel, initial_rows, initial_weights
from .texts import Floats, principal_components
from .vocabulary import prune

SIZE = 0.05
"""Mean magnitude of rows, by which Adam's learning rates are to be understood."""


@dataclass(frozen=True)
class Begin:
    """A vocabulary of V pieces and the weights to begin with.

    :ivar name: says where they are from. :ivar kept: whether they are an encoder's very own.
    """

    name: str
    vocabulary: Vocabulary
    weights: Weights
    kept: bool = False


def outputs(folder: EncoderFolder) -> tuple[Floats, Floats, Floats]:
    """Rows [V, D], kernel [D, E] and bias [E] of an encoder in floats, E its embedding's or, where it has none, its code's."""
    projected = folder.binarizer == "lsh"
    layers = read_head(folder.head, folder.rows.dims, signs=not projected)
    rows = unpack_rows(folder.rows.packed, folder.rows.bits) * folder.rows.scales.astype(np.float32)[:, None]
    kernel = np.eye(folder.rows.dims, dtype=np.float32)
    bias = np.zeros(folder.rows.dims, dtype=np.float32)
    for layer in layers if projected else layers[:-1] or layers:
        if layer.multiplier is None or layer.shift is None:
            real = np.ones(len(layer.bias), dtype=np.float32)  # of signs, whose size is not known and decides nothing
        else:
            real = (layer.multiplier * np.exp2(-layer.shift.astype(np.float64))).astype(np.float32)
        scaled = layer.weights.T * real
        added = layer.bias * real / (INPUT_SCALE if layer is layers[0] else 1)  # the first layer's input is 32 x
        kernel, bias = kernel @ scaled, np.asarray(bias @ scaled + added, dtype=np.float32)
    size = np.sqrt(len(kernel)) * float(kernel.std())
    return sized(rows), kernel / size, bias / size


def from_encoder(folder: EncoderFolder, hyper: Hyper, vocabulary: Vocabulary, counts: Counter[bytes], seed: int) -> Begin:
    """Begin at an encoder: at its very weights where vocabulary and shape stay, else at what its contributions give.

    :param counts: how often each word occurs in what is to be learnt: what is common decides which dimensions are kept.
    """
    rows, kernel, bias = outputs(folder)
    name = str(folder.settings.get("name", folder.path.name))
    same = (vocabulary.starts, vocabulary.continuations) == (folder.vocabulary.starts, folder.vocabulary.continuations)
    if same and kernel.shape == (hyper.dims, hyper.outputs):
        return Begin(name, vocabulary, Weights(rows, kernel, bias), kept=True)
    contributions = rows @ kernel
    pieces = np.stack([contributions[ids].sum(axis=0) for ids in readings(folder.vocabulary, vocabulary)])
    uses = _uses(vocabulary, counts)
    # Square roots of counts as weights of the rows: of a sum's variance, each token has the share that its count gives it.
    _, directions = principal_components(pieces * np.sqrt(uses / max(uses.sum(), 1) + 1e-6)[:, None], hyper.dims)
    found = np.zeros((len(pieces), hyper.dims), dtype=np.float32)
    found[:, : directions.shape[1]] = pieces @ directions
    random = np.random.default_rng(seed)
    kernel = initial_kernel(hyper.dims, hyper.outputs, random)
    return Begin(name, vocabulary, Weights(sized(found), kernel, np.zeros(hyper.outputs, dtype=np.float32)))


def from_nothing(vocabulary: Vocabulary, hyper: Hyper, counts: Counter[bytes], teacher: Teacher | None, seed: int) -> Begin:
    """Begin with a teacher's view of each piece by itself, or without one at random."""
    random = np.random.default_rng(seed)
    if teacher is None:
        # Small, so that what is never taught stays small beside what is.
        rows = (0.2 * SIZE * random.normal(size=(len(vocabulary), hyper.dims))).astype(np.float32)
        return Begin("random rows", vocabulary, initial_weights(rows, hyper, random))
    pieces = [piece.decode("utf-8", "replace") for piece in (*vocabulary.starts, *vocabulary.continuations)]
    rows = initial_rows(teacher.embed(pieces, "vocabulary"), _uses(vocabulary, counts), hyper.dims)
    return Begin(f"{teacher.name}'s words", vocabulary, initial_weights(rows, hyper, random))


def readings(before: Vocabulary, after: Vocabulary) -> list[list[int]]:
    """Token ids by which an encoder reads each piece of another vocabulary, in its place of a word."""
    inside = Vocabulary(before.continuations, before.continuations)  # what may follow may begin here, too
    shift = len(before.starts)
    return [before.tokens([piece]) for piece in after.starts] + [
        [shift + token % len(before.continuations) for token in inside.tokens([piece])] for piece in after.continuations
    ]


def pieces_within(flash: int, hyper: Hyper, learnt: list[str], counts: Counter[bytes]) -> Vocabulary:
    """The vocabulary of most pieces whose encoder takes at most ``flash`` bytes.

    :param learnt: pieces to choose from, continuations with ``##``. :param counts: how often each word occurs.
    """
    low, high = 0, len(learnt) + 72
    best = None
    while low < high:  # a piece's own bytes depend on its neighbours, so sizes are tried
        middle = (low + high + 1) // 2
        tried = prune(learnt, counts, middle)
        if file_bytes(tried, hyper) <= flash:
            low, best = middle, tried
        else:
            high = middle - 1
    if best is None or len(best.starts) + len(best.continuations) < 72:
        raise TrainingError(
            f"{flash:,} bytes of flash are too few for rows of {hyper.dims} dimensions and a head: allow more, or fewer --dims"
        )
    return best


def file_bytes(vocabulary: Vocabulary, hyper: Hyper) -> int:
    """Bytes of the encoder's file, header and sections rounded up to pages (docs/format.md)."""
    layers = [(hyper.dims, hyper.outputs)] + ([(hyper.outputs, hyper.bits)] if hyper.binarizer == "itq" else [])
    head = sum(36 + units * (inputs + 9) for inputs, units in layers)  # a record, int8 weights, int32 bias and multiplier, shift
    sections = (len(vocabulary.pack()), len(vocabulary) * hyper.dims // 4, len(vocabulary), head)
    return PAGE + sum(-(-size // PAGE) * PAGE for size in sections)


def known_pieces(vocabulary: Vocabulary) -> list[str]:
    """A vocabulary's pieces, continuations with ``##``."""
    return [piece.decode() for piece in vocabulary.starts] + [f"##{piece.decode()}" for piece in vocabulary.continuations]


def _uses(vocabulary: Vocabulary, counts: Counter[bytes]) -> NDArray[np.int64]:
    """How often each piece is read, int64 [V]."""
    uses = np.zeros(len(vocabulary), dtype=np.int64)
    for word, count in counts.items():
        np.add.at(uses, vocabulary.tokens([word]), count)
    return uses


def sized(rows: Floats) -> Floats:
    """Rows of a mean magnitude of :data:`SIZE`."""
    return np.asarray(rows * (SIZE / max(float(np.abs(rows).mean()), 1e-9)), dtype=np.float32)
