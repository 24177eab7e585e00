"""Small int8 TFLite models built with the schema's object API, so that tests of lowering need no TensorFlow."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


@dataclass
class Layer:
    """A fully connected int8 layer with the quantization of its output."""

    weights: np.ndarray
    bias: np.ndarray
    weight_scales: np.ndarray
    output_scale: float
    output_zero_point: int
    activation: int = schema.ActivationFunctionType.NONE


def random_layers(seed: int, widths: list[int], activation: int = schema.ActivationFunctionType.RELU) -> list[Layer]:
    """Layers of random weights whose outputs fill the int8 range."""
    random = np.random.default_rng(seed)
    layers = []
    scale = 1 / 32
    for index, (inputs, units) in enumerate(itertools.pairwise(widths)):
        last = index == len(widths) - 2
        weight_scales = random.uniform(0.001, 0.004, units)
        output_scale = float(scale * 0.0025 * 127 / 2 * np.sqrt(inputs) * 40 / 60)
        layers.append(
            Layer(
                random.integers(-127, 128, (units, inputs)).astype(np.int8),
                random.integers(-3000, 3000, units).astype(np.int32),
                weight_scales,
                output_scale,
                int(random.integers(-20, 20)),
                schema.ActivationFunctionType.NONE if last else activation,
            )
        )
        scale = output_scale
    return layers


def model(layers: list[Layer], dims: int, input_scale: float = 1 / 32, operator: int | None = None) -> bytes:
    """The flatbuffer of a chain of layers; ``operator`` replaces the last layer's operator code."""
    buffers = [schema.BufferT()]
    tensors = [_tensor([1, dims], schema.TensorType.INT8, [input_scale], [0], 0)]
    operators = []
    previous, scale = 0, input_scale
    for index, layer in enumerate(layers):
        for data in (layer.weights, layer.bias):
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            buffers.append(buffer)
        units = len(layer.bias)
        bias_scales = [scale * float(value) for value in layer.weight_scales]
        tensors += [
            _tensor(list(layer.weights.shape), schema.TensorType.INT8, list(layer.weight_scales), [0] * units, len(buffers) - 2),
            _tensor([units], schema.TensorType.INT32, bias_scales, [0] * units, len(buffers) - 1),
            _tensor([1, units], schema.TensorType.INT8, [layer.output_scale], [layer.output_zero_point], 0),
        ]
        made = schema.OperatorT()
        made.opcodeIndex = 1 if operator is not None and index == len(layers) - 1 else 0
        made.inputs, made.outputs = [previous, len(tensors) - 3, len(tensors) - 2], [len(tensors) - 1]
        if made.opcodeIndex == 0:
            made.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
            made.builtinOptions = schema.FullyConnectedOptionsT()
            made.builtinOptions.fusedActivationFunction = layer.activation
        operators.append(made)
        previous, scale = len(tensors) - 1, layer.output_scale
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, operators, [0], [previous]
    whole = schema.ModelT()
    whole.version, whole.subgraphs, whole.buffers = 3, [graph], buffers
    whole.operatorCodes = [_code(schema.BuiltinOperator.FULLY_CONNECTED)]
    if operator is not None:
        whole.operatorCodes.append(_code(operator))
    builder = flatbuffers.Builder(1024)
    builder.Finish(whole.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(shape: list[int], kind: int, scales: list[float], zero_points: list[int], buffer: int) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.buffer, tensor.name = shape, kind, buffer, b"t"
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = scales, zero_points
    return tensor


def _code(operator: int) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = operator, min(operator, 127), 4
    return code
