"""The files that a board gets: the MicroPython package, the native module for its architecture, main.py and a bundle."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

from bitwren import bundle
from bitwren.container import read_file
from bitwren.errors import BitwrenError
from bitwren.places import user_cache

from . import architecture

_PACKAGE_DATA = Path(__file__).parent / "data"
_REPOSITORY = Path(__file__).parents[2]
"""Of an installation from a wheel it is any folder: see :func:`in_repository`."""
COMPILED = "package"
"""Folder of a wheel's data with the MicroPython package compiled: ``any`` and a folder for each architecture."""
BUNDLE_FOLDER = "bundle"


def data_folder(name: str) -> Path:
    """A folder that ships with bitwren (``firmware``, ``examples``): from the wheel, or from the repository.

    :raises BitwrenError: when neither has it.
    """
    for root in (_PACKAGE_DATA, _REPOSITORY) if in_repository() else (_PACKAGE_DATA,):
        if (root / name).is_dir():
            return root / name
    raise BitwrenError(f"{name}/ is not part of this installation: install bitwren again or run from its repository")


def in_repository() -> bool:
    """Whether this runs in bitwren's repository, rather than installed from a wheel."""
    return Path(__file__).parent == _REPOSITORY / "host" / "bitwren_host" and (_REPOSITORY / "firmware").is_dir()


def cache_folder() -> Path:
    """Where builds are kept: ``.cache`` of the repository, or installed from a wheel, the user's cache."""
    return _REPOSITORY / ".cache" if in_repository() else user_cache()


def native_module(arch: str, machine: str = "") -> bytes:
    """The best native module that is built for an architecture (``x64``, ``armv6m``) and a board's ``_machine``.

    :raises BitwrenError: when none is.
    """
    for made_for in architecture.modules(arch, machine):
        path = native_path(made_for)
        if path:
            return read_file(path)
    raise BitwrenError(f"the native module for {arch} is not built: run 'make natmods' in bitwren's repository")


def native_path(made_for: str) -> Path | None:
    """Where the native module of one kind (``armv6m``, ``rv32imc_zbb``) is, if it is built."""
    places = (folder / f"bitwren_native_{made_for}.mpy" for folder in (_PACKAGE_DATA / "native", cache_folder() / "native"))
    return next((path for path in places if path.is_file()), None)


def firmware_files(arch: str, machine: str = "", native: bool = True) -> dict[str, bytes]:
    """Everything but the bundle, by path on the board.

    :param machine: the board's ``_machine``, which may allow a better native module. :param native: whether it gets one.
    """
    files = {"main.py": read_file(data_folder("firmware") / "main.py")}
    if native:
        files["lib/bitwren_native.mpy"] = native_module(arch, machine)
    # Compiling on the chip takes a third of a second at every start, and RAM.
    package = compiled_package(arch) or package_sources()
    return files | {f"lib/{path}": data for path, data in package.items()}


def package_sources() -> dict[str, bytes]:
    """The MicroPython package as it was written, by path below /lib."""
    firmware = data_folder("firmware")
    sources = sorted((firmware / "bitwren").rglob("*.py"))
    return {source.relative_to(firmware).as_posix(): read_file(source) for source in sources}


def compiled_package(arch: str) -> dict[str, bytes]:
    """The package as .mpy files, by path below /lib: what the wheel carries, or else compiled here; empty if neither can be."""
    carried = [_PACKAGE_DATA / COMPILED / name for name in ("any", arch)]
    if all(folder.is_dir() for folder in carried):
        files = [(file.relative_to(folder), file) for folder in carried for file in sorted(folder.rglob("*.mpy"))]
        return {path.as_posix(): read_file(file) for path, file in files}
    compiler = cache_folder() / "micropython" / "mpy-cross" / "mpy-cross"
    if not compiler.is_file():
        return {}
    firmware = data_folder("firmware")
    paths = [PurePosixPath(path) for path in package_sources()]
    return {str(path.with_suffix(".mpy")): _compile(compiler, firmware / path, path.name, arch) for path in paths}


def _compile(compiler: Path, source: Path, name: str, arch: str) -> bytes:
    # The architecture matters to viper code alone: a file without any runs everywhere. The compiler knows no extensions of one.
    command = [str(compiler), f"-march={arch.removesuffix('_zbb')}", "-s", name, "-o", "-", str(source)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise BitwrenError(f"{source} does not compile: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout


def bundle_files(directory: Path, name: str = BUNDLE_FOLDER) -> dict[str, bytes]:
    """A bundle's files, by path on the board, where its folder has that name."""
    return {f"{name}/{path.name}": read_file(path) for path in bundle.parts(directory)}
