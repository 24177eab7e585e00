"""Training text from a folder of public data sets.

A recipe lists sources: which files, how to read them, how many texts to take. Each source gives short, unlabelled texts; the
teacher supplies what is to be learnt from them. Nothing here needs more than the standard library.
"""

from __future__ import annotations

import bz2
import json
import random
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import TrainingError
from .phrases import phrases
from .prose import sentences

MIN_CHARACTERS, MAX_CHARACTERS = 4, 400
"""Shorter texts say nothing; longer ones are not what anyone types at a microcontroller, and cost the teacher time."""


@dataclass(frozen=True)
class Source:
    """One data set of a recipe.

    :param name: shown in messages and in the model card.
    :param files: glob patterns relative to the data folder.
    :param reader: one of :data:`READERS`.
    :param first: the fraction of each file's texts, from its beginning, that may be used; the rest is for evaluation.
    :param limit: take at most this many distinct texts, drawn with the recipe's seed. 0 takes all.
    :param vocabulary_weight: what word counts are multiplied by for the vocabulary, where a few topics would crowd out the rest.
    :param options: passed to the reader.
    """

    name: str
    files: tuple[str, ...]
    reader: str
    first: float = 1.0
    limit: int = 0
    vocabulary_weight: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_recipe(cls, entry: Mapping[str, Any]) -> Source:
        """A source from one ``[[sources]]`` table of a recipe; unknown keys are the reader's options."""
        known = {"name", "files", "reader", "first", "limit", "vocabulary_weight", "licence", "origin"}
        missing = {"name", "files", "reader"} - set(entry)
        if missing:
            raise TrainingError(f"A source of the recipe lacks {', '.join(sorted(missing))}: add it under [[sources]].")
        if entry["reader"] not in READERS:
            raise TrainingError(f"Unknown reader {entry['reader']!r}: use one of {', '.join(sorted(READERS))}.")
        return cls(
            name=str(entry["name"]),
            files=tuple(str(pattern) for pattern in entry["files"]),
            reader=str(entry["reader"]),
            first=float(entry.get("first", 1.0)),
            limit=int(entry.get("limit", 0)),
            vocabulary_weight=float(entry.get("vocabulary_weight", 1.0)),
            options={key: value for key, value in entry.items() if key not in known},
        )


def read_sources(sources: Sequence[Source], data_dir: Path, seed: int) -> list[list[str]]:
    """Texts of each source, tidied, without duplicates within or across sources, in an order that only the seed decides."""
    seen: set[str] = set()
    found: list[list[str]] = []
    for source in sources:
        texts: list[str] = []
        for text in read_source(source, data_dir):
            key = re.sub(r"\W+", " ", text.lower()).strip()
            if key and key not in seen:
                seen.add(key)
                texts.append(text)
        random.Random(f"{seed}:{source.name}").shuffle(texts)
        found.append(texts[: source.limit] if source.limit else texts)
    return found


def read_source(source: Source, data_dir: Path) -> Iterator[str]:
    """Texts of one source in file order, tidied, those too short or too long left out."""
    paths = sorted({path for pattern in source.files for path in data_dir.glob(pattern)})
    if not paths:
        raise TrainingError(
            f"No file of source {source.name!r} in {data_dir}: fetch it from its origin (named in the recipe), "
            f"or remove the source. Looked for {', '.join(source.files)}."
        )
    for path in paths:
        texts = list(READERS[source.reader](path, source.options))
        for text in texts[: round(len(texts) * source.first)]:
            text = tidy(text)
            if MIN_CHARACTERS <= len(text) <= MAX_CHARACTERS:
                yield text


_BRACKETS = {"-lrb-": "(", "-rrb-": ")", "-lsb-": "[", "-rsb-": "]", "``": '"', "''": '"'}


def tidy(text: str) -> str:
    """Undo the marks of treebank tokenisation, so that the text looks like what people type.

    >>> tidy("where did levi 's stadium -lrb- the new one -rrb- open ?")
    "where did levi's stadium (the new one) open?"
    """
    text = re.sub(r"-[lr][rs]b-|``|''", lambda match: _BRACKETS[match.group().lower()], text, flags=re.IGNORECASE)
    text = re.sub(r" (n't|'s|'re|'ve|'ll|'d|'m)\b", r"\1", text)
    text = re.sub(r"\s+([.,;:!?)\]])", r"\1", text)
    text = re.sub(r"([(\[])\s+", r"\1", text)
    return " ".join(text.split())


def _lines(path: Path, options: Mapping[str, Any]) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from file


def _tsv(path: Path, options: Mapping[str, Any]) -> Iterator[str]:
    """Columns of tab-separated lines; ``split`` separates several texts in one column."""
    columns, split = options.get("columns", [0]), options.get("split")
    for line in _lines(path, options):
        cells = line.rstrip("\n").split("\t")
        for column in columns:
            if column < len(cells):
                yield from cells[column].split(split) if split else (cells[column],)


def _jsonl(path: Path, options: Mapping[str, Any]) -> Iterator[str]:
    for line in _lines(path, options):
        yield str(json.loads(line)[options["field"]])


def _text2sql(path: Path, options: Mapping[str, Any]) -> Iterator[str]:
    """Questions of the text2sql-data collection, as people wrote them (before values became variables)."""
    with bz2.open(path, "rt", encoding="utf-8") as file:
        for entry in json.load(file):
            for sentence in entry["sentences"]:
                yield str(sentence.get("original") or sentence["text"])


def _tldr(path: Path, options: Mapping[str, Any]) -> Iterator[str]:
    """Descriptions of tldr pages: the quoted summary lines and the bulleted uses, without the commands."""
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            file = archive.extractfile(member) if member.isfile() and member.name.endswith(".md") else None
            if file is None or "/" not in member.name:
                continue
            for line in file.read().decode("utf-8", "replace").splitlines():
                text = line[2:].strip()
                if line.startswith(("> ", "- ")) and not text.startswith(("More information", "See also", "Note:")):
                    yield text.rstrip(":").translate({ord(mark): None for mark in "`[]{}*"})


def _wordnet(path: Path, options: Mapping[str, Any]) -> Iterator[str]:
    """Glosses of WordNet's ``data.*`` files: ``lemma: definition`` and each quoted example by itself."""
    for line in _lines(path, options):
        if line.startswith("  ") or " | " not in line:
            continue  # the licence at the top
        head, gloss = line.split(" | ", 1)
        lemma = head.split(" ")[4].split("(")[0].replace("_", " ")
        definition = re.split(r';\s*"', gloss)[0].strip(' ;"\n')
        yield f"{lemma}: {definition}"
        yield from re.findall(r'"([^"]+)"', gloss)


def _debian(path: Path, options: Mapping[str, Any]) -> Iterator[str]:
    """Short descriptions in a Debian ``Packages`` file (``apt-cache dumpavail``)."""
    for line in _lines(path, options):
        if line.startswith("Description: "):
            yield re.sub(r"\s+[-–—]\s+(\w+ ){0,3}\w+$|\s*\([^)]*\)$", "", line[len("Description: ") :].strip())


def _prose(path: Path, options: Mapping[str, Any]) -> Iterator[str]:
    yield from sentences(path)


READERS: dict[str, Callable[[Path, Mapping[str, Any]], Iterable[str]]] = {
    "lines": _lines,
    "tsv": _tsv,
    "jsonl": _jsonl,
    "text2sql": _text2sql,
    "tldr": _tldr,
    "wordnet": _wordnet,
    "debian": _debian,
    "phrases": phrases,
    "prose": _prose,
}
