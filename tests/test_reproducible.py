"""The same sources give the same native module, byte for byte, wherever they lie and wherever it is built."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import CACHE, ROOT

MPY_DIR = CACHE / "micropython" / "source"


def test_module_does_not_depend_on_the_place(make_native: Callable[..., Path], tmp_path: Path) -> None:
    if not (MPY_DIR / "py" / "dynruntime.mk").is_file():
        pytest.skip("MicroPython's source is not there: make micropython")
    here = make_native("", "ARCH=armv6m", f"MPY_DIR={MPY_DIR}") / "bitwren_native_armv6m.mpy"
    copy = tmp_path / "another-place" / "native"
    shutil.copytree(ROOT / "firmware" / "native", copy, ignore=shutil.ignore_patterns("build"))
    # With BUILD as it is by default, below the sources.
    command = ["make", "-C", str(copy), "ARCH=armv6m", f"MPY_DIR={MPY_DIR}", f"PYTHON={sys.executable}"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    there = (copy / "build" / "bitwren_native_armv6m.mpy").read_bytes()
    assert there == here.read_bytes()
    assert str(tmp_path).encode() not in there
