"""What finishes a deploy on the board: cut off before any of its steps, the old files count or the new, and it can go on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from bitwren_host.deploy import steps

SOURCE = (ROOT / "firmware" / "bitwren" / "update.py").read_text()
PACKAGE = "lib/bitwren"
BUNDLE = ("faq/encoder.bwe", "faq/table.bwt")
OLD_SOURCES = {f"{PACKAGE}/{name}.py" for name in ("__init__", "update", "storage", "gone")}
OLD_COMPILED = {f"{PACKAGE}/{name}.mpy" for name in ("__init__", "update", "storage")} | {f"{PACKAGE}/gone.py"}
NEW = {f"{PACKAGE}/{name}.mpy" for name in ("__init__", "update", "storage", "more")} | {*BUNDLE, "main.py"}


class Cut(Exception):
    """The power is off."""


class Os:
    """The module, until so many changes have been made. ``replaces``: whether rename does, as littlefs does and FAT does not."""

    def __init__(self, changes: int, replaces: bool) -> None:
        self._left, self._replaces = changes, replaces
        self.stat = os.stat

    def rename(self, old: str, new: str) -> None:
        if not self._replaces and os.path.exists(new):
            raise OSError(17)
        self._change()
        os.rename(old, new)

    def remove(self, path: str) -> None:
        self._change()
        os.remove(path)

    def _change(self) -> None:
        if not self._left:
            raise Cut
        self._left -= 1


def finisher(module: Os) -> Callable[[str], bool]:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(SOURCE, names)
    names["os"] = module
    return names["finish"]  # type: ignore[no-any-return]


def prepare(root: Path, old: set[str]) -> Path:
    """A board on which everything has arrived, and the list of what is to be done."""
    shutil.rmtree(root, ignore_errors=True)
    for path in old | set(BUNDLE):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("old")
    for path in NEW:
        (root / (path + ".new")).write_text("new")
    listed = root / "lib" / "bitwren.todo"
    listed.write_text("\n".join(steps(str(root), NEW, old - NEW)))
    return listed


def imported(root: Path, name: str) -> str:
    """What a board imports: a source before what is compiled."""
    for suffix in (".py", ".mpy"):
        path = root / PACKAGE / (name + suffix)
        if path.is_file():
            return path.read_text()
    return ""


@pytest.mark.parametrize("replaces", [True, False], ids=["littlefs", "FAT"])
@pytest.mark.parametrize("old", [OLD_SOURCES, OLD_SOURCES - {f"{PACKAGE}/update.py"}, OLD_COMPILED], ids=["py", "first", "mpy"])
def test_a_cut_before_each_step(tmp_path: Path, old: set[str], replaces: bool) -> None:
    root, cuts = tmp_path / "board", 0
    while True:
        listed = prepare(root, old)
        try:
            finisher(Os(cuts, replaces))(str(listed))
            break
        except Cut:
            cuts += 1
        serves = imported(root, "__init__")
        if serves == "old":
            # Either it does not know of the list, and all that it reads is as it was; or it finishes the list first.
            kept = [path for path in old | set(BUNDLE) if "/update." not in path]
            assert all((root / path).read_text() == "old" for path in kept)
        elif replaces:
            assert (serves, imported(root, "update")) == ("new", "new")
        assert finisher(Os(99, replaces))(str(listed))
        done(root, listed)
    assert cuts > len(NEW)
    done(root, listed)
    assert not finisher(Os(0, replaces))(str(listed)), "there is nothing left to do"


def done(root: Path, listed: Path) -> None:
    """All is new, and nothing else is left."""
    there = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}
    assert there == dict.fromkeys(NEW, "new")
    assert not listed.exists()


def test_a_board_without_a_list_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.new").write_text("x")
    assert not finisher(Os(0, True))(str(tmp_path / "lib" / "bitwren.todo"))
    assert (tmp_path / "a.new").exists()
