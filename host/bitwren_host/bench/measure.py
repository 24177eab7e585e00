"""Run the kernels on the emulated chips, check their answers, and count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bitwren import container, hamming, lower, table
from bitwren.encoder import EncoderFolder
from bitwren.errors import BitwrenError
from bitwren.table import Record, Table

from .codes import Workload
from .machine import Machine

ROW_KERNELS = ("naive", "bytes", "swar", "merged", "harley_seal")
SEARCH_WORK, SEARCH_CODE, ENCODE_WORK = 4096, 6400, 4096
CODE_BITS = 512  # of a query that becomes code, at most
_CODES = ("PIVT", "CODE")  # sections that a search reads codes from
_NAIVE_MOST = 512  # codes of the bit-by-bit loop: an emulator does a few million of its steps a second
_ONES = bytes(value.bit_count() for value in range(256))


@dataclass(frozen=True)
class Row:
    """One kernel on one workload.

    :ivar kernel: ``core`` (bitwren's), ``compiled`` (the same with the query made into code first), one of ROW_KERNELS, or of
        :data:`.interpreters.ENGINES`.
    :ivar layout: ``flat``, ``residual`` or ``rows``.
    :ivar codes: the workload's name.
    :ivar instructions_per_code: everything between call and return, by the number of codes; the mean of the queries.
    :ivar bytes_touched_share: different bytes that are read, what the layout adds included, by the codes' own bytes, n bits / 8;
        the mean of the queries.
    """

    arch: str
    kernel: str
    layout: str
    bits: int
    n: int
    k: int
    codes: str
    instructions_per_code: float
    bytes_touched_share: float


def core_row(machine: Machine, arch: str, workload: Workload, k: int, layout: str = "flat", kernel: str = "core") -> Row:
    """bitwren's search of a table in memory, its codes in the order that the workload has.

    :param kernel: ``core``, or ``compiled``, which Arm chips have for flat tables of up to :data:`CODE_BITS` bits.
    """
    function = {"core": "bench_search", "compiled": "bench_compiled"}[kernel]
    data = write_table(workload.codes, layout)
    file = container.unpack(data, table.MAGIC, "the table")
    ends = [(file.offsets[tag], file.offsets[tag] + len(file.sections[tag])) for tag in _CODES if tag in file.sections]
    start, end = min(ends)[0], max(ends)[1]
    at = machine.place_watched(data, start, end - start)
    hits, work = machine.place(bytes(8 * k)), machine.place(bytes(SEARCH_WORK + SEARCH_CODE))
    instructions, touched = 0, 0
    for query in workload.queries:
        job = machine.job(at, len(data), machine.place(query.tobytes()), k, hits, work)
        run = machine.call(function, job)
        _check(machine, f"{kernel} on {arch}", workload, query, k, run.result, hits)
        instructions += run.instructions
        touched += 4 * run.reads
    return make_row(arch, kernel, layout, workload, k, instructions, touched)


def rows_row(machine: Machine, arch: str, kernel: str, workload: Workload, k: int) -> Row:
    """A kernel that goes through codes row by row."""
    if kernel == "naive":
        workload = Workload(workload.name, workload.codes[:_NAIVE_MOST], workload.queries[:1])
    count, words = workload.codes.shape
    machine.clear()
    at, ones, hits = machine.place(workload.codes.tobytes()), machine.place(_ONES), machine.place(bytes(8 * k))
    instructions = 0
    for query in workload.queries:
        job = machine.job(at, count, machine.place(query.tobytes()), k, hits, ones)
        run = machine.call(f"bench_{kernel}_{32 * words}", job)
        _check(machine, f"{kernel} on {arch}", workload, query, k, run.result, hits)
        instructions += run.instructions
    return make_row(arch, kernel, "rows", workload, k, instructions, workload.codes.nbytes * len(workload.queries))


def query(machine: Machine, bits: int, text: str) -> dict[str, Any]:
    """What turning a text into a code costs with the encoder that ships, step by step, and the stack of it and a search."""
    encoder = lower.lower(EncoderFolder.find("base"), bits)
    data, raw = lower.write(encoder), text.encode()
    machine.clear()
    out = machine.place(bytes(1024))
    job = machine.job(machine.place(data), len(data), machine.place(raw), len(raw), out, machine.place(bytes(ENCODE_WORK)))
    tokens, vector, code = (machine.call(f"bench_{name}", job) for name in ("tokens", "vector", "encode"))
    if machine.read(out, bits // 8) != encoder.encode([text])[0].tobytes():
        raise BitwrenError(f"the code of {text!r} is not the reference's: please report this")
    return {
        "text": text,
        "bits": bits,
        "tokens": tokens.result,
        "tokenize_instructions": tokens.instructions,
        "pool_instructions": vector.instructions - tokens.instructions,
        "head_instructions": code.instructions - vector.instructions,
        "encode_instructions": code.instructions,
        "encode_stack_bytes": code.stack,
    }


def search_stack(machine: Machine, workload: Workload, k: int, layout: str) -> int:
    """Bytes of stack that a search takes."""
    data = write_table(workload.codes, layout)
    machine.clear()
    parts = [machine.place(part) for part in (data, workload.queries[0].tobytes(), bytes(8 * k), bytes(SEARCH_WORK))]
    return machine.call("bench_search", machine.job(parts[0], len(data), parts[1], k, parts[2], parts[3])).stack


def write_table(codes: hamming.Codes, layout: str) -> bytes:
    """A table of nothing but codes."""
    return table.write(Table(codes, [Record("", "")] * len(codes), np.ones(len(codes), bool), bytes(16), layout=layout))


def is_right(workload: Workload, query: hamming.Codes, k: int, pairs: Sequence[Sequence[int]]) -> bool:
    """Whether pairs (distance, slot) are what brute force finds. Instructions that lead to another answer are worth nothing."""
    slots, distances = hamming.search(query, workload.codes, k, np.ones(len(workload.codes), bool))
    right = [(int(distance), int(slot)) for distance, slot in zip(distances, slots, strict=True)]
    return [(int(distance), int(slot)) for distance, slot in pairs] == right


def _check(machine: Machine, what: str, workload: Workload, query: hamming.Codes, k: int, found: int, hits: int) -> None:
    pairs = np.frombuffer(machine.read(hits, 8 * max(found, 0)), "<u4").reshape(-1, 2)
    if not is_right(workload, query, k, pairs.tolist()):
        raise BitwrenError(f"{what} does not find what brute force finds: please report this")


def make_row(arch: str, kernel: str, layout: str, workload: Workload, k: int, instructions: int, touched: int) -> Row:
    """A row from the sums over all queries."""
    count, words = workload.codes.shape
    asked = len(workload.queries)
    each, share = instructions / asked / count, touched / asked / workload.codes.nbytes
    return Row(arch, kernel, layout, 32 * words, count, k, workload.name, round(each, 2), round(share, 3))
