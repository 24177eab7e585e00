"""Which native module is taken, on the board and by the host, and what is said where none fits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from board_bundle import NATIVE, bundle_bytes, make_bundle
from hypothesis import given
from hypothesis import strategies as st
from test_firmware_console import needs_unix_port, package, run

from bitwren.errors import BitwrenError
from bitwren_host import architecture, board_files

__all__ = ["package"]  # a fixture

RP2350 = "Raspberry Pi Pico2 with RP2350-RISCV"
C3 = "ESP32C3 module with ESP32C3"

# The board says it is another; its modules are this machine's, under the other's names.
OPEN = """
import json, sys
import bitwren

class Other:
    class implementation:
        _mpy, _machine = {mpy}, {machine!r}
    path = sys.path

bitwren.cores.sys = Other
wren = bitwren.open("faq")
print(json.dumps([wren.info()["native"], wren.notice]))
"""


def mpy(arch: str) -> int:
    """sys.implementation._mpy of a board."""
    return 6 | 3 << 8 | architecture.NAMES.index(arch) << 10


@given(code=st.integers(0, 0xFFFF), machine=st.sampled_from([RP2350, C3, ""]))
def test_host_and_board_choose_alike(package: object, code: int, machine: str) -> None:
    class Other:
        class implementation:
            _mpy, _machine = code, machine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package.cores, "sys", Other)  # type: ignore[attr-defined]
        arch, version = package.architecture()  # type: ignore[attr-defined]
    assert architecture.of_board(code) == (arch, version)
    assert architecture.modules(arch, machine) == package.natives(arch, machine)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arch", "machine", "expected"),
    [
        ("armv6m", "Raspberry Pi Pico with RP2040", ("armv6m",)),
        ("armv7emsp", "Raspberry Pi Pico2 with RP2350", ("armv7emsp", "armv7m", "armv6m")),
        ("armv7m", "", ("armv7m", "armv6m")),
        ("rv32imc", RP2350, ("rv32imc_zbb", "rv32imc")),
        ("rv32imc", C3, ("rv32imc",)),
        ("xtensawin", "Generic ESP32 module with ESP32", ("xtensawin",)),
    ],
)
def test_best_first(arch: str, machine: str, expected: tuple[str, ...]) -> None:
    assert architecture.modules(arch, machine) == list(expected)


@needs_unix_port
@pytest.mark.parametrize(
    ("made_for", "arch", "machine", "taken"),
    [
        (["rv32imc", "rv32imc_zbb"], "rv32imc", RP2350, "rv32imc_zbb"),
        (["rv32imc", "rv32imc_zbb"], "rv32imc", C3, "rv32imc"),
        (["rv32imc"], "rv32imc", RP2350, "rv32imc"),
        (["armv6m", "armv7m", "armv7emsp"], "armv7emdp", "", "armv7emsp"),
        (["armv6m", "armv7m"], "armv7emsp", "", "armv7m"),
        (["armv6m", "armv7emsp"], "armv7em", "", "armv6m"),
        (["armv7m", None], "armv7m", "", "armv7m"),
        ([None], "none", "", "built in"),
    ],
)
def test_the_board_takes_its_own_of_several(
    tmp_path: Path, made_for: list[str | None], arch: str, machine: str, taken: str
) -> None:
    fill(tmp_path, {"bitwren_native" + (f"_{name}" if name else ""): NATIVE["x64"].read_bytes() for name in made_for})
    assert json.loads(run(tmp_path, OPEN.format(mpy=mpy(arch), machine=machine))) == [taken, None]


@needs_unix_port
@pytest.mark.parametrize(
    ("modules", "arch", "machine", "trouble"),
    [
        (["bitwren_native_armv7m"], "armv6m", "", "bitwren_native_armv6m.mpy (.mpy version 6.3), and none is here"),
        ([], "rv32imc", RP2350, "bitwren_native_rv32imc_zbb.mpy (.mpy version 6.3), and none is here"),
        (["bitwren_native_rv32imc_zbb"], "rv32imc", C3, "bitwren_native_rv32imc.mpy (.mpy version 6.3), and none is here"),
    ],
)
def test_which_file_to_copy(tmp_path: Path, modules: list[str], arch: str, machine: str, trouble: str) -> None:
    fill(tmp_path, {name: NATIVE["x64"].read_bytes() for name in modules})
    engine, notice = json.loads(run(tmp_path, OPEN.format(mpy=mpy(arch), machine=machine)))
    assert engine == "viper"
    assert notice == f"slow, since viper does it; this board needs {trouble}: copy it to /lib (bitwren deploy does)"


@needs_unix_port
def test_a_module_of_another_bitwren_is_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, {})
    (tmp_path / "lib" / "bitwren_native.py").write_text("ABI = 1")
    engine, notice = json.loads(run(tmp_path, OPEN.format(mpy=mpy("x64"), machine="")))
    assert engine == "viper"
    assert ", and bitwren_native.mpy is of another version of bitwren: copy it to /lib" in notice
    (tmp_path / "lib" / "bitwren_native_x64.mpy").write_bytes(NATIVE["x64"].read_bytes())
    assert json.loads(run(tmp_path, OPEN.format(mpy=mpy("x64"), machine=""))) == ["x64", None]


def test_the_host_takes_the_best_that_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_files, "cache_folder", lambda: tmp_path)
    (tmp_path / "native").mkdir()
    for arch in ("rv32imc", "armv6m", "rv32imc_zbb"):
        (tmp_path / "native" / f"bitwren_native_{arch}.mpy").write_text(arch)
    assert board_files.native_module("rv32imc", RP2350) == b"rv32imc_zbb"
    assert board_files.native_module("rv32imc") == b"rv32imc"
    assert board_files.native_module("armv7emsp") == b"armv6m"
    with pytest.raises(BitwrenError, match="native module for xtensawin is not built: run 'make natmods'"):
        board_files.native_module("xtensawin")


def fill(folder: Path, modules: dict[str, bytes]) -> None:
    for name, data in {f"faq/{name}": data for name, data in bundle_bytes(make_bundle()).items()}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "lib").mkdir()
    for name, data in modules.items():
        (folder / "lib" / f"{name}.mpy").write_bytes(data)
