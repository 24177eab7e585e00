"""docs/boards.md and README.md: commands exist, with their options; the sentences explained are the programs' own."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

from bitwren.boards import all_boards
from bitwren_host.cli import cli

PAGE = ROOT / "docs" / "boards.md"
SOURCES = ("toolchain/bitwren", "host/bitwren_host", "firmware/bitwren", "firmware/main.py")
MISSING = re.compile(r"[A-Z]{4,}|…|\.\.\.|/\S+|\d[\d,.]*")
"""In a quoted sentence: what stands for a part that changes."""


def commands(page: Path) -> Iterator[str]:
    """The bitwren commands in a page's indented blocks, whole where a line ends in a backslash."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    for line in re.findall(r"^ {4,}(?:[$>] )?(bitwren .*)$", text, re.MULTILINE):
        yield line.partition("  #")[0]


@pytest.mark.parametrize("command", [*commands(PAGE), *commands(ROOT / "README.md")])
def test_every_command_exists(command: str) -> None:
    _, name, *words = shlex.split(command)
    assert name in cli.commands, f"there is no bitwren {name}"
    known = {option for parameter in cli.commands[name].params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h"}
    given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert given <= known, f"bitwren {name} has no {', '.join(given - known)}"


def strings() -> list[str]:
    """Every text in the sources, f-strings and format strings in their pieces."""
    found = []
    for folder in SOURCES:
        path = ROOT / folder
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found += re.split(r"\{[^{}]*\}", node.value)
    return found


def test_the_sentences_explained_are_the_programs_own() -> None:
    _, _, section = PAGE.read_text("utf-8").partition("## What a message means")
    rows = re.findall(r"^\| `([^`]+)` \|", section.partition("\n## ")[0], re.MULTILINE)
    assert len(rows) > 10
    known = strings()
    for sentence in rows:
        pieces = [piece.strip(" :,;()'") for piece in MISSING.split(sentence)]
        for piece in (piece for piece in pieces if len(piece) > 8):
            assert any(piece in text for text in known), f"nobody says {piece!r} of {sentence!r}"


def test_every_board_is_in_the_table() -> None:
    rows = re.findall(r"^\| `(\S+)` \|.*\| (.+) \| `(\S+)` \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {name: (chip, arch, room) for name, chip, arch, room in rows}
    assert set(told) == {board.name for board in all_boards()}
    for board in all_boards():
        chip, arch, room = told[board.name]
        assert (chip, arch) == (board.chip, board.arch), board.name
        if board.family:
            assert room.startswith(f"{board.limits.bundle_bytes >> 10:,} KB, "), board.name
            assert f"{board.limits.documents:,}" in room, board.name
    for command in commands(PAGE):
        for name in re.findall(r"--board[ =](\S+)", command):
            assert name in {board.name for board in all_boards()} or name.endswith(".toml") or name == "NAME"
