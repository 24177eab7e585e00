"""A name for a pseudo-terminal that goes with it.

The number of one that is closed is soon another's: what still tries /dev/pts/3 would meet another test's board.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


class PortName:
    """A path that leads to a pseudo-terminal until :meth:`remove`."""

    def __init__(self, slave: int) -> None:
        self._folder = tempfile.mkdtemp(prefix="bitwren-port-")
        self.path = str(Path(self._folder) / "port")
        os.symlink(os.ttyname(slave), self.path)

    def remove(self) -> None:
        """Take the name away; again, nothing."""
        shutil.rmtree(self._folder, ignore_errors=True)
