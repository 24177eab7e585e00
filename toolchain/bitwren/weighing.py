"""The weight of words beside a cosine, chosen on queries made from the documents themselves.

Three sorts of queries whose right answer is known without asking anybody. A document stands for a question about its neighbours:
right is another one with its label, or with its answer; or, where there are neither, the one that a teacher has nearest. And a
document of whose words three in five were dropped stands for a short question about itself. The second sort favours meaning and
the third favours words, so they count together; labels favour neither and are enough. docs/quality.md compares what is chosen
with what would have been best.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .encoder import Encoder
from .frontend import unpack_rows
from .lexical import GAIN_ONE, Words, query_buckets
from .text import words as split
from .vectors import Vectors

WEIGHTS = (0.5, 0.7, 1.0)
TIGHT, SMALL = 0.05, (0.05, 0.1, 0.2, 0.3)
"""An index whose commonest term is in fewer than this share of the documents has lost so much to its budget that little of it is
to be trusted: then these weights are tried as well."""
DEFAULT = 0.6
ASKED, KEPT = 500, 0.4
"""Documents that are asked, and the share of a shortened one's words that are kept."""

Floats = npt.NDArray[np.floating]


def choose_weight(
    encoder: Encoder,
    texts: Sequence[str],
    groups: Sequence[str],
    embeddings: npt.NDArray[np.int8],
    centre: npt.NDArray[np.int8],
    vectors: Vectors,
    words: Words,
    teacher: npt.NDArray[np.floating] | None = None,
) -> float:
    """One of :data:`WEIGHTS` (or :data:`SMALL`), or :data:`DEFAULT` where nothing can tell.

    :param texts: of the N documents, as ``embeddings`` int8 [N, E], ``vectors`` and ``words`` have them.
    :param groups: each document's label or answer; those of documents that have it for themselves do not count.
    :param teacher: the teacher's embeddings, [N, T], of length 1; None: there is none.
    """
    units = unpack_rows(vectors.packed, vectors.bits).astype(np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    counts = np.diff(words.starts)
    tight = bool(words.dropped.any()) and counts.max(initial=0) < TIGHT * len(words)
    weights = SMALL + WEIGHTS if tight else WEIGHTS
    names, members = np.unique(np.array(groups), return_inverse=True)
    sizes = np.bincount(members, minlength=len(names))
    asked = np.flatnonzero(sizes[members] > 1)
    if len(asked) >= min(ASKED, len(texts)) // 2 and len(asked):
        asked = asked[np.linspace(0, len(asked) - 1, min(len(asked), ASKED)).astype(int)]
        cosines, found = _ask(embeddings[asked], [texts[int(index)] for index in asked], centre, units, words)
        cosines[np.arange(len(asked)), asked] = -np.inf
        return max(
            SMALL + WEIGHTS,
            key=lambda weight: float((members[(cosines + weight * found).argmax(axis=1)] == members[asked]).mean()),
        )
    if teacher is None or len(texts) < 3:
        return DEFAULT
    asked = np.linspace(0, len(texts) - 1, min(len(texts), ASKED)).astype(int)
    cosines, found = _ask(embeddings[asked], [texts[int(index)] for index in asked], centre, units, words)
    wanted = np.asarray(teacher[asked] @ teacher.T, dtype=np.float32)
    cosines[np.arange(len(asked)), asked] = wanted[np.arange(len(asked)), asked] = -np.inf
    draw = random.Random(0)
    short = [" ".join(_shorten(texts[int(index)], draw)) for index in asked]
    short_cosines, short_found = _ask(encoder.embed(short), short, centre, units, words)

    def right(weight: float) -> float:
        neighbours = _agree((cosines + weight * found).argmax(axis=1), wanted.argmax(axis=1))
        return neighbours + _agree((short_cosines + weight * short_found).argmax(axis=1), asked)

    return max(weights, key=right)


def _agree(found: npt.NDArray[np.intp], wanted: npt.NDArray[np.intp]) -> float:
    return float((found == wanted).mean())


def _ask(
    embeddings: npt.NDArray[np.int8], texts: Sequence[str], centre: npt.NDArray[np.int8], units: Floats, words: Words
) -> tuple[Floats, Floats]:
    """Cosines and words' scores of queries with all documents, float32 [Q, N]."""
    queries = embeddings.astype(np.float32) - centre
    queries /= np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-9)
    scores = np.zeros((len(texts), len(units)), dtype=np.float32)
    for row, text in zip(scores, texts, strict=True):
        sums, total = words.scores(query_buckets(text, words.hash_bits))
        row[: len(sums)] = sums / (GAIN_ONE * max(total, 1))
    return queries @ units.T, scores


def _shorten(text: str, draw: random.Random) -> list[str]:
    every = [word.decode() for word in split(text)]
    return [word for word in every if draw.random() < KEPT] or every[:1]
