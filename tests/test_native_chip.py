"""The core's machine code for each chip, run in an emulator: the reference's hits and codes, wherever the files lie in memory."""

from __future__ import annotations

from dataclasses import replace

import chip
import numpy as np
import pytest
import test_residual
from chip import PAST_END, SPARE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from native import ENCODE_WORK
from test_native_encoder import Shape, shapes, texts
from test_native_search import COPIES, EDGES, expected, make_codes, make_query, make_table
from test_rows import Case, cases

from bitwren import lower
from bitwren.encoder import Dense, Encoder
from bitwren.errors import BitwrenError
from bitwren.frontend import Rows
from bitwren.hamming import WIDTHS
from bitwren.tokenizer import Vocabulary
from bitwren_host.bench import measure, program, suite
from bitwren_host.bench.machine import Machine

MOST = {  # thousands of instructions of encoding a query of ten tokens to 256 bits: tokens, pooling, head
    "armv6m": (15, 19, 135),
    "armv7emsp": (12, 14, 73),
    "rv32imc": (12, 15, 130),
}


@pytest.fixture(scope="module", params=program.ARCHITECTURES)
def machine(request: pytest.FixtureRequest) -> Machine:
    try:
        return Machine(request.param, program.build(request.param))
    except BitwrenError as error:
        pytest.skip(str(error))


def search(machine: Machine, data: bytes, query: bytes, k: int, cut: int = 0) -> list[tuple[int, int]]:
    """Hits, nothing being written past the end of the memory for them and of the work memory."""
    hits, behind = chip.search(machine, data, query, k, cut)
    assert behind == bytes([PAST_END]) * SPARE
    return hits


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    bits=st.sampled_from(WIDTHS),
    count=st.one_of(st.sampled_from(EDGES), st.integers(1, 400)),
    copies=st.sampled_from(COPIES),
    alive=st.sampled_from([1.0, 0.9, 0.3, 0.0]),
    asked=st.sampled_from(["random", "one of them", "opposite", "zero"]),
    cut=st.sampled_from([0, 0, 4084, 1028, 640, 132]),
    k=st.sampled_from([1, 2, 10, 32, 33, 64, 65, 100, 2000]),
)
def test_hits_equal_the_reference(
    machine: Machine, seed: int, bits: int, count: int, copies: str, alive: float, asked: str, cut: int, k: int
) -> None:
    random = np.random.default_rng(seed)
    codes = make_codes(random, count, bits, copies)
    live = random.random(count) < alive
    query = make_query(random, codes, asked)
    assert search(machine, make_table(codes, live), query.tobytes(), k, cut) == expected(query, codes, k, live)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    **test_residual.cases,
    **test_residual.asking,
    cut=st.sampled_from([0, 0, 4084, 1028, 640, 132]),
    k=st.sampled_from([1, 2, 10, 33, 64, 65, 100, 2000]),
)
def test_residual_hits_equal_the_reference(
    machine: Machine,
    seed: int,
    bits: int,
    count: int,
    shape: str,
    lanes: int,
    alive: float,
    asked: str,
    cut: int,
    k: int,
) -> None:
    random = np.random.default_rng(seed)
    codes = test_residual.make(random, count, bits, shape, lanes)
    live = random.random(count) < alive
    query = test_residual.a_query(random, codes, asked)
    data = test_residual.make_table(codes, live, lanes)
    assert search(machine, data, query.tobytes(), k, cut) == expected(query, codes, k, live)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases, cut=st.sampled_from([0, 4084, 132, 20]), k=st.sampled_from([1, 10, 64, 65, 2000]))
def test_rows_equal_the_reference(machine: Machine, case: Case, cut: int, k: int) -> None:
    """Every layout, with staged rows; what is added in memory is left out, since the benchmark program knows of no changes."""
    data, codes, live, _ = replace(case, added=0, deleted=False).make()
    query = make_query(np.random.default_rng(case.seed + 1), codes, "one of them")
    assert search(machine, data, query.tobytes(), k, cut) == expected(query, codes, k, live)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("count", [1, 31, 32, 33, 96])
def test_every_count_of_results(machine: Machine, bits: int, count: int) -> None:
    """k from one to more than there are, and distances 0 and B among and alone."""
    random = np.random.default_rng(count)
    code = make_codes(random, 1, bits, "none")[0]
    for codes in (make_codes(random, count, bits, "none"), np.tile(~code, (count, 1)), np.tile(code, (count, 1))):
        codes[count // 2] = code
        live = np.ones(count, bool)
        data = make_table(codes, live)
        for k in sorted({1, 2, count, count + 1, 70}):
            assert search(machine, data, code.tobytes(), k) == expected(code, codes, k, live)


def test_many_equal_at_the_edge(machine: Machine) -> None:
    """More documents at the k-th distance than there is room for, some before and some after nearer ones."""
    random = np.random.default_rng(3)
    query = make_codes(random, 1, 128, "none")[0]
    codes = np.tile(query, (700, 1))
    codes[:, 0] ^= np.uint32(7)
    codes[350:400, 1] ^= np.uint32(1)
    codes[600:620] = query
    live = random.random(700) < 0.9
    for k in (10, 64, 65, 300, 640):
        assert search(machine, make_table(codes, live), query.tobytes(), k) == expected(query, codes, k, live)


def encode(machine: Machine, encoder: Encoder, text: bytes, cut: int = 0) -> list[int]:
    """The code of a text, with the encoder in one piece or, with ``cut``, in pieces of that many bytes at places of their own."""
    machine.clear()
    data, code, work = (
        lower.write(encoder),
        machine.place(bytes(encoder.bits // 8)),
        machine.place(bytes([PAST_END]) * (ENCODE_WORK + 12)),
    )
    extents: list[int] = []
    for start in range(0, len(data), cut or len(data)):
        extents += [start, machine.place(data[start : start + (cut or len(data))])]
    job = machine.job(extents[1], len(data), machine.place(text), len(text), code, work, extents if cut else ())
    assert machine.call("bench_encode", job).result == len(encoder.tokens(text))
    assert machine.read(work + ENCODE_WORK, 12) == bytes([PAST_END]) * 12
    return [int(word) for word in np.frombuffer(machine.read(code, encoder.bits // 8), "<u4")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=shapes, text=texts, cut=st.sampled_from([0, 0, 4084, 516]))
def test_codes_equal_the_reference(machine: Machine, shape: Shape, text: bytes, cut: int) -> None:
    """The head multiplies in another way on each chip."""
    encoder = shape.encoder()
    assert encode(machine, encoder, text[:200], cut) == encoder.encode([text[:200]])[0].tolist()


@pytest.mark.parametrize("inputs", [4, 12, 64, 128, 256, 260, 384, 388, 772, 1024])
def test_the_largest_products(machine: Machine, inputs: int) -> None:
    """Inputs and weights of the largest magnitudes, of either sign, for every way in which rows of weights are gone through."""
    random = np.random.default_rng(inputs)
    extremes = np.array([-128, -127, -1, 0, 1, 127], np.int8)
    for value in (*extremes, None):
        hidden = extremes[random.integers(0, 6, inputs)] if value is None else np.full(inputs, value)
        forced = Dense(  # whatever the vector is, its outputs are these
            np.zeros((inputs, 32), np.int8),
            np.zeros(inputs, np.int32),
            np.ones(inputs, np.int32),
            np.ones(inputs, np.uint8),
            -128,
            -128,
            127,
        )
        weights = np.where(random.random((64, inputs)) < 0.5, np.int8(-128), np.int8(127))
        weights[:8] = np.array([-128] * 4 + [127] * 4, np.int8)[:, None]
        forced.bias[:] = 2 * (hidden.astype(np.int32) + 128)
        sums = weights.astype(np.int32) @ hidden.astype(np.int32)
        for above in (0, 1):
            asked = Dense(weights, (-sums - above).astype(np.int32))
            rows = Rows(np.zeros((1, 8), np.uint8), np.ones(1, np.uint8), 2)
            encoder = Encoder(Vocabulary([b"a"], []), rows, (forced, asked), bytes(16), {})
            assert forced.forward(np.zeros((1, 32), np.int8))[0].tolist() == hidden.tolist()
            assert encode(machine, encoder, b"") == [0 if above else 0xFFFFFFFF] * 2


@pytest.mark.parametrize("arch", MOST)
def test_what_encoding_takes(arch: str) -> None:
    try:
        taken = measure.query(Machine(arch, program.build(arch)), 256, suite.TEXT)
    except BitwrenError as error:
        pytest.skip(str(error))
    steps = [taken[f"{step}_instructions"] for step in ("tokenize", "pool", "head")]
    assert all(step <= 1000 * most for step, most in zip(steps, MOST[arch], strict=True)), steps
