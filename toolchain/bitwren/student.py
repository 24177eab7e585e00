"""The encoder computed in floats from the weights that a chip has: what is lost to int8 between its steps, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .encoder import Dense, Encoder
from .frontend import INPUT_SCALE, pool


def embed(encoder: Encoder, texts: Sequence[str]) -> NDArray[np.float64]:
    """Embeddings of texts in the units of :meth:`bitwren.encoder.Encoder.embed`, float [N, E], nothing rounded or saturated.

    Rows and weights are the ones that training already rounded; those of before are not in an encoder file.
    """
    vectors = np.zeros((len(texts), encoder.rows.dims))
    for index, text in enumerate(texts):
        sums = pool(encoder.rows, encoder.tokens(text)).astype(np.float64)
        vectors[index] = INPUT_SCALE * sums / max(np.sqrt(np.mean(sums * sums)), 1e-9)
    for layer in encoder.layers if encoder.projection else encoder.layers[:-1]:
        vectors = _forward(layer, vectors)
    return vectors


def _forward(layer: Dense, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    if layer.multiplier is None or layer.shift is None:
        raise ValueError("a layer of signs has no output")
    real = layer.multiplier * np.exp2(-layer.shift.astype(np.float64))
    output = layer.zero_point + (vectors @ layer.weights.T.astype(np.float64) + layer.bias) * real
    # A clamp at the ends of int8 is saturation, any other one an activation.
    return np.clip(output, layer.low if layer.low > -128 else None, layer.high if layer.high < 127 else None)
