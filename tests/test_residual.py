"""The residual layout: blocks decode to what was encoded, and every search of them finds the reference's hits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from fallback import FallbackCore
from hypothesis import given, settings
from hypothesis import strategies as st
from native import ARGUMENT, FORMAT, KINDS, CoreError, NativeCore, Source
from numpy.typing import NDArray
from test_native_hostile import mend
from test_native_search import COPIES, EDGES, expected, make_codes
from test_ordering import clustered
from tflite_maker import model, random_layers

from bitwren import bundle, hamming, ordering, residual, residual_scan, table
from bitwren.corpus import read_corpus
from bitwren.encoder import EncoderFolder
from bitwren.errors import BitwrenError, FormatError
from bitwren.hamming import Codes
from bitwren.table import Record, Table

SHAPES = (*COPIES, "clustered")


def make(random: np.random.Generator, count: int, bits: int, shape: str, lanes: int) -> Codes:
    if shape != "clustered":
        return make_codes(random, count, bits, shape)
    codes = clustered(random, count, bits, 1 + count // 50, 3)
    return codes[ordering.order(codes, lanes)]


def make_table(codes: Codes, live: NDArray[np.bool_], lanes: int) -> bytes:
    records = [Record(f"id{slot}", "answer") for slot in range(len(codes))]
    return table.write(Table(codes, records, live, bytes(16), layout="residual", lanes=lanes))


def a_query(random: np.random.Generator, codes: Codes, asked: str) -> Codes:
    one = codes[random.integers(len(codes))]
    queries = {
        "random": make_codes(random, 1, 32 * codes.shape[1], "none")[0],
        "one of them": one,
        "opposite": ~one,
        "zero": np.zeros_like(one),
        "near": one ^ clustered(random, 1, 32 * codes.shape[1], 1, 4)[0] & 0x11111111,
    }
    return np.asarray(queries[asked], dtype=np.uint32)


cases = {
    "seed": st.integers(0, 2**32),
    "bits": st.sampled_from(residual.WIDTHS),
    "count": st.one_of(st.sampled_from(EDGES), st.integers(1, 400)),
    "shape": st.sampled_from(SHAPES),
    "lanes": st.sampled_from(residual.LANE_CHOICES),
}
asking = {
    "alive": st.sampled_from([1.0, 0.9, 0.3, 0.0]),
    "asked": st.sampled_from(["random", "one of them", "opposite", "zero", "near"]),
}


@settings(max_examples=150, deadline=None)
@given(**cases)
def test_blocks_decode(seed: int, bits: int, count: int, shape: str, lanes: int) -> None:
    codes = make(np.random.default_rng(seed), count, bits, shape, lanes)
    blocks = residual.encode(codes, lanes)
    assert np.array_equal(residual.decode(blocks, count), codes)
    assert 4 * blocks.bodies.shape[1] == residual.stride(bits, lanes, blocks.weight_planes)
    read = table.read(make_table(codes, np.ones(count, bool), lanes))
    assert np.array_equal(read.codes, codes)
    assert (read.layout, read.lanes) == ("residual", lanes)


def test_weights_are_those_of_the_planes() -> None:
    codes = make(np.random.default_rng(3), 200, 128, "clustered", 32)
    blocks = residual.encode(codes, 32)
    least, most, mean = residual.statistics(blocks)
    for block in range(len(blocks.pivots)):
        here = codes[32 * block : 32 * block + 32]
        weights = hamming.distances(blocks.pivots[block, 1:], here)
        assert (least[block], most[block], mean[block]) == (weights.min(), weights.max(), weights.mean() // 1)
        planes = blocks.bodies[block, 4 : 4 + blocks.weight_planes]
        above = sum(1 << j & -(planes[j] >> np.arange(len(here)) & 1).astype(np.int64) for j in range(len(planes)))
        assert np.array_equal(above + least[block], weights)


@settings(max_examples=200, deadline=None)
@given(**cases, **asking)
def test_the_reference_scan_is_exact(seed: int, bits: int, count: int, shape: str, lanes: int, alive: float, asked: str) -> None:
    random = np.random.default_rng(seed)
    codes = make(random, count, bits, shape, lanes)
    live = random.random(count) < alive
    scan = residual_scan.Scan(residual.encode(codes, lanes), live)
    query = a_query(random, codes, asked)
    for k in {1, 10, count, count + 5}:
        assert scan.search(query, k).hits == expected(query, codes, k, live)


@settings(max_examples=600, deadline=None)
@given(**cases, **asking, kind=st.sampled_from(list(KINDS)))
def test_the_core_is_exact(
    native_core: NativeCore, seed: int, bits: int, count: int, shape: str, lanes: int, alive: float, asked: str, kind: str
) -> None:
    random = np.random.default_rng(seed)
    codes = make(random, count, bits, shape, lanes)
    live = random.random(count) < alive
    if count > 200:
        live[64:130] = False  # blocks without a live document
    source = KINDS[kind](make_table(codes, live, lanes))
    assert native_core.check(source, b"BWT1") == 0
    query = a_query(random, codes, asked)
    for k in {1, 3, 10, 33, count, count + 5}:
        assert native_core.search(source, query, k) == expected(query, codes, k, live)


@settings(max_examples=200, deadline=None)
@given(**cases, **asking, k=st.sampled_from([1, 5, 40]), effort=st.sampled_from([1, 5, 10, 30, 60, 99]))
def test_less_effort_finds_what_the_reference_finds(
    native_core: NativeCore,
    seed: int,
    bits: int,
    count: int,
    shape: str,
    lanes: int,
    alive: float,
    asked: str,
    k: int,
    effort: int,
) -> None:
    random = np.random.default_rng(seed)
    codes = make(random, count, bits, shape, lanes)
    live = random.random(count) < alive
    query = a_query(random, codes, asked)
    found = residual_scan.Scan(residual.encode(codes, lanes), live).search(query, k, effort)
    assert native_core.search(Source.contiguous(make_table(codes, live, lanes)), query, k, effort) == found.hits
    assert len(found.hits) == min(k, int(live.sum()))


@pytest.mark.parametrize("bits", residual.WIDTHS)
@pytest.mark.parametrize("lanes", residual.LANE_CHOICES)
@pytest.mark.parametrize("count", [33, 70])
def test_the_nearest_and_the_farthest_distance(native_core: NativeCore, bits: int, lanes: int, count: int) -> None:
    code = make_codes(np.random.default_rng(bits), 1, bits, "none")[0]
    codes = np.tile(~code, (count, 1))
    live = np.ones(count, bool)
    for place in (None, 0, 31, 32, count - 1):
        if place is not None:
            codes[place] = code
        source = Source.contiguous(make_table(codes, live, lanes))
        for k in (1, 2, count):
            assert native_core.search(source, code, k) == expected(code, codes, k, live)


@pytest.mark.parametrize("lanes", residual.LANE_CHOICES)
def test_more_blocks_than_are_ordered_together(native_core: NativeCore, lanes: int) -> None:
    random = np.random.default_rng(4)
    count = lanes * (residual_scan.BATCH + 40) - 7
    codes = clustered(random, count, 64, 300, 3)
    live = random.random(count) < 0.9
    source = Source.contiguous(make_table(codes, live, lanes))
    scan = residual_scan.Scan(residual.encode(codes, lanes), live)
    for query in clustered(random, 3, 64, 3, 3):
        assert native_core.search(source, query, 10) == expected(query, codes, 10, live)
        assert native_core.search(source, query, 10, 10) == scan.search(query, 10, 10).hits


def test_fewer_bytes_are_touched() -> None:
    random = np.random.default_rng(5)
    codes = make(random, 4096, 256, "clustered", 64)
    found = residual_scan.Scan(residual.encode(codes), np.ones(4096, bool)).search(codes[17], 10)
    assert found.touched <= found.fetched
    assert found.touched < 0.3 * codes.nbytes


def test_no_effort_is_refused(native_core: NativeCore) -> None:
    codes = make(np.random.default_rng(6), 40, 64, "none", 64)
    source = Source.contiguous(make_table(codes, np.ones(40, bool), 64))
    with pytest.raises(CoreError) as error:
        native_core.search(source, codes[0], 1, 0)
    assert error.value.code == ARGUMENT


@pytest.mark.parametrize(("offset", "value"), [(294, 2), (300, 0), (300, 33), (300, 32), (301, 200), (301, 1)])
def test_fields_that_contradict_the_sections(native_core: NativeCore, offset: int, value: int) -> None:
    codes = make(np.random.default_rng(7), 100, 128, "none", 64)
    data = bytearray(make_table(codes, np.ones(100, bool), 64))
    data[offset] = value
    with pytest.raises(CoreError) as error:
        native_core.open_table(Source.contiguous(bytes(data)))
    assert error.value.code == FORMAT
    mend(data)
    with pytest.raises(FormatError):
        table.read(bytes(data))


def test_codes_that_are_too_wide(native_core: NativeCore) -> None:
    """1024 bits do not fit a block's statistics: nothing writes such a table and nothing reads one."""
    codes = make(np.random.default_rng(8), 64, 512, "none", 64)
    live = np.ones(64, bool)
    with pytest.raises(BitwrenError, match="layout residual takes codes of at most 512 bits, not 1024"):
        make_table(np.concatenate([codes, codes], axis=1), live, 64)
    data = bytearray(make_table(codes, live, 64))
    data[292:294] = (1024).to_bytes(2, "little")
    mend(data)
    for core in (native_core, FallbackCore()):
        with pytest.raises(CoreError) as error:
            core.open_table(Source.contiguous(bytes(data)))
        assert error.value.code == FORMAT
    with pytest.raises(FormatError):
        table.read(bytes(data))


@pytest.mark.parametrize("binarizer", ["lsh", "dense"])
def test_a_bundle_of_wide_codes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, binarizer: str) -> None:
    """What is left to auto becomes flat, however many documents there are; asking for residual, or for effort, is refused."""
    monkeypatch.setattr(bundle, "RESIDUAL_FROM", 10)
    documents = read_corpus(ROOT / "examples" / "board-help" / "corpus.csv")[:40]
    encoder = EncoderFolder.find("base")
    assert encoder.binarizer == "lsh"
    if binarizer == "dense":
        dims = encoder.rows.dims
        encoder = replace(encoder, settings={"name": "wide"}, head=model(random_layers(1, [dims, 1024]), dims))
    for layout in ("auto", "flat", "rows"):
        made = bundle.build(documents, encoder, 1024, layout=layout)
        assert made.table.layout == layout.replace("auto", "flat")
        bundle.write(made, tmp_path / layout)
        read = bundle.Bundle.read(tmp_path / layout)
        assert read.search(documents[7].text, 3) == made.search(documents[7].text, 3)
        assert read.search(documents[7].text, 1)[0].distance == 0
        for file in (tmp_path / layout).iterdir():
            assert bundle.describe(file)["bits"] == 1024
    assert bundle.build(documents, encoder, 512).table.layout == "residual"
    with pytest.raises(BitwrenError, match="at most 512 bits, not 1024: choose layout flat or rows"):
        bundle.build(documents, encoder, 1024, layout="residual")
    with pytest.raises(BitwrenError, match="a table of layout flat is always searched exactly"):
        bundle.build(documents, encoder, 1024, effort=20)


def test_a_bundle_in_either_layout() -> None:
    """The same distances; documents at one distance may come in another order."""
    documents = read_corpus(ROOT / "examples" / "board-help" / "corpus.csv")
    encoder = EncoderFolder.find("base")
    flat, ordered = (bundle.build(documents, encoder, 256, layout=layout) for layout in ("flat", "residual"))
    assert (flat.table.layout, ordered.table.layout) == ("flat", "residual")
    assert flat.table.threshold == ordered.table.threshold
    assert sorted(record.id for record in ordered.table.records) == sorted(document.id for document in documents)
    for query in ("no disk appears", "the light blinks twice"):
        ours, theirs = flat.search(query, 10), ordered.search(query, 10)
        assert [hit.distance for hit in ours] == [hit.distance for hit in theirs]
        nearer = [{hit.id for hit in hits if hit.distance < ours[-1].distance} for hits in (ours, theirs)]
        assert nearer[0] == nearer[1]
