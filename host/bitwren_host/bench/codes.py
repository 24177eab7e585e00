"""The codes and queries that are searched: random ones, and those of real sentences, in the order that each layout has them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bitwren import ordering, residual
from bitwren.corpus import read_corpus, read_questions
from bitwren.encoder import EncoderFolder
from bitwren.errors import CorpusError
from bitwren.hamming import Codes
from bitwren.lower import lower

from ..board_files import cache_folder
from .sentences import encoded

SEED = 20240607


@dataclass(frozen=True)
class Workload:
    """Codes to search among and queries to search for.

    :ivar name: ``random``, ``sample``, ``clinc150``, ``sentences-in`` or ``sentences-out``.
    """

    name: str
    codes: Codes
    queries: Codes

    def laid_out(self, layout: str) -> Workload:
        """The same with like codes side by side for a residual table, as ``bitwren build`` puts them."""
        if layout == "flat":
            return self
        return replace(self, codes=self.codes[ordering.order(self.codes, residual.LANES)])


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


class SentenceSets:
    """65,536 sentences of public sets; asked are held-out sentences of the same sets, and questions from elsewhere."""

    def __init__(self, folder: Path, queries: int) -> None:
        """Encode them, or take what an earlier run kept.

        :param folder: with the folders sgd, wikisql, wiki-split and clinc150 (their origins are in models/base/recipe.toml).
        """
        missing = [name for name in ("sgd", "wikisql", "wiki-split", "clinc150") if not (folder / name).is_dir()]
        if missing:
            raise CorpusError(f"{folder} has no folder {missing[0]}: give one with sgd, wikisql, wiki-split and clinc150")
        encoder = EncoderFolder.find("base")
        bits = int(encoder.settings["bits"])
        kept = cache_folder() / "bench" / f"sentences-{lower(encoder, bits).identity.hex()}.npz"
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._found = encoded(folder, bits, cache=kept)
        except OSError as error:
            raise CorpusError(f"{error.filename} cannot be read: {error.strerror}") from error
        self._queries = queries

    def workloads(self, bits: int, count: int) -> Iterator[Workload]:
        """At most ``count`` documents, asked from inside and from outside."""
        words = bits // 32  # a narrower code is the beginning of a wider one
        for name, queries in (("sentences-in", self._found.inside), ("sentences-out", self._found.outside)):
            yield Workload(name, self._found.documents[:count, :words], queries[: self._queries, :words])
