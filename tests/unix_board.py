"""A board that costs nothing: MicroPython's unix port with the real package, its console on a pseudo-terminal."""

from __future__ import annotations

import os
import subprocess
import tty
from pathlib import Path

from board_bundle import CACHE, bundle_bytes

from bitwren.bundle import Bundle
from bitwren_host.board_files import firmware_files

MICROPYTHON = CACHE / "micropython" / "unix" / "micropython"


class UnixBoard:
    """Its port is a name that stays while the board is unplugged and plugged in again."""

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        self.port = str(folder / "port")
        self._folder = folder
        files = firmware_files("x64") | {f"bundle/{name}": data for name, data in bundle_bytes(bundle).items()}
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        self._ends: tuple[int, int] | None = None
        self.plug_in()

    def plug_in(self) -> None:
        """Start it, under the name."""
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        self._ends = ours, theirs
        self._process = subprocess.Popen(
            [MICROPYTHON, "main.py"], cwd=self._folder, env={**os.environ, "MICROPYPATH": "lib"}, stdin=ours, stdout=ours
        )
        os.symlink(os.ttyname(theirs), self.port)

    def unplug(self) -> None:
        """End it, and take the name away."""
        if self._ends:
            os.unlink(self.port)
            self._process.kill()
            self._process.wait()
            for end in self._ends:
                os.close(end)
            self._ends = None
