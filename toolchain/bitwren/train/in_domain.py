"""Training on a corpus: epochs until texts held out of it are found no better, then as many with nothing held out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import checkpoint, need
from .begin import Begin
from .heldout import gain, hold_out, represented
from .hyper import Hyper
from .lessons import Lessons, batches
from .loop import Loop, Objectives, sharpness
from .student import Weights
from .texts import Floats, principal_components
from .vocabulary import tokenize

Say = Callable[[str], None]


@dataclass(frozen=True)
class Course:
    """How a corpus is taught.

    :ivar noise: chances that a word of a text is left out, and that it is mistyped, in half of the texts of an epoch.
    :ivar held_out: share of the documents that are held out to find the number of epochs; 0: all epochs are done.
    :ivar patience: epochs without a better result after which no more are tried.
    """

    hyper: Hyper
    objectives: Objectives
    noise: tuple[float, float] = (0.15, 0.1)
    held_out: float = 0.1
    patience: int = 5
    seed: int = 1


@dataclass(frozen=True)
class Learnt:
    """What came of it.

    :ivar epochs: how many were best. :ivar before: nDCG@10 of held-out texts before training, and
    :ivar after: with the best number of epochs; None where nothing was held out.
    """

    weights: Weights
    epochs: int
    before: float | None = None
    after: float | None = None


def study(
    begin: Begin, taught: Lessons, targets: NDArray[np.float16], course: Course, say: Say, saved: Path | None, resume: bool
) -> Learnt:
    """Train on a corpus.

    :param targets: [N, T], the teacher's embeddings of the lessons' texts, T = 0 without a teacher.
    :param saved: where the run's state is kept after each epoch; None: nowhere. :param resume: go on from there, if it is there.
    """
    tf = need("tensorflow")
    tf.keras.utils.set_random_seed(course.seed)
    tf.config.experimental.enable_op_determinism()  # threads would add up in another order each time
    of = fingerprint(begin, taught, targets, course)
    found = checkpoint.load(saved, of) if saved and resume else None
    facts, arrays = found or ({"phase": "search", "epoch": 0, "scores": []}, {})
    if found:
        say(f"going on after epoch {facts['epoch']}" + (" of the last pass" if facts["phase"] == "all" else ""))
    held = hold_out(taught, targets, course.held_out, np.random.default_rng([course.seed, 7])) if course.held_out else None
    best = course.hyper.epochs
    everything = np.arange(len(taught.texts))
    ids, offsets = tokenize(begin.vocabulary, taught.texts)
    beside = directions(begin, ids, offsets, targets, course.hyper)
    if held is not None:
        part, chosen = taught.without(held.asked), np.setdiff1d(everything, held.asked)
        scores = [float(score) for score in facts["scores"]]
        if not scores:
            scores.append(gain(begin.weights, course.hyper, ids, offsets, held))
            say(f"before: {100 * scores[0]:.1f} (nDCG@10 of {len(held.asked)} held-out texts, %)")
        if facts["phase"] == "search":
            loop = _loop(begin, everything, beside, course)
            _restore(loop, arrays)
            for epoch in range(int(facts["epoch"]), course.hyper.epochs):
                if epoch - int(np.argmax(scores)) >= course.patience:
                    break
                line = _epoch(loop, part, chosen, begin, targets, course, epoch)
                scores.append(gain(loop.weights(), course.hyper, ids, offsets, held))
                say(f"{line}, held-out {100 * scores[-1]:.1f}")
                _save(saved, of, {"phase": "search", "epoch": epoch + 1, "scores": scores}, loop)
            facts, arrays = {"phase": "all", "epoch": 0, "scores": scores}, {}
        best = int(np.argmax(scores))
        say(f"best after {best} epochs: {100 * scores[best]:.1f}; now with nothing held out")
    loop = _loop(begin, everything, beside, course)
    _restore(loop, arrays)
    for epoch in range(int(facts["epoch"]), best):
        say(_epoch(loop, taught, everything, begin, targets, course, epoch))
        _save(saved, of, facts | {"phase": "all", "epoch": epoch + 1}, loop)
    if held is None:
        return Learnt(loop.weights(), best)
    return Learnt(loop.weights(), best, scores[0], scores[best])


def fingerprint(begin: Begin, taught: Lessons, targets: NDArray[np.float16], course: Course) -> str:
    """Names a run by everything that decides it."""
    digest = hashlib.sha256(repr((begin.name, course, taught.documents, taught.own)).encode())
    arrays = (begin.weights.rows, begin.weights.kernel, begin.weights.bias, taught.groups, taught.pairs, targets)
    for data in (
        begin.vocabulary.text(),
        *(text.encode() + b"\0" for text in taught.texts),
        *(array.tobytes() for array in arrays),
    ):
        digest.update(data)
    return digest.hexdigest()


def directions(
    begin: Begin, ids: NDArray[np.int32], offsets: NDArray[np.int64], targets: NDArray[np.float16], hyper: Hyper
) -> tuple[Floats, Floats] | None:
    """Mean [T] and directions [T, C] of the teacher's embeddings, beside which outputs are taught; None without a teacher.

    Principal components; where an encoder's own weights are the beginning, turned to lie as its outputs do (the orthogonal
    Procrustes problem, Schoenemann 1966), so that it need not unlearn where its outputs are.

    :param ids: of the lessons' texts, and :param offsets: as :func:`.vocabulary.tokenize` gives them.
    """
    if not targets.shape[1]:
        return None
    mean, found = principal_components(targets, max(hyper.dims, hyper.outputs))
    if begin.kept and hyper.outputs == hyper.dims == found.shape[1]:
        lie = represented(begin.weights, hyper, ids, offsets, np.arange(len(targets)))
        cross = ((targets.astype(np.float32) - mean) @ found).T @ (lie - lie.mean(axis=0))
        left, _, right = np.linalg.svd(cross)
        found = np.ascontiguousarray(found @ (left @ right), dtype=np.float32)
    return mean, found


def _loop(begin: Begin, texts: NDArray[np.intp], beside: tuple[Floats, Floats] | None, course: Course) -> Loop:
    steps = course.hyper.epochs * max(1, len(texts) // course.hyper.batch)
    return Loop(begin.weights, course.hyper, course.objectives, beside, steps)


def _epoch(
    loop: Loop, taught: Lessons, chosen: NDArray[np.intp], begin: Begin, targets: NDArray[np.float16], course: Course, epoch: int
) -> str:
    started = time.monotonic()
    # A generator for each epoch: a run that goes on draws what the whole one would have drawn.
    random = np.random.default_rng([course.seed, epoch])
    drawn = batches(taught, chosen, begin.vocabulary, targets, course.hyper.batch, course.noise, random)
    loss = loop.epoch(drawn, sharpness(course.hyper, epoch))
    return f"epoch {epoch + 1} of {course.hyper.epochs}: loss {loss:.3f}, {time.monotonic() - started:.0f} s"


def _save(path: Path | None, of: str, facts: dict[str, Any], loop: Loop) -> None:
    if path is not None:
        checkpoint.save(path, of, facts, {f"state{index:03}": array for index, array in enumerate(loop.state())})


def _restore(loop: Loop, arrays: dict[str, NDArray[Any]]) -> None:
    if arrays:
        loop.restore([arrays[key] for key in sorted(arrays)])
