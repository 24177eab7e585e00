"""What ``bitwren bench`` measures, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bitwren import residual
from bitwren.encoder import EncoderFolder
from bitwren.errors import BitwrenError
from bitwren.hamming import WIDTHS

from ..board_files import cache_folder, data_folder
from ..show import Progress
from . import interpreters, measure, program, whole
from .codes import Sentences, SentenceSets, Workload, clinc150_sentences, random_codes, sample_sentences
from .machine import Machine
from .measure import Row
from .pico import pico_firmware
from .report import Report

QUERIES, SET_QUERIES = 3, 16
CURVE, CURVE_BITS = (1024, 2048, 4096, 8192, 16_384, 65_536), 256
"""Numbers of documents at which the sentence sets show what grows with them, and at which width, on the first architecture."""
TEXT = "How do I connect the board to my wireless network?"
PICO = "armv6m"  # the emulated Pico's architecture


@dataclass(frozen=True)
class Plan:
    """What to measure.

    :ivar clinc150: a folder with CLINC150. :ivar sentences: one with the sets of :class:`.codes.SentenceSets`.
    :ivar corpus: a file whose first 10,000 documents a whole query searches; None: made ones.
    :ivar pico: whether the emulated Pico takes part: whole queries, MicroPython's own engines, RAM.
    """

    archs: Sequence[str] = program.ARCHITECTURES
    widths: Sequence[int] = (128, 256, 512)
    counts: Sequence[int] = (8192,)
    ks: Sequence[int] = (10,)
    clinc150: Path | None = None
    sentences: Path | None = None
    corpus: Path | None = None
    pico: bool = True


@dataclass
class _Step:
    """Counts what is done for a line of progress."""

    show: Progress
    total: int
    done: int = field(default=0)

    def __call__(self, what: str) -> None:
        self.show(f"{what}:", self.done, self.total)
        self.done += 1


def run(plan: Plan, progress: Progress) -> Report:
    """Measure.

    :raises BitwrenError: when a width is none of a table's, something to measure with is missing, or an answer is wrong.
    """
    if not set(plan.widths) <= set(WIDTHS):
        raise BitwrenError(f"widths are {', '.join(map(str, WIDTHS))}")
    with_pico = plan.pico and PICO in plan.archs
    if with_pico:
        _demand_pico()
    corpus = whole.read(plan.corpus) if plan.corpus else whole.made_corpus()
    curve = len(CURVE) if plan.sentences and CURVE_BITS in plan.widths else 0
    pico_steps = with_pico * (len(plan.widths) + len(whole.LAYOUTS))
    step = _Step(progress, (len(plan.archs) + 1) * len(plan.widths) + curve + pico_steps)
    machines = {arch: Machine(arch, program.build(arch)) for arch in plan.archs}
    report = Report()
    texts = _Texts(plan)
    for bits in plan.widths:
        step(f"codes of {bits} bits")
        workloads = list(texts.workloads(bits))
        for arch, machine in machines.items():
            step(f"{arch}, {bits} bits")
            report.rows += _rows(machine, arch, bits, plan, workloads)
        if bits == CURVE_BITS:
            arch = plan.archs[0]
            for count in sorted(set(CURVE) - set(plan.counts)) if plan.sentences else ():
                step(f"{count:,} sentences")
                report.rows += _core_rows(machines[arch], arch, plan.ks[:1], texts.sets(bits, count))
        if with_pico:
            step(f"MicroPython, {bits} bits")
            report.rows += interpreters.rows(random_codes(max(plan.counts), bits, 1), plan.ks[0])
    report.rows.sort(key=lambda row: (plan.archs.index(row.arch), row.n))
    _encoding_and_module(report, machines, max(plan.widths))
    if with_pico:
        _whole_queries(report, corpus, step)
    return report


def _encoding_and_module(report: Report, machines: dict[str, Machine], bits: int) -> None:
    for arch, machine in machines.items():
        encoding = measure.query(machine, 256, TEXT)
        stack = {"encode_stack_bytes": encoding.pop("encode_stack_bytes")}
        laid_out = _laid_out(random_codes(1024, bits, 1))
        stack["search_stack_bytes"] = max(measure.search_stack(machine, laid_out[layout], 100, layout) for layout in laid_out)
        report.query[arch] = encoding
        report.module[arch] = program.module_bytes(arch) | stack | {"largest_frames": program.largest_frames(arch)}
    for arch in program.MODULES:
        report.module.setdefault(arch, program.module_bytes(arch))


def _whole_queries(report: Report, corpus: whole.Corpus, step: _Step) -> None:
    built = whole.bundles(corpus)
    found: dict[str, Any] = {}
    for layout in whole.LAYOUTS:
        step(f"a whole query, {layout}")
        found[layout] = whole.measure(corpus, built[layout])
    rams = [measured.pop("ram") for measured in found.values()]
    report.query[PICO]["whole"] = found
    report.module[PICO]["ram"] = {key: max(ram[key] for ram in rams) for key in rams[0]}


class _Texts:
    """The workloads of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._counts = plan.counts
        self._outputs = int(EncoderFolder.find("base").settings["bits"])
        self._sentences: list[Sentences] = [sample_sentences(data_folder("examples") / "board-help", QUERIES)]
        if plan.clinc150 is not None:
            self._sentences.append(clinc150_sentences(plan.clinc150, QUERIES))
        self._sets = SentenceSets(plan.sentences, SET_QUERIES) if plan.sentences is not None else None

    def workloads(self, bits: int) -> Iterator[dict[str, Workload]]:
        """All, each in the order of either layout; of sentences as far as the encoder's outputs go."""
        for count in self._counts:
            found = [random_codes(count, bits, QUERIES)]
            if count == max(self._counts) and bits <= self._outputs:
                found += [texts.codes(bits, count) for texts in self._sentences]
            yield from map(_laid_out, found)
            if bits <= self._outputs:
                yield from self.sets(bits, count)

    def sets(self, bits: int, count: int) -> Iterator[dict[str, Workload]]:
        """The sentence sets, where they are given."""
        if self._sets:
            yield from map(_laid_out, self._sets.workloads(bits, count))


def _laid_out(workload: Workload) -> dict[str, Workload]:
    """In each layout that takes codes so wide."""
    fits = 32 * workload.codes.shape[1] in residual.WIDTHS
    return {layout: workload.laid_out(layout) for layout in whole.LAYOUTS if fits or layout != "residual"}


def _rows(machine: Machine, arch: str, bits: int, plan: Plan, workloads: Iterable[dict[str, Workload]]) -> Iterator[Row]:
    yield from _core_rows(machine, arch, plan.ks, workloads)
    rows = random_codes(max(plan.counts), bits, 1)
    for kernel in measure.ROW_KERNELS:
        yield measure.rows_row(machine, arch, kernel, rows, plan.ks[0])


def _core_rows(machine: Machine, arch: str, ks: Sequence[int], workloads: Iterable[dict[str, Workload]]) -> Iterator[Row]:
    for workload in workloads:
        for layout, laid_out in workload.items():
            compiles = layout == "flat" and arch.startswith("arm") and 32 * laid_out.codes.shape[1] <= measure.CODE_BITS
            for k in ks:
                yield measure.core_row(machine, arch, laid_out, k, layout)
                if compiles:
                    yield measure.core_row(machine, arch, laid_out, k, layout, "compiled")


def _demand_pico() -> None:
    """Say at once what is missing, not after a minute."""
    for path, make in (
        (pico_firmware(), "pico-firmware"),
        (cache_folder() / "micropython" / "mpy-cross" / "mpy-cross", "unix"),
        (cache_folder() / "native" / f"bitwren_native_{PICO}.mpy", "natmods"),
    ):
        if not path.is_file():
            raise BitwrenError(f"{path} is missing: build it with `make {make}`, or leave the emulated Pico out by --no-pico")
