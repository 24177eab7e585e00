"""The release folder: a wheel that needs no compiler, packages for mip, checksums; twice the same bytes."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import re
import subprocess
import sys
import sysconfig
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_bundle import CACHE, bundle_bytes, make_bundle, text_of
from conftest import ROOT
from test_pico_console import PICO_FIRMWARE
from try_wheel import try_wheel

from bitwren.boards import all_boards
from bitwren.errors import BitwrenError
from bitwren.places import user_cache
from bitwren_host import board_files, release
from bitwren_host.board_files import compiled_package, native_path, package_sources
from bitwren_host.emulator import EmulatedPico, pico_image

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
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "old.txt").write_text("of the release before")
    release.release(tmp_path / "dist")
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


@pytest.fixture
def server(made: Path) -> Iterator[str]:
    """Address of the release folder, served on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(made))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


ASK = """
import bitwren
wren = bitwren.open("faq")
print(wren.info()["native"], wren.search({!r}, k=1)[0].id)
"""


@needs_builds
@pytest.mark.skipif(not PICO_FIRMWARE.exists(), reason="the Pico's firmware is not built: make pico-firmware")
def test_mip_brings_package_and_native_module(server: str) -> None:
    """A Pico that has a bundle and nothing else of bitwren."""
    bundle = make_bundle()
    image = pico_image({f"faq/{name}": data for name, data in bundle_bytes(bundle).items()})
    with EmulatedPico(PICO_FIRMWARE, image) as pico:

        def mpremote(*arguments: str) -> str:
            command = [sys.executable, "-m", "mpremote", "connect", pico.port, *arguments]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        said = mpremote("mip", "install", f"{server}/mip/pico.json")
        assert "Installing: /lib/bitwren/console.mpy" in said
        assert mpremote("exec", ASK.format(text_of(bundle, 7))).split() == ["armv6m", "d7"]
        mpremote("mip", "install", "--target", "/", f"{server}/mip/main.py")
        assert mpremote("fs", "cat", ":main.py").replace("\r\n", "\n") == (ROOT / "firmware" / "main.py").read_text()
