"""Distillation: a student trained on the teacher's similarities, batch by batch."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import need
from .hyper import Hyper
from .losses import distillation, projection_matrix, temperature_count, views
from .student import Weights, initial_weights, model
from .texts import Floats, Texts, batches, principal_components


def distil(texts: Texts, rows: Floats, groups: NDArray[np.intp], hyper: Hyper, seed: int) -> Weights:
    """Train a student on the teacher's similarities.

    :param rows: float32 [V, D] to start from.
    :param groups: intp [N], the cluster of each text.
    """
    tf = need("tensorflow")
    tf.keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    student = model(tf, initial_weights(rows, hyper, random), hyper)
    mean, directions = principal_components(texts.targets[:: max(1, len(texts) // 50000)], max(hyper.dims, hyper.outputs))
    projection = projection_matrix(hyper)
    steps = hyper.epochs * (len(groups) // hyper.batch)
    row_optimizer, head_optimizer = (
        tf.keras.optimizers.Adam(schedule(tf, rate, steps), beta_2=0.99, epsilon=1e-8)
        for rate in (hyper.row_rate, hyper.head_rate)
    )
    temperatures = tf.Variable([math.log(15.0)] * temperature_count(hyper), name="log_inverse_temperatures")
    head = [*student.head.trainable_variables, temperatures]

    def step(ids: Any, segments: Any, targets: Any, sharpness: Any) -> Any:
        with tf.GradientTape() as tape:
            pooled, outputs = student((ids, segments, tf.shape(targets)[0]))
            seen = views(tf, outputs, sharpness, projection, hyper)
            components = (targets - mean) @ directions
            loss = distillation(tf, pooled, outputs, seen, targets, components, temperatures, hyper)
        gradients = tape.gradient(loss, [student.rows, *head])
        row_optimizer.apply_gradients([(gradients[0], student.rows)])
        head_optimizer.apply_gradients(list(zip(gradients[1:], head, strict=True)))
        return loss

    tokens = [tf.TensorSpec([None], tf.int32)] * 2
    signature = [*tokens, tf.TensorSpec([None, texts.targets.shape[1]], tf.float32), tf.TensorSpec([], tf.float32)]
    train_step = tf.function(step, input_signature=signature)
    started = time.monotonic()
    for epoch in range(hyper.epochs):
        sharp = np.float32(sharpness(hyper, epoch))
        losses = [float(train_step(*texts.batch(index), sharp)) for index in batches(groups, hyper, random)]
        spent = time.monotonic() - started
        print(f"epoch {epoch + 1} of {hyper.epochs}: loss {np.mean(losses):.4f}, {spent:.0f} s", file=sys.stderr)
    found: Weights = student.trained()
    return found


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
