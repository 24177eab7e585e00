"""bitwren console: with boards on ports, for people on a terminal and for pipes. The board is MicroPython's unix port."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from board_bundle import NATIVE, make_bundle, text_of
from test_command import bitwren, fails
from unix_board import MICROPYTHON, UnixBoard

from bitwren.bundle import Bundle
from bitwren_host.board_line import BoardOnPort
from bitwren_host.serial_link import LinkError

pytestmark = pytest.mark.skipif(not (MICROPYTHON.is_file() and NATIVE["x64"].is_file()), reason="not built: make unix natmods")
PATIENCE = 60.0


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return make_bundle(40)


@pytest.fixture
def plug(tmp_path: Path, bundle: Bundle) -> Iterator[Callable[[str], UnixBoard]]:
    boards = []

    def make(name: str) -> UnixBoard:
        (tmp_path / name).mkdir()
        boards.append(UnixBoard(tmp_path / name, bundle))
        return boards[-1]

    yield make
    for board in boards:
        board.unplug()


class Terminal:
    """A person at a terminal."""

    def __init__(self, *arguments: str, home: Path) -> None:
        self._process, self._end = None, -1
        command = [sys.executable, "-c", "from bitwren_host.cli import main; main()", *arguments]
        environment = {**os.environ, "XDG_STATE_HOME": str(home), "TERM": "dumb", "COLUMNS": "200"}
        ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        )
        os.close(theirs)
        self._end, self.seen = ours, ""

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def until(self, wanted: str) -> str:
        """What was shown from the last time on, up to and with what is wanted."""
        deadline = time.monotonic() + PATIENCE
        while wanted not in self.seen:
            assert time.monotonic() < deadline, f"{wanted!r} did not come, but {self.seen!r}"
            if select.select([self._end], [], [], 1)[0]:
                try:
                    self.seen += os.read(self._end, 4096).decode()
                except OSError:  # the program has ended
                    pytest.fail(f"{wanted!r} did not come, but {self.seen!r}")
        shown, _, self.seen = self.seen.partition(wanted)
        return shown + wanted

    def ended(self) -> int:
        """Wait for its end; its exit status."""
        while select.select([self._end], [], [], PATIENCE)[0]:
            try:
                self.seen += os.read(self._end, 4096).decode()
            except OSError:
                break
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._end)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened = []

    def start(*arguments: str) -> Terminal:
        opened.append(Terminal(*arguments, home=tmp_path / "state"))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_a_pipe(plug: Callable[[str], UnixBoard], bundle: Bundle) -> None:
    port = plug("board").port
    queries = [text_of(bundle, 3), "", text_of(bundle, 30), "é 漢字"]
    done = bitwren("console", "--port", port, "-k", 2, stdin="\n".join(queries).encode() + b"\n\xff\n")
    assert done.returncode == 0, done.stderr.decode()
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert replies[:4] == [bundle.answer(query, 2) for query in queries]
    assert replies[4] == {"query": "\ufffd", "error": "the query is not UTF-8"}


def test_a_pipe_and_several_boards(plug: Callable[[str], UnixBoard], bundle: Bundle) -> None:
    ports = [plug(name).port for name in "ab"]
    query = text_of(bundle, 5)
    done = bitwren("console", "-p", ports[0], "-p", ports[1], "-k", 1, stdin=query.encode())
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert replies == [{"port": port} | bundle.answer(query, 1) for port in ports]
    assert [next(iter(reply)) for reply in replies] == ["port", "port"]


def test_a_person(plug: Callable[[str], UnixBoard], terminal: Callable[..., Terminal], bundle: Bundle, tmp_path: Path) -> None:
    port = plug("board").port
    person = terminal("console", "--port", port)
    assert "40 documents, 64 bits, flat layout, searched by x64, encoder " in person.until("leaves")
    person.until("> ")
    person.type(text_of(bundle, 3) + "\r")
    assert "answer 3: “" in person.until(" ms on the board, ")
    person.until(" ms until it was here")
    person.until("> ")
    person.type(":k 1\r:json\r")
    person.until("answers are JSON")
    person.type(text_of(bundle, 4) + "\r")
    person.until("\n{")
    shown = json.loads("{" + person.until("}\r\n"))
    assert isinstance(shown.pop("ms"), int)
    assert shown == bundle.answer(text_of(bundle, 4), 1)
    person.type(":help\r")
    assert ":board N" in person.until("Ctrl-D do")
    person.type(":k 0\r")
    person.until("it is 1")
    person.type(":info\r")
    person.until('"native": "x64"')
    person.until("> ")
    person.type("half a question\x1d")
    assert person.ended() == 0
    history = (tmp_path / "state" / "bitwren" / "history").read_text().splitlines()
    assert history[0] == text_of(bundle, 3)
    assert ":quit" not in history

    again = terminal("console", "--port", port)
    again.until("> ")
    again.type("\x10" * 4 + "\r")  # four lines up: before :info, :k 0, :help
    assert '"answer"' not in again.until("answer 4: “")
    again.until("until it was here")
    again.until("> ")
    again.type("\x04")
    assert again.ended() == 0


def test_several_boards(plug: Callable[[str], UnixBoard], terminal: Callable[..., Terminal], bundle: Bundle) -> None:
    first, second = plug("a").port, plug("b").port
    person = terminal("console", "-p", first, "-p", second, "-k", "1")
    person.until(f"[2] {second}: 40 documents")
    person.type(text_of(bundle, 7) + "\r")
    person.until(f"[1] {first}")
    person.until("answer 7: “")
    person.until(f"[2] {second}")
    person.until("answer 7: “")
    person.type(":board 2\r" + text_of(bundle, 8) + "\r")
    assert f"[1] {first}" not in person.until("answer 8: “")
    person.type(":board 3\r")
    person.until(":board takes a number from 1 to 2, or all")
    person.until("> ")
    person.type("\x04")
    assert person.ended() == 0


def test_a_board_that_vanishes_and_comes_back(
    plug: Callable[[str], UnixBoard], terminal: Callable[..., Terminal], bundle: Bundle
) -> None:
    board = plug("board")
    person = terminal("console", "--port", board.port, "-k", "1")
    person.until("> ")
    board.unplug()
    person.type(text_of(bundle, 9) + "\r")
    person.until(f"{board.port} is gone: waiting for it")
    board.plug_in()
    person.until(f"{board.port} is back: asking again")
    person.until("answer 9: “")


def test_a_board_that_stays_away(plug: Callable[[str], UnixBoard], bundle: Bundle) -> None:
    board, said = plug("board"), []
    link = BoardOnPort(board.port, said.append, absence=0.5)
    assert link.answer(text_of(bundle, 3), 1)["hits"][0]["id"] == "d3"
    board.unplug()
    with pytest.raises(LinkError, match="is not there: is the board plugged in"):
        link.answer("abc", 1)
    assert said == [f"{board.port} is gone: waiting for it; Ctrl-C leaves"]


def test_misuse(tmp_path: Path) -> None:
    fails(bitwren("console"), "give a bundle's DIRECTORY, or boards by --port", code=2)
    fails(bitwren("console", tmp_path, "--port", "a0"), "give a bundle's DIRECTORY, or boards by --port", code=2)
