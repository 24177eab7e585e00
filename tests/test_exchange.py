"""Codes exported and imported: the same rows on both sides, FAISS's answers ours, and what cannot be used refused."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board_bundle import FIRMWARE, NATIVE, make_bundle, write_bundle
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from test_command import CORPUS, bitwren, fails
from test_natmod_unix import MICROPYTHON

from bitwren import binarize, elsewhere, export, residual, table
from bitwren.bundle import BINARIZER_FILE, ENCODER_FILE, FILES, TABLE_FILE, Bundle
from bitwren.encoder import ELSEWHERE, Elsewhere
from bitwren.errors import BitwrenError, NoEncoder, QueryError, VectorError
from bitwren.hamming import WIDTHS, distances, search
from bitwren.scoring import Query, Stages
from bitwren.table import LAYOUTS, Record, Table

needs_faiss = pytest.mark.skipif(
    importlib.util.find_spec("faiss") is None, reason="FAISS is not installed: pip install 'bitwren[faiss]'"
)
needs_unix_port = pytest.mark.skipif(
    not (MICROPYTHON.is_file() and NATIVE["x64"].is_file()),
    reason="MicroPython's unix port or the x64 native module is not built: make unix natmods",
)


def make_table(codes: Any, live: Any = None, **fields: Any) -> Table:
    records = [Record(f"id {slot}\n", f"answer “{slot}”\u2028") for slot in range(len(codes))]
    live = np.ones(len(codes), dtype=bool) if live is None else np.array(live)
    return Table(np.asarray(codes, dtype=np.uint32), records, live, ELSEWHERE, **fields)


@pytest.fixture(scope="module")
def faq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faq") / "faq"
    assert bitwren("build", CORPUS, "-o", folder, "--bits", 256).returncode == 0
    return folder


@st.composite
def tables(draw: st.DrawFn) -> tuple[Table, Any]:
    """A table of few different codes, so that most distances are tied, some documents deleted; and queries."""
    bits, count = draw(st.sampled_from(WIDTHS)), draw(st.integers(1, 150))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    distinct = random.integers(0, 2**32, (draw(st.integers(1, 12)), bits // 32), dtype=np.uint64).astype(np.uint32)
    codes = distinct[random.integers(0, len(distinct), count)]
    codes[:, 0] ^= (np.uint32(1) << random.integers(0, 32, count).astype(np.uint32)) * (random.random(count) < 0.3)
    live = random.random(count) < draw(st.sampled_from([0.5, 0.9, 1]))
    live[random.integers(count)] = True
    return make_table(codes, live), np.concatenate([codes[:3], ~codes[:1], np.zeros_like(codes[:1])])


def rows_of(made: Table) -> list[int]:
    return np.flatnonzero(made.live).tolist()


# --- What is exported ------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(made=tables())
def test_rows_are_the_live_documents_in_the_order_of_their_slots(tmp_path_factory: pytest.TempPathFactory, made: Any) -> None:
    made, _ = made
    folder = tmp_path_factory.getbasetemp() / "rows"
    folder.mkdir(exist_ok=True)
    for name, data in export.export(made, "npy").items():
        (folder / name).write_bytes(data)
    codes, ids = np.load(folder / "codes.npy"), json.loads((folder / "ids.json").read_bytes())
    rows = [json.loads(line) for line in (folder / "documents.jsonl").read_text().splitlines()]
    slots = rows_of(made)
    assert codes.shape == (len(slots), made.bits // 8)
    assert codes.dtype == np.uint8
    assert ids == [made.records[slot].id for slot in slots]
    assert rows == [{"id": made.records[slot].id, "answer": made.records[slot].answer} for slot in slots]
    for row in (0, len(slots) - 1):
        for bit in range(made.bits):
            assert codes[row, bit // 8] >> bit % 8 & 1 == int(made.codes[slots[row], bit // 32]) >> bit % 32 & 1
    about = json.loads((folder / "about.json").read_bytes())
    assert (about["documents"], about["bits"], about["bit_order"], about["encoder"]) == (len(slots), made.bits, "little", None)


def test_labels_and_texts_go_along_where_there_are_any() -> None:
    codes = np.zeros((2, 2), dtype=np.uint32)
    records = [Record("a", "x", "a text", "light"), Record("b", "y", "b text")]
    made = Table(codes, records, np.ones(2, bool), b"0123456789abcdef", 7)
    files = export.export(made, "npy")
    assert [json.loads(line) for line in files["documents.jsonl"].splitlines()] == [
        {"id": "a", "answer": "x", "label": "light", "text": "a text"},
        {"id": "b", "answer": "y", "text": "b text"},
    ]
    about = json.loads(files["about.json"])
    assert (about["threshold"], about["encoder"]) == (7, b"0123456789abcdef".hex())


@pytest.mark.parametrize("kind", export.KINDS)
def test_nothing_left_to_export(kind: str) -> None:
    with pytest.raises(BitwrenError, match="all of them are deleted: there is nothing to export"):
        export.export(make_table(np.zeros((3, 2)), [False] * 3), kind)


def test_without_faiss_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(BitwrenError, match=r"needs FAISS: pip install 'bitwren\[faiss\]'"):
        export.export(make_table(np.zeros((3, 2))), "faiss-flat")


def test_export_command(tmp_path: Path, faq: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):  # an earlier export is replaced
        done = bitwren("export", faq, "-o", out, "--to", "npy")
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout == b""
    assert sorted(os.listdir(out)) == ["about.json", "codes.npy", "documents.jsonl", "ids.json"]
    assert np.array_equal(np.load(out / "codes.npy").view("<u4"), Bundle.read(faq).table.codes)
    (out / "mine.txt").write_text("precious")
    fails(bitwren("export", faq, "-o", out, "--to", "npy"), "holds other files (mine.txt)")
    fails(bitwren("export", faq, "-o", faq, "--to", "npy"), "holds other files")
    fails(bitwren("export", tmp_path, "-o", tmp_path / "new", "--to", "npy"), "cannot be read")
    fails(bitwren("export", faq, "-o", tmp_path / "new", "--to", "annoy"), "annoy", code=2)
    assert os.listdir(tmp_path) == ["out"]


# --- FAISS -----------------------------------------------------------------------------------------------------------


def index_of(made: Table, kind: str) -> Any:
    import faiss

    faiss.omp_set_num_threads(1)  # several wait for one another longer than these searches take
    return faiss.deserialize_index_binary(np.frombuffer(export.export(made, kind)["index.faiss"], np.uint8))


def octets(codes: Any) -> Any:
    return np.ascontiguousarray(codes, dtype="<u4").view(np.uint8)


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    """What the Python of docs/exchange.md defines."""
    names: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "exchange.md").read_text(), re.DOTALL)[0], names)
    return names


@needs_faiss
@settings(max_examples=60, deadline=None)
@given(made=tables(), k=st.integers(1, 200))
def test_flat_gives_our_distances_and_after_sorting_our_slots(documented: dict[str, Any], made: Any, k: int) -> None:
    made, queries = made
    index, slots = index_of(made, "faiss-flat"), rows_of(made)
    k = min(k, len(slots))
    found, _ = index.search(octets(queries), k)
    for row, query in enumerate(queries):
        hits = made.search(Query(query), k)
        assert found[row].tolist() == [hit.distance for hit in hits]
        far, rows = documented["nearest"](index, octets(query[None])[0], k)
        assert [(int(d), slots[r]) for d, r in zip(far, rows, strict=True)] == [(hit.distance, hit.slot) for hit in hits]


@needs_faiss
@settings(max_examples=20, deadline=None)
@given(made=tables())
def test_ivf_holds_all_codes_and_is_exact_when_it_looks_into_all_lists(documented: dict[str, Any], made: Any) -> None:
    made, queries = made
    index, slots = index_of(made, "faiss-ivf"), rows_of(made)
    assert index.ntotal == len(slots)
    index.nprobe = index.nlist
    for query in queries:
        far, rows = documented["nearest"](index, octets(query[None])[0], 10)
        hits = made.search(Query(query), min(10, len(slots)))
        assert [(int(d), slots[r]) for d, r in zip(far, rows, strict=True)] == [(hit.distance, hit.slot) for hit in hits]


@needs_faiss
@pytest.mark.parametrize("kind", ["faiss-ivf", "faiss-hnsw"])
def test_approximate_indexes_find_most_and_their_distances_are_true(kind: str) -> None:
    random = np.random.default_rng(5)
    centres = random.integers(0, 2**32, (40, 8), dtype=np.uint64).astype(np.uint32)
    codes = centres[random.integers(0, 40, 4000)]
    codes ^= np.uint32(1) << random.integers(0, 32, codes.shape).astype(np.uint32)
    made = make_table(codes, random.random(4000) < 0.9)
    slots = np.array(rows_of(made))
    queries = codes[::200] ^ np.uint32(1)
    far, rows = index_of(made, kind).search(octets(queries), 10)
    right = 0
    for query, distance, row in zip(queries, far, rows, strict=True):
        assert np.array_equal(distances(query, made.codes[slots[row]]), distance)
        right += int((distance <= search(query, made.codes, 10, made.live)[1][-1]).sum())
    assert right >= 0.8 * len(queries) * 10


@needs_faiss
@pytest.mark.parametrize("kind", export.KINDS[1:])
def test_sample_corpus_in_a_file_that_faiss_reads(documented: dict[str, Any], tmp_path: Path, faq: Path, kind: str) -> None:
    import faiss

    done = bitwren("export", faq, "-o", tmp_path / "out", "--to", kind)
    assert done.returncode == 0, done.stderr.decode()
    index = faiss.read_index_binary(str(tmp_path / "out" / "index.faiss"))
    made, ids = Bundle.read(faq), json.loads((tmp_path / "out" / "ids.json").read_bytes())
    assert (index.ntotal, index.d) == (len(ids), made.table.bits)
    assert json.loads((tmp_path / "out" / "about.json").read_bytes())["faiss"] == faiss.__version__
    if kind == "faiss-flat":
        queries = ["wifi password wrong", "no serial port appears", "the board is hot"]
        for query in queries:
            far, rows = documented["nearest"](index, octets(made.ask([query])[0].code[None])[0], 20)
            hits = made.search(query, 20, stages="hamming")
            assert [(int(d), ids[r]) for d, r in zip(far, rows, strict=True)] == [(hit.distance, hit.id) for hit in hits]
        expected = [[hit.answer for hit in made.search(query, 3, stages="hamming")] for query in queries]
        assert list(documented["answers"](faq, tmp_path / "out", queries)) == expected


# --- What is imported ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vectors() -> Any:
    return np.random.default_rng(3).normal(size=(300, 64)).astype(np.float32)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, vectors: Any) -> Path:
    """A table of embeddings, 128 bits, whose ids are r0, r1 ..."""
    folder = tmp_path_factory.mktemp("imported")
    np.save(folder / "e.npy", vectors)
    (folder / "ids.txt").write_text("".join(f"r{row}\n" for row in range(300)))
    (folder / "docs.csv").write_text(
        "id,answer,label,text\n" + "".join(f"r{r},answer {r},l{r % 3},text {r}\n" for r in range(320))
    )
    done = bitwren(
        *("import", folder / "e.npy", "-o", folder / "t", "--ids", folder / "ids.txt", "--corpus", folder / "docs.csv"),
        *("--bits", 128, "--binarizer", "lsh", "--seed", 4, "--store-text"),
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"300 documents, 128 bits each" in done.stderr
    return folder


def test_imported_table(imported: Path, vectors: Any) -> None:
    found = Bundle.read(imported / "t")
    assert isinstance(found.encoder, Elsewhere)
    assert sorted(os.listdir(imported / "t")) == [BINARIZER_FILE, TABLE_FILE]
    learnt = binarize.load(imported / "t" / BINARIZER_FILE)
    assert np.array_equal(found.table.codes, binarize.lsh(vectors, 128, 4).encode(vectors))
    assert np.array_equal(found.table.codes, learnt.encode(vectors))
    assert found.table.records[7] == Record("r7", "answer 7", "text 7", "l1")
    assert found.table.identity == ELSEWHERE
    assert found.table.threshold is not None
    said = bitwren("inspect", imported / "t").stdout.decode()
    assert "none: codes from elsewhere" in said
    assert "imported, lsh of 64 dimensions, seed 4" in said
    assert ENCODER_FILE not in said


@pytest.mark.parametrize("kind", ["float16", "float64", ">f4", "fortran"])
def test_embeddings_of_every_type_give_the_same_table(imported: Path, tmp_path: Path, vectors: Any, kind: str) -> None:
    halves = vectors.astype(np.float16)
    np.save(tmp_path / "half.npy", halves)
    np.save(tmp_path / "e.npy", np.asfortranarray(halves.astype(np.float32)) if kind == "fortran" else halves.astype(kind))
    for name in ("half", "e"):
        arguments = ("--binarizer", "sign", "--bits", 64, "--layout", "rows")
        assert bitwren("import", tmp_path / f"{name}.npy", "-o", tmp_path / name, *arguments).returncode == 0
    assert (tmp_path / "e" / TABLE_FILE).read_bytes() == (tmp_path / "half" / TABLE_FILE).read_bytes()
    table = Bundle.read(tmp_path / "e").table
    assert (table.layout, table.records[9]) == ("rows", Record("9", ""))
    assert table.threshold is not None


def test_exported_and_imported_again(imported: Path, tmp_path: Path) -> None:
    before = Bundle.read(imported / "t").table
    assert bitwren("export", imported / "t", "-o", tmp_path / "x", "--to", "npy").returncode == 0
    packed = ("import", tmp_path / "x" / "codes.npy", "--packed", "--ids", tmp_path / "x" / "ids.json")
    done = bitwren(*packed, "--corpus", tmp_path / "x" / "documents.jsonl", "--store-text", "-o", tmp_path / "t")
    assert done.returncode == 0, done.stderr.decode()
    after = Bundle.read(tmp_path / "t").table
    assert os.listdir(tmp_path / "t") == [TABLE_FILE]
    assert np.array_equal(before.codes, after.codes)
    assert before.records == after.records
    assert before.threshold == after.threshold
    assert bitwren("export", tmp_path / "t", "-o", tmp_path / "y", "--to", "npy").returncode == 0
    for name in ("codes.npy", "ids.json", "documents.jsonl"):
        assert (tmp_path / "x" / name).read_bytes() == (tmp_path / "y" / name).read_bytes()


@settings(max_examples=30, deadline=None)
@given(bits=st.sampled_from(WIDTHS), count=st.integers(1, 40), seed=st.integers(0, 1000))
def test_both_bit_orders(tmp_path_factory: pytest.TempPathFactory, bits: int, count: int, seed: int) -> None:
    path = tmp_path_factory.getbasetemp() / "codes.npy"
    wanted = np.random.default_rng(seed).random((count, bits)) < 0.5
    for order in elsewhere.BIT_ORDERS:
        np.save(path, np.packbits(wanted, axis=1, bitorder=order))  # type: ignore[arg-type]
        codes = elsewhere.read_codes(path, order)
        assert codes.shape == (count, bits // 32)
        for row, bit in ((0, 0), (count - 1, bits - 1), (count // 2, bits // 2 + 3)):
            assert int(codes[row, bit // 32]) >> bit % 32 & 1 == wanted[row, bit]
        assert np.array_equal(octets(codes), np.packbits(wanted, axis=1, bitorder="little"))


def test_large_residual_tables_are_put_in_order(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(2100, 64))
    codes = binarize.sign(vectors).encode(vectors)
    documents = elsewhere.read_documents(2100)
    made = elsewhere.make_table(codes, documents, {})
    assert made.layout == "residual"
    for row in (0, 5, 2099):
        slot = next(slot for slot, record in enumerate(made.records) if record.id == str(row))
        assert np.array_equal(made.codes[slot], codes[row])


IDS = "".join(f"r{row}\n" for row in range(300))


@pytest.mark.parametrize(
    ("arguments", "files", "words"),
    [
        ([], {"e.npy": None}, ["cannot be read: No such file"]),
        ([], {"e.npy": b""}, ["is no .npy file of numbers"]),
        ([], {"e.npy": b"id,text\n1,x\n"}, ["is no .npy file of numbers"]),
        ([], {"e.npy": np.zeros((2, 3, 4))}, ["shape [2, 3, 4]"]),
        ([], {"e.npy": np.zeros((0, 64))}, [".npy"]),
        ([], {"e.npy": np.array(1.0)}, ["shape []"]),
        ([], {"e.npy": np.zeros((300, 64), dtype=np.int32)}, ["holds int32, but embeddings are float16"]),
        ([], {"e.npy": np.zeros((300, 64), dtype=np.uint8)}, ["holds uint8", "say --packed"]),
        ([], {"e.npy": np.zeros((300, 64), dtype=np.longdouble)}, ["but embeddings are float16, float32 or float64"]),
        ([], {"e.npy": np.zeros((300, 64))}, ["row 0 of the embeddings is all zero"]),
        ([], {"e.npy": np.where(np.arange(300)[:, None] == 299, np.nan, np.ones((1, 64)))}, ["row 299", "is not finite"]),
        (["--binarizer", "sign"], {}, ["64 dimensions are not 256 bits"]),
        (["--bits", 256], {}, ["itq makes at most as many bits as there are dimensions: 256 of 64"]),
        (["--bits", 96, "--binarizer", "lsh"], {}, ["codes of (64, 128, 256, 512, 1024) bits, not 300 of 96"]),
        (["--bits", 0, "--binarizer", "lsh"], {}, ["codes of 0 bits are not possible"]),
        (["--binarizer", "lsh", "--effort", 0], {}, ["effort must be a whole number from 1 to 100"]),
        (["--binarizer", "lsh", "--effort", 10, "--layout", "flat"], {}, ["always searched exactly"]),
        (["--binarizer", "lsh", "--store-text"], {}, ["not every document has a text to store"]),
        (["--packed"], {}, ["holds float32, but packed codes are uint8"]),
        (["--packed"], {"e.npy": np.zeros((9, 8), dtype=np.int8)}, ["holds int8", "precision='ubinary'"]),
        (["--packed"], {"e.npy": np.zeros((9, 10), dtype=np.uint8)}, ["codes of 80 bits; 64, 128, 256, 512, 1024 are possible"]),
        (["--ids", "ids.txt"], {"ids.txt": None}, ["ids.txt cannot be read"]),
        (["--ids", "ids.txt"], {"ids.txt": IDS[:-5]}, ["holds 299 ids for 300 rows"]),
        (["--ids", "ids.txt"], {"ids.txt": IDS.replace("r7\n", "r8\n")}, ["id of row 8 'r8' is already that of row 7"]),
        (["--ids", "ids.txt"], {"ids.txt": IDS.replace("r7\n", "\n")}, ["the id of row 7 is empty"]),
        (["--ids", "ids.txt"], {"ids.txt": IDS.replace("r7\n", "r" * 256 + "\n")}, ["ids.txt, row 7: 'id' has 256 bytes"]),
        (["--ids", "ids.txt"], {"ids.txt": b"\xff\n" * 300}, ["ids.txt cannot be read"]),
        (["--ids", "ids.json"], {"ids.json": IDS}, ["ids.json is not JSON"]),
        (["--ids", "ids.json"], {"ids.json": '{"a": 1}'}, ["must hold a JSON list"]),
        (["--ids", "ids.json"], {"ids.json": "[1.5]"}, ["must hold a JSON list"]),
        (["--ids", "ids.json"], {"ids.json": "[true]"}, ["must hold a JSON list"]),
        (["--ids", "ids.json"], {"ids.json": "[" * 100_000}, ["ids.json is not JSON"]),
        (["--ids", "ids.json"], {"ids.json": '["\\ud800"]'}, ["half a surrogate pair"]),
        (["--corpus", "c.csv"], {"c.csv": "id,answer\na,b\n"}, ["holds 1 documents for 300 rows: give --ids"]),
        (["--corpus", "c.csv"], {"c.csv": "name\na\n"}, ["no column 'id' or 'text' or 'answer'"]),
        (["--corpus", "c.csv", "--ids", "ids.txt"], {"c.csv": "text,answer\na,b\n", "ids.txt": IDS}, ["no column 'id'"]),
        (
            ["--corpus", "c.csv", "--ids", "ids.txt"],
            {"c.csv": "id,answer\nr0,b\n", "ids.txt": IDS},
            ["no document with the id 'r1'"],
        ),
    ],
)
def test_what_cannot_be_imported_leaves_nothing(
    imported: Path, tmp_path: Path, arguments: list[Any], files: dict[str, Any], words: list[str]
) -> None:
    shutil.copy(imported / "e.npy", tmp_path / "e.npy")
    for name, contents in files.items():
        path = tmp_path / name
        if contents is None:
            path.unlink(missing_ok=True)
        elif isinstance(contents, np.ndarray):
            np.save(path, contents)
        else:
            path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    before = sorted(os.listdir(tmp_path))
    fails(bitwren("import", "e.npy", "-o", "t", *arguments, cwd=tmp_path), *words)
    assert sorted(os.listdir(tmp_path)) == before


@settings(max_examples=300, deadline=None)
@given(data=st.data(), packed=st.booleans())
def test_damaged_arrays_give_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, packed: bool) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.npy"
    np.save(path, np.ones((5, 8), dtype=np.uint8 if packed else np.float32))
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(
            st.one_of(st.integers(0, 255), st.sampled_from(b"0123456789(,)[]' -"))
        )
    path.write_bytes(whole[: data.draw(st.one_of(st.just(len(whole)), st.integers(0, len(whole))))])
    try:
        found = elsewhere.read_codes(path) if packed else elsewhere.read_vectors(path)
    except VectorError:
        return
    assert found.ndim == 2
    assert found.dtype.kind == ("u" if packed else "f")


# --- Searched on the host --------------------------------------------------------------------------------------------


def test_search_by_vector_and_by_code(imported: Path, tmp_path: Path, vectors: Any) -> None:
    made = Bundle.read(imported / "t")
    asked = vectors[[5, 17]] + np.random.default_rng(0).normal(size=(2, 64)) * 0.3
    codes = binarize.load(imported / "t" / BINARIZER_FILE).encode(asked)
    np.save(tmp_path / "q.npy", asked)
    np.save(tmp_path / "codes.npy", octets(codes))
    np.save(tmp_path / "one.npy", asked[1].astype(np.float16))
    expected = [{"vector": row, **made.reply(made.search_code(code, 4))} for row, code in enumerate(codes)]
    assert [reply["hits"][0]["id"] for reply in expected] == ["r5", "r17"]
    for name in ("q.npy", "codes.npy"):
        done = bitwren("search", imported / "t", "--vector", tmp_path / name, "-k", 4, "--json")
        assert [json.loads(line) for line in done.stdout.splitlines()] == expected, done.stderr
    text = bitwren("search", imported / "t", "--vector", tmp_path / "one.npy", "-k", 1).stdout.decode().splitlines()
    assert text[0] == "vector 0"
    assert "answer 17" in text[1]
    assert "[r17, " in text[1]


def test_what_cannot_be_searched_for(imported: Path, faq: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "q.npy", np.ones((1, 63)))
    np.save(tmp_path / "zero.npy", np.zeros((1, 64)))
    np.save(tmp_path / "codes.npy", np.zeros((1, 8), dtype=np.uint8))
    np.save(tmp_path / "bytes.npy", np.zeros((1, 16), dtype=np.uint8))
    table = imported / "t"
    fails(bitwren("search", table, "--vector", tmp_path / "q.npy"), "the binarizer takes [N, 64]")
    fails(bitwren("search", table, "--vector", tmp_path / "zero.npy"), "row 0 of the embeddings is all zero")
    fails(
        bitwren("search", table, "--vector", tmp_path / "codes.npy"), "a code of 64 bits cannot be searched for in a table of 128"
    )
    fails(bitwren("search", table, "--vector", tmp_path / "no.npy"), "cannot be read")
    fails(bitwren("search", table, "--vector", tmp_path / "bytes.npy", "-k", 301), "k is 301 but the table holds 300")
    fails(bitwren("search", table, "--vector", tmp_path / "bytes.npy", "--effort", 0), "effort must be")
    fails(bitwren("search", table, "--vector", tmp_path / "q.npy", "--on", "unix"), "on the host alone", code=2)
    fails(bitwren("search", table, "text", "--vector", tmp_path / "q.npy"), "without QUERIES", code=2)
    fails(bitwren("search", faq, "--vector", tmp_path / "q.npy"), "binarizer.npz is not there", "give codes, uint8")
    with pytest.raises(QueryError, match="a code of 128 bits cannot be searched for in a table of 256"):
        Bundle.read(faq).search_code(np.zeros(4, dtype=np.uint32), 1)


def test_text_is_refused_with_one_sentence(imported: Path, tmp_path: Path) -> None:
    sentence, table = str(NoEncoder()), imported / "t"
    reply = bitwren("search", table, "light blinks", "--json")
    assert json.loads(reply.stdout) == {"query": "light blinks", "error": sentence}
    fails(reply, sentence)
    (tmp_path / "more.csv").write_text("id,text\nnew,more text\n")
    (tmp_path / "q.csv").write_text("query,id\nsome text,r0\n")
    before = (table / TABLE_FILE).read_bytes()
    fails(bitwren("append", table, tmp_path / "more.csv"), sentence)
    fails(bitwren("evaluate", table, tmp_path / "q.csv"), sentence)
    fails(bitwren("verify", table, tmp_path / "q.csv"), sentence)
    fails(bitwren("search", table, ""), "the query is empty")
    said = bitwren("console", table, stdin=b"light blinks\n")
    assert json.loads(said.stdout) == {"query": "light blinks", "error": sentence}
    assert (table / TABLE_FILE).read_bytes() == before


def test_deleted_from_an_imported_table(imported: Path, tmp_path: Path, vectors: Any) -> None:
    shutil.copytree(imported / "t", tmp_path / "t")
    np.save(tmp_path / "q.npy", vectors[9])
    assert bitwren("delete", tmp_path / "t", "r9").returncode == 0
    assert sorted(os.listdir(tmp_path / "t")) == [BINARIZER_FILE, TABLE_FILE]
    reply = json.loads(bitwren("search", tmp_path / "t", "--vector", tmp_path / "q.npy", "-k", 299, "--json").stdout)
    assert "r9" not in [hit["id"] for hit in reply["hits"]]
    assert len(reply["hits"]) == 299


def test_one_kind_of_bundle_takes_the_place_of_the_other(imported: Path, tmp_path: Path) -> None:
    shutil.copytree(imported / "t", tmp_path / "t")
    (tmp_path / "c.csv").write_text("text\nthe light blinks\n")
    assert bitwren("build", tmp_path / "c.csv", "-o", tmp_path / "t", "--bits", 64).returncode == 0
    assert sorted(os.listdir(tmp_path / "t")) == [ENCODER_FILE, TABLE_FILE]
    assert bitwren("import", imported / "e.npy", "-o", tmp_path / "t", "--bits", 64).returncode == 0
    assert sorted(os.listdir(tmp_path / "t")) == [BINARIZER_FILE, TABLE_FILE]
    assert {ENCODER_FILE, TABLE_FILE, BINARIZER_FILE} == set(FILES)


def test_an_encoder_that_is_missing_or_too_much(imported: Path, faq: Path, tmp_path: Path) -> None:
    """A directory without an encoder is whole only where the table's codes are from elsewhere."""
    shutil.copytree(faq, tmp_path / "a")
    (tmp_path / "a" / ENCODER_FILE).unlink()
    shutil.copytree(imported / "t", tmp_path / "b")
    shutil.copy(faq / ENCODER_FILE, tmp_path / "b" / ENCODER_FILE)
    for command in ("inspect", "search"):
        fails(bitwren(command, tmp_path / "a", *["x"] * (command == "search")), ENCODER_FILE, "No such file")
    fails(bitwren("search", tmp_path / "b", "x"), "made with another encoder")


# --- Searched by the chip --------------------------------------------------------------------------------------------

SCRIPT = """
import binascii, bitwren, json

with open("asked.json") as file:
    asked = json.load(file)

def attempt(function, *arguments):
    try:
        return function(*arguments)
    except bitwren.Error as error:
        return str(error)

for engine in ("native", "viper", "python"):
    for storage in ("ram", "file"):
        wren = bitwren.open("faq", engine=engine, storage=storage)
        hits = []
        for code in asked["codes"]:
            found = wren.search_code(binascii.unhexlify(code), asked["k"])
            hits.append([[hit.distance, hit.id, hit.answer, hit.text] for hit in found] + [found.confident])
        info = wren.info()
        size = wren.bits // 8
        said = [attempt(wren.search, "a"), attempt(wren.append, "a", "x", "y"), wren.answer("a", 1)["error"]]
        said += [attempt(wren.search_code, no) for no in (b"", bytes(size - 1), bytearray(size + 1), "a" * size, size, None)]
        said += [attempt(wren.search_code, bytes(size), k) for k in (0, 10**6, "1")]
        said += [attempt(wren.search_code, bytes(size), 1, 0)]
        same = [attempt(wren.search_code, kind(bytes(size)), 5) for kind in (bytes, bytearray, memoryview)]
        deleted = wren.delete(asked["delete"])
        after = [hit.id for hit in wren.search_code(binascii.unhexlify(asked["codes"][0]), asked["k"])]
        answer = [info["encoder"], info["storage"], info["native"], hits, said, same[0] == same[1] == same[2], deleted, after]
        print("ANSWER " + json.dumps(answer))
"""


def run_on_unix(folder: Path, script: Path | None = None, typed: bytes = b"") -> str:
    (folder / "script.py").write_text(SCRIPT)
    (folder / "bitwren_native.mpy").write_bytes(NATIVE["x64"].read_bytes())
    environment = {**os.environ, "MICROPYPATH": f"{folder}:{FIRMWARE}"}
    command = [MICROPYTHON, "-X", "heapsize=16M", script or "script.py"]
    done = subprocess.run(command, cwd=folder, env=environment, input=typed, capture_output=True, timeout=60, check=False)
    assert not done.stderr, done.stderr.decode()
    return done.stdout.decode()


@needs_unix_port
@pytest.mark.parametrize(
    ("bits", "layout"),
    [(bits, layout) for bits in WIDTHS for layout in LAYOUTS if layout != "residual" or bits in residual.WIDTHS],
)
def test_chip_searches_by_code_as_the_reference_does(tmp_path: Path, bits: int, layout: str) -> None:
    random = np.random.default_rng(bits)
    codes = random.integers(0, 2**32, (150, bits // 32), dtype=np.uint64).astype(np.uint32)
    codes[75:] = codes[random.integers(0, 20, 75)]
    records = [Record(f"d{slot}", f"answer é {slot}", f"text {slot}") for slot in range(150)]
    made = Table(codes, records, random.random(150) < 0.9, ELSEWHERE, bits // 4, layout=layout, staged=21)
    found = Bundle(Elsewhere.of(bits), made)
    (tmp_path / "faq").mkdir()
    (tmp_path / "faq" / TABLE_FILE).write_bytes(table.write(made))
    queries = [*codes[:3], *(codes[3:9] ^ random.integers(0, 2**8, (6, bits // 32)).astype(np.uint32)), ~codes[0]]
    k = int(made.live.sum()) - 1
    gone = found.search_code(queries[0], 1)[0].id
    asked = {"codes": [octets(query).tobytes().hex() for query in queries], "k": k, "delete": gone}
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    hits = []
    for query in queries:
        near = found.search_code(query, k)
        confident = made.confident(near, Stages(False, False))
        hits.append([[hit.distance, hit.id, hit.answer, records[hit.slot].text] for hit in near] + [confident])
    fewer = replace(made, live=made.live & np.array([record.id != gone for record in records]))
    after = [hit.id for hit in replace(found, table=fewer).search_code(queries[0], k)]
    said = [str(NoEncoder())] * 3 + [f"a code of this table is {bits // 8} bytes, as bytes or bytearray: give that"] * 6
    said += ["k must be at least 1", f"k is 1000000 but the table holds {k + 1} documents: ask for 1 to {k + 1}"]
    said += ["k must be a whole number", "effort must be a whole number from 1 to 100, percent of the table to read"]
    lines = [json.loads(line[7:]) for line in run_on_unix(tmp_path).splitlines() if line.startswith("ANSWER ")]
    expected = [
        [None, {"table": storage}, engine, hits, said, True, 1, after]
        for engine in ("x64", "viper", "python")
        for storage in ("ram", "file")
    ]
    assert lines == expected


@needs_unix_port
def test_chip_searches_a_table_with_an_encoder_by_code_too(tmp_path: Path) -> None:
    made = make_bundle()
    write_bundle(made, tmp_path / "faq")
    code = made.encoder.encode(["hello world"])
    script = f"""
import bitwren
wren = bitwren.open("faq")
code = bytes({list(octets(code).tobytes())})
print(wren.search_code(code, 40) == wren.search("hello world", 40), wren.search_code(code)[0].id)
"""
    (tmp_path / "one.py").write_text(script)
    assert run_on_unix(tmp_path, Path("one.py")) == f"True {made.search('hello world', 1)[0].id}\n"


@needs_unix_port
def test_console_of_a_board_without_an_encoder(imported: Path, tmp_path: Path) -> None:
    (tmp_path / "faq").mkdir()
    shutil.copy(imported / "t" / TABLE_FILE, tmp_path / "faq")
    typed = b'{"query": "light blinks"}\n{"cmd": "append", "text": "a b"}\n{"cmd": "info"}\nlight blinks\n:info\n'
    said = run_on_unix(tmp_path, FIRMWARE / "main.py", typed)
    assert said.startswith("bitwren: faq, 300 documents, 128 bits, codes from elsewhere; read from: table ram\n")
    query, append, info = (json.loads(line) for line in said.splitlines() if line.startswith("{"))
    assert query == {"query": "light blinks", "error": str(NoEncoder())}
    assert append["error"] == str(NoEncoder())
    assert (info["encoder"], info["storage"], info["documents"]) == (None, {"table": "ram"}, 300)
    assert f"  {NoEncoder()}\n" in said
    assert "storage    table ram\n" in said


@needs_unix_port
def test_board_whose_encoder_is_missing(tmp_path: Path) -> None:
    folder = write_bundle(make_bundle(), tmp_path / "faq")
    (folder / ENCODER_FILE).unlink()
    said = run_on_unix(tmp_path, FIRMWARE / "main.py")
    assert said.startswith("bitwren: faq/encoder.bwe is not there: copy the bundle again (bitwren deploy)\n")


@needs_unix_port
def test_targets_get_the_table_alone(imported: Path) -> None:
    fails(bitwren("search", imported / "t", "light blinks", "--on", "unix"), str(NoEncoder()))
