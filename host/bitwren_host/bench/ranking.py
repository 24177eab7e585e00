"""What the stages after the Hamming search cost on a chip: instructions of rank() and bytes of the table that it reads.

``python -m bitwren_host.bench.ranking`` prints the table of docs/performance.md: ten thousand made documents (:mod:`.made`) with
vectors of 4 bits and at most 80 bytes of words each, three answers, every answer compared with the reference.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bitwren import bundle, lower, scoring, table
from bitwren.bundle import Bundle
from bitwren.encoder import EncoderFolder
from bitwren.errors import BitwrenError
from bitwren.scoring import Stages

from . import made, program
from .machine import Machine

ANSWERS, WORK = 3, 6144
ARCHITECTURES = ("armv6m", "armv7emsp", "rv32imc")
STAGES = (Stages(True, False), Stages(False, True), Stages(True, True))
_JOB = struct.Struct("<18I")
_RESULT = struct.Struct("<iII")


@dataclass(frozen=True)
class Cost:
    """Of one query by some stages: instructions, different bytes of the table that were read, bytes of stack."""

    stages: str
    instructions: int
    bytes_read: int
    stack: int


def costs(arch: str, built: Bundle, queries: Sequence[str]) -> list[Cost]:
    """Count every query with each of the stages.

    :raises BitwrenError: when an answer is not the reference's.
    """
    machine = Machine(arch, program.build(arch))
    encoder_file, table_file = lower.write(built.encoder), table.write(built.table)
    found = []
    for query in built.ask(queries):
        near = built.table.nearest(query.code, scoring.DEPTH)
        embedding = b"" if query.embedding is None else query.embedding.tobytes()
        text = str(query.text).encode()
        for stages in STAGES:
            machine.clear()
            at = machine.place_watched(table_file, 0, len(table_file))
            placed = [machine.place(data) for data in (encoder_file, query.code.tobytes(), embedding, text)]
            hits = machine.place(np.array(near, dtype="<u4").tobytes())
            ranked = machine.place(bytes(_RESULT.size * (len(near) + scoring.DEPTH)))
            sizes = len(table_file), len(encoder_file)
            number = stages.vectors + 2 * stages.words
            job = _JOB.pack(
                *(at, sizes[0], placed[0], sizes[1], placed[1], placed[2], len(embedding), placed[3], len(text), 0),
                *(hits, len(near), ANSWERS, number, ranked, machine.place(bytes(WORK)), 0, 0),
            )
            run = machine.call("bench_rank", machine.place(job))
            best = list(_RESULT.iter_unpack(machine.read(ranked, _RESULT.size * max(0, run.result))))
            if best != scoring.rank(built.table, query, ANSWERS, 100, stages):
                raise BitwrenError(f"{arch} ranks {query.text!r} otherwise than the reference: please report this")
            found.append(Cost(stages.name, run.instructions, 4 * run.reads, run.stack))
    return found


def main() -> None:
    """Print the table."""
    documents = made.documents(10_000)
    built = bundle.build(documents, EncoderFolder.find("base"), 256, layout="flat", scoring=bundle.Scoring(4, 80, 0.7))
    print("| 10,000 documents, 256 bits | stages | instructions, mean (most) | bytes of the table read, mean | stack |")
    print("|---|---|---|---|---|")
    for arch in sys.argv[1:] or ARCHITECTURES:
        every = costs(arch, built, made.QUERIES)
        for stages in STAGES:
            mine = [cost for cost in every if cost.stages == stages.name]
            counts = [cost.instructions for cost in mine]
            read = sum(cost.bytes_read for cost in mine) // len(mine)
            stack = max(cost.stack for cost in mine)
            print(f"| {arch} | {stages.name} | {sum(counts) // len(counts):,} ({max(counts):,}) | {read:,} | {stack:,} |")


if __name__ == "__main__":
    main()
