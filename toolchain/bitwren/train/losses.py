"""What a student is taught: similarities of its outputs, and of their codes, against those that are wanted.

Similarity-preserving distillation (Tung & Mori 2019, with the batch softmax of InfoNCE): in every batch, the distribution of the
teacher's similarities from each text to all others is the target for the student's. The same is asked of several *views* of the
outputs: of the outputs, of codes (their signs, as they are or through the projection), and of outputs beside the teacher's
principal components.

Gradients pass a sign as if it were a tanh: straight through (Courbariaux et al. 2015, "BinaryConnect"), or by a tanh in its place
that is sharpened from epoch to epoch (Cao et al. 2017, "HashNet"). Codes can be nested: prefixes are trained as codes of their
own (Kusupati et al. 2022, "Matryoshka Representation Learning").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..projection import SEED, sums
from .hyper import Hyper
from .student import straight_through
from .texts import Floats


@dataclass(frozen=True)
class View:
    """Vectors of length 1 (a batch of them, [B, W]) whose dot products are similarities; what they weigh in the loss."""

    vectors: Any
    weight: float


def projection_matrix(hyper: Hyper) -> Floats | None:
    """What makes sums of outputs, whose signs are the code: float32 [E, bits] of -1, 0 and 1; None: the outputs themselves."""
    if hyper.binarizer != "lsh" or not hyper.code_weight:
        return None
    return sums(np.eye(hyper.outputs, dtype=np.int16), max(hyper.prefixes), SEED).astype(np.float32)


def views(tf: Any, outputs: Any, sharpness: Any, projection: Any, hyper: Hyper) -> list[View]:
    """The views of outputs [B, E]: floats, and codes of each prefix. Their number and order depend on the hyper-parameters alone.

    :param sharpness: scalar, of the tanh that stands for the sign (backwards, or both ways).
    :param projection: :func:`projection_matrix`.
    """
    found: list[View] = []
    nested = hyper.binarizer == "learned"
    prefixes = list(zip(hyper.prefixes, hyper.prefix_weights, strict=True)) if hyper.code_weight else []
    if hyper.float_weight:
        for prefix, weight in prefixes if nested else [(hyper.outputs, 1.0)]:
            part = rounded(tf, outputs[:, :prefix], hyper.vector_bits)
            found.append(View(tf.math.l2_normalize(part, axis=1), weight * hyper.float_weight))
    if prefixes:
        codes = signs(tf, outputs if projection is None else outputs @ projection, sharpness, hyper.gradient)
        for prefix, weight in prefixes:
            found.append(View(codes[:, :prefix] / math.sqrt(prefix), weight * hyper.code_weight))
    return found


def rounded(tf: Any, outputs: Any, bits: int) -> Any:
    """Outputs rounded to ``bits`` bits each, by each row's largest magnitude, straight through; 0 bits: as they are."""
    if not bits:
        return outputs
    step = tf.stop_gradient(tf.reduce_max(tf.abs(outputs), axis=1, keepdims=True)) / (2 ** (bits - 1) - 1) + 1e-9
    return straight_through(tf, outputs, tf.round(outputs / step) * step)


def signs(tf: Any, values: Any, sharpness: Any, gradient: str) -> Any:
    """Signs [B, bits] as -1 and 1 (or what a tanh makes of them), of values that are first brought to an average square of 1."""
    size = tf.sqrt(tf.stop_gradient(tf.reduce_mean(values**2))) + 1e-6
    soft = tf.tanh(values * (sharpness / size))
    return soft if gradient == "continuation" else straight_through(tf, soft, tf.where(values > 0, 1.0, -1.0))


def similarity(tf: Any, found: Any, similarities: Any, wanted: Any, itself: Any, temperature: Any, mse: float) -> Any:
    """Cross-entropy of ``wanted`` [B, B] with the softmax of found similarities [B, B], plus their squared error.

    :param itself: what is taken from logits where a text meets itself, or 0. :param temperature: log of its inverse.
    """
    logits = found * tf.exp(temperature) - itself
    cross = -tf.reduce_mean(tf.reduce_sum(wanted * tf.nn.log_softmax(logits), axis=1))
    return cross + mse * tf.reduce_mean((found - similarities) ** 2)


def distillation(
    tf: Any, pooled: Any, outputs: Any, seen: list[View], targets: Any, components: Any, temperatures: Any, hyper: Hyper
) -> Any:
    """The loss on a batch against the teacher.

    :param pooled: [B, D]. :param outputs: [B, E]. :param seen: :func:`views` of the outputs.
    :param targets: [B, T], the teacher's embeddings.
    :param components: [B, C], C at least D and E, length-1 prefixes of which are the teacher's principal components.
    :param temperatures: [:func:`temperature_count`].
    """
    similarities = tf.matmul(targets, targets, transpose_b=True)
    itself = tf.eye(tf.shape(targets)[0]) * 1e4  # a text is no neighbour of its own
    wanted = tf.nn.softmax(similarities / hyper.tau - itself)
    total = 0.0
    for index, view in enumerate(seen):
        found = tf.matmul(view.vectors, view.vectors, transpose_b=True)
        total += view.weight * similarity(tf, found, similarities, wanted, itself, temperatures[index], hyper.mse)
    beside = ((rounded(tf, outputs, hyper.vector_bits), hyper.asymmetric_weight), (pooled, hyper.anchor))
    # Outputs have one temperature in both comparisons: with one each, questions find their sentence 2 points less often.
    for index, (vectors, weight) in zip((0 if hyper.float_weight else len(seen), len(seen) + 1), beside, strict=True):
        if weight:
            width = vectors.shape[1]
            other = tf.math.l2_normalize(components[:, :width], axis=1)
            found = tf.matmul(tf.math.l2_normalize(vectors, axis=1)[:, : other.shape[1]], other, transpose_b=True)
            wanted_all = tf.nn.softmax(similarities / hyper.tau)
            total += weight * similarity(tf, found, similarities, wanted_all, 0.0, temperatures[index], hyper.mse)
    return total


def contrastive(tf: Any, seen: list[View], groups: Any, temperatures: Any) -> Any:
    """Texts of one group nearer than others (Khosla et al. 2020, "Supervised Contrastive Learning", loss "out").

    :param groups: int32 [B]; -1: a text of no group, which is only something to be told apart from.
    :param temperatures: log of the inverse, one a view.
    """
    itself = tf.eye(tf.shape(groups)[0])
    same = tf.cast((groups[:, None] == groups[None]) & (groups >= 0)[:, None], tf.float32) - itself
    same = tf.maximum(same, 0.0)
    others = tf.reduce_sum(same, axis=1)
    wanted = same / tf.maximum(others, 1.0)[:, None]
    texts = tf.maximum(tf.reduce_sum(tf.minimum(others, 1.0)), 1.0)
    total = 0.0
    for index, view in enumerate(seen):
        found = tf.matmul(view.vectors, view.vectors, transpose_b=True) * tf.exp(temperatures[index]) - 1e4 * itself
        total -= view.weight * tf.reduce_sum(wanted * tf.nn.log_softmax(found)) / texts
    return total


def dual(tf: Any, seen: list[View], pairs: Any, temperatures: Any) -> Any:
    """Each text nearer to its answer than to others of the batch, and each answer to its text.

    The in-batch softmax of dual encoders (Henderson et al. 2017, "Efficient Natural Language Response Suggestion"), both ways as
    in Radford et al. 2021.

    :param pairs: int32 [P, 2], places in the batch: a text and its answer, each answer once.
    :param temperatures: log of the inverse, one a view.
    """
    itself = tf.eye(tf.shape(pairs)[0])
    count = tf.maximum(tf.cast(tf.shape(pairs)[0], tf.float32), 1.0)
    total = 0.0
    for index, view in enumerate(seen):
        texts, answers = tf.gather(view.vectors, pairs[:, 0]), tf.gather(view.vectors, pairs[:, 1])
        found = tf.matmul(texts, answers, transpose_b=True) * tf.exp(temperatures[index])
        both = tf.nn.log_softmax(found) + tf.nn.log_softmax(found, axis=0)
        total -= view.weight * tf.reduce_sum(itself * both) / (2 * count)
    return total


def view_count(hyper: Hyper) -> int:
    """How many :func:`views` there are."""
    prefixes = len(hyper.prefixes) if hyper.code_weight else 0
    floats = (prefixes if hyper.binarizer == "learned" else 1) if hyper.float_weight else 0
    return floats + prefixes


def temperature_count(hyper: Hyper) -> int:
    """How many temperatures :func:`distillation` has: one a view, two for what stands beside the components."""
    return view_count(hyper) + 2
