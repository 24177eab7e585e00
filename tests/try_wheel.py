"""Installs a wheel into a fresh virtual environment and uses it there, without compilers and outside the repository.

    python tests/try_wheel.py .cache/dist/bitwren-VERSION-py3-none-any.whl

`make dist` runs this with all dependencies from pip's index; tests/test_release.py takes those that are installed here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CORPUS = """id,text,answer
e21,the light blinks twice and the pump stops,Rinse the filter.
e22,water on the floor under the machine,Check the door seal.
e23,it hums but does not turn,Change the belt.
"""
ABOUT = """
import json, sys
from bitwren_host.board_files import cache_folder, firmware_files
from bitwren_host.release import ARCHS
files = {arch: firmware_files(arch) for arch in ARCHS}
lacking = [arch for arch, found in files.items() if "lib/bitwren_native.mpy" not in found]
sources = [path for found in files.values() for path in found if path.endswith(".py")]
print(json.dumps({"cache": str(cache_folder()), "lacking": lacking, "sources": sorted(set(sources)), "path": sys.path}))
"""


class Installed:
    """bitwren from a wheel, in a virtual environment in a folder."""

    def __init__(self, wheel: Path, folder: Path, dependencies: Path | None = None) -> None:
        """:param dependencies: a folder of installed packages to take instead of installing them."""
        self.folder = folder
        self.programs = folder / "venv" / "bin"
        venv = [sys.executable, "-m", "venv", *(["--without-pip"] if dependencies else []), folder / "venv"]
        subprocess.run(venv, check=True)
        if dependencies:
            site = next((folder / "venv" / "lib").glob("python*/site-packages"))
            (site / "dependencies.pth").write_text(f"{dependencies}\n")
            pip = [sys.executable, "-m", "pip", "--python", self.programs / "python", "install", "-q", "--no-deps", "--no-index"]
        else:
            pip = [self.programs / "python", "-m", "pip", "install", "-q"]
        subprocess.run([*pip, "--disable-pip-version-check", wheel], check=True)
        (folder / "nothing").mkdir()

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the virtual environment where no other is found, in a home of its own."""
        kept = {name: value for name, value in os.environ.items() if name in ("LANG", "LC_ALL", "TMPDIR")}
        environment = {**kept, "PATH": str(self.folder / "nothing"), "HOME": str(self.folder / "home")}
        return subprocess.run(
            [self.programs / program, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def out(self, program: str, *arguments: str) -> str:
        """What it prints, once it has ended well."""
        done = self.run(program, *arguments)
        assert done.returncode == 0, f"{program} {' '.join(arguments)}: {done.stderr}"
        return done.stdout


def try_wheel(wheel: Path, folder: Path, dependencies: Path | None = None) -> None:
    """Build, search, and look at what is there. :raises AssertionError: when something is not as it should be."""
    installed = Installed(wheel, folder, dependencies)
    (folder / "faults.csv").write_text(CORPUS)
    installed.out("bitwren", "build", "faults.csv", "-o", "faults", "--encoder", "tiny", "--bits", "128", "--teacher", "none")
    reply = json.loads(installed.out("bitwren", "search", "faults", "blinks two times, pump stops", "-k", "1", "--json"))
    assert reply["hits"][0]["id"] == "e21", reply
    boards = {board["name"] for board in json.loads(installed.out("bitwren", "boards", "--json"))}
    assert {"pico", "unix"} <= boards, boards
    report: dict[str, Any] = json.loads(installed.out("bitwren", "doctor", "--no-ask", "--json"))
    assert report["basics"], report
    states = {item["name"]: item["state"] for item in report["findings"] if item["group"] == "Native modules"}
    assert set(states.values()) == {"ok"}, states
    about = json.loads(installed.out("python", "-c", ABOUT))
    assert about["cache"] == str(folder / "home" / ".cache" / "bitwren"), about
    assert (about["lacking"], about["sources"]) == ([], ["main.py"]), about
    repository = str(Path(__file__).parents[1])
    ours = [path for path in about["path"] if path.startswith(repository) and path != str(dependencies)]
    assert not ours, ours
    print(f"{wheel.name}: built and searched without a compiler; native modules: {', '.join(sorted(states))}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bitwren-wheel-") as temporary:
        try_wheel(Path(sys.argv[1]).absolute(), Path(temporary))
