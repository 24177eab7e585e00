"""From trained weights to what the chip holds: 2-bit rows, one byte a row of scale, and an int8 TFLite head.

The quantisers are stated once, in NumPy, for the export; :mod:`.student` trains through the same rounding (Jacob et al. 2018,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedModel
from ..frontend import INPUT_SCALE, Rows, pack_rows
from ..lower import read_head
from . import TrainingError, need, silence

Floats = NDArray[np.float32]

INPUT_LOW, INPUT_HIGH = -128 / INPUT_SCALE, 127 / INPUT_SCALE
"""Calibration must span exactly this for the converter to choose scale 1/32 and zero point 0."""

STEP = 1.0
"""Distance between a row's four values, in mean magnitudes of the row."""


def quantize_rows(weights: NDArray[np.float32]) -> Rows:
    """Rows at two bits: each value becomes the nearest of (-3, -1, 1, 3) times the row's scale.

    :param weights: float32 [V, D].
    :return: packed rows and scales; the scales' common unit is the largest scale / 255, and cancels in the chip's rescaling.
    """
    steps = STEP * np.abs(weights).mean(axis=1, keepdims=True)
    fields = np.clip(np.floor(weights / np.maximum(steps, 1e-9)), -2, 1).astype(np.int32)
    unit = max(float(steps.max(initial=0.0)), 1e-9) / 255
    return Rows(pack_rows(2 * fields + 1, 2), np.rint(steps[:, 0] / unit).astype(np.uint8), 2)


def export_head(layers: Sequence[tuple[Floats, Floats]], inputs: NDArray[np.int8], signs: bool) -> bytes:
    """Convert a head to a fully int8 TFLite model, one FULLY_CONNECTED a layer.

    :param layers: of each, kernel float32 [I, O] and bias float32 [O]; there is no activation between them.
    :param inputs: int8 [N, D] of real inputs, to calibrate the outputs' scales with.
    :param signs: whether the signs of its outputs are to be the code; else they are an embedding.
    :return: the model's bytes.
    :raises TrainingError: when the converter made what the chip cannot run, for example with another input scale than 1/32.
    """
    tf = need("tensorflow")
    dims = len(layers[0][0])
    dense = [tf.keras.layers.Dense(len(bias)) for _, bias in layers]
    model = tf.keras.Sequential([tf.keras.Input((dims,), batch_size=1), *dense])
    for layer, weights in zip(dense, layers, strict=True):
        layer.set_weights(list(weights))

    def representative() -> Iterator[list[NDArray[np.float32]]]:
        ends = np.zeros((1, dims), dtype=np.float32)
        ends[0, :2] = INPUT_LOW, INPUT_HIGH
        yield [ends]
        for row in inputs:
            yield [row[None].astype(np.float32) / INPUT_SCALE]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with silence():
        data = bytes(converter.convert())
    try:
        read_head(data, dims, signs)  # what the chip could not run is found here, not at the first build with the model
    except UnsupportedModel as error:
        raise TrainingError(f"{error}; use the TensorFlow version that bitwren[train] asks for") from error
    return data
