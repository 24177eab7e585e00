"""`bitwren bench`: counts, targets, and what it says when it cannot count."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from bitwren import residual
from bitwren.errors import BitwrenError
from bitwren.residual_scan import Scan
from bitwren_host.bench import codes, document, interpreters, made, measure, pico, plot, program, suite, whole
from bitwren_host.bench.machine import Machine
from bitwren_host.bench.pico import CountingPico
from bitwren_host.bench.report import Report
from bitwren_host.cli import cli

MOST = {  # instructions for one code, N = 8192, k = 10, random codes
    "armv6m": {128: 40, 256: 76, 512: 150, 1024: 295},
    "armv7emsp": {128: 38, 256: 75, 512: 150, 1024: 295},
    "rv32imc": {128: 38, 256: 72, 512: 150, 1024: 295},
}
MOST_COMPILED = {"armv6m": {128: 30, 256: 57, 512: 112}, "armv7emsp": {128: 30, 256: 57, 512: 112}}
GAIN = {"armv6m": 2.2, "armv7emsp": 1.6, "rv32imc": 2.2}  # over SWAR rows at 256 bits
INTERPRETED = {"viper": 5, "python": 100}  # over MicroPython's own engines at 256 bits, Cortex-M0+
WHOLE = 2_500_000  # instructions of a query among 10,000 documents
RAM, MODULE, MODULE_WITH_STAGES = 12 * 1024, 14 * 1024, 20 * 1024  # bytes beyond the module, and of it

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"
needs_pico = pytest.mark.skipif(
    not (pico.pico_firmware().is_file() and (ROOT / ".cache" / "native" / "bitwren_native_armv6m.mpy").is_file()),
    reason="the Pico's firmware or the armv6m native module is not built: make pico-firmware natmods",
)


def machine(arch: str) -> Machine:
    try:
        return Machine(arch, program.build(arch))
    except BitwrenError as error:
        pytest.skip(str(error))


# --- The native code -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", MOST)
def test_targets(arch: str) -> None:
    chip = machine(arch)
    for bits, most in MOST[arch].items():
        workload = codes.random_codes(8192, bits, suite.QUERIES)
        core = measure.core_row(chip, arch, workload, 10).instructions_per_code
        assert core <= most
        if bits == 256:
            assert measure.rows_row(chip, arch, "swar", workload, 10).instructions_per_code >= GAIN[arch] * core


@pytest.mark.parametrize("arch", MOST_COMPILED)
def test_targets_of_compiled_queries(arch: str) -> None:
    chip = machine(arch)
    for bits, most in MOST_COMPILED[arch].items():
        workload = codes.random_codes(8192, bits, suite.QUERIES)
        assert measure.core_row(chip, arch, workload, 10, kernel="compiled").instructions_per_code <= most
    workload = codes.random_codes(2048, 256, suite.QUERIES)  # from where on firmware/bitwren uses it
    core, compiled = (measure.core_row(chip, arch, workload, 10, kernel=kernel) for kernel in ("core", "compiled"))
    assert compiled.instructions_per_code < core.instructions_per_code


def test_many_results_stay_nearly_linear() -> None:
    """The nearest are a heap, whose depth is the logarithm of their number: 10 for 1,024 of them, 8 for 256."""
    chip = machine("armv6m")
    few, many = (measure.core_row(chip, "armv6m", codes.random_codes(n, 128, 1), n // 4) for n in (1024, 4096))
    assert many.instructions_per_code < 10 / 8 * few.instructions_per_code


@pytest.mark.parametrize("arch", MOST)
def test_bytes_that_a_residual_search_touches(arch: str) -> None:
    """The chip's code reads what the reference says: a word or two more where pieces are fetched together, never less."""
    workload = codes.sample_sentences(ROOT / "examples" / "board-help", 3).codes(256, 395).laid_out("residual")
    row = measure.core_row(machine(arch), arch, workload, 10, "residual")
    scan = Scan(residual.encode(workload.codes), np.ones(len(workload.codes), dtype=bool))
    touched = np.mean([scan.search(query, 10).touched for query in workload.queries]) / workload.codes.nbytes
    assert touched * 0.99 <= row.bytes_touched_share <= touched * 1.2
    assert row.bytes_touched_share < 0.7
    assert (row.layout, row.codes, row.n) == ("residual", "sample", 395)


def test_counting_is_exact() -> None:
    """A loop whose length is known: one more code costs the naive loop the same again."""
    chip = machine("armv6m")
    counts = []
    for size in (10, 11, 12):
        chip.clear()
        data, hits = chip.place(bytes(8 * size)), chip.place(bytes(8))
        run = chip.call("bench_naive_64", chip.job(data, size, chip.place(bytes([255] * 8)), 1, hits, hits))
        assert run.result == 1
        counts.append(run.instructions)
    assert counts[2] - counts[1] == counts[1] - counts[0] > 64


def test_reads_are_noted() -> None:
    """Row by row, every word is read; of a range, its own."""
    chip = machine("armv7emsp")
    data = bytes(range(256)) * 4
    for start, length, words in ((0, 1024, 256), (64, 100, 25)):
        at = chip.place_watched(data, start, length)
        hits = chip.place(bytes(8))
        assert chip.call("bench_swar_64", chip.job(at, 128, chip.place(bytes(8)), 1, hits, hits)).reads == words


def test_module_size(make_native: Callable[..., Path]) -> None:
    """14 KB is for the core without the scoring stages, which came later and which STAGES=0 leaves out."""
    source = CACHE / "micropython" / "source"
    if not (source / "py" / "dynruntime.mk").is_file() or not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("MicroPython's source or the compiler is missing: make natmods")
    build = make_native("small", "ARCH=armv6m", f"MPY_DIR={source}", "STAGES=0")
    assert (build / "bitwren_native_armv6m_small.mpy").stat().st_size <= MODULE
    sizes = program.module_bytes("armv6m")
    if sizes["mpy_bytes"] is None:
        pytest.skip("the armv6m native module is not built: make natmods")
    assert sizes["code_bytes"] + sizes["rodata_bytes"] < sizes["mpy_bytes"] <= MODULE_WITH_STAGES


# --- MicroPython on the emulated Pico --------------------------------------------------------------------------------


@needs_pico
def test_counting_on_the_pico() -> None:
    """Exact and repeatable; a loop's turns cost the same each; the native module's search costs what it does elsewhere."""
    workload = codes.random_codes(1024, 256, 1)
    board = CountingPico({"t.bwt": measure.write_table(workload.codes, "flat")})
    board.execute("def turn(count):\n    while count:\n        count -= 1")
    few, more, most = (board.count(f"lambda: turn({turns})").instructions for turns in (500, 1000, 1500))
    assert 150 < (more - few) / 500 < 250  # an interrupt now and then would show here
    assert most - more == pytest.approx(more - few, abs=20)
    assert board.count("lambda: None").instructions == 0
    board.execute(
        "import bitwren_native as native\nfrom bitwren.storage import File, InDirectory, Window\nfrom array import array\n"
        "table = File(native, InDirectory('/t.bwt', Window()), b'BWT1', 'ram').source\n"
        f"code, hits, work = {workload.queries[0].tobytes()!r}, array('I', bytes(80)), bytearray(native.SEARCH_WORK)"
    )
    board.execute("code = bytearray(code)")
    counted = board.count("lambda: native.search(table, code, 10, hits, work)", {"search": "native.search"})
    bare = measure.core_row(machine("armv6m"), "armv6m", workload, 10).instructions_per_code * 1024
    (search,) = counted.calls["search"]
    assert bare < search < 1.02 * bare
    assert search < counted.instructions < search + 5000
    with pytest.raises(BitwrenError, match="ValueError: buffer"):
        board.count("lambda: native.search(table, bytes(4), 10, hits, work)")
    assert board.execute("print(6 * 7)") == "42\n"


@needs_pico
def test_gain_over_the_interpreters() -> None:
    workload = codes.random_codes(8192, 256, 1)
    core = measure.core_row(machine("armv6m"), "armv6m", workload, 10).instructions_per_code
    found = {row.kernel: row for row in interpreters.rows(workload, 10)}
    assert found["viper"].n == 2048
    assert found["python"].n == 256
    for engine, gain in INTERPRETED.items():
        assert found[engine].instructions_per_code >= gain * core


@pytest.fixture(scope="module")
def queries() -> dict[str, dict[str, Any]]:
    """One query in each layout: opening a megabyte takes an emulator most of the time."""
    corpus = whole.made_corpus()
    corpus = replace(corpus, queries=corpus.queries[1:2])
    return {layout: whole.measure(corpus, built) for layout, built in whole.bundles(corpus).items()}


@needs_pico
def test_whole_query(queries: dict[str, dict[str, Any]]) -> None:
    for layout, found in queries.items():
        assert found["documents"] == 10_000
        assert found["storage"] == {"encoder": "mapped", "table": "mapped"}
        assert found["native"] == "armv6m"
        for query in found["queries"]:
            parts = (query[part] for part in ("tokenize", "encode", "search", "fetch", "python"))
            assert sum(parts) == query["instructions"]
            assert min(query[part] for part in ("tokenize", "encode", "search", "fetch_native", "python")) > 0
        assert max(query["instructions"] for query in found["queries"]) == found["most"] <= WHOLE, layout


@needs_pico
def test_ram(queries: dict[str, dict[str, Any]]) -> None:
    for found in queries.values():
        ram = found["ram"]
        assert 4096 < ram["bundle"] + ram["query"] <= RAM
        assert ram["native_module"] <= MODULE_WITH_STAGES + 1024  # in the heap's blocks, with its functions' objects


def test_made_documents() -> None:
    documents = made.documents(10_000)
    assert documents == made.documents(10_000)
    assert len({document.text for document in documents}) == 10_000
    assert len({len(document.text) for document in documents}) > 50
    assert not {document.text for document in documents} & set(made.QUERIES)
    with pytest.raises(ValueError, match="22110 sentences can be made"):
        made.documents(30_000)


# --- The command and the document ------------------------------------------------------------------------------------

ROW = {"arch", "kernel", "layout", "bits", "n", "k", "codes", "instructions_per_code", "bytes_touched_share"}


def bench(*arguments: str) -> str:
    return CliRunner().invoke(cli, ["bench", *arguments], catch_exceptions=False).stdout


def test_command() -> None:
    machine("armv6m")
    arguments = ["--arch", "armv6m", "--bits", "64", "--bits", "128", "-n", "256", "-k", "3", "--no-pico"]
    found = json.loads(bench(*arguments, "--json"))
    assert set(found) == {"rows", "query", "module"}
    assert {(row["kernel"], row["layout"]) for row in found["rows"]} == {
        ("core", "flat"),
        ("compiled", "flat"),
        ("core", "residual"),
        *((kernel, "rows") for kernel in measure.ROW_KERNELS),
    }
    assert {row["codes"] for row in found["rows"]} == {"random", "sample"}
    for row in found["rows"]:
        assert set(row) == ROW
        assert row["instructions_per_code"] > 10
        assert 0 < row["bytes_touched_share"] <= 1.1
    assert found["query"]["armv6m"]["tokens"] > 0
    assert "whole" not in found["query"]["armv6m"]
    assert found["module"]["armv6m"]["search_stack_bytes"] < 1400
    text = bench(*arguments)
    assert "Simulated" in text
    assert re.search(r"bitwren, residual +256 +3 +\d+\.\d +\d+\.\d", text)


@needs_pico
def test_command_with_the_pico(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A corpus of one's own, asked with what lies behind the documents that are taken."""
    machine("armv6m")
    monkeypatch.setattr(interpreters, "ENGINES", {"viper": 8192, "python": 512})
    corpus = tmp_path / "mine.csv"
    with corpus.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "answer"), *((document.text, document.answer) for document in made.documents(40))])
    arguments = ["--arch", "armv6m", "--bits", "128", "-n", "256", "-k", "3", "--corpus", str(corpus), "--json"]
    found = json.loads(bench(*arguments))
    assert {row["kernel"]: row["n"] for row in found["rows"] if row["kernel"] in ("viper", "python")} == {
        "viper": 256,
        "python": 32,
    }
    assert {layout: whole["documents"] for layout, whole in found["query"]["armv6m"]["whole"].items()} == {
        "flat": 40,
        "residual": 40,
    }
    assert found["query"]["armv6m"]["whole"]["flat"]["corpus"] == "mine.csv"
    assert set(found["module"]["armv6m"]["ram"]) == {"native_module", "package", "bundle", "query"}
    parts = list(Report.from_json(found).parts())
    assert any("a whole query" in str(part) for part in parts)


def report() -> Report:
    """Complete, with figures that are easy to find again."""

    def row(arch: str, kernel: str, layout: str, bits: int, n: int, name: str, figure: float) -> measure.Row:
        return measure.Row(arch, kernel, layout, bits, n, 10, name, figure, 0.5)

    rows = []
    for arch in ("armv6m", "rv32imc"):
        for bits in (128, 256):
            rows += [
                row(arch, "core", "flat", bits, 8192, "random", 80.5),
                row(arch, "core", "residual", bits, 8192, "random", 250),
            ]
            rows += [row(arch, "swar", "rows", bits, 8192, "random", 161)]
            for name in ("sample", "sentences-in", "sentences-out"):
                rows += [
                    row(arch, "core", layout, bits, 395 if name == "sample" else 8192, name, 90)
                    for layout in ("flat", "residual")
                ]
    for name in ("sentences-in", "sentences-out"):
        rows += [row("armv6m", "core", layout, 256, 1024, name, 99.25) for layout in ("flat", "residual")]
    rows += [row("armv6m", "viper", "flat", bits, 1024, "random", 8050) for bits in (128, 256)]
    counts = {"tokenize": 1, "encode": 2, "search": 3, "fetch": 4, "python": 5, "instructions": 1234567, "fetch_native": 3}
    query = counts | {
        "documents": 10_000,
        "bits": 256,
        "k": 3,
        "corpus": "made",
        "most": 7654321,
        "table_bytes": 9,
        "queries": [1],
    }
    sizes = {"mpy_bytes": 12_723, "code_bytes": 12_000, "rodata_bytes": 421, "search_stack_bytes": 900, "encode_stack_bytes": 901}
    ram = {"native_module": 13_000, "package": 15_000, "bundle": 7000, "query": 1100}
    whole_query = {"whole": {"flat": query, "residual": query}}
    return Report(rows, {"armv6m": whole_query}, {"armv6m": sizes | {"ram": ram}, "x64": {"mpy_bytes": None}})


def test_document(tmp_path: Path) -> None:
    path = tmp_path / "figures.md"
    names = ("search", "gains", "real", "touched", "whole", "module")
    path.write_text("Before.\n" + "".join(f"<!-- bench: {name} -->\nold\n<!-- end -->\n{name} after\n" for name in names))
    document.write(report(), path)
    first = path.read_text()
    document.write(report(), path)
    assert path.read_text() == first
    assert "old" not in first
    assert first.startswith("Before.\n")
    assert "| **Cortex-M0+: bitwren, flat** | **80.5** | **80.5** |" in first
    assert "| MicroPython, viper (N = 1,024) | 8,050 | 8,050 |" in first
    assert "| MicroPython, viper | 100 |  |" in first
    assert "| SWAR, word by word | 2.0 | 2.0 |" in first
    assert "| **in all** | **1,234,567** | **1,234,567** |" in first
    assert "| 1,024 | 99.2; 50.0 % |" in first
    assert "| x86-64 (`x64`) |  |  |  |  |  |" in first
    picture = ElementTree.parse(path.with_suffix(".svg")).getroot()
    words = [element.text for element in picture.iter() if element.tag.endswith("text")]
    assert {"bitwren, flat", "80", "8,050", "residual"} <= set(words)


def test_document_refuses_what_is_not_complete(tmp_path: Path) -> None:
    path = tmp_path / "figures.md"
    with pytest.raises(BitwrenError, match="cannot be read"):
        document.write(report(), path)
    path.write_text("<!-- bench: speed -->\n<!-- end -->")
    with pytest.raises(BitwrenError, match="asks for speed; there is search"):
        document.write(report(), path)
    path.write_text("<!-- bench: module -->\n<!-- end -->")
    whole_report = report()
    del whole_report.module["armv6m"]["ram"]
    with pytest.raises(BitwrenError, match="lacks what"):
        document.write(whole_report, path)
    with pytest.raises(BitwrenError, match="the plot needs armv6m"):
        plot.draw(Report([row for row in report().rows if row.codes == "random"]))
    assert [file.name for file in tmp_path.iterdir()] == ["figures.md"]


def test_the_document_that_ships_asks_for_every_part() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    assert re.findall(r"<!-- bench: (\w+) -->", text) == ["search", "gains", "real", "touched", "whole", "module"]
    assert text.count("<!-- end -->") == 6


# --- What it says ----------------------------------------------------------------------------------------------------


def test_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(BitwrenError, match="arm-none-eabi-gcc is needed to measure armv6m"):
        program.build("armv6m")


def test_missing_emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "unicorn", None)
    with pytest.raises(BitwrenError, match="unicorn is not installed: pip install"):
        Machine("armv6m", tmp_path / "program.elf")


def test_missing_firmware(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(suite, "pico_firmware", lambda: tmp_path / "firmware.uf2")
    with pytest.raises(
        BitwrenError, match=r"firmware\.uf2 is missing: build it with `make pico-firmware`, or leave .* --no-pico"
    ):
        suite.run(suite.Plan(), lambda _step, _done, _total: None)
    with pytest.raises(BitwrenError, match="The Pico's firmware is missing"):
        CountingPico({}, tmp_path / "firmware.uf2")


def test_options_that_cannot_be_used(tmp_path: Path) -> None:
    def refuse(**options: Any) -> str:
        with pytest.raises(BitwrenError) as caught:
            suite.run(suite.Plan(**options), lambda _step, _done, _total: None)
        return str(caught.value)

    assert refuse(widths=(96,)) == "widths are 64, 128, 256, 512, 1024"
    assert "cannot be read" in refuse(corpus=tmp_path / "none.csv", pico=False)
    (tmp_path / "few.csv").write_text("text\nthe light blinks\n")
    assert "has 1 documents, and 3 answers" in refuse(corpus=tmp_path / "few.csv", pico=False)
    done = CliRunner().invoke(cli, ["bench", "--write", str(tmp_path / "out.md")])
    assert done.exit_code == 2
    assert "--write needs all that it shows: --sentences" in done.output
    assert "has no data_full.json" in refuse(clinc150=tmp_path, pico=False)
    assert "has no folder sgd" in refuse(sentences=tmp_path, pico=False)
