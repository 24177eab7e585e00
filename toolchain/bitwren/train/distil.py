"""The student and what it is taught: a bag of low-bit token rows whose signs keep the teacher's similarities.

The student is deliberately no network: token rows are summed, the sum is brought to a common length and one dense layer gives
the bits. It learns by similarity-preserving distillation (Tung & Mori 2019, with the batch softmax of InfoNCE): in every batch,
the distribution of the teacher's similarities from each text to all others is the target for the student's, both for its
float outputs and for its sign codes. Signs, low-bit rows and int8 vectors pass gradients straight through (Bengio et al. 2013).
Codes are nested: prefixes are trained as codes of their own (Kusupati et al. 2022, "Matryoshka Representation Learning").
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..frontend import INPUT_SCALE
from . import TrainingError, need
from .quantize import INPUT_HIGH, STEP

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Hyper:
    """Hyper-parameters of a training run; a recipe's ``[training]`` table.

    :ivar dims: width D of a token row, and of the head's input.
    :ivar bits: outputs K of the head.
    :ivar prefixes: code widths trained as codes of their own.
    :ivar prefix_weights: their weights in the loss.
    :ivar epochs: passes over the texts.
    :ivar batch: texts in a batch.
    :ivar row_rate: Adam's learning rate for token rows.
    :ivar head_rate: the same for everything else.
    :ivar tau: temperature of the teacher's similarities.
    :ivar float_weight: weight of the losses on float outputs beside those on codes.
    :ivar mse: weight of the squared error of similarities beside the cross-entropy.
    :ivar anchor: weight of the loss toward the teacher's principal components.
    :ivar clusters: k-means clusters of the teacher's embeddings.
    :ivar near: fraction of a batch drawn from few clusters, so that it holds near neighbours to tell apart.
    :ivar run: texts of one cluster that follow one another in a batch.
    """

    dims: int = 128
    bits: int = 512
    prefixes: tuple[int, ...] = (64, 128, 256, 512)
    prefix_weights: tuple[float, ...] = (0.25, 0.5, 1.0, 1.0)
    epochs: int = 6
    batch: int = 512
    row_rate: float = 5e-3
    head_rate: float = 2e-3
    tau: float = 0.08
    float_weight: float = 0.3
    mse: float = 3.0
    anchor: float = 1.0
    clusters: int = 1500
    near: float = 0.9
    run: int = 32


@dataclass(frozen=True)
class Texts:
    """Training texts as the student and the teacher see them.

    :ivar ids: int32 token ids of all texts, one after the other.
    :ivar offsets: int64 [N + 1]; text i has ``ids[offsets[i]:offsets[i + 1]]``.
    :ivar targets: float16 [N, T], the teacher's embeddings, length 1.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    targets: NDArray[np.float16]

    def batch(self, index: NDArray[np.intp]) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
        """Token ids [M], the batch row of each token [M] (ascending), and targets [len(index), T]."""
        lengths = np.diff(self.offsets)[index]
        segments = np.repeat(np.arange(len(index)), lengths)
        starts = np.repeat(self.offsets[index] - np.cumsum(lengths) + lengths, lengths)
        return (
            self.ids[starts + np.arange(len(segments))],
            segments.astype(np.int32),
            self.targets[index].astype(np.float32),
        )


@dataclass(frozen=True)
class Student:
    """Trained weights: rows float32 [V, D], kernel float32 [D, K], bias float32 [K]."""

    rows: Floats
    kernel: Floats
    bias: Floats


def principal_components(embeddings: NDArray[Any], dims: int) -> tuple[Floats, Floats]:
    """Mean [T] and the ``dims`` leading principal directions [T, dims] of embeddings [N, T]."""
    mean = embeddings.mean(axis=0, dtype=np.float64)
    centred = embeddings.astype(np.float32) - mean.astype(np.float32)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return mean.astype(np.float32), np.ascontiguousarray(vectors[:, : -dims - 1 : -1], dtype=np.float32)


def initial_rows(pieces: NDArray[Any], counts: NDArray[np.int64], dims: int) -> Floats:
    """Rows to start from: the teacher's embedding of each piece by itself, its leading components, rare pieces weighing more.

    The weights are the smooth inverse frequencies of Arora et al. 2017, "A Simple but Tough-to-Beat Baseline for Sentence
    Embeddings".

    :param pieces: [V, T] embeddings of the pieces.
    :param counts: [V] uses of each piece in the training text.
    """
    mean, directions = principal_components(pieces, dims)
    frequency = (counts + 5) / (counts + 5).sum()
    rows = (pieces.astype(np.float32) - mean) @ directions * (1e-3 / (1e-3 + frequency))[:, None]
    return np.asarray(0.05 * rows / np.abs(rows).std(), dtype=np.float32)


def initial_kernel(dims: int, bits: int, random: np.random.Generator) -> Floats:
    """Blocks of random rotations [dims, bits]: the first ``dims`` bits start out independent of one another."""
    blocks = [np.linalg.qr(random.normal(size=(dims, dims)))[0] for _ in range(-(-bits // dims))]
    return np.concatenate(blocks, axis=1)[:, :bits].astype(np.float32)


def cluster(embeddings: NDArray[Any], clusters: int, seed: int) -> NDArray[np.intp]:
    """k-means cluster of each embedding [N, T]: intp [N].

    Neighbourhoods need no precision: 64 principal components and a sample to fit on are enough, and minutes quicker.
    """
    sample = np.random.default_rng(seed).permutation(len(embeddings))[: 30 * clusters]
    mean, directions = principal_components(embeddings[sample], min(64, embeddings.shape[1]))
    means = need("sklearn.cluster").MiniBatchKMeans(
        min(clusters, len(sample)), batch_size=4096, n_init=1, max_iter=5, random_state=seed
    )
    means.fit((embeddings[sample] - mean) @ directions)
    return np.concatenate(
        [
            means.predict((embeddings[begin : begin + 50000] - mean) @ directions).astype(np.intp)
            for begin in range(0, len(embeddings), 50000)
        ]
    )


def batches(groups: NDArray[np.intp], hyper: Hyper, random: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """One epoch of batches of text indices: a fraction ``near`` in runs of one cluster each, the rest drawn at random."""
    near = int(hyper.batch * hyper.near)
    by_cluster = np.argsort(groups + random.random(len(groups)) * 0.999, kind="stable")
    runs = [by_cluster[begin : begin + hyper.run] for begin in range(0, len(groups), hyper.run)]
    clustered = np.concatenate([runs[index] for index in random.permutation(len(runs))])
    scattered = random.permutation(len(groups))
    far = hyper.batch - near
    for step in range(len(groups) // hyper.batch):
        yield np.unique(np.concatenate([clustered[step * near : (step + 1) * near], scattered[step * far : (step + 1) * far]]))


def distil(texts: Texts, rows: Floats, groups: NDArray[np.intp], hyper: Hyper, seed: int) -> Student:
    """Train a student on the teacher's similarities.

    :param rows: float32 [V, D] to start from.
    :param groups: intp [N], the cluster of each text.
    """
    tf = need("tensorflow")
    tf.keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    student = _student(tf, rows, initial_kernel(hyper.dims, hyper.bits, random), hyper)
    mean, directions = principal_components(texts.targets[:: max(1, len(texts.targets) // 50000)], hyper.dims)
    steps = hyper.epochs * (len(groups) // hyper.batch)
    row_optimizer, head_optimizer = (
        tf.keras.optimizers.Adam(_schedule(tf, rate, steps), beta_2=0.99) for rate in (hyper.row_rate, hyper.head_rate)
    )
    temperatures = tf.Variable([math.log(15.0)] * (2 * len(hyper.prefixes) + 1), name="log_inverse_temperatures")
    head = [*student.head.trainable_variables, temperatures]

    def step(ids: Any, segments: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            pooled, outputs = student((ids, segments, tf.shape(targets)[0]))
            anchors = tf.math.l2_normalize((targets - mean) @ directions, axis=1)
            loss = _loss(tf, pooled, outputs, targets, anchors, temperatures, hyper)
        gradients = tape.gradient(loss, [student.rows, *head])
        row_optimizer.apply_gradients([(gradients[0], student.rows)])
        head_optimizer.apply_gradients(list(zip(gradients[1:], head, strict=True)))
        return loss

    signature = [tf.TensorSpec([None], tf.int32)] * 2 + [tf.TensorSpec([None, texts.targets.shape[1]], tf.float32)]
    train_step = tf.function(step, input_signature=signature)
    started = time.monotonic()
    for epoch in range(hyper.epochs):
        losses = [float(train_step(*texts.batch(index))) for index in batches(groups, hyper, random)]
        print(
            f"epoch {epoch + 1} of {hyper.epochs}: loss {np.mean(losses):.4f}, {time.monotonic() - started:.0f} s",
            file=sys.stderr,
        )
    kernel, bias = student.head.get_weights()
    return Student(student.rows.numpy(), kernel, bias)


def _student(tf: Any, rows: Floats, kernel: Floats, hyper: Hyper) -> Any:
    """The Keras model. Its input is (token ids [M], batch row of each [M], batch size); its output (pooled, outputs)."""

    class BagOfRows(tf.keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.rows = self.add_weight(shape=rows.shape, name="rows")
            self.rows.assign(rows)
            self.head = tf.keras.layers.Dense(hyper.bits)
            self.head.build((None, hyper.dims))
            self.head.set_weights([kernel, np.zeros(hyper.bits, dtype=np.float32)])

        def call(self, inputs: tuple[Any, Any, Any]) -> tuple[Any, Any]:
            ids, segments, size = inputs
            sums = tf.math.unsorted_segment_sum(tf.gather(_low_bit(tf, self.rows), ids), segments, size)
            pooled = sums * tf.math.rsqrt(tf.reduce_mean(sums**2, axis=1, keepdims=True) + 1e-12)
            clipped = tf.clip_by_value(pooled, -INPUT_HIGH, INPUT_HIGH)
            vector = _straight_through(tf, clipped, tf.round(clipped * INPUT_SCALE) / INPUT_SCALE)
            kernel = self.head.kernel
            scale = tf.stop_gradient(tf.reduce_max(tf.abs(kernel), axis=0, keepdims=True)) / 127
            weights = _straight_through(tf, kernel, tf.round(kernel / scale) * scale)
            return pooled, vector @ weights + self.head.bias

    return BagOfRows()


def _low_bit(tf: Any, rows: Any) -> Any:
    """Rows as the chip will have them (see :func:`.quantize.quantize_rows`), with gradients straight through."""
    steps = STEP * tf.reduce_mean(tf.abs(rows), axis=1, keepdims=True)
    fields = tf.clip_by_value(tf.floor(rows / tf.maximum(steps, 1e-9)), -2.0, 1.0) + 0.5
    unit = tf.reduce_max(steps) / 255
    return _straight_through(tf, rows, fields * tf.round(steps / unit) * unit)


def _straight_through(tf: Any, value: Any, rounded: Any) -> Any:
    """``rounded`` forwards, the gradient of ``value`` backwards."""
    return value + tf.stop_gradient(rounded - value)


def _codes(tf: Any, outputs: Any) -> Any:
    """Signs as -1 and 1. Backwards the gradient of ``tanh(2 x)``: outputs far from zero no longer move."""
    soft = tf.tanh(2 * outputs)
    return _straight_through(tf, soft, tf.where(outputs > 0, 1.0, -1.0))


def _loss(tf: Any, pooled: Any, outputs: Any, targets: Any, anchors: Any, temperatures: Any, hyper: Hyper) -> Any:
    """Cross-entropy and squared error of similarities, over codes and floats of every prefix, and toward the anchors."""
    similarities = tf.matmul(targets, targets, transpose_b=True)
    itself = tf.eye(tf.shape(targets)[0]) * 1e4  # a text is no neighbour of its own
    wanted = tf.nn.softmax(similarities / hyper.tau - itself)
    codes = _codes(tf, outputs)
    total = 0.0
    for index, (prefix, weight) in enumerate(zip(hyper.prefixes, hyper.prefix_weights, strict=True)):
        floats = tf.math.l2_normalize(outputs[:, :prefix], axis=1)
        for vectors, share, which in (
            (codes[:, :prefix] / math.sqrt(prefix), weight, 2 * index),
            (floats, weight * hyper.float_weight, 2 * index + 1),
        ):
            found = tf.matmul(vectors, vectors, transpose_b=True)
            total += share * _similarity_loss(tf, found, similarities, wanted, itself, temperatures[which], hyper.mse)
    if hyper.anchor:
        found = tf.matmul(tf.math.l2_normalize(pooled, axis=1), anchors, transpose_b=True)
        wanted = tf.nn.softmax(similarities / hyper.tau)
        total += hyper.anchor * _similarity_loss(tf, found, similarities, wanted, 0.0, temperatures[-1], hyper.mse)
    return total


def _similarity_loss(tf: Any, found: Any, similarities: Any, wanted: Any, itself: Any, temperature: Any, mse: float) -> Any:
    """Cross-entropy of ``wanted`` with the softmax of found similarities [B, B], plus their squared error."""
    logits = found * tf.exp(temperature) - itself
    cross = -tf.reduce_mean(tf.reduce_sum(wanted * tf.nn.log_softmax(logits), axis=1))
    return cross + mse * tf.reduce_mean((found - similarities) ** 2)


def _schedule(tf: Any, rate: float, steps: int) -> Any:
    """A short linear warm-up, then half a cosine down to a hundredth."""
    return tf.keras.optimizers.schedules.CosineDecay(
        rate * 0.01, max(1, steps - 100), alpha=0.01, warmup_target=rate, warmup_steps=min(100, steps // 4)
    )


def as_hyper(table: dict[str, Any]) -> Hyper:
    """Hyper-parameters from a recipe's ``[training]`` table."""
    arguments: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    try:
        return Hyper(**arguments)
    except TypeError as error:
        raise TrainingError(
            f"The recipe's [training] does not fit: {error}. bitwren.train.distil.Hyper says what may be there."
        ) from error
