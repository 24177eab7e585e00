"""The release folder: a wheel that needs no compiler, packages for mip, checksums; twice the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sysconfig
import tty
import zipfile
from pathlib import Path

import pytest
from board_bundle import CACHE, make_bundle, write_bundle
from conftest import ROOT
from try_mip import try_mip
from try_wheel import try_wheel

from bitwren.boards import all_boards
from bitwren.errors import BitwrenError
from bitwren.places import user_cache
from bitwren_host import board_files, release
from bitwren_host.board_files import compiled_package, native_module, native_path, package_sources

UNIX = CACHE / "micropython" / "unix" / "micropython"

needs_builds = pytest.mark.skipif(
    not all(native_path(arch) for arch in release.ARCHS) or not compiled_package("armv6m"),
    reason="not all native modules and mpy-cross are built: make natmods unix",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release") / "dist"
    release.release(folder)
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@needs_builds
def test_twice_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / "old.txt").write_text("of the release before")
    with pytest.raises(BitwrenError, match="is no release"):
        release.release(folder)
    (folder / "SHA256SUMS").write_text("")
    release.release(folder)
    assert everything(tmp_path / "dist") == everything(made)
    assert [path.name for path in tmp_path.iterdir()] == ["dist"], "nothing is left over"


@needs_builds
def test_checksums_are_of_every_file(made: Path) -> None:
    files = everything(made)
    told = dict(reversed(line.split("  ", 1)) for line in files.pop("SHA256SUMS").decode().splitlines())
    assert told == {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


@needs_builds
def test_the_wheel_works_without_a_compiler(made: Path, tmp_path: Path) -> None:
    """With the dependencies that are installed here; `make dist` installs them anew."""
    wheel = next(made.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert not [name for name in names if "__pycache__" in name or name.startswith(("tests/", "host/"))]
    try_wheel(wheel, tmp_path, Path(sysconfig.get_path("purelib")))


@needs_builds
@pytest.mark.parametrize("url", ["", "https://example.org/bitwren"])
def test_every_package_names_the_right_files(url: str) -> None:
    packages = {arch: compiled_package(arch) for arch in release.ARCHS}
    natives = {arch: (native_path(arch) or Path()).read_bytes() for arch in release.ARCHS}
    files = release.mip(packages, natives, url)
    wanted = {arch: packages[arch] | {"bitwren_native.mpy": natives[arch]} for arch in release.ARCHS}
    wanted |= {board.name: wanted[board.arch] for board in all_boards()} | {"any": package_sources()}
    assert {name for name in files if name.endswith(".json")} == {f"{name}.json" for name in wanted}
    used = {"main.py"}
    for name, contents in wanted.items():
        package = json.loads(files[f"{name}.json"])
        assert set(package) == {"version", "urls", "deps"}
        names = {path: address.removeprefix(f"{url}/" if url else "") for path, address in package["urls"]}
        assert {path: files[file] for path, file in names.items()} == contents, name
        assert re.fullmatch(r"bitwren/__init__\.m?py", list(names)[-1]), "what breaks off does not import"
        assert all(address.startswith(url) for _, address in package["urls"])
        used |= {*names.values(), f"{name}.json"}
    assert set(files) == used, "nothing is there that nobody gets"
    assert not any("/" in name for name in files)


def test_what_is_not_built_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "compiled_package", lambda arch: {})
    with pytest.raises(BitwrenError, match=r"mpy-cross is not built.*make unix"):
        release.release(tmp_path / "dist")
    monkeypatch.setattr(release, "compiled_package", lambda arch: {"bitwren/__init__.mpy": b""})
    monkeypatch.setattr(release, "native_path", lambda arch: None if arch == "xtensawin" else ROOT / "LICENSE")
    with pytest.raises(BitwrenError, match=r"native module for xtensawin is not built.*make natmods"):
        release.release(tmp_path / "dist")
    assert list(tmp_path.iterdir()) == []


def test_cache_of_an_installation_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert board_files.cache_folder() == CACHE
    site = tmp_path / "lib" / "python3" / "site-packages" / "bitwren_host"
    (tmp_path / "lib" / "python3" / "firmware").mkdir(parents=True)
    monkeypatch.setattr(board_files, "__file__", str(site / "board_files.py"))
    monkeypatch.setattr(board_files, "_REPOSITORY", site.parents[1])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert board_files.cache_folder() == tmp_path / "cache" / "bitwren"
    with pytest.raises(BitwrenError, match="not part of this installation"):
        board_files.data_folder("firmware")
    monkeypatch.setenv("HOME", str(tmp_path))
    for no_folder in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", no_folder)
        assert user_cache() == tmp_path / ".cache" / "bitwren"


# --- Installed by mpremote's mip --------------------------------------------------------------------------------------


@needs_builds
@pytest.mark.skipif(not UNIX.is_file(), reason="MicroPython's unix port is not built: make unix")
@pytest.mark.parametrize(("package", "native"), [("unix", "x64"), ("any", "viper")])
def test_mip_brings_package_and_native_module(made: Path, tmp_path: Path, package: str, native: str) -> None:
    """`make dist` does the same with an emulated Pico, whose USB takes a minute and a half for it."""
    write_bundle(make_bundle(), tmp_path / "faq")
    (tmp_path / "lib").mkdir()
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    environment = {**os.environ, "MICROPYPATH": str(tmp_path / "lib")}
    command = [UNIX, Path(__file__).with_name("unix_raw_repl.py")]
    board = subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=ours, stdout=ours)
    try:
        try_mip(made, os.ttyname(theirs), package, native, tmp_path)
    finally:
        board.kill()
        board.wait()
        os.close(ours)
        os.close(theirs)
    whole = compiled_package("x64") | {"bitwren_native.mpy": native_module("x64")}
    assert everything(tmp_path / "lib") == (package_sources() if package == "any" else whole)
