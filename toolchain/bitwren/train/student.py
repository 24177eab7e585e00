"""The student: a bag of low-bit token rows and one dense layer, trained through the rounding that the chip will do.

It is deliberately no network: token rows are summed, the sum is brought to a common length and one dense layer gives the
outputs. Low-bit rows, int8 vectors and int8 weights pass gradients straight through (Bengio et al. 2013, "Estimating or
Propagating Gradients Through Stochastic Neurons").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..frontend import INPUT_SCALE
from .hyper import Hyper
from .quantize import INPUT_HIGH, STEP
from .texts import Floats, principal_components


@dataclass(frozen=True)
class Weights:
    """What is trained: rows float32 [V, D], kernel float32 [D, E], bias float32 [E]."""

    rows: Floats
    kernel: Floats
    bias: Floats


def initial_weights(rows: Floats, hyper: Hyper, random: np.random.Generator) -> Weights:
    """Given rows [V, D] under a random rotation."""
    return Weights(rows, initial_kernel(hyper.dims, hyper.outputs, random), np.zeros(hyper.outputs, dtype=np.float32))


def initial_rows(pieces: NDArray[Any], counts: NDArray[np.int64], dims: int) -> Floats:
    """Rows to start from: the teacher's embedding of each piece by itself, its leading components, rare pieces weighing more.

    The weights are the smooth inverse frequencies of Arora et al. 2017, "A Simple but Tough-to-Beat Baseline for Sentence
    Embeddings".

    :param pieces: [V, T] embeddings of the pieces.
    :param counts: [V] uses of each piece in the training text.
    """
    mean, directions = principal_components(pieces, dims)
    rows = np.zeros((len(pieces), dims), dtype=np.float32)
    rows[:, : directions.shape[1]] = (pieces.astype(np.float32) - mean) @ directions
    return scaled_rows(rows, counts)


def scaled_rows(rows: Floats, counts: NDArray[np.int64]) -> Floats:
    """Rows [V, D] times the smooth inverse frequency of their pieces, of a common size to start Adam from."""
    frequency = (counts + 5) / (counts + 5).sum()
    rows = rows * (1e-3 / (1e-3 + frequency))[:, None]
    return np.asarray(0.05 * rows / np.abs(rows).std(), dtype=np.float32)


def initial_kernel(dims: int, outputs: int, random: np.random.Generator) -> Floats:
    """Blocks of random rotations [dims, outputs]: the first ``dims`` outputs start out independent of one another."""
    blocks = [np.linalg.qr(random.normal(size=(dims, dims)))[0] for _ in range(-(-outputs // dims))]
    return np.concatenate(blocks, axis=1)[:, :outputs].astype(np.float32)


def model(tf: Any, start: Weights, hyper: Hyper) -> Any:
    """The Keras model: (token ids [M], batch row of each [M], batch size B) to (pooled [B, D], outputs [B, E])."""

    class BagOfRows(tf.keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.rows = self.add_weight(shape=start.rows.shape, name="rows")
            self.rows.assign(start.rows)
            self.head = tf.keras.layers.Dense(len(start.bias))
            self.head.build((None, start.rows.shape[1]))
            self.head.set_weights([start.kernel, start.bias])

        def call(self, inputs: tuple[Any, Any, Any]) -> tuple[Any, Any]:
            ids, segments, size = inputs
            rows = self.rows if hyper.ptq else low_bit(tf, self.rows)
            sums = tf.math.unsorted_segment_sum(tf.gather(rows, ids), segments, size)
            pooled = sums * tf.math.rsqrt(tf.reduce_mean(sums**2, axis=1, keepdims=True) + 1e-12)
            if hyper.ptq:
                return pooled, pooled @ self.head.kernel + self.head.bias
            clipped = tf.clip_by_value(pooled, -INPUT_HIGH, INPUT_HIGH)
            vector = straight_through(tf, clipped, tf.round(clipped * INPUT_SCALE) / INPUT_SCALE)
            return pooled, vector @ int8(tf, self.head.kernel) + self.head.bias

        def trained(self) -> Weights:
            return Weights(self.rows.numpy(), *self.head.get_weights())

    return BagOfRows()


def low_bit(tf: Any, rows: Any) -> Any:
    """Rows as the chip will have them (see :func:`.quantize.quantize_rows`), with gradients straight through."""
    steps = STEP * tf.reduce_mean(tf.abs(rows), axis=1, keepdims=True)
    fields = tf.clip_by_value(tf.floor(rows / tf.maximum(steps, 1e-9)), -2.0, 1.0) + 0.5
    unit = tf.reduce_max(steps) / 255
    return straight_through(tf, rows, fields * tf.round(steps / unit) * unit)


def int8(tf: Any, kernel: Any) -> Any:
    """A kernel [I, O] rounded to int8 with a scale for each output, as TFLite does it."""
    scale = tf.stop_gradient(tf.reduce_max(tf.abs(kernel), axis=0, keepdims=True)) / 127 + 1e-12
    return straight_through(tf, kernel, tf.round(kernel / scale) * scale)


def straight_through(tf: Any, value: Any, rounded: Any) -> Any:
    """``rounded`` forwards, the gradient of ``value`` backwards."""
    return value + tf.stop_gradient(rounded - value)
