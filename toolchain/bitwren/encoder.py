"""An encoder: text in, binary code out. The readable reference that the C core and the chip must equal.

:class:`EncoderFolder` is what training makes and ``models/`` ships (vocabulary, rows, int8 TFLite head); :class:`Encoder` is
the lowered form that a chip runs, as :mod:`bitwren.lower` makes it and ``.bwe`` files hold it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BitwrenError, FormatError, NoEncoder
from .frontend import Rows, pool, rescale
from .hamming import Codes, pack_bits
from .projection import project
from .text import words
from .tokenizer import Vocabulary

ELSEWHERE = bytes(16)
"""In place of an encoder's identity in a table of codes from elsewhere."""
MODELS = (Path(__file__).parent / "data" / "models", Path(__file__).parents[2] / "models")


@dataclass(frozen=True)
class Dense:
    """One int8 fully connected layer, input zero point folded into the bias.

    A layer of signs has no multiplier: its bias holds the threshold, and bit i of the code is ``bias[i] + weights[i] . x >= 0``.

    :ivar weights: int8 [O, I]. :ivar bias: int32 [O].
    :ivar multiplier: int32 [O], with shift the requantization; None in a layer of signs.
    :ivar shift: uint8 [O]; None in a layer of signs.
    :ivar zero_point: of the int8 output, as low and high are its clamp; all 0 in a layer of signs.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32] | None = None
    shift: NDArray[np.uint8] | None = None
    zero_point: int = 0
    low: int = 0
    high: int = 0

    def accumulate(self, vectors: NDArray[np.int8]) -> NDArray[np.int64]:
        """``bias + weights . x`` for int8 [N, I]: int64 [N, O] (the values fit int32)."""
        # Sums of 1024 products below 2**14 are exact in float64, whose matrix product is far quicker than int64's.
        product = vectors.astype(np.float64) @ self.weights.astype(np.float64).T
        return product.astype(np.int64) + self.bias

    def forward(self, vectors: NDArray[np.int8]) -> NDArray[np.int8]:
        """A hidden layer's int8 output [N, O]."""
        if self.multiplier is None or self.shift is None:
            raise FormatError("a layer of signs has no requantized output")
        output = requantize(self.accumulate(vectors), self.multiplier, self.shift, self.zero_point)
        return np.clip(output, self.low, self.high).astype(np.int8)


def requantize(
    sums: NDArray[np.int64], multiplier: NDArray[np.int32], shift: NDArray[np.uint8], zero_point: int
) -> NDArray[np.int64]:
    """TFLite's requantization with a single rounding (Jacob et al. 2018, section 2.2), unclamped, int64."""
    wide = shift.astype(np.int64)
    return zero_point + ((sums * multiplier.astype(np.int64) + (np.int64(1) << (wide - 1))) >> wide)


@dataclass(frozen=True)
class Projection:
    """The last step of an encoder whose codes come from :mod:`bitwren.projection`: bits of a code, and the generator's seed."""

    bits: int
    seed: int


@dataclass(frozen=True)
class Encoder:
    """A lowered encoder.

    Its layers make an int8 *embedding*, whose dot products are the finer measure of likeness; the last step makes bits of it.
    With a projection all layers belong to the embedding, without one the last layer is the last step.

    :ivar identity: 16 bytes that a table made with it records.
    :ivar notes: name, licence and the like, for people.
    """

    vocabulary: Vocabulary
    rows: Rows
    layers: tuple[Dense, ...]
    identity: bytes
    notes: dict[str, Any]
    projection: Projection | None = None

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return self.projection.bits if self.projection else len(self.layers[-1].bias)

    @property
    def units(self) -> int:
        """Components E of an embedding."""
        return len(self.layers[-1].bias) if self.projection else self.layers[-1].weights.shape[1]

    @property
    def origin(self) -> NDArray[np.int8]:
        """The embedding that stands for zero, int8 [E]."""
        hidden = self.layers if self.projection else self.layers[:-1]
        return np.full(self.units, hidden[-1].zero_point if hidden else 0, dtype=np.int8)

    def tokens(self, text: str | bytes) -> list[int]:
        """Token ids of a text; empty when it has no letter or digit that the vocabulary knows."""
        return self.vocabulary.tokens(words(text))

    def vector(self, text: str | bytes) -> NDArray[np.int8]:
        """The int8 [D] vector that the head takes."""
        return rescale(pool(self.rows, self.tokens(text)))

    def embed(self, texts: Iterable[str | bytes]) -> NDArray[np.int8]:
        """Embeddings of texts, int8 [N, E]."""
        vectors = [self.vector(text) for text in texts]
        if not vectors:
            return np.zeros((0, self.units), dtype=np.int8)
        return self.embed_vectors(np.stack(vectors))

    def embed_vectors(self, vectors: NDArray[np.int8]) -> NDArray[np.int8]:
        """Embeddings int8 [N, E] of int8 vectors [N, D]."""
        for layer in self.layers if self.projection else self.layers[:-1]:
            vectors = layer.forward(vectors)
        return vectors

    def binarize(self, embeddings: NDArray[np.int8], centre: NDArray[np.int8] | None = None) -> Codes:
        """Codes of embeddings [N, E], uint32 [N, bits / 32].

        :param centre: int8 [E], what a table's codes are centred on (:attr:`origin` where it is None). Only a projection has one.
        """
        if self.projection is None:
            return pack_bits(self.layers[-1].accumulate(embeddings) >= 0)
        centred = embeddings.astype(np.int16) - (self.origin if centre is None else centre)
        return pack_bits(project(centred, self.projection.bits, self.projection.seed))

    def encode(self, texts: Iterable[str | bytes], centre: NDArray[np.int8] | None = None) -> Codes:
        """Codes of texts, uint32 [N, bits / 32]."""
        return self.binarize(self.embed(texts), centre)

    def encode_vectors(self, vectors: NDArray[np.int8]) -> Codes:
        """Codes of int8 vectors [N, D]: the head alone."""
        return self.binarize(self.embed_vectors(vectors))


class Elsewhere(Encoder):
    """What stands in an encoder's place for codes from elsewhere: it knows their width, and refuses every text."""

    @classmethod
    def of(cls, bits: int) -> Elsewhere:
        """The one for codes of so many bits."""
        rows = Rows(np.zeros((0, 32), dtype=np.uint8), np.zeros(0, dtype=np.uint8), 8)
        head = Dense(np.zeros((bits, 32), dtype=np.int8), np.zeros(bits, dtype=np.int32))
        return cls(Vocabulary([], []), rows, (head,), ELSEWHERE, {})

    def tokens(self, text: str | bytes) -> list[int]:
        """Refuse the text.

        :raises NoEncoder: always.
        """
        raise NoEncoder


@dataclass(frozen=True)
class EncoderFolder:
    """An encoder as training leaves it: encoder.toml, vocabulary.txt, rows.npy, scales.npy and head.tflite."""

    path: Path
    settings: dict[str, Any]
    vocabulary: Vocabulary
    rows: Rows
    head: bytes

    @property
    def binarizer(self) -> str:
        """What makes bits of the head's outputs: ``lsh``, the pseudo-random projection, or ``dense``, their signs."""
        return "lsh" if self.settings.get("binarizer") == "lsh" else "dense"

    @property
    def knows_labels(self) -> bool:
        """Whether it was trained on which documents of a corpus say the same, and so has them where they should be."""
        return self.settings.get("labels") is True

    @classmethod
    def read(cls, path: Path) -> EncoderFolder:
        """Read and check a folder.

        :raises FormatError: when a file is missing or does not fit the others.
        """
        try:
            settings = tomllib.loads((path / "encoder.toml").read_text("utf-8"))
            packed = np.load(path / "rows.npy", allow_pickle=False)
            scales = np.load(path / "scales.npy", allow_pickle=False)
            head = (path / "head.tflite").read_bytes()
            vocabulary = Vocabulary.read(path / "vocabulary.txt")
        except OSError as error:
            raise FormatError(f"encoder {path} is not complete: {error.filename}: {error.strerror}") from error
        except (ValueError, EOFError) as error:
            raise FormatError(f"encoder {path} is damaged: {error}") from error
        rows = Rows(packed, scales, int(settings.get("row_bits", 2)))
        if len(scales) != len(vocabulary):
            raise FormatError(f"encoder {path}: {len(scales)} rows for {len(vocabulary)} pieces of vocabulary")
        return cls(path, settings, vocabulary, rows, head)

    @classmethod
    def find(cls, name: str) -> EncoderFolder:
        """Read an encoder by the name of one that ships, or by the path of a folder."""
        for folder in (*(root / name for root in MODELS), Path(name)):
            if (folder / "encoder.toml").is_file():
                return cls.read(folder)
        raise BitwrenError(f"no encoder {name!r}: give one of {', '.join(shipped())} or a folder with encoder.toml")


def shipped() -> list[str]:
    """Names of the encoders that come with bitwren."""
    return sorted({file.parent.name for root in MODELS for file in root.glob("*/encoder.toml")})
