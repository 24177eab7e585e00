"""Distillation: a student trained on the teacher's similarities alone, as a recipe asks for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from . import need
from .hyper import Hyper
from .loop import Batch, Loop, Objectives, sharpness
from .student import Weights, initial_weights
from .texts import Floats, Texts, batches, principal_components


def distil(texts: Texts, rows: Floats, groups: NDArray[np.intp], hyper: Hyper, seed: int) -> Weights:
    """Train a student on the teacher's similarities.

    :param rows: float32 [V, D] to start from.
    :param groups: intp [N], the cluster of each text.
    """
    need("tensorflow").keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    components = principal_components(texts.targets[:: max(1, len(texts) // 50000)], max(hyper.dims, hyper.outputs))
    steps = hyper.epochs * (len(texts) // hyper.batch)
    loop = Loop(initial_weights(rows, hyper, random), hyper, Objectives(), components, steps)
    started = time.monotonic()
    for epoch in range(hyper.epochs):
        loss = loop.epoch(_drawn(texts, groups, hyper, random), sharpness(hyper, epoch))
        spent = time.monotonic() - started
        print(f"epoch {epoch + 1} of {hyper.epochs}: loss {loss:.4f}, {spent:.0f} s", file=sys.stderr, flush=True)
    return loop.weights()


def _drawn(texts: Texts, groups: NDArray[np.intp], hyper: Hyper, random: np.random.Generator) -> Iterator[Batch]:
    for index in batches(groups, hyper, random):
        alone = np.full(len(index), -1, dtype=np.int32)
        yield Batch(*texts.batch(index), alone, np.empty((0, 2), dtype=np.int32))
