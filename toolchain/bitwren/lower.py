"""Lowering: an encoder folder (front end + int8 TFLite head) to the plan that a chip runs in place, and to ``.bwe`` and back.

Malformed models and operators that the chip has no code for are refused here, by name; the chip never parses a flatbuffer.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from . import container
from .encoder import Dense, Encoder, EncoderFolder, Projection
from .errors import BitwrenError, FormatError, UnsupportedModel
from .frontend import INPUT_SCALE, MAX_DIMS, ROW_BITS, Rows, gain
from .hamming import WIDTHS
from .projection import MAX_INPUTS, SEED
from .text import FOLD
from .tokenizer import Vocabulary

MAGIC = "BWE1"
MAX_UNITS = 1024
MAX_LAYERS = 8
_FIELDS = struct.Struct("<HHIIHH16s")
_LAYER = struct.Struct("<HHbbbxIIII8x")
_PROJECTION = struct.Struct("<I")  # the seed, after the fold table; 0: the last layer's signs are the code


def lower(folder: EncoderFolder, bits: int) -> Encoder:
    """Turn an encoder folder into the encoder that a chip runs.

    :param bits: width of the codes: the head's first ``bits`` outputs, or the projection's.
    :raises UnsupportedModel: when the head is not a chain of int8 fully connected layers that fits the front end.
    """
    projected = folder.binarizer == "lsh"
    layers = read_head(folder.head, folder.rows.dims, signs=not projected)
    outputs = WIDTHS[-1] if projected else len(layers[-1].bias)
    if projected and len(layers[-1].bias) > MAX_INPUTS:
        raise UnsupportedModel(f"the head has {len(layers[-1].bias)} outputs; a projection takes at most {MAX_INPUTS}")
    if bits not in WIDTHS or bits > outputs:
        possible = ", ".join(str(width) for width in WIDTHS if width <= outputs)
        raise BitwrenError(f"codes of {bits} bits are not possible with this encoder: choose one of {possible}")
    if not projected:
        last = layers[-1]
        layers = [*layers[:-1], replace(last, weights=last.weights[:bits], bias=last.bias[:bits])]
    projection = Projection(bits, SEED) if projected else None
    return with_identity(Encoder(folder.vocabulary, folder.rows, tuple(layers), b"", _notes(folder, bits), projection))


def with_identity(encoder: Encoder) -> Encoder:
    """The encoder with the identity that its contents give it (docs/format.md)."""
    return replace(encoder, identity=_identity(encoder, _sections(encoder)))


def write(encoder: Encoder) -> bytes:
    """The bytes of a ``.bwe`` file."""
    fields = _FIELDS.pack(
        encoder.rows.dims,
        encoder.rows.bits,
        len(encoder.vocabulary),
        gain(encoder.rows.dims),
        encoder.bits,
        len(encoder.layers),
        encoder.identity,
    )
    seed = _PROJECTION.pack(encoder.projection.seed if encoder.projection else 0)
    return container.pack(MAGIC, fields + FOLD.encode("ascii") + seed, encoder.notes, _sections(encoder))


def read(data: bytes, name: str = "the encoder") -> Encoder:
    """Read a ``.bwe`` file.

    :raises FormatError: when it is damaged, of another version, or its fields contradict each other.
    """
    file = container.unpack(data, MAGIC, name)
    dims, row_bits, pieces, stored_gain, bits, layer_count, identity = _FIELDS.unpack_from(file.fields)
    sound = (
        row_bits in ROW_BITS
        and dims % 32 == 0
        and 32 <= dims <= MAX_DIMS
        and bits in WIDTHS
        and 1 <= layer_count <= MAX_LAYERS
        and stored_gain == gain(dims)
        and file.fields[_FIELDS.size : _FIELDS.size + len(FOLD)] == FOLD.encode("ascii")
    )
    if not sound:
        raise FormatError(f"{name} is damaged, or of a bitwren that this one does not know: a field is out of its range")
    vocabulary = Vocabulary.unpack(container.section(file, "VOCB", name))
    packed = np.frombuffer(container.section(file, "ROWS", name), dtype=np.uint8)
    scales = np.frombuffer(container.section(file, "SCAL", name), dtype=np.uint8)
    if len(vocabulary) != pieces or len(scales) != pieces or len(packed) != pieces * dims * row_bits // 8:
        raise FormatError(f"{name} is damaged: its sections disagree about the size of the vocabulary")
    rows = Rows(packed.reshape(pieces, -1), scales, row_bits)
    (seed,) = _PROJECTION.unpack_from(file.fields, _FIELDS.size + len(FOLD))
    layers = _unpack_layers(container.section(file, "HEAD", name), layer_count, seed == 0, name)
    outputs = len(layers[-1].bias)
    if layers[0].weights.shape[1] != dims or (outputs > MAX_INPUTS if seed else outputs != bits):
        raise FormatError(f"{name} is damaged: its head does not fit its rows")
    encoder = Encoder(vocabulary, rows, layers, identity, file.notes, Projection(bits, seed) if seed else None)
    if _identity(encoder, file.sections) != identity:
        raise FormatError(f"{name} is damaged: its identity is not that of its contents")
    return encoder


def read_head(model: bytes, dims: int, signs: bool = True) -> list[Dense]:
    """Read an int8 TFLite head.

    :param model: the flatbuffer. :param dims: length of the vector it must take.
    :param signs: whether the signs of its outputs are the code; else they are an embedding.
    :return: its layers; of a head for signs, the last one with its threshold folded in.
    :raises UnsupportedModel: with the operator or property that is not supported.
    """
    graph = _Graph(model)
    if not math.isclose(graph.scales(graph.input)[0], 1 / INPUT_SCALE, rel_tol=1e-6) or graph.zero_point(graph.input):
        raise UnsupportedModel(f"the head's input must have scale 1/{INPUT_SCALE} and zero point 0")
    layers: list[Dense] = []
    tensor, width = graph.input, dims
    operators = graph.operators()
    if not 1 <= len(operators) <= MAX_LAYERS:
        raise UnsupportedModel(f"the head has {len(operators)} operators; 1 to {MAX_LAYERS} are possible")
    for operator in operators:
        layer = graph.dense(operator, tensor, signs and operator is operators[-1])
        if layer.weights.shape[1] != width or width % 4 or len(layer.bias) % 4 or max(layer.weights.shape) > MAX_UNITS:
            raise UnsupportedModel(
                f"a layer of {layer.weights.shape[1]} inputs and {len(layer.bias)} outputs does not fit: {width} values "
                f"come in, and counts must be multiples of 4 up to {MAX_UNITS}"
            )
        layers.append(layer)
        tensor, width = operator.Outputs(0), len(layer.bias)
    if tensor != graph.output:
        raise UnsupportedModel("the head is not a plain chain of layers")
    return layers


class _Graph:
    """The single subgraph of a head, through the generated flatbuffer accessors."""

    def __init__(self, model: bytes) -> None:
        try:
            if model[4:8] != b"TFL3":
                raise ValueError("no TFL3 mark")
            self._model = tflite.Model.GetRootAs(model, 0)
            self._subgraph = self._model.Subgraphs(0)
            single = self._model.SubgraphsLength() == 1
            single = single and self._subgraph.InputsLength() == 1 and self._subgraph.OutputsLength() == 1
        except Exception as error:  # the accessors raise struct.error, IndexError, TypeError... on damaged bytes
            raise UnsupportedModel(f"the head is not a TFLite model: {error}") from error
        if not single:
            raise UnsupportedModel("the head must have one subgraph with one input and one output")
        self.input = int(self._subgraph.Inputs(0))
        self.output = int(self._subgraph.Outputs(0))

    def operators(self) -> list[Any]:
        return [self._subgraph.Operators(index) for index in range(self._subgraph.OperatorsLength())]

    def dense(self, operator: Any, tensor: int, signs: bool) -> Dense:
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if builtin != tflite.BuiltinOperator.FULLY_CONNECTED:
            name = tflite.opcode2name(builtin)
            raise UnsupportedModel(f"operator {name} of the head is not supported: only FULLY_CONNECTED is")
        if operator.Inputs(0) != tensor:
            raise UnsupportedModel("the head is not a plain chain of layers")
        weights_at, bias_at, output = operator.Inputs(1), operator.Inputs(2), operator.Outputs(0)
        weights = self._constant(weights_at, tflite.TensorType.INT8, np.int8)
        if any(self._tensor(weights_at).Quantization().ZeroPointAsNumpy()):
            raise UnsupportedModel("the head's weights must be symmetric (zero point 0)")
        units = len(weights)
        bias = np.zeros(units, np.int32)
        if operator.InputsLength() > 2 and bias_at >= 0:
            bias = self._constant(bias_at, tflite.TensorType.INT32, np.int32)
        folded = bias - self.zero_point(tensor) * weights.astype(np.int64).sum(axis=1)
        scale = np.broadcast_to(self.scales(weights_at), (units,)).astype(np.float64)
        real = self.scales(tensor)[0] * scale / self.scales(output)[0]
        multiplier, shift = _quantize_multipliers(real)
        options = tflite.FullyConnectedOptions()
        table = operator.BuiltinOptions()
        activation = 0
        if table is not None:
            options.Init(table.Bytes, table.Pos)
            activation = options.FusedActivationFunction()
            if options.WeightsFormat() != 0:
                raise UnsupportedModel("the head's weights must be in the default format, not shuffled")
        low, high = self._clamp(activation, output)
        if signs:
            if activation != tflite.ActivationFunctionType.NONE:
                raise UnsupportedModel("the head's last layer must have no activation: its signs are the code")
            folded = folded - -(-(1 << (shift.astype(np.int64) - 1)) // multiplier)
        reach = np.abs(folded) + 128 * np.abs(weights.astype(np.int64)).sum(axis=1)
        if reach.max() >= 1 << 31:
            raise UnsupportedModel("the head's sums do not fit 32 bits")
        if signs:
            return Dense(weights, folded.astype(np.int32))
        return Dense(weights, folded.astype(np.int32), multiplier, shift, self.zero_point(output), low, high)

    def scales(self, index: int) -> NDArray[np.float64]:
        quantization = self._tensor(index).Quantization()
        if quantization is None or not quantization.ScaleLength():
            raise UnsupportedModel("the head must be fully int8: a tensor has no quantization")
        return np.asarray(quantization.ScaleAsNumpy(), dtype=np.float64)

    def zero_point(self, index: int) -> int:
        if self._tensor(index).Type() != tflite.TensorType.INT8:
            raise UnsupportedModel("the head must be fully int8, its input and output too")
        quantization = self._tensor(index).Quantization()
        return int(quantization.ZeroPoint(0)) if quantization and quantization.ZeroPointLength() else 0

    def _tensor(self, index: int) -> Any:
        return self._subgraph.Tensors(index)

    def _constant(self, index: int, kind: int, dtype: type[np.generic]) -> NDArray[Any]:
        tensor = self._tensor(index)
        data = self._model.Buffers(tensor.Buffer()).DataAsNumpy()
        if tensor.Type() != kind or isinstance(data, int):
            raise UnsupportedModel(f"the head needs constant {np.dtype(dtype).name} weights and biases")
        return np.frombuffer(data.tobytes(), dtype=dtype).reshape(tensor.ShapeAsNumpy())

    def _clamp(self, activation: int, output: int) -> tuple[int, int]:
        zero = self.zero_point(output)
        kinds = tflite.ActivationFunctionType
        if activation == kinds.NONE:
            return -128, 127
        if activation == kinds.RELU:
            return max(-128, zero), 127
        if activation == kinds.RELU6:
            return max(-128, zero), min(127, zero + round(6 / self.scales(output)[0]))
        raise UnsupportedModel("a layer's activation must be none, RELU or RELU6")


def _quantize_multipliers(real: NDArray[np.float64]) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Real multipliers as Q31 mantissas in [2**30, 2**31) and right shifts 1 .. 62."""
    mantissa, exponent = np.frexp(real)
    fixed = np.round(mantissa * (1 << 31)).astype(np.int64)
    exponent = np.where(fixed == 1 << 31, exponent + 1, exponent)
    fixed = np.where(fixed == 1 << 31, 1 << 30, fixed)
    shift = 31 - exponent.astype(np.int64)
    if (real <= 0).any() or shift.min() < 1 or shift.max() > 62:
        raise UnsupportedModel("the head's scales are out of range")
    return fixed.astype(np.int32), shift.astype(np.uint8)


def _sections(encoder: Encoder) -> dict[str, bytes]:
    return {
        "VOCB": encoder.vocabulary.pack(),
        "ROWS": encoder.rows.packed.tobytes(),
        "SCAL": encoder.rows.scales.tobytes(),
        "HEAD": _pack_layers(encoder.layers),
    }


def _identity(encoder: Encoder, sections: Mapping[str, bytes]) -> bytes:
    digest = hashlib.sha256(FOLD.encode("ascii"))
    for tag, data in sections.items():
        digest.update(tag.encode("ascii") + struct.pack("<I", len(data)) + data)
    digest.update(struct.pack("<HHH", encoder.rows.dims, encoder.rows.bits, encoder.bits))
    if encoder.projection:
        digest.update(_PROJECTION.pack(encoder.projection.seed))
    return digest.digest()[:16]


def _pack_layers(layers: Sequence[Dense]) -> bytes:
    records = bytearray()
    data = bytearray()

    def place(array: NDArray[Any] | None) -> int:
        if array is None:
            return 0
        offset = _LAYER.size * len(layers) + len(data)
        data.extend(array.tobytes())
        data.extend(bytes(-len(data) % 4))
        return offset

    for layer in layers:
        units, inputs = layer.weights.shape
        offsets = [place(array) for array in (layer.weights, layer.bias, layer.multiplier, layer.shift)]
        records += _LAYER.pack(inputs, units, layer.zero_point, layer.low, layer.high, *offsets)
    return bytes(records + data)


def _unpack_layers(head: bytes, count: int, signs: bool, name: str) -> tuple[Dense, ...]:
    layers: list[Dense] = []
    try:
        for index in range(count):
            inputs, units, zero, low, high, *offsets = _LAYER.unpack_from(head, _LAYER.size * index)
            weights = np.frombuffer(head, np.int8, inputs * units, offsets[0]).reshape(units, inputs)
            bias = np.frombuffer(head, "<i4", units, offsets[1])
            if signs and index == count - 1:
                layers.append(Dense(weights, bias))
            else:
                multiplier = np.frombuffer(head, "<i4", units, offsets[2])
                shift = np.frombuffer(head, np.uint8, units, offsets[3])
                layers.append(Dense(weights, bias, multiplier, shift, zero, low, high))
            aligned = not any(offset % 4 for offset in offsets)
            fits = aligned and inputs % 4 == 0 and units % 4 == 0 and max(inputs, units) <= MAX_UNITS
            if not fits or (index and inputs != len(layers[-2].bias)):
                raise ValueError("a layer does not fit")
            shifts = layers[-1].shift
            if shifts is not None and (shifts.min() < 1 or shifts.max() > 62):
                raise ValueError("a shift is out of range")
    except (struct.error, ValueError) as error:
        raise FormatError(f"{name} is damaged: its head is not sound: {error}") from error
    return tuple(layers)


def _notes(folder: EncoderFolder, bits: int) -> dict[str, Any]:
    wanted = ("name", "version", "language", "licence")
    return {key: folder.settings[key] for key in wanted if key in folder.settings} | {"bits": bits}
