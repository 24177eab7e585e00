"""The search's machine code for each chip, run in an emulator: the reference's hits, whichever way the table lies in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from makers import random_encoder
from native import ENCODE_WORK, SEARCH_WORK
from test_native_search import COPIES, EDGES, expected, make_codes, make_query, make_table
from test_rows import Case, cases

from bitwren import lower
from bitwren.errors import BitwrenError
from bitwren.hamming import WIDTHS
from bitwren_host.bench import program
from bitwren_host.bench.machine import Machine

PAST_END = 0x5A


@pytest.fixture(scope="module", params=program.ARCHITECTURES)
def machine(request: pytest.FixtureRequest) -> Machine:
    try:
        return Machine(request.param, program.build(request.param))
    except BitwrenError as error:
        pytest.skip(str(error))


def search(machine: Machine, data: bytes, query: bytes, k: int, cut: int = 0) -> list[tuple[int, int]]:
    """Hits from a table in one piece or, with ``cut``, in pieces of that many bytes at places of their own."""
    machine.clear()
    hits, work = machine.place(bytes([PAST_END]) * (8 * k + 16)), machine.place(bytes([PAST_END]) * (SEARCH_WORK + 12))
    extents: list[int] = []
    for start in range(0, len(data), cut or len(data)):
        extents += [start, machine.place(data[start : start + (cut or len(data))] + bytes([PAST_END]) * 4)]
    job = machine.job(extents[1], len(data), machine.place(query), k, hits, work, extents if cut else ())
    found = machine.call("bench_search", job).result
    assert machine.read(hits + 8 * k, 16) == bytes([PAST_END]) * 16
    assert machine.read(work + SEARCH_WORK, 12) == bytes([PAST_END]) * 12
    pairs = np.frombuffer(machine.read(hits, 8 * found), "<u4").reshape(-1, 2)
    return [(int(distance), int(slot)) for distance, slot in pairs]


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


@pytest.mark.parametrize(
    ("bits", "dims", "row_bits", "hidden"), [(64, 32, 8, ()), (128, 96, 4, (64,)), (256, 256, 2, (128, 64)), (512, 512, 2, ())]
)
def test_codes_equal_the_reference(machine: Machine, bits: int, dims: int, row_bits: int, hidden: tuple[int, ...]) -> None:
    """The head multiplies in another way on each chip."""
    encoder = random_encoder(bits, bits=bits, dims=dims, row_bits=row_bits, hidden=hidden)
    data = lower.write(encoder)
    for text in ("", "the light blinks twice", "Éire, straße 42", "tonight " * 20):
        machine.clear()
        raw, code, work = text.encode(), machine.place(bytes(bits // 8)), machine.place(bytes(ENCODE_WORK))
        job = machine.job(machine.place(data), len(data), machine.place(raw), len(raw), code, work)
        assert machine.call("bench_encode", job).result == len(encoder.tokens(text))
        assert machine.read(code, bits // 8) == encoder.encode([text])[0].tobytes()
