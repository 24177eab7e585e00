"""``make dist``: a release folder with a wheel that needs no compiler, packages for ``mip``, and checksums of them all.

    bitwren-VERSION-py3-none-any.whl    with the native modules, and the MicroPython package compiled
    mip/ARCH.json, mip/BOARD.json       for mip.install and mpremote mip install: package and native module of one kind of board
    mip/any.json                        the package's sources alone, for a MicroPython that loads no such module
    mip/*.mpy, *.py                     what those name; all in one folder, so that it can be attached to a release, file by file
    SHA256SUMS                          of all these files, for sha256sum -c

The same sources give the same bytes, on any day: what would be dated has the date of the last commit, or SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bitwren import __version__
from bitwren.boards import all_boards
from bitwren.container import read_file
from bitwren.errors import BitwrenError

from .board_files import COMPILED, compiled_package, data_folder, native_path, package_sources

ARCHS = ("armv6m", "armv7m", "armv7emsp", "rv32imc", "rv32imc_zbb", "xtensawin", "x64")
SOURCES = "any"
"""Name of the package that runs everywhere."""
WHEEL_DATA = "BITWREN_WHEEL_DATA"
"""The environment variable by which host/wheel_hook.py learns of a folder that the wheel is to carry."""
_NATIVE = "bitwren_native.mpy"
_INIT = "__init__"
_SUMS = "SHA256SUMS"


def release(folder: Path, url: str = "") -> Path:
    """Make the release folder, replacing what is there; returns the wheel's path.

    :param url: where the folder ``mip`` will be found; with it, packages name their files by full address, which mip before
        MicroPython 1.25 needs.
    :raises BitwrenError: when a native module or mpy-cross is not built, the wheel cannot be made, or something else is there.
    """
    if folder.exists() and not (folder / _SUMS).is_file():
        raise BitwrenError(f"{folder} is there and is no release, which would replace it: name another folder")
    packages = {arch: compiled_package(arch) for arch in ARCHS}
    if not all(packages.values()):
        raise BitwrenError("mpy-cross is not built, and a release has the MicroPython package compiled: run 'make unix'")
    natives = {arch: _native(arch) for arch in ARCHS}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".release-") as temporary:
        work = Path(temporary)
        made, data = work / "made", work / "data"
        write(made / "mip", mip(packages, natives, url.rstrip("/")))
        write(data, wheel_data(packages, natives))
        wheel = build_wheel(data, made)
        files = sorted(path for path in made.rglob("*") if path.is_file())
        sums = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(made).as_posix()}\n" for path in files)
        (made / _SUMS).write_text("".join(sums))
        if folder.exists():
            shutil.rmtree(folder)
        made.replace(folder)
    return folder / wheel.name


def _native(arch: str) -> bytes:
    path = native_path(arch)
    if path is None:
        raise BitwrenError(f"the native module for {arch} is not built, and a release has them all: run 'make natmods'")
    return read_file(path)


def shared(packages: Mapping[str, Mapping[str, bytes]]) -> dict[str, bytes]:
    """The files that are alike for every architecture: all but viper code."""
    first, *others = packages.values()
    return {path: data for path, data in first.items() if all(other[path] == data for other in others)}


def wheel_data(packages: Mapping[str, Mapping[str, bytes]], natives: Mapping[str, bytes]) -> dict[str, bytes]:
    """What the wheel carries besides what is in the repository, by path in its data folder."""
    alike = shared(packages)
    files = {f"{COMPILED}/any/{path}": data for path, data in alike.items()}
    for arch, package in packages.items():
        files |= {f"{COMPILED}/{arch}/{path}": data for path, data in package.items() if path not in alike}
        files[f"native/bitwren_native_{arch}.mpy"] = natives[arch]
    return files


def mip(packages: Mapping[str, Mapping[str, bytes]], natives: Mapping[str, bytes], url: str = "") -> dict[str, bytes]:
    """The packages for mip and what they name, by file name.

    :param packages: files by path below /lib, by architecture. :param natives: the native modules. :param url: see
        :func:`release`.
    """
    alike = shared(packages)
    files = {"main.py": read_file(data_folder("firmware") / "main.py")}

    def package(name: str, contents: Mapping[str, bytes]) -> bytes:
        named = {}
        # The package's own first file last: what broke off in the middle does not import, rather than fail later.
        for path in sorted(contents, key=lambda path: (path.startswith(f"bitwren/{_INIT}."), path)):
            file = f"{'any' if path in alike else name}-{path.replace('/', '.')}"
            files[file] = contents[path]
            named[path] = file
        urls = [[path, f"{url}/{file}" if url else file] for path, file in named.items()]
        return (json.dumps({"version": __version__, "urls": urls, "deps": []}) + "\n").encode()

    made = {arch: package(arch, {_NATIVE: natives[arch]} | dict(contents)) for arch, contents in packages.items()}
    boards = {board.name: made[board.arch] for board in all_boards() if board.arch in made}
    made[SOURCES] = package(SOURCES, package_sources())
    return files | {f"{name}.json": data for name, data in (boards | made).items()}


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files by their paths in a folder."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def build_wheel(data: Path, output: Path) -> Path:
    """Make the wheel of this repository.

    :param data: a folder that goes into it as ``bitwren_host/data``, beside what is there.
    :raises BitwrenError: with what pip said, when that does not work.
    """
    root = data_folder("firmware").parent
    command = [sys.executable, "-m", "pip", "wheel", "--disable-pip-version-check", "--no-deps", "-w", str(output), str(root)]
    if importlib.util.find_spec("hatchling"):
        command.insert(4, "--no-build-isolation")  # else pip fetches it
    environment = {**os.environ, WHEEL_DATA: str(data.absolute()), "SOURCE_DATE_EPOCH": source_date(root)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wheels = list(output.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise BitwrenError(f"the wheel cannot be built; pip said: {(done.stderr or done.stdout).strip()[-2000:]}")
    return wheels[0]


def source_date(root: Path) -> str:
    """Seconds since 1970 that stand for the day of this release: SOURCE_DATE_EPOCH, else the last commit's, else 2 Feb 2020."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    command = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False) if shutil.which("git") else None
    return done.stdout.strip() if done is not None and done.returncode == 0 else "1580601600"


def main() -> None:
    """``python -m bitwren_host.release FOLDER [--url URL]``."""
    parser = argparse.ArgumentParser(prog="python -m bitwren_host.release", description="Make bitwren's release folder.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", default="", help="where its folder mip will be found, for mip before MicroPython 1.25")
    given = parser.parse_args()
    try:
        wheel = release(given.folder, given.url)
    except BitwrenError as error:
        sys.exit(f"bitwren: {error}")
    count = len(list((given.folder / "mip").iterdir()))
    print(f"{wheel}: {wheel.stat().st_size / 1e6:.1f} MB; {given.folder / 'mip'}: {count} files; {given.folder / _SUMS}")


if __name__ == "__main__":
    main()
