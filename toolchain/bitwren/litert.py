"""The head run by LiteRT (or tflite-runtime): where the lowered head's codes could differ, and that they do nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .encoder import Encoder, EncoderFolder
from .errors import BitwrenError
from .hamming import unpack_bits


@dataclass(frozen=True)
class Agreement:
    """Code bits of the reference against those of the TFLite runtime.

    :ivar runtime: which runtime was asked.
    :ivar bits: compared in all. :ivar differing: of them. :ivar unexplained: those that a difference of 1 LSB in the head's
        outputs does not explain; must be 0.
    """

    runtime: str
    texts: int
    bits: int
    differing: int
    unexplained: int


def compare(folder: EncoderFolder, encoder: Encoder, texts: Sequence[str]) -> Agreement:
    """Run a head on the reference's vectors with the runtime and compare the codes that its outputs give with the encoder's.

    Without a projection, a bit may differ whose output is within 1 LSB of its zero point; with one, all bits of a text whose
    outputs are all within 1 LSB of the embedding's components.

    :param encoder: lowered from the folder.
    """
    vectors = np.stack([encoder.vector(text) for text in texts])
    interpreter, runtime = _interpreter(folder.head)
    outputs, zero_point = _run(interpreter, vectors)
    codes = unpack_bits(encoder.encode_vectors(vectors))
    if encoder.projection:
        differs = unpack_bits(encoder.binarize(outputs)) != codes
        away = np.abs(outputs.astype(np.int64) - encoder.embed_vectors(vectors)).max(axis=1, keepdims=True) > 1
    else:
        above = outputs[:, : encoder.bits].astype(np.int64) - zero_point
        differs = (above > 0) != codes
        away = np.abs(above) > 1
    return Agreement(runtime, len(texts), differs.size, int(differs.sum()), int((differs & away).sum()))


def _interpreter(model: bytes) -> tuple[Any, str]:
    try:
        from tflite_runtime.interpreter import Interpreter

        return Interpreter(model_content=model), "tflite-runtime"
    except ImportError:
        pass
    try:
        from ai_edge_litert.interpreter import Interpreter as LiteRT
    except ImportError as error:
        raise BitwrenError("no TFLite runtime is installed: pip install ai-edge-litert") from error
    return LiteRT(model_content=model), "ai-edge-litert"


def _run(interpreter: Any, vectors: NDArray[np.int8]) -> tuple[NDArray[np.int8], int]:
    """int8 outputs [N, O] and their zero point, one vector an invocation."""
    given, wanted = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.resize_tensor_input(given["index"], [1, vectors.shape[1]])
    interpreter.allocate_tensors()
    outputs = []
    for vector in vectors:
        interpreter.set_tensor(given["index"], vector[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(wanted["index"])[0])
    return np.stack(outputs), int(wanted["quantization"][1])
