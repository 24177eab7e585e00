"""Corpora: three formats, and every mistake a sentence with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitwren.corpus import Document, read_corpus, read_questions
from bitwren.errors import CorpusError


def write(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_formats(tmp_path: Path) -> None:
    expected = [Document("a", "hello, world", "hi", ""), Document("1", 'say "x"\nagain', 'say "x"\nagain', "")]
    csv = write(tmp_path, "c.csv", 'ID, Text ,answer\na,"hello, world",hi\n\n,"say ""x""\nagain",\n')
    tsv = write(tmp_path, "c.tsv", '\ufeffid\ttext\tanswer\r\na\thello, world\thi\r\n\t"say ""x""\nagain"\t\r\n')
    lines = write(tmp_path, "c.jsonl", '{"id":"a","text":"hello, world","answer":"hi"}\n\n{"text":"say \\"x\\"\\nagain"}\n')
    assert read_corpus(csv) == read_corpus(tsv) == read_corpus(lines) == expected


def test_json_numbers_and_labels(tmp_path: Path) -> None:
    path = write(tmp_path, "c.jsonl", '{"id": 7, "text": "x", "label": "l"}')
    assert read_corpus(path) == [Document("7", "x", "x", "l")]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("c.csv", b"", "is empty: it needs a header"),
        ("c.csv", b"text\n", "holds no documents"),
        ("c.csv", b"id,question\n1,x\n", r"c\.csv:2: there is no column 'text' \(columns: id, question\)"),
        ("c.csv", b"text\nx\n   \ny\n", r"c\.csv:3: 'text' is empty"),
        ("c.csv", b"id,text\n1,\n", r"c\.csv:2: 'text' is empty"),
        ("c.csv", b"text\n" + b"x" * 100_000 + b"\n", r"c\.csv:2: 'text' has 100000 bytes; at most 16384"),
        ("c.csv", b"text,answer\nx," + b"y" * 300_000 + b"\n", r"c\.csv:2: 'answer' has 300000 bytes"),
        ("c.csv", b"text\nok\nbad \xff byte\n", r"c\.csv:3: byte 0xff is not UTF-8"),
        ("c.csv", b"text\nok\nno\x00no\n", r"c\.csv:3: NUL bytes"),
        ("c.csv", "text\nhello\n".encode("utf-16"), "NUL bytes|not UTF-8"),
        ("c.csv", b"id,text\na,x\nb,y\na,z\n", r"c\.csv:4: id 'a' is already used in line 2"),
        ("c.csv", b"id,text\na,x,extra\n", r"c\.csv:2: 3 cells, but the header names 2"),
        ("c.csv", b'text\n"never closed\n', "not well-formed"),
        ("c.csv", b"text,text\na,b\n", "appears twice"),
        ("c.jsonl", b'{"text": "x"}\n{"text": \n', r"c\.jsonl:2: not a JSON object"),
        ("c.jsonl", b'["text"]\n', r"c\.jsonl:1: each line must be a JSON object"),
        ("c.jsonl", b'{"text": null}\n', r"c\.jsonl:1: each line must be"),
        ("c.jsonl", b'{"text": "\\ud800"}\n', "half a surrogate pair"),
    ],
)
def test_mistakes(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_corpus(write(tmp_path, name, data))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="No such file"):
        read_corpus(tmp_path / "nothing.csv")
    with pytest.raises(CorpusError, match="cannot be read"):
        read_corpus(tmp_path)


def test_questions(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="'id' or 'label'"):
        read_questions(write(tmp_path, "q.csv", "query\nhello\n"))
    with pytest.raises(CorpusError, match="no column 'query'"):
        read_questions(write(tmp_path, "q.csv", "text,id\nhello,1\n"))
    assert len(read_questions(write(tmp_path, "q.csv", "query,label\nhello,x\n"))) == 1


def test_sample_corpus_is_sound() -> None:
    folder = Path(__file__).parents[1] / "examples" / "board-help"
    documents = read_corpus(folder / "corpus.csv")
    questions = read_questions(folder / "questions.csv")
    assert len(documents) >= 300
    assert len(questions) >= 200
    assert {question.id for question in questions} <= {document.id for document in documents}
    assert not {question.query for question in questions} & {document.text for document in documents}
