"""Hyper-parameters of a training run: a recipe's ``[training]`` table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..frontend import MAX_DIMS
from ..hamming import WIDTHS
from ..lower import MAX_UNITS
from ..projection import MAX_INPUTS
from . import TrainingError

BINARIZERS = ("lsh", "itq", "sign", "learned")
GRADIENTS = ("straight-through", "continuation")


@dataclass(frozen=True)
class Hyper:
    """Hyper-parameters of a training run.

    What makes bits of an embedding (``binarizer``): ``lsh``, the projection that the chip computes; ``itq``, a rotation that is
    fitted after training and becomes the head's last layer; ``sign``, the outputs' own signs, trained as floats; ``learned``, the
    outputs' signs, trained through the sign.

    An objective (here the teacher's similarities) is set for several *views* of the same outputs, each with its weight: the
    outputs themselves, and codes.

    :ivar dims: width D of a token row, and of the head's input.
    :ivar units: outputs E of the head; 0: D with ``lsh`` and ``itq``, and ``bits`` with the others, where it must be that.
    :ivar bits: of a code.
    :ivar prefixes: code widths trained as codes of their own; they and their weights count where ``code_weight`` is not 0.
    :ivar prefix_weights: their weights in the loss.
    :ivar epochs: passes over the texts.
    :ivar batch: texts in a batch.
    :ivar row_rate: Adam's learning rate for token rows.
    :ivar head_rate: the same for everything else.
    :ivar tau: temperature of the teacher's similarities.
    :ivar mse: weight of the squared error of similarities beside the cross-entropy.
    :ivar float_weight: of the outputs' own similarities (with ``learned``, of every prefix).
    :ivar vector_bits: the outputs are rounded to so many bits there and in the next, as a table's vectors are; 0: not.
    :ivar asymmetric_weight: of the outputs' similarities to the teacher's principal components.
    :ivar code_weight: of the codes' similarities.
    :ivar gradient: of a sign: ``straight-through`` takes a tanh's, ``continuation`` puts a tanh in the sign's place, which it
        sharpens.
    :ivar sharpness: of that tanh for a component of average size, in the first and in the last epoch; ``straight-through`` keeps
        to the first.
    :ivar anchor: weight of the loss that draws pooled rows toward the teacher's principal components.
    :ivar clusters: k-means clusters of the teacher's embeddings.
    :ivar near: fraction of a batch drawn from few clusters, so that it holds near neighbours to tell apart.
    :ivar run: texts of one cluster that follow one another in a batch.
    :ivar ptq: train in floats and quantise rows and head afterwards, instead of training through the rounding.
    """

    binarizer: str = "lsh"
    dims: int = 160
    units: int = 0
    bits: int = 512
    prefixes: tuple[int, ...] = (512,)
    prefix_weights: tuple[float, ...] = (1.0,)
    epochs: int = 6
    batch: int = 512
    row_rate: float = 5e-3
    head_rate: float = 2e-3
    tau: float = 0.08
    mse: float = 3.0
    float_weight: float = 1.0
    vector_bits: int = 4
    asymmetric_weight: float = 1.0
    code_weight: float = 0.0
    gradient: str = "straight-through"
    sharpness: tuple[float, float] = (2.0, 16.0)
    anchor: float = 0.0
    clusters: int = 1500
    near: float = 0.9
    run: int = 64
    ptq: bool = False

    def __post_init__(self) -> None:
        if self.binarizer not in BINARIZERS:
            raise TrainingError(f"there is no binarizer {self.binarizer!r}: use one of {', '.join(BINARIZERS)}")
        if self.gradient not in GRADIENTS:
            raise TrainingError(f"there is no gradient {self.gradient!r}: use one of {', '.join(GRADIENTS)}")
        if self.dims % 32 or not 32 <= self.dims <= MAX_DIMS:
            raise TrainingError(f"dims is {self.dims}: rows have a multiple of 32 dimensions, 32 to {MAX_DIMS}")
        if self.bits not in WIDTHS:
            raise TrainingError(f"bits is {self.bits}: codes have one of {', '.join(map(str, WIDTHS))} bits")
        wide = MAX_INPUTS if self.binarizer == "lsh" else MAX_UNITS
        if self.units and (self.units % 4 or not 4 <= self.units <= wide):
            raise TrainingError(f"units is {self.units}: a head has a multiple of 4 outputs, 4 to {wide}")
        if self.binarizer in ("sign", "learned") and self.outputs != self.bits:
            raise TrainingError(f"units is {self.units}: with binarizer {self.binarizer} it is bits, {self.bits}; leave it out")
        if self.binarizer == "itq" and self.outputs < self.bits:
            raise TrainingError(f"itq makes at most as many bits as units: {self.bits} of {self.outputs} are not possible")
        if self.binarizer == "sign" and self.code_weight:
            raise TrainingError("a code_weight with binarizer sign is binarizer learned: ask for that, or leave the weight out")
        if self.code_weight and (len(self.prefixes) != len(self.prefix_weights) or max(self.prefixes, default=0) > self.bits):
            raise TrainingError("prefixes are widths up to bits, with a weight each in prefix_weights")
        if self.vector_bits not in (0, 2, 4, 8):
            raise TrainingError(f"vector_bits is {self.vector_bits}: 2, 4 and 8 are possible, and 0 for none")

    @property
    def outputs(self) -> int:
        """Outputs E of the trained head (``itq`` adds a layer behind it)."""
        return self.units or (self.dims if self.binarizer in ("lsh", "itq") else self.bits)


def as_hyper(table: Mapping[str, Any]) -> Hyper:
    """Hyper-parameters from a recipe's ``[training]`` table.

    :raises TrainingError: when a key is unknown or a value is not of its kind, or not possible.
    """
    kinds = {field.name: type(field.default) for field in fields(Hyper)}
    unknown = sorted(set(table) - set(kinds))
    if unknown:
        raise TrainingError(f"the recipe's [training] has no {', '.join(unknown)}: there are {', '.join(kinds)}")
    arguments: dict[str, Any] = {}
    for key, value in table.items():
        value = tuple(value) if isinstance(value, list) else value
        value = float(value) if kinds[key] is float and type(value) is int else value
        if type(value) is not kinds[key]:
            raise TrainingError(f"the recipe's [training] gives {key} as {value!r}: it is of kind {kinds[key].__name__}")
        arguments[key] = value
    return Hyper(**arguments)
