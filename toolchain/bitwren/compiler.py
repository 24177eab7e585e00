"""The index compiler: moves a table's documents to where a teacher has them, as the small query encoder sees it.

A chip must encode queries itself, so the query encoder is small; documents are encoded once, on a host that may hold a far better
encoder. Documents encoded by the teacher alone do not help: a small encoder's errors are the same on both sides and cancel. So
each document starts from its own small embedding, goes part of the way towards what a linear map makes of the teacher's, and is
then fitted: its similarities to query-like texts, as the small encoder embeds those, are to be the teacher's. Nothing changes on
the chip, and a table gets no larger. docs/quality.md has what each step gives.

The loss is that of similarity-preserving distillation (Tung & Mori 2019) for the documents' side alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .background import texts as background_texts
from .encoder import Encoder

Floats = npt.NDArray[np.float32]
Progress = Callable[[str, int, int], None]

BLEND, RIDGE = 0.6, 30.0
"""Share of the mapped teacher's vector that is added to a document's own, and the map's regularisation."""


class Teacher(Protocol):
    """What knows better how texts relate; :class:`bitwren.train.teacher.Teacher` is one."""

    name: str

    def embed(self, texts: Sequence[str], label: str = ...) -> npt.NDArray[np.float16]:
        """Embeddings of length 1, [len(texts), T]."""


@dataclass(frozen=True)
class Fit:
    """Settings of the fitting.

    :ivar epochs: passes over the query-like texts. :ivar batch: of them at a time. :ivar rate: Adam's learning rate.
    :ivar tau: temperature of the teacher's similarities. :ivar mse: weight of the similarities' squared error.
    :ivar anchor: weight of the cosine with where a document started.
    """

    epochs: int = 5
    batch: int = 512
    rate: float = 3e-3
    tau: float = 0.05
    mse: float = 3.0
    anchor: float = 1.0


def compile_documents(
    encoder: Encoder,
    embeddings: npt.NDArray[np.int8],
    centre: npt.NDArray[np.int8],
    wanted: Floats,
    teacher: Teacher,
    pool: int = 6000,
    fit: Fit | None = None,
    progress: Progress = lambda step, done, total: None,
) -> Floats:
    """Vectors of documents, float32 [N, E], of length 1, relative to the centre.

    :param embeddings: int8 [N, E], of the documents' texts. :param centre: int8 [E] of the table.
    :param wanted: [N, T], the teacher's embeddings of the same texts, of length 1.
    :param pool: how many background texts to fit against, and at most as many of the documents' own.
    """
    own = unit(embeddings.astype(np.float32) - centre)
    background = background_texts(pool)
    some = np.linspace(0, len(own) - 1, min(len(own), pool)).astype(int)
    asked = np.concatenate([unit(encoder.embed(background).astype(np.float32) - centre), own[some]])
    asked_wanted = np.concatenate([unit(teacher.embed(background, "background")), wanted[some]])
    start = unit(own + BLEND * linear_map(asked, asked_wanted, wanted, RIDGE))
    return fit_documents(start, asked, wanted, asked_wanted, fit or Fit(), progress)


def drawn_together(vectors: Floats, groups: npt.NDArray[np.int32], share: float) -> Floats:
    """Documents that say the same, nearer to one another: to each is added its group's mean, times ``share``.

    A query that falls between documents of several groups then finds the group whose middle is nearest (Snell et al. 2017,
    "Prototypical Networks for Few-shot Learning"), and of that group still the document most like itself.

    :param vectors: [N, E], rows of length 1. :param groups: [N], a number for what each says; -1: no other says the same.
    """
    found = vectors.copy()
    order = np.argsort(groups, kind="stable")
    order = order[groups[order] >= 0]
    for members in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1) if len(order) else ():
        found[members] += share * unit(vectors[members].mean(axis=0, keepdims=True))
    return unit(found)


def linear_map(vectors: Floats, wanted: Floats, given: Floats, ridge: float) -> Floats:
    """Ridge regression (Hoerl & Kennard 1970) from the teacher's space to the encoder's, applied to ``given``; rows of length 1.

    :param vectors: [M, E], where the encoder has some texts. :param wanted: [M, T], where the teacher has them.
    :param given: [N, T].
    """
    mean = wanted.mean(axis=0)
    centred = wanted - mean
    gram = centred.T @ centred + ridge * np.eye(centred.shape[1], dtype=np.float32)
    return unit((given - mean) @ np.linalg.solve(gram, centred.T @ vectors).astype(np.float32))


def fit_documents(
    start: Floats,
    asked: Floats,
    wanted: Floats,
    asked_wanted: Floats,
    fit: Fit,
    progress: Progress = lambda step, done, total: None,
) -> Floats:
    """Move documents so that their similarities to query-like texts are the teacher's, by Adam (Kingma & Ba 2015).

    :param start: [N, E], where documents are. :param asked: [M, E], where the encoder has the query-like texts.
    :param wanted: [N, T] and :param asked_wanted: [M, T], where the teacher has both. All rows have length 1.
    :return: [N, E], rows of length 1.
    """
    documents, count = start.copy(), len(start)
    scale = np.array([math.log(15.0)], dtype=np.float32)  # of the similarities in the softmax, learnt too
    steps = [_Adam(documents.shape), _Adam(scale.shape)]
    random = np.random.default_rng(0)
    batch = min(fit.batch, len(asked))
    total = fit.epochs * (len(asked) // batch)
    for step in range(total):
        if step % (len(asked) // batch) == 0:
            order = random.permutation(len(asked))
        chosen = order[step % (len(asked) // batch) * batch :][:batch]
        aim = asked_wanted[chosen] @ wanted.T
        lengths = np.linalg.norm(documents, axis=1, keepdims=True)
        units = documents / lengths
        found = asked[chosen] @ units.T
        sharpness = float(np.exp(scale[0]))
        excess = (_softmax(found * sharpness) - _softmax(aim / fit.tau)) / batch
        slope = excess * sharpness + 2 * fit.mse * (found - aim) / found.size
        pull = slope.T @ asked[chosen] - fit.anchor / count * start
        pull = (pull - units * (pull * units).sum(axis=1, keepdims=True)) / lengths
        rate = fit.rate * max(0.02, 1 - step / total)
        documents -= rate * steps[0].direction(pull)
        scale -= rate * steps[1].direction(np.array([(excess * found).sum() * sharpness], dtype=np.float32))
        progress("fit documents", step + 1, total)
    return unit(documents)


class _Adam:
    """Adam's running moments of one array."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._first, self._second = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
        self._steps = 0

    def direction(self, gradient: Floats) -> Floats:
        """What to subtract, times the learning rate."""
        self._steps += 1
        self._first += 0.1 * (gradient - self._first)
        self._second += 0.001 * (gradient * gradient - self._second)
        first = self._first / (1 - 0.9**self._steps)
        return np.asarray(first / (np.sqrt(self._second / (1 - 0.999**self._steps)) + 1e-8), dtype=np.float32)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def unit(vectors: npt.NDArray[np.floating]) -> Floats:
    """Rows of length 1, float32; of a row of zeros, zeros."""
    wide = np.asarray(vectors, dtype=np.float32)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-9), dtype=np.float32)
