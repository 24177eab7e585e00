"""`bitwren bench`: counts, targets, and what it says when it cannot count."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bitwren.errors import BitwrenError
from bitwren_host.bench import codes, measure, program, report
from bitwren_host.bench.machine import Machine
from bitwren_host.cli import cli

MOST = {  # instructions for one code, N = 8192, k = 10, random codes
    "armv6m": {128: 40, 256: 76, 512: 150},
    "armv7emsp": {128: 38, 256: 75, 512: 150},
    "rv32imc": {128: 38, 256: 72, 512: 150},
}
MOST_COMPILED = {"armv6m": {128: 30, 256: 57, 512: 112}, "armv7emsp": {128: 30, 256: 57, 512: 112}}
GAIN = {"armv6m": 2.2, "armv7emsp": 1.6, "rv32imc": 2.2}  # over SWAR rows at 256 bits


def machine(arch: str) -> Machine:
    try:
        return Machine(arch, program.build(arch))
    except BitwrenError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("arch", MOST)
def test_targets(arch: str) -> None:
    chip = machine(arch)
    for bits, most in MOST[arch].items():
        workload = codes.random_codes(8192, bits, report.QUERIES)
        core = measure.core_row(chip, arch, workload, 10).instructions_per_code
        assert core <= most
        if bits == 256:
            assert measure.rows_row(chip, arch, "swar", workload, 10).instructions_per_code >= GAIN[arch] * core


@pytest.mark.parametrize("arch", MOST_COMPILED)
def test_targets_of_compiled_queries(arch: str) -> None:
    chip = machine(arch)
    for bits, most in MOST_COMPILED[arch].items():
        workload = codes.random_codes(8192, bits, report.QUERIES)
        assert measure.core_row(chip, arch, workload, 10, "compiled").instructions_per_code <= most
    workload = codes.random_codes(2048, 256, report.QUERIES)  # from where on firmware/bitwren uses it
    core, compiled = (measure.core_row(chip, arch, workload, 10, kernel) for kernel in ("core", "compiled"))
    assert compiled.instructions_per_code < core.instructions_per_code


def test_many_results_stay_linear() -> None:
    chip = machine("armv6m")
    few, many = (measure.core_row(chip, "armv6m", codes.random_codes(n, 128, 1), n // 4) for n in (1024, 4096))
    assert many.instructions_per_code < 1.1 * few.instructions_per_code


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


@pytest.mark.parametrize("arch", ["armv6m"])
def test_command(arch: str) -> None:
    machine(arch)
    arguments = ["bench", "--arch", arch, "--bits", "64", "--bits", "128", "-n", "256", "-k", "3"]
    done = CliRunner().invoke(cli, [*arguments, "--json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    assert set(found) == {"rows", "query", "module"}
    assert {row["kernel"] for row in found["rows"]} == {"core", "compiled", *measure.ROW_KERNELS}
    for row in found["rows"]:
        assert set(row) == {"arch", "kernel", "layout", "bits", "n", "k", "codes", "instructions_per_code", "bytes_touched_share"}
        assert row["instructions_per_code"] > 10
        assert 0 < row["bytes_touched_share"] <= 1
    assert found["query"][arch]["tokens"] > 0
    assert found["module"][arch]["search_stack_bytes"] < 1024
    assert "simulated" in CliRunner().invoke(cli, arguments, catch_exceptions=False).stdout


def test_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(BitwrenError, match="arm-none-eabi-gcc is needed to measure armv6m"):
        program.build("armv6m")


def test_missing_emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "unicorn", None)
    with pytest.raises(BitwrenError, match="unicorn is not installed: pip install"):
        Machine("armv6m", tmp_path / "program.elf")
