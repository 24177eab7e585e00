"""What ``bitwren bench`` measures, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bitwren.errors import BitwrenError
from bitwren.hamming import WIDTHS

from ..board_files import data_folder
from ..show import Progress
from . import measure, program
from .codes import Sentences, Workload, clinc150_sentences, random_codes, sample_sentences
from .machine import Machine
from .measure import Row

CHIPS = {
    "armv6m": "Cortex-M0+ (RP2040)",
    "armv7m": "Cortex-M3",
    "armv7emsp": "Cortex-M4F, M33 (RP2350)",
    "rv32imc": "RISC-V without bit manipulation (ESP32-C3)",
}
QUERIES = 3
TEXT = "How do I connect the board to my wireless network?"


@dataclass
class Report:
    """All that was measured.

    :ivar query: by architecture, what encoding one text costs.
    :ivar module: by architecture, bytes of code and of stack.
    """

    rows: list[Row] = field(default_factory=list)
    query: dict[str, Any] = field(default_factory=dict)
    module: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"rows": [asdict(row) for row in self.rows], "query": self.query, "module": self.module}

    def text(self) -> str:
        """For people: a table for each architecture and set of codes."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield "Instructions for one code, simulated: counted in an emulator on the machine code that a chip would run."
        for arch, codes in dict.fromkeys((row.arch, row.codes) for row in self.rows):
            rows = [row for row in self.rows if (row.arch, row.codes) == (arch, codes)]
            widths = sorted({row.bits for row in rows})
            yield ""
            yield f"{CHIPS.get(arch, arch)}, {codes} codes".ljust(60) + "".join(f"{f'{bits} bits':>12}" for bits in widths)
            for kernel, n, k in dict.fromkeys((row.kernel, row.n, row.k) for row in rows):
                found = {row.bits: row for row in rows if (row.kernel, row.n, row.k) == (kernel, n, k)}
                values = [f"{found[bits].instructions_per_code:.1f}" if bits in found else "" for bits in widths]
                yield f"  {kernel:<12} N = {n:<6} k = {k}".ljust(60) + "".join(f"{value:>12}" for value in values)
        for arch, query in self.query.items():
            module = self.module[arch]
            yield ""
            yield (
                f"{CHIPS.get(arch, arch)}: a text of {query['tokens']} tokens to a code of {query['bits']} bits:"
                f" {query['encode_instructions']:,} instructions; stack {query['encode_stack_bytes']} bytes,"
                f" of a search {module['search_stack_bytes']}; code {module['code_bytes']:,} bytes"
            )


def run(
    archs: Iterable[str],
    widths: Iterable[int],
    counts: Sequence[int],
    ks: Sequence[int],
    clinc150: Path | None,
    progress: Progress,
) -> Report:
    """Measure on each architecture: the core on every workload, what it is compared with on random codes."""
    report, widths = Report(), tuple(widths)
    if not set(widths) <= set(WIDTHS):
        raise BitwrenError(f"widths are {', '.join(map(str, WIDTHS))}")
    sentences = [sample_sentences(data_folder("examples") / "board-help", QUERIES)]
    if clinc150 is not None:
        sentences.append(clinc150_sentences(clinc150, QUERIES))
    archs = tuple(archs)
    for arch in archs:
        machine = Machine(arch, program.build(arch))
        for bits in widths:
            progress(f"{arch}, {bits} bits:", len({(row.arch, row.bits) for row in report.rows}), len(archs) * len(widths))
            report.rows += _rows(machine, arch, bits, counts, ks, sentences)
        report.query[arch] = measure.query(machine, 256, TEXT)
        sizes = program.module_bytes(arch)
        mpy = sizes.pop("mpy", None)
        report.module[arch] = {
            "code_bytes": sum(sizes.values()),
            "files": sizes,
            "mpy_bytes": mpy,
            "search_stack_bytes": measure.search_stack(machine, random_codes(1024, max(widths), 1), 100),
            "largest_frames": program.largest_frames(arch),
        }
    return report


def _rows(
    machine: Machine, arch: str, bits: int, counts: Sequence[int], ks: Sequence[int], sentences: Sequence[Sentences]
) -> Iterator[Row]:
    for count in counts:
        workloads: list[Workload] = [random_codes(count, bits, QUERIES)]
        if count == max(counts):
            workloads += [texts.codes(bits, count) for texts in sentences]
        for workload in workloads:
            for k in ks:
                for kernel in ("core", "compiled") if arch.startswith("arm") else ("core",):
                    yield measure.core_row(machine, arch, workload, k, kernel)
    workload = random_codes(max(counts), bits, 1)
    for kernel in measure.ROW_KERNELS:
        yield measure.rows_row(machine, arch, kernel, workload, ks[0])
