"""The training loop: one compiled step over batches, whatever the objectives, and its state between epochs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import need
from .hyper import Hyper
from .losses import contrastive, distillation, dual, projection_matrix, temperature_count, view_count, views
from .student import Weights, model
from .texts import Floats


@dataclass(frozen=True)
class Objectives:
    """What is taught, by weight; 0: not at all.

    :ivar distil: the teacher's similarities. :ivar labels: texts of one group belong together. :ivar pairs: text and answer do.
    """

    distil: float = 1.0
    labels: float = 0.0
    pairs: float = 0.0


@dataclass(frozen=True)
class Batch:
    """A batch of B texts.

    :ivar ids: int32 [M], token ids. :ivar segments: int32 [M], ascending, the text that each belongs to.
    :ivar targets: float32 [B, T], the teacher's embeddings, length 1; T = 0 without a teacher.
    :ivar groups: int32 [B], the group of each text; -1: none.
    :ivar pairs: int32 [P, 2], texts of the batch that belong together, of which no other text of the second column does.
    """

    ids: NDArray[np.int32]
    segments: NDArray[np.int32]
    targets: Floats
    groups: NDArray[np.int32]
    pairs: NDArray[np.int32]


class Loop:
    """A student in training.

    :param start: weights to begin with.
    :param directions: mean [T] and principal directions [T, C] of the teacher's embeddings; None without a teacher.
    :param steps: of the whole run: the learning rate's schedule.
    """

    def __init__(
        self, start: Weights, hyper: Hyper, objectives: Objectives, directions: tuple[Floats, Floats] | None, steps: int
    ) -> None:
        tf = need("tensorflow")
        self._hyper = hyper
        self._student = model(tf, start, hyper)
        self._optimizers = [
            tf.keras.optimizers.Adam(schedule(tf, rate, steps), beta_2=0.99) for rate in (hyper.row_rate, hyper.head_rate)
        ]
        self._temperatures = tf.Variable([math.log(15.0)] * (temperature_count(hyper) + 2 * view_count(hyper)))
        head = [*self._student.head.trainable_variables, self._temperatures]
        parts = ([self._student.rows], head)
        for optimizer, variables in zip(self._optimizers, parts, strict=True):
            optimizer.build(variables)
        projection = projection_matrix(hyper)

        def step(ids: Any, segments: Any, targets: Any, groups: Any, pairs: Any, sharpness: Any) -> Any:
            with tf.GradientTape() as tape:
                pooled, outputs = self._student((ids, segments, tf.shape(groups)[0]))
                seen = views(tf, outputs, sharpness, projection, hyper)
                first = temperature_count(hyper)
                loss = 0.0
                if objectives.distil and directions is not None:
                    components = (targets - directions[0]) @ directions[1]
                    taught = distillation(tf, pooled, outputs, seen, targets, components, self._temperatures[:first], hyper)
                    loss += objectives.distil * taught
                if objectives.labels:
                    loss += objectives.labels * contrastive(tf, seen, groups, self._temperatures[first : first + len(seen)])
                if objectives.pairs:
                    loss += objectives.pairs * dual(tf, seen, pairs, self._temperatures[first + len(seen) :])
            gradients = tape.gradient(loss, [self._student.rows, *head])
            self._optimizers[0].apply_gradients([(gradients[0], self._student.rows)])
            given = [(gradient, variable) for gradient, variable in zip(gradients[1:], head, strict=True) if gradient is not None]
            self._optimizers[1].apply_gradients(given)
            return loss

        width = 0 if directions is None else len(directions[0])
        signature = [tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, width], tf.float32)]
        signature += [tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([], tf.float32)]
        self._step = tf.function(step, input_signature=signature, autograph=False)

    def epoch(self, batches: Iterable[Batch], sharpness: float) -> float:
        """Train on batches; the mean loss."""
        sharp = np.float32(sharpness)
        losses = [float(self._step(b.ids, b.segments, b.targets, b.groups, b.pairs, sharp)) for b in batches]
        return float(np.mean(losses)) if losses else math.nan

    def weights(self) -> Weights:
        """What has been learnt so far."""
        found: Weights = self._student.trained()
        return found

    def state(self) -> list[NDArray[Any]]:
        """All that changes in training, in an order of its own: for :meth:`restore`."""
        return [np.array(variable) for variable in self._variables()]

    def restore(self, state: list[NDArray[Any]]) -> None:
        """Go back to a :meth:`state` of a loop made with the same arguments."""
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)

    def _variables(self) -> list[Any]:
        student = [self._student.rows, *self._student.head.trainable_variables, self._temperatures]
        return [*student, *(variable for optimizer in self._optimizers for variable in optimizer.variables)]


def sharpness(hyper: Hyper, epoch: int) -> float:
    """Of the tanh that stands for the sign: constant, or by a constant factor an epoch from the first value to the last."""
    first, last = hyper.sharpness
    if hyper.gradient == "straight-through" or hyper.epochs < 2:
        return first
    return float(first * (last / first) ** (epoch / (hyper.epochs - 1)))


def schedule(tf: Any, rate: float, steps: int) -> Any:
    """A short linear warm-up, then half a cosine down to a hundredth."""
    warm = min(100, steps // 4)
    return tf.keras.optimizers.schedules.CosineDecay(
        rate * 0.01, max(1, steps - warm), alpha=0.01, warmup_target=rate, warmup_steps=warm
    )
