"""The codes and queries that are searched: random ones, and those of real sentences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bitwren.corpus import read_corpus, read_questions
from bitwren.encoder import EncoderFolder
from bitwren.errors import CorpusError
from bitwren.hamming import Codes
from bitwren.lower import lower

SEED = 20240607


@dataclass(frozen=True)
class Workload:
    """Codes to search among and queries to search for.

    :ivar name: ``random``, ``sample`` or ``clinc150``.
    """

    name: str
    codes: Codes
    queries: Codes


def random_codes(count: int, bits: int, queries: int) -> Workload:
    """Every bit by the toss of a coin: the worst case, since nothing is near."""
    random = np.random.default_rng(SEED + bits)
    words = random.integers(0, 1 << 32, (count + queries, bits // 32), dtype=np.uint64).astype(np.uint32)
    return Workload("random", words[:count], words[count:])


class Sentences:
    """Texts to search among and texts to search for, encoded at any width."""

    def __init__(self, name: str, documents: Sequence[str], questions: Sequence[str], queries: int) -> None:
        self.name = name
        self._documents = list(documents)
        self._questions = list(questions)[:: max(1, len(questions) // queries)][:queries]
        self._folder = EncoderFolder.find("base")
        self._codes: Codes | None = None

    def codes(self, bits: int, count: int) -> Workload:
        """At most ``count`` documents, in random order (a table need not be ordered), at a width."""
        if self._codes is None:  # a narrower code is the beginning of a wider one
            encoder = lower(self._folder, int(self._folder.settings["bits"]))
            self._codes = encoder.encode([*self._questions, *self._documents])
        codes = self._codes[:, : bits // 32]
        split = len(self._questions)
        order = np.random.default_rng(SEED).permutation(len(self._documents))[:count]
        return Workload(self.name, codes[split:][order], codes[:split])


def sample_sentences(folder: Path, queries: int) -> Sentences:
    """The sample corpus and its questions."""
    documents = [document.text for document in read_corpus(folder / "corpus.csv")]
    return Sentences("sample", documents, [question.query for question in read_questions(folder / "questions.csv")], queries)


def clinc150_sentences(folder: Path, queries: int) -> Sentences:
    """CLINC150 (Larson et al. 2019): its training sentences are searched among, its test sentences searched for.

    :param folder: with ``data_full.json``, in itself or in ``data/``.
    """
    for path in (folder / "data_full.json", folder / "data" / "data_full.json"):
        if path.is_file():
            data = json.loads(path.read_text("utf-8"))
            return Sentences("clinc150", [row[0] for row in data["train"]], [row[0] for row in data["test"]], queries)
    raise CorpusError(f"{folder} has no data_full.json: give a folder with CLINC150")
