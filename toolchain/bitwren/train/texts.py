"""Training texts as a student sees them: token ids and targets, drawn in batches that hold near neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import need
from .hyper import Hyper

Floats = NDArray[np.float32]


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

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def batch(self, index: NDArray[np.intp]) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
        """Token ids [M], the batch row of each token [M] (ascending), and targets [len(index), T]."""
        return (*tokens_of(self.ids, self.offsets, index), self.targets[index].astype(np.float32))


def tokens_of(
    ids: NDArray[np.int32], offsets: NDArray[np.int64], index: NDArray[np.intp]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Token ids [M] of chosen texts, and the place in ``index`` [M] (ascending) that each belongs to."""
    lengths = np.diff(offsets)[index]
    segments = np.repeat(np.arange(len(index)), lengths)
    starts = np.repeat(offsets[index] - np.cumsum(lengths) + lengths, lengths)
    return ids[starts + np.arange(len(segments))], segments.astype(np.int32)


def principal_components(embeddings: NDArray[Any], dims: int) -> tuple[Floats, Floats]:
    """Mean [T] and the ``dims`` leading principal directions [T, min(dims, T)] of embeddings [N, T]."""
    mean = embeddings.mean(axis=0, dtype=np.float64)
    centred = embeddings.astype(np.float32) - mean.astype(np.float32)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    return mean.astype(np.float32), np.ascontiguousarray(vectors[:, : -dims - 1 : -1], dtype=np.float32)


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
