"""What a corpus teaches: its texts, which of them belong together, what a teacher says of them, and batches of all that.

Beside the corpus stand everyday texts of our own (:mod:`bitwren.background`): from them an encoder keeps what it knew of the rest
of the language, which it needs to tell what the corpus does not answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import corpus
from ..corpus import Document, Question
from ..tokenizer import Vocabulary
from .augment import augment
from .loop import Batch
from .texts import tokens_of
from .vocabulary import tokenize, weighted_counts

OWN_WORDS = 4
"""How often a word of the corpus counts when a vocabulary is chosen, one of everyday texts once."""
TOGETHER = 4
"""Texts of one group that stand in one batch, so that there is something to draw together."""


@dataclass(frozen=True)
class Lessons:
    """Texts to learn from.

    :ivar texts: N of them; the corpus's documents come first.
    :ivar documents: how many of those there are.
    :ivar groups: int32 [N], texts of one number mean the same; -1: no other text does.
    :ivar pairs: int32 [P, 2], a text and what it is to find.
    :ivar own: how many texts are the corpus's or its questions', the rest are answers and everyday ones.
    """

    texts: list[str]
    documents: int
    groups: NDArray[np.int32]
    pairs: NDArray[np.int32]
    own: int

    def without(self, held: NDArray[np.intp]) -> Lessons:
        """The same without some texts' part in groups and pairs; they are then in no :func:`batches`."""
        groups = self.groups.copy()
        groups[held] = -1
        pairs = self.pairs[~np.isin(self.pairs[:, 0], held)]
        return Lessons(self.texts, self.documents, alone(groups), pairs, self.own)


def lessons(
    documents: Sequence[Document], questions: Sequence[Question], background: Sequence[str], labels: bool, answers: bool
) -> Lessons:
    """What there is to learn from.

    :param questions: training questions; each belongs to the document of its id, or to the documents of its label.
    :param labels: whether documents that are :func:`.corpus.alike` belong together.
    :param answers: whether a document is to find its answer.
    """
    texts = [document.text for document in documents]
    groups = corpus.alike(documents).tolist() if labels else [-1] * len(texts)
    labelled = {document.label: group for document, group in zip(documents, groups, strict=True) if document.label}
    pairs: list[tuple[int, int]] = []
    places = {document.id: index for index, document in enumerate(documents)}
    for question in questions:
        target = places.get(question.id)
        groups.append(labelled.get(question.label, -1) if target is None else groups[target])
        if target is not None:
            pairs.append((len(texts), target))
        texts.append(question.query)
    own = len(texts)
    if answers:
        for index, document in enumerate(documents):
            if document.answer != document.text:
                pairs.append((index, len(texts)))
                texts.append(document.answer)
    texts += background
    groups += [-1] * (len(texts) - len(groups))
    found = np.array(pairs, dtype=np.int32).reshape(-1, 2)
    return Lessons(texts, len(documents), alone(np.array(groups, dtype=np.int32)), found, own)


def alone(groups: NDArray[np.int32]) -> NDArray[np.int32]:
    """Groups [N] without those of one text."""
    sizes = np.bincount(groups[groups >= 0], minlength=1)
    return np.where((groups >= 0) & (sizes[np.maximum(groups, 0)] > 1), groups, -1).astype(np.int32)


def batches(
    taught: Lessons,
    chosen: NDArray[np.intp],
    vocabulary: Vocabulary,
    targets: NDArray[np.float16],
    size: int,
    noise: tuple[float, float],
    random: np.random.Generator,
) -> Iterator[Batch]:
    """One epoch: every chosen text once, what belongs together in one batch.

    :param targets: [N, T], the teacher's embeddings. :param size: texts of a batch, about.
    :param noise: chances that a word is left out, and that it is mistyped, in the corpus's own texts.
    """
    units = _units(taught, chosen, random)
    begin = 0
    while begin < len(units):
        end, count = begin, 0
        while end < len(units) and (count < size or end == begin):
            count += len(units[end])
            end += 1
        index = np.unique(np.concatenate(units[begin:end]))
        begin = end
        if len(index) < 2:
            continue
        texts = [taught.texts[i] for i in index]
        noisy = random.random(len(index)) < 0.5
        texts = [
            augment(text, random, *noise) if each and i < taught.own else text
            for text, i, each in zip(texts, index, noisy, strict=True)
        ]
        ids, offsets = tokenize(vocabulary, texts)
        tokens, segments = tokens_of(ids, offsets, np.arange(len(texts)))
        yield Batch(
            tokens, segments, targets[index].astype(np.float32), taught.groups[index], _pairs_within(taught.pairs, index, random)
        )


def _units(taught: Lessons, chosen: NDArray[np.intp], random: np.random.Generator) -> list[NDArray[np.intp]]:
    """Texts that are to be in one batch, in random order: some of a group, the two of a pair, or one alone."""
    allowed = np.zeros(len(taught.texts), dtype=bool)
    allowed[chosen] = True
    units: list[NDArray[np.intp]] = []
    grouped = random.permutation(chosen[taught.groups[chosen] >= 0])
    grouped = grouped[np.argsort(taught.groups[grouped], kind="stable")]
    if len(grouped):
        for members in np.split(grouped, np.flatnonzero(np.diff(taught.groups[grouped])) + 1):
            units += [members[begin : begin + TOGETHER] for begin in range(0, len(members), TOGETHER)]
    pairs = taught.pairs[allowed[taught.pairs].all(axis=1)] if len(taught.pairs) else taught.pairs
    units += [pair.astype(np.intp) for pair in pairs]
    paired = np.zeros(len(taught.texts), dtype=bool)
    paired[pairs.ravel()] = True
    units += [np.array([index]) for index in chosen[(taught.groups[chosen] < 0) & ~paired[chosen]]]
    return [units[index] for index in random.permutation(len(units))]


def _pairs_within(pairs: NDArray[np.int32], index: NDArray[np.intp], random: np.random.Generator) -> NDArray[np.int32]:
    """Pairs of which both texts are in a batch, as places in it; of several with one answer, one at random."""
    inside = random.permutation(pairs[np.isin(pairs, index).all(axis=1)]) if len(pairs) else pairs
    _, first = np.unique(inside[:, 1], return_index=True)
    return np.searchsorted(index, inside[first]).astype(np.int32).reshape(-1, 2)


def word_counts(taught: Lessons, weight: int = OWN_WORDS) -> Counter[bytes]:
    """How often each word occurs, in the corpus's own texts ``weight`` times."""
    return weighted_counts([taught.texts[: taught.own], taught.texts[taught.own :]], [weight, 1])
