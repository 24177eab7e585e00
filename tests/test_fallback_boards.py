"""The fallback core inside MicroPython, plain and viper, on this machine and on the emulated Pico: the reference's answers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from board_bundle import FIRMWARE
from makers import random_encoder
from test_natmod_unix import MICROPYTHON, MISUSES, RUN, TEXTS, Vectors, compare

needs_unix_port = pytest.mark.skipif(not MICROPYTHON.is_file(), reason="MicroPython's unix port is not built: make unix")
engines = pytest.mark.parametrize("engine", ["viper", "python"])


def with_fallback(script: str, engine: str) -> str:
    """A script for the native module, with the fallback in its place."""
    return script.replace("import bitwren_native as native", f'from bitwren import fallback\nnative = fallback.core("{engine}")')


def run(folder: Path, script: str) -> str:
    (folder / "script.py").write_text(script)
    environment = {**os.environ, "MICROPYPATH": str(FIRMWARE)}
    command = [MICROPYTHON, "-X", "heapsize=4M", "script.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@needs_unix_port
@engines
@pytest.mark.parametrize(
    ("bits", "dims", "row_bits", "hidden"), [(64, 32, 8, ()), (128, 96, 4, (64,)), (256, 256, 2, (128, 64)), (512, 512, 2, ())]
)
def test_unix_port(tmp_path: Path, engine: str, bits: int, dims: int, row_bits: int, hidden: tuple[int, ...]) -> None:
    encoder = random_encoder(bits, bits=bits, dims=dims, row_bits=row_bits, hidden=hidden)
    for count in (300, 32, 33, 31, 1):
        vectors = Vectors(bits, count, encoder, TEXTS if count == 300 else TEXTS[2:3])
        vectors.ks.append(count)
        for name, data in vectors.files().items():
            (tmp_path / name).write_bytes(data)
        compare(vectors, run(tmp_path, with_fallback(RUN, engine)))


@needs_unix_port
@engines
def test_misuse_raises_as_the_native_module_does(tmp_path: Path, engine: str) -> None:
    *lines, constants = run(tmp_path, with_fallback(MISUSES, engine)).splitlines()
    found = dict(line.split(" = ") for line in lines)
    assert constants == "1 4096 4096 512"
    assert {name: result for name, result in found.items() if result != "ValueError"} == {
        "no source": "TypeError",
        "source of one": "TypeError",
        "read-only window": "TypeError",
        "read raises": "KeyError",
        "not a file": "-2",
        "past the end": "-1",
    }
    assert len(found) == 18
