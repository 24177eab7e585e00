"""Scoring stages after the Hamming search: documents' vectors and words, joined in one score.

Candidates are the nearest by Hamming distance and the best by words alone; each gets one score, and the best scores win. So the
binary search stays first and exact, and what vectors cost does not grow with the table. A score is the cosine that vectors (or,
without them, the distance) give, plus the words' weight times their score, in units of 1/4096. Everything is integer arithmetic
that the C core repeats; docs/format.md has the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .errors import QueryError
from .hamming import Codes, distances
from .lexical import query_buckets
from .vectors import ONE, from_distances

if TYPE_CHECKING:
    from .table import Table

DEPTH = 64
"""Candidates by Hamming distance, or as many as are asked for where that is more; and candidates by words."""
WEIGHT_ONE = 256
"""A weight of 1 for the words' score."""
NAMES = ("hamming", "vectors", "words", "all")


@dataclass(frozen=True)
class Stages:
    """What ranks the candidates besides the Hamming distance."""

    vectors: bool
    words: bool

    @property
    def name(self) -> str:
        """One of :data:`NAMES`."""
        return NAMES[self.vectors + 2 * self.words]

    @property
    def any(self) -> bool:
        """Whether there is more than the Hamming distance."""
        return self.vectors or self.words


@dataclass(frozen=True)
class Query:
    """A query as a table is asked: its code [bits / 32], its embedding int8 [E], its text for the words."""

    code: Codes
    embedding: NDArray[np.int8] | None = None
    text: str | bytes = ""


ALL = tuple(Stages(vectors, words) for words in (False, True) for vectors in (False, True))
"""By the numbers of their names."""


def there(table: Table) -> list[Stages]:
    """Those of :data:`ALL` that a table has what they need for."""
    has_vectors, has_words = table.vectors is not None, table.words is not None
    return [each for each in ALL if each.vectors <= has_vectors and each.words <= has_words]


def choose(table: Table, name: str | None) -> Stages:
    """The stages of a name, or all that the table has for None.

    :raises QueryError: for what is no name, or when the table lacks what it asks for.
    """
    if name is None:
        return Stages(table.vectors is not None, table.words is not None)
    if name not in NAMES:
        raise QueryError(f"stages must be one of {', '.join(NAMES)}")
    number = NAMES.index(name)
    wanted = Stages(bool(number & 1), bool(number & 2))
    if (wanted.vectors and table.vectors is None) or (wanted.words and table.words is None):
        raise QueryError(f"the table was built without what {name} needs: leave stages out, or build it again")
    return wanted


def rank(table: Table, query: Query, k: int, effort: int, stages: Stages) -> list[tuple[int, int, int]]:
    """The k best live documents as (score, distance, slot), by descending score and then by slot.

    :param stages: at least one of them.
    """
    near = [slot for _, slot in table.nearest(query.code, max(DEPTH, k), effort)]
    return join(table, query, k, stages, near, word_scores(table, query) if stages.words else None)


def join(
    table: Table,
    query: Query,
    k: int,
    stages: Stages,
    near: Sequence[int] | NDArray[np.int64],
    words: tuple[NDArray[np.int64], int] | None,
    live: NDArray[np.bool_] | None = None,
) -> list[tuple[int, int, int]]:
    """What :func:`rank` returns, of what was found by distance and by words: those who ask much find it once for several stages.

    :param near: slots of the max(:data:`DEPTH`, k) nearest. :param words: what :func:`word_scores` gives, with the stage words.
    :param live: bool [N], the slots that count; None: the table's.
    """
    live = table.live if live is None else live
    slots = np.array(near, dtype=np.int64)
    sums, total = words or (np.zeros(0, dtype=np.int64), 0)
    if len(sums):
        found = np.flatnonzero((sums > 0) & live[: len(sums)])
        best = found[np.lexsort((found, -sums[found]))[:DEPTH]]
        slots = np.concatenate([slots, best[~np.isin(best, slots)]])
    far = distances(query.code, table.codes[slots])
    scores = _similarities(table, query, slots, far) if stages.vectors else from_distances(far, table.bits)
    if total:
        covered = slots < len(sums)
        by_words = np.where(covered, sums[np.where(covered, slots, 0)], 0) * (ONE // 128) // total
        scores = scores + (table.weight * by_words >> 8)
    order = np.lexsort((slots, -scores))[:k]
    return [(int(scores[index]), int(far[index]), int(slots[index])) for index in order]


def word_scores(table: Table, query: Query) -> tuple[NDArray[np.int64], int]:
    """What :meth:`bitwren.lexical.Words.scores` gives for a query; without an index no slots at all."""
    if table.words is None:
        return np.zeros(0, dtype=np.int64), 0
    return table.words.scores(query_buckets(query.text, table.words.hash_bits))


def _similarities(table: Table, query: Query, slots: NDArray[np.int64], far: NDArray[np.int64]) -> NDArray[np.int64]:
    """By the documents' vectors; of slots past them by distance."""
    if table.vectors is None or table.centre is None or query.embedding is None:
        raise ValueError("vectors need an embedding and a centre")
    found = from_distances(far, table.bits)
    with_vector = slots < len(table.vectors)
    centred = query.embedding.astype(np.int16) - table.centre
    found[with_vector] = table.vectors.similarities(centred, slots[with_vector])
    return found
