"""Reading corpora and test questions: CSV, TSV or JSON Lines, with every mistake a sentence that names its line."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CorpusError

MAX_TEXT_BYTES = 16_384
"""Longest text of a document: a page. Past that one code cannot stand for it; split it."""
MAX_ID_BYTES = 255
MAX_ANSWER_BYTES = 16_384


@dataclass(frozen=True)
class Document:
    """One document: what is searched for (text), what is answered, and its names."""

    id: str
    text: str
    answer: str
    label: str


@dataclass(frozen=True)
class Question:
    """A test question with the document it should find, or the label of any right document."""

    query: str
    id: str
    label: str


def read_corpus(path: Path, columns: Sequence[str] = ("text",)) -> list[Document]:
    """Read a corpus: column ``text``; if there, ``id`` (else the row number from 0), ``answer`` (else text), ``label``.

    :param columns: of which one must be there, and the first that is must be filled in each row.
    :raises CorpusError: when the file cannot be read or any row cannot be used; nothing is skipped silently.
    """
    documents: list[Document] = []
    lines_of_ids: dict[str, int] = {}
    for line, row in _rows(path, columns):
        text = row.get("text", "").strip()
        identity = row.get("id", "").strip() or str(len(documents))
        document = Document(identity, text, row.get("answer", "").strip() or text, row.get("label", "").strip())
        check_document(f"{path}:{line}", document)
        if identity in lines_of_ids:
            raise CorpusError(
                f"{path}:{line}: id {identity!r} is already used in line {lines_of_ids[identity]}; ids must be unique"
            )
        lines_of_ids[identity] = line
        documents.append(document)
    if not documents:
        raise CorpusError(f"{path} holds no documents: it needs a header with a '{columns[0]}' column and at least one row")
    return documents


def alike(documents: Sequence[Document]) -> NDArray[np.int32]:
    """A number for what each document says, int32 [N]; -1: no other says the same.

    Alike are documents that give the same answer; of those that are their own answer, those with the same label. A label beside
    answers that differ is taken for a topic, which several answers may share.
    """
    names = [
        ("answer", document.answer) if document.answer != document.text else ("label", document.label) if document.label else None
        for document in documents
    ]
    counts = Counter(names)
    shared = [name for name, count in counts.items() if name is not None and count > 1]
    numbers = {name: number for number, name in enumerate(shared)}
    return np.array([numbers.get(name, -1) if name else -1 for name in names], dtype=np.int32)


def read_questions(path: Path) -> list[Question]:
    """Read test questions: column ``query`` and one of ``id`` and ``label``.

    :raises CorpusError: as :func:`read_corpus`.
    """
    questions = [
        Question(row["query"].strip(), row.get("id", "").strip(), row.get("label", "").strip())
        for _, row in _rows(path, ["query"])
    ]
    if not questions:
        raise CorpusError(f"{path} holds no questions: it needs a header with a 'query' column and at least one row")
    if not any(question.id or question.label for question in questions):
        raise CorpusError(f"{path} needs a column 'id' or 'label' that says which document is right")
    return questions


def read_lines(path: Path) -> list[str]:
    """Read texts, one a line; empty lines are none.

    :raises CorpusError: when the file cannot be read, or holds no text.
    """
    lines = [line for line in _read_text(path).splitlines() if line.strip()]
    if not lines:
        raise CorpusError(f"{path} holds no text: it needs one query a line")
    return lines


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number (of the row's first line) and cells by column. :param columns: as :func:`read_corpus`."""
    text = _read_text(path)
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        rows = _json_rows(path, text)
    else:
        rows = _csv_rows(path, text, "\t" if path.suffix.lower() in (".tsv", ".tab") else ",")
    for line, row in rows:
        required = next((name for name in columns if name in row), None)
        if required is None:
            wanted, there = "' or '".join(columns), ", ".join(row) or "none"
            raise CorpusError(f"{path}:{line}: there is no column '{wanted}' (columns: {there})")
        if not row[required].strip():
            raise CorpusError(f"{path}:{line}: '{required}' is empty; fill it in or remove the row")
        yield line, row


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path} cannot be read: {error.strerror}") from error
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        raise CorpusError(f"{path}:{line}: NUL bytes: this is not a text file, or it is UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise CorpusError(f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; save it as UTF-8") from error


def _csv_rows(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, dict[str, str]]]:
    # The csv module refuses cells over its limit with an error of its own; ours names the line and the remedy.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if not any(header):
            raise CorpusError(f"{path} is empty: it needs a header line that names its columns")
        if len(set(header)) != len(header):
            raise CorpusError(f"{path}:1: a column name appears twice: {', '.join(header)}")
        start = reader.line_num + 1
        for cells in reader:
            line, start = start, reader.line_num + 1
            if not cells:
                continue  # a blank line, which is not a row
            if len(cells) != len(header):
                raise CorpusError(
                    f"{path}:{line}: {len(cells)} cells, but the header names {len(header)} columns; "
                    "quote cells that hold the separator"
                )
            yield line, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise CorpusError(f"{path}:{reader.line_num}: not well-formed: {error}") from error


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, source in enumerate(text.split("\n"), 1):
        if not source.strip():
            continue
        try:
            row: Any = json.loads(source)
        except ValueError as error:
            raise CorpusError(f"{path}:{line}: not a JSON object on one line: {error}") from error
        if not isinstance(row, dict) or not all(isinstance(cell, str | int | float) for cell in row.values()):
            raise CorpusError(f"{path}:{line}: each line must be a JSON object of texts and numbers")
        yield line, {str(name).lower(): str(cell) for name, cell in row.items()}


def check_document(where: str, document: Document) -> None:
    """Refuse what a table cannot hold, or one code cannot stand for.

    :raises CorpusError: with where it was found.
    """
    for name, value, limit in (
        ("text", document.text, MAX_TEXT_BYTES),
        ("id", document.id, MAX_ID_BYTES),
        ("answer", document.answer, MAX_ANSWER_BYTES),
    ):
        size = len(value.encode("utf-8", "surrogatepass"))
        if size > limit:
            raise CorpusError(f"{where}: '{name}' has {size} bytes; at most {limit} are possible: split the row")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise CorpusError(f"{where}: '{name}' holds half a surrogate pair, which is not text") from error
