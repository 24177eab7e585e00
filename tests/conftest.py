"""What tests share: the C core, built from the sources as they are."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from native import NativeCore

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache"


@pytest.fixture(scope="session")
def make_native() -> Callable[..., Path]:
    """Run the native Makefile into ``.cache/native`` or a folder in it: ``make_native(folder, arguments...)``."""

    def make(folder: str, *arguments: str) -> Path:
        build = CACHE / "native" / folder
        build.mkdir(parents=True, exist_ok=True)
        command = ["make", "-C", str(ROOT / "firmware" / "native"), f"BUILD={build}", f"PYTHON={sys.executable}"]
        with (build / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # pytest-xdist runs several sessions
            made = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout + made.stderr
        return build

    return make


@pytest.fixture(scope="session")
def native_core(make_native: Callable[..., Path]) -> NativeCore:
    """The C core on this machine."""
    return NativeCore(make_native("", "host") / "libbitwren.so")
