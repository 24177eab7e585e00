"""Lowering int8 TFLite heads: against LiteRT within 1 LSB, against the shipped encoder, and what must be refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from makers import random_encoder
from tflite_maker import model, random_layers

from bitwren import lower
from bitwren.encoder import EncoderFolder
from bitwren.errors import BitwrenError, FormatError, UnsupportedModel
from bitwren.hamming import unpack_bits
from bitwren.litert import compare

TEXTS = [
    "the light blinks twice",
    "how do I reset my password?",
    "x",
    "E: 404 \u00fcber caf\u00e9",
    "a b c d e f g",
    "the " * 300,
]


def run(flatbuffer: bytes, vectors: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=flatbuffer)
    interpreter.allocate_tensors()
    given, wanted = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    outputs = []
    for vector in vectors:
        interpreter.set_tensor(given, vector[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(wanted)[0])
    return np.stack(outputs).astype(np.int64)


@pytest.mark.parametrize("activation", ["NONE", "RELU", "RELU6"])
@pytest.mark.parametrize("widths", [[64, 128], [32, 64, 64], [128, 256, 32, 512], [64, 1024]])
def test_heads_agree_with_litert(widths: list[int], activation: str) -> None:
    layers = random_layers(len(widths), widths, getattr(schema.ActivationFunctionType, activation))
    vectors = np.random.default_rng(1).integers(-127, 128, (200, widths[0])).astype(np.int8)
    dense = lower.read_head(model(layers, widths[0]), widths[0])
    hidden = vectors
    for index, layer in enumerate(dense[:-1]):
        given = hidden
        hidden = layer.forward(given)
        if index == 0:  # deeper, one step of difference in an input may become several in an output
            exact = run(model(layers[:1], widths[0]), given)
            assert np.abs(hidden - exact).max() <= 1
    bits = dense[-1].accumulate(hidden) >= 0
    outputs = run(model(layers[-1:], widths[-2], 1 / 32 if len(layers) == 1 else layers[-2].output_scale), hidden)
    if len(layers) == 1:
        above = outputs - layers[-1].output_zero_point
        assert not ((above > 0) != bits)[np.abs(above) > 1].any()
        assert 0.2 < bits.mean() < 0.8


def test_hidden_layers_end_to_end() -> None:
    """Bits of a two-layer head differ from LiteRT's only where its output is within what one LSB before can do."""
    layers = random_layers(5, [64, 128, 256])
    vectors = np.random.default_rng(2).integers(-127, 128, (100, 64)).astype(np.int8)
    first, last = lower.read_head(model(layers, 64), 64)
    bits = last.accumulate(first.forward(vectors)) >= 0
    above = run(model(layers, 64), vectors) - layers[-1].output_zero_point
    assert ((above > 0) != bits).mean() < 0.01


@pytest.mark.parametrize("bits", [64, 128, 256, 512, 1024])
def test_shipped_encoder_against_litert(bits: int) -> None:
    folder = EncoderFolder.find("base")
    encoder = lower.lower(folder, bits)
    agreement = compare(folder, encoder, TEXTS)
    assert agreement.bits == bits * len(TEXTS)
    assert agreement.unexplained == 0
    assert agreement.differing <= agreement.bits // 50


def test_narrow_codes_are_prefixes_of_wide_ones() -> None:
    folder = EncoderFolder.find("base")
    wide = unpack_bits(lower.lower(folder, 1024).encode(TEXTS))
    for bits in (64, 128, 256, 512):
        assert np.array_equal(unpack_bits(lower.lower(folder, bits).encode(TEXTS)), wide[:, :bits])


@pytest.mark.parametrize("bits", [128, 1024])
@pytest.mark.parametrize("hidden", [(), (32,), (128, 64)])
@pytest.mark.parametrize("row_bits", [2, 4, 8])
def test_write_and_read(row_bits: int, hidden: tuple[int, ...], bits: int) -> None:
    encoder = random_encoder(3, bits=bits, dims=96, row_bits=row_bits, hidden=hidden)
    data = lower.write(encoder)
    again = lower.read(data)
    assert len(data) % 4096 == 0
    assert again.identity == encoder.identity != bytes(16)
    assert np.array_equal(again.encode(TEXTS), encoder.encode(TEXTS))


def test_shipped_encoder_fits_its_budget() -> None:
    assert len(lower.write(lower.lower(EncoderFolder.find("base"), 512))) <= 400_000


def test_refuses_by_name() -> None:
    layers = random_layers(0, [64, 64])
    with pytest.raises(UnsupportedModel, match="CONV_2D"):
        lower.read_head(model(layers, 64, operator=schema.BuiltinOperator.CONV_2D), 64)
    with pytest.raises(UnsupportedModel, match="1/32"):
        lower.read_head(model(layers, 64, input_scale=1 / 16), 64)
    with pytest.raises(UnsupportedModel, match="96 values come in"):
        lower.read_head(model(layers, 64), 96)
    layers[0].activation = schema.ActivationFunctionType.RELU
    with pytest.raises(UnsupportedModel, match="no activation"):
        lower.read_head(model(layers, 64), 64)
    layers[0].activation = schema.ActivationFunctionType.NONE
    for damaged in (b"", b"not a model at all", model(layers, 64)[:50]):
        with pytest.raises(UnsupportedModel):
            lower.read_head(damaged, 64)


def test_refuses_impossible_widths() -> None:
    folder = EncoderFolder.find("base")
    for bits in (0, 32, 100, 768, 2048):
        with pytest.raises(BitwrenError, match="64, 128, 256, 512, 1024"):
            lower.lower(folder, bits)
    with pytest.raises(BitwrenError, match="no encoder 'nothing'"):
        EncoderFolder.find("nothing")


@pytest.mark.parametrize("file", ["rows.npy", "scales.npy", "vocabulary.txt", "head.tflite"])
def test_incomplete_folder(tmp_path: Path, file: str) -> None:
    source = EncoderFolder.find("base").path
    for name in ("encoder.toml", "rows.npy", "scales.npy", "vocabulary.txt", "head.tflite"):
        data = (source / name).read_bytes()
        if name != file:
            (tmp_path / name).write_bytes(data)
    with pytest.raises(FormatError, match=file):
        EncoderFolder.read(tmp_path)
    (tmp_path / file).write_bytes(b"")
    with pytest.raises((FormatError, UnsupportedModel)):
        lower.lower(EncoderFolder.read(tmp_path), 64)
