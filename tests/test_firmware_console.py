"""The MicroPython package: its console under CPython with a stand-in for the bundle, all of it in the unix port."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from board_bundle import CACHE, FIRMWARE, NATIVE, bundle_bytes, make_bundle, make_encoder, text_of, write_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from littlefs import LittleFS

from bitwren import table
from bitwren.bundle import Bundle

MICROPYTHON = CACHE / "micropython" / "unix" / "micropython"
needs_unix_port = pytest.mark.skipif(
    not (MICROPYTHON.is_file() and NATIVE["x64"].is_file()),
    reason="MicroPython's unix port or the x64 native module is not built: make unix natmods",
)


# --- The console and storage under CPython -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def package() -> Iterator[ModuleType]:
    """firmware/bitwren as `bitwren_board`, since the toolchain has its name here; with what CPython lacks."""
    spec = importlib.util.spec_from_file_location(
        "bitwren_board", FIRMWARE / "bitwren" / "__init__.py", submodule_search_locations=[str(FIRMWARE / "bitwren")]
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["bitwren_board"] = module
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "mem_alloc", lambda: 0, raising=False)
        patch.setattr(gc, "mem_free", lambda: 1 << 20, raising=False)
        patch.setattr(time, "ticks_ms", lambda: int(time.monotonic() * 1000), raising=False)
        patch.setattr(time, "ticks_diff", lambda late, early: late - early, raising=False)
        spec.loader.exec_module(module)
        importlib.import_module("bitwren_board.console")
        yield module
    for name in [name for name in sys.modules if name.partition(".")[0] == "bitwren_board"]:
        del sys.modules[name]  # else the next one's parts are this one's


class Sink:
    """Takes text and bytes, as MicroPython's sys.stdout does."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, what: str | bytes) -> None:
        self.data += what.encode() if isinstance(what, str) else bytes(what)


class StandIn:
    """Answers every query with itself, backwards."""

    notice = None
    effort = 100

    def __init__(self, package: ModuleType) -> None:
        self._package = package

    def search(self, text: bytes | memoryview, k: int | None = None, effort: int = 100, stages: str | None = None) -> Any:
        text = bytes(text)
        if not text.strip():
            raise self._package.Error(self._package.messages.EMPTY)
        answer = text[::-1].decode("utf-8", "replace")
        hits = self._package.Hits([self._package.Hit(7, "d1", answer, None, None)])
        hits.confident = b"?" not in text
        return hits

    def answer(self, query: str, k: int | None, effort: int | None, stages: str | None) -> dict[str, Any]:
        return {"query": query, "hits": [{"id": "d1", "distance": 7, "answer": query[::-1]}], "confident": True}

    def answer_code(self, code: str, k: int | None, effort: int | None) -> dict[str, Any]:
        return {"code": code, "hits": [{"id": "d1", "distance": 7, "answer": "of a code"}], "confident": True}

    def info(self) -> dict[str, Any]:
        storage = {"encoder": "mapped", "table": "file"}
        return {"name": "faq", "documents": 3, "bits": 64, "layout": "flat", "encoder": "tiny", "storage": storage}


def converse(package: ModuleType, typed: bytes, echo: bool = True) -> str:
    """What the console writes while something is typed; the banner is left out."""
    sink = Sink()
    sys.modules["bitwren_board.console"].Console(StandIn(package), BytesIO(typed), sink, echo).serve()
    banner, rest = sink.data.decode("utf-8", "replace").split("REPL.\n", 1)
    assert banner.startswith("bitwren: faq, 3 documents, 64 bits, encoder tiny; read from: encoder mapped, table file\n")
    return re.sub(r"\d+ ms", "0 ms", rest)


def test_person_sees_what_they_type_and_an_answer(package: ModuleType) -> None:
    assert converse(package, b"abc\r") == "> abc\n  1. cba  [distance 7, id d1]\n  0 ms\n> "


def test_doubt_is_marked(package: ModuleType) -> None:
    assert "0 ms; not confident: nothing is near enough" in converse(package, b"abc?\r")


@pytest.mark.parametrize(("end", "prompts"), [(b"\r", 3), (b"\n", 3), (b"\r\n", 3), (b"\r\r", 5)])
def test_line_ends_of_every_kind(package: ModuleType, end: bytes, prompts: int) -> None:
    said = converse(package, b"ab" + end + b"cd" + end)
    assert said.count("  1. ") == 2
    assert said.count("> ") == prompts


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (b"abx\x7f\r", "ba"),
        (b"abx\x08\r", "ba"),
        ("abé\x7f\r".encode(), "ba"),
        ("ab😀\x7f\r".encode(), "ba"),
        (b"\x7f\x7fab\r", "ba"),
        (b"a\x1b[Ab\r", "ba"),
        (b"a\x1b[1;5Db\r", "ba"),
        (b"a\x1bOPb\r", "ba"),
        (b"a\x00\x01\x02\x05b\r", "ba"),
    ],
)
def test_editing(package: ModuleType, typed: bytes, answer: str) -> None:
    assert f"  1. {answer}  [" in converse(package, typed)


def test_answer_of_several_lines_is_indented(package: ModuleType) -> None:
    sink = Sink()
    stand_in = StandIn(package)
    hits = package.Hits([package.Hit(1, "d", "one\r\n{two}", None, None)])
    stand_in.search = lambda text, k, effort, stages: hits  # type: ignore[method-assign]
    sys.modules["bitwren_board.console"].Console(stand_in, BytesIO(b"a\n"), sink, False).serve()
    assert "  1. one\n     {two}  [distance" in sink.data.decode()


def test_program_is_answered_on_a_line_of_its_own_without_echo(package: ModuleType) -> None:
    said = converse(package, b'{"query": "abc"}\n{"query": "de", "k": 1}\r\nxy\r')
    assert said == (
        '> \n{"query": "abc", "hits": [{"id": "d1", "distance": 7, "answer": "cba"}], "confident": true}\n'
        '{"query": "de", "hits": [{"id": "d1", "distance": 7, "answer": "ed"}], "confident": true}\n'
        "> xy\n  1. yx  [distance 7, id d1]\n  0 ms\n> "
    )


@pytest.mark.parametrize("end", [b"\x03", b"\x04", b"ab\x03", b"ab\x04", b'{"query"\x03', b'{"query"\x04', b""])
def test_end(package: ModuleType, end: bytes) -> None:
    assert "cba" in converse(package, b"abc\r" + end + (b"\rxyz\r" if end else b""))
    assert "zyx" not in converse(package, b"abc\r" + end + (b"\rxyz\r" if end else b""))


def test_last_line_without_an_end(package: ModuleType) -> None:
    assert "cba" in converse(package, b"abc")
    assert '"cba"' in converse(package, b'{"query": "abc"}')


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"{", "NOT_AN_OBJECT"),
        (b'{"query": "a"', "NOT_AN_OBJECT"),
        (b'{"query": "a}', "NOT_AN_OBJECT"),
        (b'{"query": "a"} x', "NOT_AN_OBJECT"),
        (b"{}", "NO_QUERY"),
        (b'{"query": 3}', "NO_QUERY"),
        (b'{"query": null}', "NO_QUERY"),
        (b'{"cmd": "reboot"}', "UNKNOWN_COMMAND"),
        (b'{"cmd": ["info"]}', "UNKNOWN_COMMAND"),
        (b'{"query": "\xff"}', "NOT_UTF8"),
    ],
)
def test_program_errors(package: ModuleType, line: bytes, error: str) -> None:
    said = converse(package, line + b"\n").splitlines()[1]
    assert json.loads(said) == {"query": None, "error": getattr(package.messages, error)}


def test_program_asks_by_code(package: ModuleType) -> None:
    said = converse(package, b'{"code": "00ff", "k": 1}\n').splitlines()[1]
    assert said == '{"code": "00ff", "hits": [{"id": "d1", "distance": 7, "answer": "of a code"}], "confident": true}'


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        (b'{"code": "00", "query": "a"}', "00", "QUERY_AND_CODE"),
        (b'{"code": null, "query": "a"}', None, "QUERY_AND_CODE"),
        (b'{"code": "00", "stages": "all"}', "00", "CODE_STAGES"),
        (b'{"code": [1], "stages": ["hamming"]}', None, "CODE_STAGES"),
    ],
)
def test_errors_of_a_code(package: ModuleType, line: bytes, code: str | None, error: str) -> None:
    said = converse(package, line + b"\n").splitlines()[1]
    assert json.loads(said) == {"code": code, "error": getattr(package.messages, error)}


@pytest.mark.parametrize("over", [1, 1000])
def test_line_too_long(package: ModuleType, over: int) -> None:
    limit = sys.modules["bitwren_board.console"].LINE
    sentence = package.messages.line_too_long(limit)
    frame = len(b'{"query": ""}')
    query = "a" * (limit - frame)
    assert json.loads(converse(package, json.dumps({"query": query}).encode() + b"\n").splitlines()[1])["query"] == query
    said = converse(package, json.dumps({"query": query + "a" * over}).encode() + b'\n{"query": "b"}\n').splitlines()
    assert json.loads(said[1]) == {"query": None, "error": sentence}
    assert json.loads(said[2])["query"] == "b"
    said = converse(package, b"a" * (limit + over) + b"\x7f\rbc\r", echo=False).splitlines()
    assert said[0] == f">   {sentence}"
    assert "cb" in said[1]


def test_what_goes_wrong_inside_is_one_line(package: ModuleType) -> None:
    sink = Sink()
    stand_in = StandIn(package)

    def fail(*_: object) -> None:
        raise OSError(5, "EIO")

    stand_in.answer = stand_in.search = fail  # type: ignore[method-assign,assignment]
    sys.modules["bitwren_board.console"].Console(stand_in, BytesIO(b'{"query": "a"}\nab\n'), sink, False).serve()
    lines = sink.data.decode().splitlines()
    assert json.loads(lines[-3])["error"].startswith("OSError: ")
    assert lines[-2].startswith("  OSError: ")


@pytest.mark.parametrize(
    "text", ["plain", "né 漢字", "😀𠀀", "\ud83d", "\ude00\ud83d", "a\ud83d\ud83d\ude00b", "\ud840\udc0b\ue000\uffff"]
)
def test_surrogates(package: ModuleType, text: str) -> None:
    found = sys.modules["bitwren_board.console"]._strict(text)
    assert found == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


LINES = st.one_of(
    st.binary(max_size=60).map(lambda line: b"{" + line),
    st.binary(max_size=60),
    st.dictionaries(st.sampled_from(["query", "code", "cmd", "k", "stages"]), st.one_of(st.text(), st.integers(), st.none())).map(
        lambda request: json.dumps(request).encode()
    ),
)


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(LINES, max_size=8), echo=st.booleans())
def test_every_program_line_gets_one_json_line(package: ModuleType, lines: list[bytes], echo: bool) -> None:
    lines = [re.sub(rb"[\x03\x04\r\n\x1b\x08\x7f]", b"", line) for line in lines]
    said = converse(package, b"".join(line + b"\n" for line in lines), echo)
    replies = [json.loads(line) for line in re.split(r"\r?\n", said) if line.startswith("{")]
    programs = [line for line in lines if re.sub(rb"^[\x00-\x08\x0b-\x1f]+", b"", line).startswith(b"{")]
    assert len(replies) == len(programs)


@pytest.mark.parametrize(
    ("cwd", "path", "found"),
    [("/", "faq", "faq"), ("/", "./faq/../b", "b"), ("/a", "b", "a/b"), ("/a", "/b/c", "b/c"), ("/", "../../x", "x")],
)
def test_absolute_path(package: ModuleType, monkeypatch: pytest.MonkeyPatch, cwd: str, path: str, found: str) -> None:
    storage = sys.modules["bitwren_board.storage"]
    monkeypatch.setattr(storage.os, "getcwd", lambda: cwd)
    assert storage.absolute(path) == found.encode()


@pytest.mark.parametrize("megabytes", [1, 2, 4, 8, 16, None])
def test_flash_is_found_by_its_first_bytes(package: ModuleType, megabytes: int | None) -> None:
    """As on MicroPython 1.23 and 1.24, where rp2.Flash does not tell its address."""
    size, first = 512 << 10, bytes(range(256)) * 2
    place = 0x10000000 + ((megabytes or 0) << 20) - size

    class Flash:
        def readblocks(self, block: int, buffer: bytearray, offset: int) -> None:
            buffer[:] = first

    class Uctypes:
        def addressof(self, flash: object) -> int:
            raise TypeError("object with buffer protocol required")

        def bytearray_at(self, address: int, length: int) -> bytearray:
            return bytearray(first if megabytes and address == place else bytes(length))

    storage = sys.modules["bitwren_board.storage"]
    assert storage.flash_address(Flash(), size, Uctypes()) == (place if megabytes else None)


# --- The whole package in MicroPython's unix port ------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return make_bundle()


@pytest.fixture
def board(tmp_path: Path, bundle: Bundle) -> Path:
    """A folder as a board's filesystem: the bundle as faq/, the native module in lib/."""
    write_bundle(bundle, tmp_path / "faq")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "bitwren_native.mpy").write_bytes(NATIVE["x64"].read_bytes())
    return tmp_path


def run(board: Path, script: str | None = None, typed: bytes = b"", heap: str = "2M") -> str:
    """Run main.py, or a script, in a board's folder; what it prints."""
    path = FIRMWARE / "main.py"
    if script is not None:
        path = board / "script.py"
        path.write_text(script)
    done = subprocess.run(
        [MICROPYTHON, "-X", f"heapsize={heap}", path],
        cwd=board,
        env={**os.environ, "MICROPYPATH": f"{board / 'lib'}:{FIRMWARE}"},
        input=typed,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert not done.stderr, done.stderr.decode()
    return done.stdout.decode()


def ask(board: Path, *requests: dict[str, Any], ascii_only: bool = True) -> list[Any]:
    """Answers of the console to JSON lines."""
    typed = "".join(json.dumps(request, ensure_ascii=ascii_only) + "\n" for request in requests)
    return [json.loads(line) for line in run(board, typed=typed.encode()).splitlines() if line.startswith("{")]


QUERIES = [
    "hello world",
    "Don't flash my ESP32!",
    "né Ünder 漢字 😀 𠀀𠀁",
    "Ａ１ ﬁ",
    "x" * 4096,
    '"' * 4095 + "a",
    "…a…",
    "\ud83d half",
    "q\tz\n",
]
BAD_QUERIES = ["", " \t\n ", "...", "😀", "é" * 2049, "a " * 2049]


@needs_unix_port
@pytest.mark.parametrize("ascii_only", [True, False])
def test_same_answers_as_the_host(board: Path, bundle: Bundle, ascii_only: bool) -> None:
    queries = [text_of(bundle, slot) for slot in range(0, 40, 3)] + QUERIES + BAD_QUERIES
    # What cannot be sent one way is sent the other: surrogates alone, and what takes 6 bytes for 2 when escaped.
    queries = [query for query in queries if (query != "é" * 2049 if ascii_only else query.isprintable())]
    asked = [{"query": query, "k": k} for query in queries for k in (1, 3, 40)]
    clean = [query.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for query in queries]
    expected = [bundle.answer(query, k) for query in clean for k in (1, 3, 40)]
    answers = ask(board, *asked, ascii_only=ascii_only)
    assert answers == expected
    assert [list(answer) for answer in answers] == [list(answer) for answer in expected], "the keys' order"


@needs_unix_port
@pytest.mark.parametrize("k", [0, -1, 41, 10**20])
def test_same_refusal_of_k_as_the_host(board: Path, bundle: Bundle, k: int) -> None:
    assert ask(board, {"query": "abc", "k": k}) == [bundle.answer("abc", k)]


@needs_unix_port
@pytest.mark.parametrize("k", ["3", 2.5, True, [1], 3.0])
def test_k_must_be_a_whole_number(board: Path, k: object) -> None:
    assert ask(board, {"query": "abc", "k": k}) == [{"query": "abc", "error": "k must be a whole number"}]


@needs_unix_port
def test_k_is_three_or_all(board: Path) -> None:
    assert len(ask(board, {"query": "abc"})[0]["hits"]) == 3
    assert len(ask(board, {"query": "abc", "k": None})[0]["hits"]) == 3
    write_bundle(make_bundle(documents=2), board / "faq")
    assert len(ask(board, {"query": "abc"})[0]["hits"]) == 2


@needs_unix_port
def test_deleted_documents_are_neither_found_nor_counted(board: Path, bundle: Bundle) -> None:
    old = bundle.table
    live = np.ones(40, dtype=bool)
    live[[0, 5, 31, 39]] = False
    fewer = Bundle(bundle.encoder, table.Table(old.codes, old.records, live, old.identity, old.threshold))
    write_bundle(fewer, board / "faq")
    asked = [{"query": text_of(bundle, 5), "k": k} for k in (1, 36, 37)]
    assert ask(board, *asked) == [fewer.answer(request["query"], request["k"]) for request in asked]
    assert ask(board, {"cmd": "info"})[0]["documents"] == 36


@needs_unix_port
@pytest.mark.parametrize("threshold", [None, 0, 64])
def test_confidence(board: Path, threshold: int | None) -> None:
    calibrated = make_bundle(threshold=threshold)
    write_bundle(calibrated, board / "faq")
    asked = [{"query": query, "k": 1} for query in ("something else", text_of(calibrated, 3))]
    assert ask(board, *asked) == [calibrated.answer(request["query"], 1) for request in asked]


@needs_unix_port
def test_codes_are_searched_as_the_host_does(board: Path, bundle: Bundle) -> None:
    codes = np.vstack([bundle.table.codes[[0, 7, 39]], np.random.default_rng(1).integers(0, 1 << 32, (5, 2), np.uint32)])
    digits = [code.astype("<u4").tobytes().hex() for code in codes]
    digits[1] = digits[1].upper()
    asked = [{"code": text, "k": k} for text in digits for k in (1, 40)]
    expected = [
        {"code": text, **bundle.reply(bundle.search_code(code, k))}
        for text, code in zip(digits, codes, strict=True)
        for k in (1, 40)
    ]
    answers = ask(board, *asked, {"code": digits[0], "stages": "hamming"}, {"code": digits[0], "effort": 50})
    assert answers[:-2] == expected
    assert [list(answer) for answer in answers[:-2]] == [list(answer) for answer in expected], "the keys' order"
    assert answers[-2] == {"code": digits[0], **bundle.reply(bundle.search_code(codes[0], 3))}
    assert answers[-1] == answers[-2] | {"exact": True}


@needs_unix_port
@pytest.mark.parametrize(
    "code", [None, 3, True, ["00"], {}, "", "0", "00" * 7, "00" * 9, "0" * 15, "zz" * 8, " 0" * 8, "é" * 8, "0" * 8000]
)
def test_what_is_no_code_is_refused(board: Path, code: object) -> None:
    sentence = 'a code of this table is 8 bytes: send {"code": "..."} with their 16 hexadecimal digits'
    told, info = ask(board, {"code": code}, {"cmd": "info"})
    assert told == {"code": code if isinstance(code, str) else None, "error": sentence}
    assert info["documents"] == 40


@needs_unix_port
@pytest.mark.parametrize(
    ("beside", "error"),
    [
        ({"k": 0}, "k must be at least 1"),
        ({"k": "1"}, "k must be a whole number"),
        ({"k": 41}, "k is 41 but the table holds 40 documents: ask for 1 to 40"),
        ({"effort": 0}, "effort must be a whole number from 1 to 100, percent of the table to read"),
    ],
)
def test_k_and_effort_of_a_code(board: Path, beside: dict[str, Any], error: str) -> None:
    assert ask(board, {"code": "00" * 8} | beside) == [{"code": "00" * 8, "error": error}]


@needs_unix_port
def test_info(board: Path) -> None:
    info = ask(board, {"cmd": "info"})[0]
    assert info.pop("ram") > 20_000
    assert info == {
        "name": "faq",
        "documents": 40,
        "bits": 64,
        "layout": "flat",
        "encoder": "random 1",
        "threshold": 20,
        "stages": "hamming",
        "storage": {"encoder": "ram", "table": "ram"},
        "native": "x64",
        "compiles": False,
    }


@needs_unix_port
def test_person(board: Path, bundle: Bundle) -> None:
    said = run(board, typed=f"{text_of(bundle, 4)}\n\n...\n".encode())
    assert said.startswith("bitwren: faq, 40 documents, 64 bits, encoder random 1; read from: encoder ram, table ram\n")
    assert f"1. {bundle.table.records[4].answer}  [distance 0, id d4]\n" in said
    assert "the query has no words, only punctuation: type a few words" in said
    assert said.endswith("\nbitwren: the console is closed. Again: import bitwren.console; bitwren.console.main()\n")


@needs_unix_port
def test_program_that_breaks_off_mid_line(board: Path) -> None:
    assert "not a JSON object" in run(board, typed=b'{"query": "abc"')


@needs_unix_port
@pytest.mark.parametrize("storage", ["ram", "file"])
@pytest.mark.parametrize("bits", [64, 256])
def test_every_storage_gives_the_same(board: Path, storage: str, bits: int) -> None:
    large = make_bundle(documents=300, encoder=make_encoder(bits=bits), store_text=True)
    write_bundle(large, board / "faq")
    queries = [text_of(large, slot) for slot in (0, 17, 299)]
    script = f"""
import bitwren
wren = bitwren.open("faq/", storage="{storage}")
assert list(wren.info()["storage"].values()) == ["{storage}", "{storage}"]
for query in {queries!r}:
    hits = wren.search(query, k=20)
    print([(hit.id, hit.distance, hit.text) for hit in hits])
"""
    for line, query in zip(run(board, script).splitlines(), queries, strict=True):
        hits = large.search(query, 20)
        assert eval(line) == [(hit.id, hit.distance, large.table.records[hit.slot].text) for hit in hits]


FAKE_FLASH = """
import sys, uctypes

class Flash(bytearray):
    def ioctl(self, command, argument):
        return {4: len(self) // 4096, 5: 4096}[command]

    def readblocks(self, block, buffer, offset=0):
        buffer[:] = self[4096 * block + offset:][:len(buffer)]

with open("flash.img", "rb") as file:
    flash = Flash(file.read())

class rp2:
    def Flash():
        return flash

sys.modules["rp2"] = rp2
import os
from bitwren import storage
# The path inside the image, which is not mounted here.
storage.absolute = lambda path: path.encode()
"""


@needs_unix_port
def test_files_in_mapped_littlefs_are_searched_in_place(board: Path, bundle: Bundle) -> None:
    filesystem = LittleFS(block_size=4096, block_count=64)
    filesystem.mkdir("/faq")
    for name, data in bundle_bytes(bundle).items():
        with filesystem.open(f"/faq/{name}", "wb") as file:
            file.write(data)
    (board / "flash.img").write_bytes(bytes(filesystem.context.buffer))
    query = text_of(bundle, 8)
    script = f"""{FAKE_FLASH}
import bitwren, json
wren = bitwren.open("faq")
print(json.dumps([wren.info()["storage"], wren.answer({query!r}, 5)]))
damage = flash.find(b"answer 7")
flash[damage] ^= 1
wren = bitwren.open("faq")
print(json.dumps([wren.info()["storage"], wren.answer({query!r}, 5)]))
flash[:4096] = bytes(4096)
flash[4096:8192] = bytes(4096)
wren = bitwren.open("faq")
print(json.dumps([wren.info()["storage"], wren.answer({query!r}, 5)]))
"""
    found = [json.loads(line) for line in run(board, script).splitlines()]
    assert [storage for storage, _ in found] == [
        {"encoder": "mapped", "table": "mapped"},
        {"encoder": "mapped", "table": "ram"},  # the mapped bytes are not those of the file
        {"encoder": "ram", "table": "ram"},  # no littlefs there at all
    ]
    assert [answer for _, answer in found] == [bundle.answer(query, 5)] * 3


def flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :]


@needs_unix_port
@pytest.mark.parametrize("storage", ["ram", "file"])
@pytest.mark.parametrize("name", ["encoder.bwe", "table.bwt"])
@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda data: flip(data, 1100), "is damaged: a checksum does not match; copy or build it again"),
        (lambda data: flip(data, 4100), "is damaged: a checksum does not match; copy or build it again"),
        (lambda data: flip(data, 0), "is not the kind of file its name says; copy or build it again"),
        (lambda data: data[:4] + b"\2" + data[5:], "has a format version that this bitwren does not know: update it"),
        (lambda data: data[:4096], "cannot be read, or ends early"),
        (lambda data: data[:-1], "cannot be read, or ends early"),
        (lambda data: data[:300], "cannot be read, or ends early"),
        (lambda data: b"", "cannot be read, or ends early"),
        (None, "is not there: copy the bundle again (bitwren deploy)"),
    ],
)
def test_damaged_file(board: Path, name: str, storage: str, damage: Any, sentence: str) -> None:
    path = board / "faq" / name
    if damage:
        path.write_bytes(damage(path.read_bytes()))
    else:
        path.unlink()
    said = run(
        board,
        f"import bitwren\ntry:\n    bitwren.open('faq', storage='{storage}')\nexcept bitwren.Error as e: print(e)",
    )
    assert said.startswith(f"faq/{name} {sentence}")


@needs_unix_port
def test_damaged_bundle_stops_the_console_with_a_sentence(board: Path) -> None:
    path = board / "faq" / "table.bwt"
    path.write_bytes(flip(path.read_bytes(), 4200))
    said = run(board, typed=b'{"query": "abc"}\n')
    assert said.startswith("bitwren: faq/table.bwt is damaged: a checksum does not match; copy or build it again\n")


@needs_unix_port
def test_no_bundle(board: Path) -> None:
    (board / "faq" / "table.bwt").unlink()
    assert run(board).startswith("bitwren: no bundle here: copy a directory with encoder.bwe and table.bwt")


@needs_unix_port
def test_table_of_another_encoder(board: Path) -> None:
    (board / "faq" / "encoder.bwe").write_bytes(bundle_bytes(make_bundle(encoder=make_encoder(2)))["encoder.bwe"])
    assert run(board).startswith(
        "bitwren: the table was made with another encoder: build the bundle again, or put back the encoder it was made with\n"
    )


@needs_unix_port
@pytest.mark.parametrize(
    ("header", "trouble"),
    [
        (None, "none is here"),
        (b"M\x06\x13\x1f", "lib/bitwren_native.mpy is for armv6m (.mpy version 6.3)"),
        (b"M\x05\x0b\x1f", "lib/bitwren_native.mpy is for x64 (.mpy version 5.3)"),
        (b"\0\0\0\0", "lib/bitwren_native.mpy is damaged"),
    ],
)
def test_native_module_missing_or_of_another_board(board: Path, bundle: Bundle, header: bytes | None, trouble: str) -> None:
    path = board / "lib" / "bitwren_native.mpy"
    if header:
        path.write_bytes(header + path.read_bytes()[4:])
    else:
        path.unlink()
    trouble = trouble.replace("lib/", f"{board}/lib/")
    wanted = f"this board needs bitwren_native_x64.mpy (.mpy version 6.3), and {trouble}: copy it to /lib (bitwren deploy does)"
    said = run(board, typed=b'{"query": "abc"}\n{"cmd": "info"}\n').splitlines()
    assert said[1:3] == [f"bitwren: slow, since viper does it; {wanted}", "Type a question. Ctrl-C gives the REPL."]
    answer, info = (json.loads(line) for line in said if line.startswith("{"))
    assert answer == bundle.answer("abc", 3)
    assert info["native"] == "viper"
    insist = "import bitwren\ntry:\n    bitwren.open('faq', engine='native')\nexcept bitwren.Error as e: print(e)"
    assert run(board, insist) == wanted + "\n"


@needs_unix_port
@pytest.mark.parametrize(
    ("storage", "sentence"),
    [
        ("mapped", 'faq/encoder.bwe cannot be mapped here: open it with storage="auto"'),
        ("flash", 'storage is "flash" but must be "auto", "mapped", "ram", "file" or "partition"'),
    ],
)
def test_storage_that_is_not_possible(board: Path, storage: str, sentence: str) -> None:
    said = run(board, f"import bitwren\ntry:\n    bitwren.open('faq', storage='{storage}')\nexcept ValueError as e: print(e)")
    assert said == sentence + "\n"


@needs_unix_port
def test_little_memory_means_streaming_and_a_sentence(board: Path) -> None:
    write_bundle(make_bundle(documents=4000), board / "faq")
    typed = b'{"cmd": "info"}\n{"query": "abc", "k": 4000}\n{"query": "abc"}\n'
    lines = [json.loads(line) for line in run(board, typed=typed, heap="220k").splitlines() if line.startswith("{")]
    assert lines[0]["storage"] == {"encoder": "ram", "table": "file"} or lines[0]["storage"]["encoder"] == "file"
    assert lines[1] == {
        "query": "abc",
        "error": "not enough memory for this: ask for fewer results, or restart the board",
    }
    assert len(lines[2]["hits"]) == 3


def test_protocol_document_quotes_the_sentences(package: ModuleType) -> None:
    document = (FIRMWARE.parent / "docs" / "protocol.md").read_text("utf-8")
    messages = package.messages
    elsewhere = (messages.OTHER_ENCODER, messages.NO_BUNDLE)
    sentences = [value for name, value in vars(messages).items() if name.isupper() and isinstance(value, str)]
    sentences += [
        messages.too_long(5000),
        messages.k_too_large(1000, 395),
        messages.no_stages("words"),
        messages.not_digits(64),
        messages.bad_file("bundle/table.bwt", -4),
    ]
    sentences += [messages.line_too_long(sys.modules["bitwren_board.console"].LINE)]
    assert [sentence for sentence in sentences if sentence not in elsewhere and f"`{sentence}`" not in document] == []


def test_an_answer_tells_its_time_where_it_is_asked_to(package: ModuleType) -> None:
    for asked, told in (("true", True), ("false", False), ("1", False), ("null", False)):
        answer = json.loads(converse(package, b'{"query": "abc", "time": ' + asked.encode() + b"}\n").splitlines()[1])
        assert ("ms" in answer) is told
        if told:
            assert list(answer) == ["query", "hits", "confident", "ms"]
            assert isinstance(answer["ms"], int)
