"""How well an encoder in training finds: texts it was not taught, asked of the others, by the codes a chip would have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..frontend import INPUT_SCALE
from .hyper import Hyper
from .lessons import Lessons
from .losses import projection_matrix
from .quantize import INPUT_HIGH, INPUT_LOW, quantize_rows
from .student import Weights
from .texts import Floats, tokens_of

MOST_ASKED, MOST_SEARCHED = 500, 8000
LEAST = 20
"""Fewer held-out texts would say nothing."""


@dataclass(frozen=True)
class HeldOut:
    """Texts that are asked, and texts that they are asked of.

    :ivar asked: intp [Q] and :ivar searched: intp [N], places among the lessons' texts.
    :ivar gains: float32 [Q, N], what finding each is worth: 1 for texts of the same group, else the teacher's cosine above 0.
    """

    asked: NDArray[np.intp]
    searched: NDArray[np.intp]
    gains: Floats


def hold_out(taught: Lessons, targets: NDArray[np.float16], share: float, random: np.random.Generator) -> HeldOut | None:
    """Choose texts to hold out, of each group fewer than half; None where they would be too few to say anything.

    :param targets: [N, T], the teacher's embeddings; T = 0 without one: then only texts of groups can be held out.
    """
    documents = np.arange(taught.documents)
    sizes = np.bincount(taught.groups[documents][taught.groups[documents] >= 0], minlength=int(taught.groups.max(initial=0)) + 1)
    asked: list[int] = []
    taken = np.zeros(len(sizes), dtype=int)
    most = min(MOST_ASKED, int(share * len(documents)))
    for index in random.permutation(documents).tolist():
        group = taught.groups[index]
        if len(asked) == most:
            break
        if group >= 0 and 2 * (taken[group] + 1) >= sizes[group]:
            continue
        if group < 0 and not targets.shape[1]:
            continue
        taken[max(group, 0)] += group >= 0
        asked.append(index)
    if len(asked) < LEAST:
        return None
    held = np.array(asked, dtype=np.intp)
    rest = np.setdiff1d(documents, held)
    searched = np.sort(random.permutation(rest)[:MOST_SEARCHED])
    gains = ((taught.groups[held][:, None] == taught.groups[searched]) & (taught.groups[held] >= 0)[:, None]).astype(np.float32)
    if targets.shape[1]:
        without = ~gains.any(axis=1)
        near = targets[held[without]].astype(np.float32) @ targets[searched].astype(np.float32).T
        gains[without] = np.maximum(near, 0)
    return HeldOut(held, searched, gains)


def gain(weights: Weights, hyper: Hyper, ids: NDArray[np.int32], offsets: NDArray[np.int64], held: HeldOut) -> float:
    """nDCG@10 (Järvelin & Kekäläinen 2002) of what held-out texts find by Hamming distance (by cosine with ``itq``), 0 .. 1."""
    found, asked = (represented(weights, hyper, ids, offsets, index) for index in (held.searched, held.asked))
    if hyper.binarizer in ("lsh", "itq"):
        centre = found.mean(axis=0)
        found, asked = found - centre, asked - centre
    projection = projection_matrix(hyper)
    if hyper.binarizer == "itq":
        found, asked = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9) for part in (found, asked))
    else:
        found, asked = (np.sign(part if projection is None else part @ projection) for part in (found, asked))
    first = np.argsort(-(asked @ found.T), axis=1, kind="stable")[:, :10]
    discounts = 1 / np.log2(2 + np.arange(first.shape[1]))
    ideal = -np.sort(-held.gains, axis=1)[:, : first.shape[1]] @ discounts
    return float(np.mean((np.take_along_axis(held.gains, first, axis=1) @ discounts) / np.maximum(ideal, 1e-9)))


def represented(
    weights: Weights, hyper: Hyper, ids: NDArray[np.int32], offsets: NDArray[np.int64], index: NDArray[np.intp]
) -> Floats:
    """Embeddings float32 [len(index), E] as an exported encoder would have them, but for the rounding of its outputs."""
    rows = quantize_rows(weights.rows)
    scale = np.abs(weights.kernel).max(axis=0) / 127 + 1e-12
    kernel = np.rint(weights.kernel / scale) * scale
    parts = []
    for begin in range(0, len(index), 1024):
        tokens, segments = tokens_of(ids, offsets, index[begin : begin + 1024])
        sums = np.zeros((len(index[begin : begin + 1024]), hyper.dims), dtype=np.float32)
        np.add.at(sums, segments, rows.values(tokens.astype(np.intp)).astype(np.float32))
        pooled = sums / np.sqrt((sums**2).mean(axis=1, keepdims=True) + 1e-12)
        vectors = np.rint(np.clip(pooled, INPUT_LOW, INPUT_HIGH) * INPUT_SCALE) / INPUT_SCALE
        parts.append(vectors @ kernel + weights.bias)
    return np.concatenate(parts).astype(np.float32)
