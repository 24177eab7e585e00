"""The C core under libFuzzer with the address and undefined-behaviour sanitizers: a short run, the same each time.

Every input is read in two ways, whose answers must agree. ``make fuzz`` goes on for as long as one likes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import fuzz_seeds
import pytest


def has_fuzzer() -> bool:
    """Whether clang is there, and the libraries that -fsanitize=fuzzer needs."""
    clang = shutil.which("clang-22") or shutil.which("clang")
    if clang is None:
        return False
    asked = subprocess.run([clang, "--print-runtime-dir"], capture_output=True, text=True, check=False).stdout.strip()
    return any(Path(asked).glob("libclang_rt.fuzzer*.a"))


@pytest.mark.skipif(not has_fuzzer(), reason="clang or its libFuzzer is not installed: make packages")
@pytest.mark.parametrize("target", ["table", "encoder"])
def test_fuzz(make_native: Callable[..., Path], tmp_path: Path, target: str) -> None:
    program = make_native("", "fuzz") / "fuzz" / target
    fuzz_seeds.write(tmp_path / "seeds")
    seeds = len(list((tmp_path / "seeds" / target).iterdir()))
    (tmp_path / "corpus").mkdir()
    # What compared values suggest are often addresses, which differ from run to run: use_cmp.
    options = ["-runs=8000", "-seed=1", "-use_cmp=0", "-max_len=65536", "-timeout=20", f"-artifact_prefix={tmp_path}/"]
    command = [str(program), *options, str(tmp_path / "corpus"), str(tmp_path / "seeds" / target)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-6000:]
    assert re.search(r"^Done 8000 runs", done.stderr, re.MULTILINE)
    # Inputs that reached something new: the seeds are taken as files, and their mutations get beyond page 0.
    assert len(list((tmp_path / "corpus").iterdir())) > 2 * seeds
