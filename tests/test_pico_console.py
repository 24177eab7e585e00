"""The real package on an emulated Raspberry Pi Pico: genuine firmware, armv6m native module, files searched in place."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from board_bundle import CACHE, NATIVE, bundle_bytes, make_bundle, make_encoder, text_of

from bitwren import edit
from bitwren.bundle import Bundle
from bitwren.corpus import Document
from bitwren_host.board_files import firmware_files
from bitwren_host.emulator import EmulatedPico, pico_image
from bitwren_host.serial_link import PortLine

PICO_FIRMWARE = CACHE / "micropython" / "pico" / "firmware.uf2"
pytestmark = pytest.mark.skipif(
    not (PICO_FIRMWARE.is_file() and NATIVE["armv6m"].is_file()),
    reason="the Pico's firmware or the armv6m native module is not built: make pico-firmware natmods",
)

PATIENCE = 60.0  # seconds for one line: a simulated second can take half a minute on a busy machine
QUERIES = ["hello world", "né Ünder 漢字 😀 𠀀", "", "  ", "...", "x" * 4096, "a\tb\n", '"\\"']


class Board:
    """A running Pico, in its console or, after :meth:`interrupt`, in the REPL."""

    def __init__(self, port: str) -> None:
        self.port = port
        self.line = PortLine(port)
        self.in_console = True

    def restart(self) -> None:
        """Ctrl-D in the REPL starts main.py again."""
        self.interrupt()
        self.line.write(b"\x04")
        self.read_until("Type a question.")
        self.in_console = True

    def interrupt(self) -> None:
        """Leave the console by Ctrl-C."""
        if self.in_console:
            self.line.write(b"\x03")
            self.read_until("bitwren: the console is closed.")
            self.in_console = False

    def read_until(self, wanted: str) -> list[str]:
        """Lines, the last of which contains what is wanted."""
        lines = [""]
        while wanted not in lines[-1]:
            lines.append(self.line.readline(PATIENCE).decode())
        return lines[1:]

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a JSON line and read its answer; nothing else may begin with a brace."""
        self.line.write(json.dumps(request, ensure_ascii=False).encode() + b"\n")
        while True:
            line = self.line.readline(PATIENCE).decode()
            if line.startswith("{"):
                answer = json.loads(line)
                assert isinstance(answer, dict)
                return answer

    def execute(self, script: str) -> str:
        """Run a script by mpremote, as a user would; what it prints."""
        self.interrupt()
        self.line.close()
        command = [sys.executable, "-m", "mpremote", "connect", self.port, "resume", "exec", script]
        done = subprocess.run(command, capture_output=True, text=True, timeout=5 * PATIENCE, check=False)
        self.line = PortLine(self.port)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return make_bundle(documents=300, encoder=make_encoder(bits=128), threshold=40)


@pytest.fixture(scope="module")
def board(bundle: Bundle) -> Iterator[Board]:
    files = bundle_bytes(bundle)
    damaged = bytearray(files["table.bwt"])
    damaged[4200] ^= 1
    strange = bundle_bytes(make_bundle(encoder=make_encoder(2, bits=128)))
    bundles = {
        "bundle": files,
        "damaged": files | {"table.bwt": bytes(damaged)},
        "other": files | {"encoder.bwe": strange["encoder.bwe"]},
    }
    contents = {f"{folder}/{name}": data for folder, pair in bundles.items() for name, data in pair.items()}
    image = pico_image(firmware_files("armv6m") | contents)
    with EmulatedPico(PICO_FIRMWARE, image, boot_timeout=PATIENCE) as pico:
        board = Board(pico.port)
        try:
            yield board
        finally:
            board.line.close()


@pytest.fixture
def console(board: Board) -> Board:
    if not board.in_console:
        board.restart()
    return board


def test_files_are_read_in_place(console: Board, bundle: Bundle) -> None:
    info = console.ask({"cmd": "info"})
    assert info.pop("ram") < 32_000
    assert info == {
        "name": "bundle",
        "documents": 300,
        "bits": 128,
        "layout": "flat",
        "encoder": "random 1",
        "threshold": 40,
        "stages": "hamming",
        "storage": {"encoder": "mapped", "table": "mapped"},
        "native": "armv6m",
        "compiles": False,
    }


def test_same_answers_as_the_host(console: Board, bundle: Bundle) -> None:
    for query in [*(text_of(bundle, slot) for slot in (0, 150, 299)), *QUERIES]:
        assert console.ask({"query": query, "k": 5}) == bundle.answer(query, 5)
    for k in (0, 1, 300, 301):
        assert console.ask({"query": "abc", "k": k}) == bundle.answer("abc", k)


def test_lines_sent_at_once_are_answered_in_turn(console: Board, bundle: Bundle) -> None:
    queries = [text_of(bundle, slot) for slot in range(20)]
    console.line.write("".join(json.dumps({"query": query, "k": 1}) + "\r\n" for query in queries).encode())
    for slot, query in enumerate(queries):
        line = console.read_until('{"query"')[-1]
        assert json.loads(line) == bundle.answer(query, 1)
        assert json.loads(line)["hits"][0]["id"] == f"d{slot}"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b'{"query": "abc"', "not a JSON object"),
        (b'{"query": "\xff"}', "not UTF-8"),
        (b'{"query": "' + b"a" * 9000 + b'"}', "longer than"),
        (b'{"query": 1}', "no text under"),
    ],
)
def test_line_that_cannot_be_used(console: Board, line: bytes, error: str) -> None:
    console.line.write(line + b"\n")
    answer = json.loads(console.read_until('{"query"')[-1])
    assert answer["query"] is None
    assert error in answer["error"]


def test_person(console: Board, bundle: Bundle) -> None:
    text = text_of(bundle, 7)
    console.line.write(f"xy\x7f\x7f{text}\r".encode())
    said = console.read_until(" ms")
    assert said[-5] == f"> xy\b \b\b \b{text}"
    assert said[-4] == f"  1. {bundle.table.records[7].answer}  [distance 0, id d7]"
    console.line.write(b"...\r")
    assert console.read_until("no words")[-1] == "  the query has no words, only punctuation: type a few words"


def test_ctrl_c_gives_the_repl_and_mpremote_works(board: Board) -> None:
    board.interrupt()
    assert ast.literal_eval(board.execute("import os; print(os.listdir())")) == ["bundle", "damaged", "lib", "main.py", "other"]


def test_every_storage_gives_the_same(board: Board, bundle: Bundle) -> None:
    queries = [text_of(bundle, 33), "hello world"]
    script = f"""
import bitwren, json
for storage in ("mapped", "ram", "file"):
    wren = bitwren.open("/bundle", storage=storage)
    print(json.dumps([list(wren.info()["storage"].values()), [wren.answer(query, 4) for query in {queries!r}]]))
"""
    lines = [json.loads(line) for line in board.execute(script).splitlines()]
    assert [line[0] for line in lines] == [[storage] * 2 for storage in ("mapped", "ram", "file")]
    assert [line[1] for line in lines] == [[bundle.answer(query, 4) for query in queries]] * 3


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("damaged", "damaged/table.bwt is damaged: a checksum does not match; copy or build it again"),
        ("other", "the table was made with another encoder: build the bundle again, or put back the encoder it was made with"),
        ("nowhere", "nowhere/encoder.bwe is not there: copy the bundle again (bitwren deploy)"),
    ],
)
def test_bundle_that_cannot_be_opened(board: Board, folder: str, sentence: str) -> None:
    script = f"import bitwren\ntry:\n    bitwren.open('{folder}')\nexcept bitwren.Error as error:\n    print(error)"
    assert board.execute(script).strip() == sentence


def test_flash_is_found_without_being_told(board: Board) -> None:
    """MicroPython before 1.25 does not tell where the filesystem is; the comparison must find the same place."""
    script = """
import rp2, uctypes
from bitwren.storage import flash_address

class Untold:
    readblocks = rp2.Flash().readblocks

print(flash_address(Untold, 1408 * 1024, uctypes) == flash_address(rp2.Flash(), 1408 * 1024, uctypes))
"""
    assert board.execute(script).strip() == "True"


def test_files_changed_on_the_board_are_found_again(board: Board, bundle: Bundle) -> None:
    """The board's own littlefs writes its blocks in an order of its own, and other files come and go."""
    query = text_of(bundle, 12)
    script = f"""
import bitwren, json, os
for turn in range(3):
    os.mkdir("copy%d" % turn)
    for name in ("encoder.bwe", "table.bwt"):
        with open("bundle/" + name, "rb") as old, open("copy%d/%s" % (turn, name), "wb") as new:
            while part := old.read(1000):
                new.write(part)
    if turn:
        for name in ("encoder.bwe", "table.bwt"):
            os.remove("copy%d/%s" % (turn - 1, name))
        os.rename("copy%d" % turn, "copied%d" % turn)
        wren = bitwren.open("copied%d" % turn)
        print(json.dumps([list(wren.info()["storage"].values()), wren.answer({query!r}, 2)]))
        os.rename("copied%d" % turn, "copy%d" % turn)
"""
    lines = [json.loads(line) for line in board.execute(script).splitlines()]
    assert lines == [[["mapped", "mapped"], bundle.answer(query, 2)]] * 2


def test_append_and_delete(board: Board, bundle: Bundle) -> None:
    board.restart()
    ids = [record.id for record in bundle.table.records]
    new = Document("new", "a nice new thing", "How nice.", "")
    deleted = [ids[7], ids[299], ids[31]]
    changed = edit.delete(edit.append(bundle, [new]), deleted)
    assert board.ask({"cmd": "append", "text": new.text, "answer": new.answer, "id": new.id}) == {"id": "new", "documents": 301}
    for count, name in enumerate(deleted):
        assert board.ask({"cmd": "delete", "id": name}) == {"deleted": 1, "documents": 300 - count}
    for query in (new.text, text_of(bundle, 7), text_of(bundle, 8)):
        assert board.ask({"query": query, "k": 6}) == changed.answer(query, 6)
    board.restart()
    assert board.ask({"query": new.text, "k": 6}) == bundle.answer(new.text, 6)


def test_console_starts_again(board: Board, bundle: Bundle) -> None:
    board.restart()
    assert board.ask({"query": "abc", "k": 2}) == bundle.answer("abc", 2)
