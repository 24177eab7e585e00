"""The core built into MicroPython, as a user C module: the same answers as the native module's, which it goes before."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import CACHE, ROOT
from makers import random_encoder
from test_natmod_unix import MISUSES, TEXTS, Vectors, check_misuses, compare

from bitwren.table import LAYOUTS

BUILT_IN = CACHE / "user-module" / "micropython"


def run(folder: Path, *arguments: str) -> str:
    if not BUILT_IN.is_file():
        pytest.skip("MicroPython with the core built in is not there: make user-module")
    done = subprocess.run([str(BUILT_IN), *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("bits", "dims", "row_bits", "hidden"),
    [(64, 32, 8, ()), (128, 96, 4, (64,)), (256, 256, 2, (128, 64)), (512, 512, 2, ()), (1024, 64, 2, (32,))],
)
def test_reference_answers(tmp_path: Path, bits: int, dims: int, row_bits: int, hidden: tuple[int, ...]) -> None:
    vectors = Vectors(bits, 1000, random_encoder(bits, bits=bits, dims=dims, row_bits=row_bits, hidden=hidden), TEXTS)
    for name, data in vectors.files().items():
        (tmp_path / name).write_bytes(data)
    compare(vectors, run(tmp_path, "run.py"))


@pytest.mark.parametrize(("layout", "bits"), [*((layout, 256) for layout in LAYOUTS), ("flat", 1024), ("rows", 1024)])
def test_every_layout_with_changes(tmp_path: Path, layout: str, bits: int) -> None:
    vectors = Vectors(bits, 300, random_encoder(256, bits=bits), TEXTS[:1], layout, staged=131, added=33)
    for name, data in vectors.files().items():
        (tmp_path / name).write_bytes(data)
    compare(vectors, run(tmp_path, "run.py"))


def test_misuse_raises(tmp_path: Path) -> None:
    (tmp_path / "misuses.py").write_text(MISUSES)
    check_misuses(run(tmp_path, "misuses.py"))


def test_goes_before_a_file_and_gives_way_to_another_name(tmp_path: Path) -> None:
    """A board's old bitwren_native.mpy does no harm; where the firmware's core is too old, one named after its chip is taken."""
    (tmp_path / "bitwren_native.mpy").write_bytes(b"no module")
    (tmp_path / "bitwren_native_x64.py").write_text("import sys\nABI = sys.modules['bitwren_native'].ABI + 1\n")
    probe = (
        f"import sys; sys.path.append({str(ROOT / 'firmware')!r}); import bitwren_native; own = bitwren_native\n"
        "import bitwren; core, name, notice = bitwren.load_core('auto'); print(core is own, name, notice)\n"
        "class Old: ABI = own.ABI - 1\n"
        "sys.modules['bitwren_native'] = Old\n"
        "core, name, notice = bitwren.load_core('auto'); print(core.__name__, name, notice)\n"
    )
    assert run(tmp_path, "-c", probe).splitlines() == ["True x64 None", "bitwren_native_x64 x64 None"]
