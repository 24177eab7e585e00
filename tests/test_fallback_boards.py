"""The fallback core inside MicroPython, plain and viper, on this machine and on the emulated Pico: the reference's answers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from board_bundle import FIRMWARE, NATIVE, bundle_bytes, make_bundle, make_encoder, text_of
from makers import random_encoder
from test_natmod_unix import MICROPYTHON, MISUSES, PICO_FIRMWARE, RUN, TEXTS, Vectors, check_misuses, compare
from test_pico_console import Board

from bitwren import residual
from bitwren.bundle import Bundle
from bitwren.hamming import WIDTHS
from bitwren.table import LAYOUTS
from bitwren_host.board_files import firmware_files
from bitwren_host.emulator import EmulatedPico, pico_image

needs_unix_port = pytest.mark.skipif(not MICROPYTHON.is_file(), reason="MicroPython's unix port is not built: make unix")
needs_modules = pytest.mark.skipif(not NATIVE["armv6m"].is_file(), reason="native modules are not built: make natmods")
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
    ("bits", "dims", "row_bits", "hidden"),
    [(64, 32, 8, ()), (128, 96, 4, (64,)), (256, 256, 2, (128, 64)), (512, 512, 2, ()), (1024, 64, 2, (32,))],
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
@pytest.mark.parametrize(
    ("layout", "bits"), [(layout, bits) for layout in LAYOUTS for bits in (residual.WIDTHS if layout == "residual" else WIDTHS)]
)
def test_every_layout_with_changes(tmp_path: Path, engine: str, layout: str, bits: int) -> None:
    for count, staged, added in ((200, 0, 70), (300, 131, 33), (1, 0, 1), (64, 31, 1)):
        vectors = Vectors(bits, count, random_encoder(bits, bits=bits), TEXTS[:1], layout, staged, added)
        for name, data in vectors.files().items():
            (tmp_path / name).write_bytes(data)
        compare(vectors, run(tmp_path, with_fallback(RUN, engine)))


@needs_unix_port
@engines
def test_misuse_raises_as_the_native_module_does(tmp_path: Path, engine: str) -> None:
    check_misuses(run(tmp_path, with_fallback(MISUSES, engine)))


# --- The whole package, the native module left out -------------------------------------------------------------------

QUERIES = ["hello wörld", "né Ünder 漢字 😀 𠀀", "...", ""]
ASK = """
import bitwren, json
for engine in ENGINES:
    for storage in STORAGES:
        try:
            wren = bitwren.open("bundle", storage=storage, engine=engine)
        except bitwren.Error as error:
            print(json.dumps(str(error)))
            continue
        print(json.dumps([wren.info()["native"], wren.notice, [wren.answer(query, 4) for query in QUERIES]]))
"""
ANOTHER_CHIP = 'this firmware compiles no viper code, or fast.mpy is for another board: open it with engine="auto"'
WANTED = "this board needs bitwren_native_{}.mpy (.mpy version 6.3), and none is here: copy it to /lib (bitwren deploy does)"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return make_bundle(documents=40, encoder=make_encoder(bits=64), threshold=20)


def asking(queries: Sequence[str], engines: Sequence[str], storages: Sequence[str]) -> str:
    """A script that asks each engine over each storage."""
    return ASK.replace("ENGINES", repr(engines)).replace("STORAGES", repr(storages)).replace("QUERIES", repr(queries))


def board_files(arch: str, bundle: Bundle) -> dict[str, bytes]:
    """What a board gets, without the native module."""
    files = firmware_files(arch) | {f"bundle/{name}": data for name, data in bundle_bytes(bundle).items()}
    del files["lib/bitwren_native.mpy"]
    return files


@needs_unix_port
@needs_modules
@pytest.mark.parametrize(("arch", "auto"), [("x64", "viper"), ("armv6m", "python")])
def test_ladder(tmp_path: Path, bundle: Bundle, arch: str, auto: str) -> None:
    """With the viper code compiled for another chip, plain Python is what is left."""
    for name, data in board_files(arch, bundle).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    queries = [text_of(bundle, 17), *QUERIES]
    script = asking(queries, ("auto", "python", "viper", "native", "fast"), ("ram", "file"))
    (tmp_path / "script.py").write_text(script)
    environment = {**os.environ, "MICROPYPATH": "lib"}
    done = subprocess.run([MICROPYTHON, "script.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    answers = [bundle.answer(query, 4) for query in queries]
    first, second, third, fourth, fifth = (json.loads(line) for line in done.stdout.splitlines()[::2])
    assert first == [auto, f"slow, since {auto} does it; {WANTED.format('x64')}", answers]
    assert second == ["python", None, answers]
    assert third == (["viper", None, answers] if arch == "x64" else ANOTHER_CHIP)
    assert fourth == WANTED.format("x64")
    assert fifth == 'engine is "fast" but must be "auto", "native", "viper" or "python"'
    assert done.stdout.splitlines()[1::2] == done.stdout.splitlines()[::2]


@needs_modules
@pytest.mark.skipif(not PICO_FIRMWARE.is_file(), reason="the Pico's firmware is not built: make pico-firmware")
def test_emulated_pico(bundle: Bundle) -> None:
    """A simulated second takes twenty, so viper answers the console, in mapped flash, and plain Python one query of a stream."""
    bundle = replace(bundle, table=replace(bundle.table, layout="residual", staged=7))
    image = pico_image(board_files("armv6m", bundle))
    query = "two words"
    with EmulatedPico(PICO_FIRMWARE, image, boot_timeout=60) as pico:
        board = Board(pico.port)
        try:
            banner = board.read_until("Type a question.")
            assert banner[-2] == f"bitwren: slow, since viper does it; {WANTED.format('armv6m')}"
            for asked in (query, "né 漢", "..."):
                assert board.ask({"query": asked, "k": 4}) == bundle.answer(asked, 4)
            assert board.ask({"cmd": "info"})["native"] == "viper"
            script = asking([query], ("python",), ("file",))
            lines = [json.loads(line) for line in board.execute(script).splitlines()]
        finally:
            board.line.close()
    assert lines == [["python", None, [bundle.answer(query, 4)]]]
