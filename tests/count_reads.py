"""Reads of flash for a query of a bundle in a partition, by the window's size:  python tests/count_reads.py BUNDLE QUESTIONS

In MicroPython's unix port with the native module, behind the stand-in for the module esp32.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from board_bundle import FIRMWARE, NATIVE
from partition_board import ESP32, LOAD
from test_firmware_console import MICROPYTHON

from bitwren.corpus import read_questions

WINDOWS = (512, 1024, 2048, 4096, 8192, 16384)
SCRIPT = """
import json, bitwren
from bitwren import storage

for storage.WINDOW in WINDOWS:
    wren = bitwren.open("partition:bitwren", storage="partition")
    counts = []
    for text in TEXTS:
        phases = []
        for run in (lambda: wren._native.encode(wren._encoder.source, text, wren._code, wren._work), lambda: wren.search(text)):
            Partition.reads.clear()
            run()
            phases.append([len(Partition.reads), sum(length for _, length in Partition.reads)])
        counts.append(phases)
    print(json.dumps([storage.WINDOW, counts]))
"""


def main(bundle: Path, questions: Path) -> None:
    texts = [question.query for question in read_questions(questions)]
    texts = texts[:: max(1, len(texts) // 40)][:40]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "bitwren_native.mpy").write_bytes(NATIVE["x64"].read_bytes())
        (folder / "esp32.py").write_text(ESP32)
        (folder / "partition.img").write_bytes((bundle / "encoder.bwe").read_bytes() + (bundle / "table.bwt").read_bytes())
        (folder / "script.py").write_text(LOAD + SCRIPT.replace("WINDOWS", repr(WINDOWS)).replace("TEXTS", repr(texts)))
        command = [str(MICROPYTHON), "-X", "heapsize=32M", "script.py"]
        environment = {"MICROPYPATH": f"{folder}:{FIRMWARE}"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    print("| window | encoding: reads | KB | the rest of a query: reads | KB |\n|---|---|---|---|---|")
    for line in done.stdout.splitlines():
        window, counts = json.loads(line)
        sums = [[sum(phases[phase][kind] for phases in counts) / len(counts) for kind in (0, 1)] for phase in (0, 1)]
        (reads, size), (all_reads, all_size) = sums
        rest = f"{all_reads - reads:.0f} | {(all_size - size) / 1024:.0f}"
        print(f"| {window:,} | {reads:.0f} | {size / 1024:.0f} | {rest} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
