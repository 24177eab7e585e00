"""The same questions at each step from the teacher to what a board answers: what each step costs or gives.

Steps from the encoder's need the documents' texts, the teacher the packages of ``bitwren[train]``; a step that is left out says
why. ``lexical`` and ``tfidf`` find by words alone, for comparison.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import student
from .batch import Ranking, ask, by_cosine, by_row
from .bundle import Bundle, Progress
from .corpus import Document, Question
from .errors import CorpusError
from .evaluate import DEPTH, Quality, Wanted, least, rate
from .lexical import query_buckets
from .scoring import NAMES, Query, Stages, choose, there
from .text import words
from .typos import with_typo
from .vectors import ONE

STEPS = ("teacher", "student", "int8", "binary", "vectors", "words", "all", "lexical", "tfidf")
BOARD = dict(zip(("binary", "vectors", "words", "all"), NAMES, strict=True))
"""Of the steps that a board can answer by, the name of their stages."""

Embed = Callable[[Sequence[str]], NDArray[Any]]
"""A teacher: texts to vectors float [N, D]."""


@dataclass(frozen=True)
class Step:
    """One step's answers.

    :ivar threshold: least score of a confident match; None: the step has none.
    """

    found: Ranking
    outside: Ranking | None
    threshold: int | None


@dataclass(frozen=True)
class Walk:
    """What all steps answered.

    :ivar default: the step whose figures are the bundle's. :ivar left_out: why a step is missing, by its name.
    """

    wanted: Wanted
    out_of_scope: Sequence[str]
    default: str
    steps: dict[str, Step]
    left_out: dict[str, str]

    def quality(self, step: str) -> Quality:
        """A step's figures."""
        each = self.steps[step]
        return rate(self.wanted, each.found, each.outside, each.threshold)

    def right(self, step: str, k: int) -> NDArray[np.bool_]:
        """Whether a right document is among a step's first k, of the questions that say what is right."""
        ranks = self.wanted.ranks(self.steps[step].found)[self.wanted.judged]
        return np.asarray((ranks >= 1) & (ranks <= k))

    def json(self) -> dict[str, object]:
        """The stable object of ``bitwren evaluate --json``."""
        qualities = {name: self.quality(name) for name in self.steps}
        stages = {name: quality.figures() | {"intervals": quality.intervals} for name, quality in qualities.items()}
        return qualities[self.default].json() | {"step": self.default, "stages": stages, "left_out": self.left_out}


def walk(
    bundle: Bundle,
    questions: Sequence[Question],
    out_of_scope: Sequence[str] = (),
    texts: Sequence[str] | None = None,
    teacher: Embed | str = "which nobody asked for",
    stages: str | None = None,
    progress: Progress = lambda step, done, total: None,
) -> Walk:
    """Answer the questions at every step.

    :param texts: of the documents by slot, of deleted ones anything; None: not known. :param teacher: or why there is none.
    :param stages: whose step is the default; None: all that the table has.
    :raises CorpusError: when a question names an id or label that the table does not hold.
    :raises QueryError: when all documents are deleted, or the table lacks the stages.
    """
    wanted, chosen = Wanted(bundle.table, questions), choose(bundle.table, stages)
    asked = [question.query for question in questions] + list(out_of_scope)
    queries = bundle.ask(asked)
    rankings, thresholds = _board(bundle, queries, progress)
    left_out = {name: f"since the table was built without {_LACKS[name]}" for name in BOARD if name not in rankings}
    if bundle.table.words is None:
        left_out["lexical"] = left_out["words"]
    else:
        rankings["lexical"] = _lexical(bundle, asked, progress)
    if texts is None:
        left_out |= dict.fromkeys(("teacher", "student", "int8", "tfidf"), _NO_TEXTS)
    else:
        rankings |= _from_texts(bundle, asked, queries, texts, progress)
        if isinstance(teacher, str):
            left_out["teacher"] = teacher
        else:
            rankings["teacher"] = by_cosine(teacher(asked), teacher(texts), bundle.table.live, DEPTH)
    count = len(questions)
    steps = {}
    for name in STEPS:
        if name in rankings:
            inside, outside = rankings[name].split(count)
            steps[name] = Step(inside, outside if out_of_scope else None, thresholds.get(name))
    return Walk(wanted, out_of_scope, _step(chosen), steps, {name: left_out[name] for name in STEPS if name in left_out})


def with_typos(questions: Sequence[Question], seed: int) -> list[Question]:
    """The questions with a typo in each (:func:`bitwren.typos.with_typo`)."""
    return [Question(with_typo(question.query, seed), question.id, question.label) for question in questions]


def document_texts(bundle: Bundle, corpus: Sequence[Document] | None) -> list[str] | None:
    """Texts of the documents by slot: the corpus's where one is given, else the table's where it stores them, else None.

    :raises CorpusError: when the corpus lacks a live document.
    """
    table = bundle.table
    if corpus is None:
        stored = [record.text for record in table.records]
        return None if any(text is None for text in stored) else [text or "" for text in stored]
    by_id = {document.id: document.text for document in corpus}
    for record, live in zip(table.records, table.live, strict=True):
        if live and record.id not in by_id:
            raise CorpusError(f"the corpus lacks document {record.id!r} of the table: give the one that it was built from")
    return [by_id.get(record.id, "") for record in table.records]


_LACKS = {"vectors": "documents' vectors", "words": "words", "all": "vectors, words or both"}
_NO_TEXTS = "which needs the documents' texts: give the corpus (--corpus), or build with --store-text"


def _step(stages: Stages) -> str:
    return next(name for name, of_stages in BOARD.items() if of_stages == stages.name)


def _board(bundle: Bundle, queries: Sequence[Query], progress: Progress) -> tuple[dict[str, Ranking], dict[str, int]]:
    """The steps that a board answers by, and their thresholds."""
    table = bundle.table
    stages = there(table)
    found = dict(zip(map(_step, stages), ask(bundle, queries, stages, DEPTH, progress), strict=True))
    return found, {_step(each): least(table, each) for each in stages}


def _from_texts(
    bundle: Bundle, asked: Sequence[str], queries: Sequence[Query], texts: Sequence[str], progress: Progress
) -> dict[str, Ranking]:
    """Steps before the codes: embeddings about the table's centre, in floats and in int8; and words."""
    table, encoder = bundle.table, bundle.encoder
    centre = (encoder.origin if table.centre is None else table.centre).astype(np.float64)
    progress("student", 0, 1)
    floats = by_cosine(student.embed(encoder, asked) - centre, student.embed(encoder, texts) - centre, table.live, DEPTH)
    progress("int8", 0, 1)
    embeddings = np.array([query.embedding for query in queries])
    int8 = by_cosine(embeddings - centre, encoder.embed(texts) - centre, table.live, DEPTH)
    return {"student": floats, "int8": int8, "tfidf": tfidf(asked, texts, table.live)}


def _lexical(bundle: Bundle, asked: Sequence[str], progress: Progress) -> Ranking:
    """All documents by the word index alone, with the score that :func:`bitwren.scoring.join` adds, before its weight."""
    table = bundle.table
    index = table.words
    if index is None:
        raise ValueError("there is no word index")

    def row(number: int) -> NDArray[np.float64]:
        sums, total = index.scores(query_buckets(asked[number], index.hash_bits))
        padded = np.zeros(len(table.codes), dtype=np.int64)
        padded[: len(sums)] = sums
        progress("lexical", number + 1, len(asked))
        return np.asarray(padded * (ONE // 128) / max(total, 1))

    return by_row(row, len(asked), table.live, DEPTH)


def tfidf(asked: Sequence[str], texts: Sequence[str], live: NDArray[np.bool_], k: int = DEPTH) -> Ranking:
    """Cosines of words weighted by tf · (1 + ln((1 + N) / (1 + df))) (Salton & Buckley 1988), the usual baseline.

    A document without a word of the query is not found.
    """
    postings: dict[bytes, tuple[list[int], list[float]]] = {}
    lengths = np.zeros(len(texts))
    counts = [Counter(words(text)) for text in texts]
    seen = Counter(word for each in counts for word in each)
    rarity = {word: 1 + math.log((1 + len(texts)) / (1 + seen[word])) for word in seen}
    for slot, each in enumerate(counts):
        for word, times in each.items():
            slots, weights = postings.setdefault(word, ([], []))
            slots.append(slot)
            weights.append(times * rarity[word])
            lengths[slot] += (times * rarity[word]) ** 2
    packed = {word: (np.array(slots), np.array(weights)) for word, (slots, weights) in postings.items()}
    lengths = np.sqrt(np.maximum(lengths, 1e-12))

    def row(number: int) -> NDArray[np.float64]:
        sums, square = np.zeros(len(texts)), 0.0
        for word, times in Counter(words(asked[number])).items():
            weight = times * rarity.get(word, 1 + math.log(1 + len(texts)))
            square += weight * weight
            if word in packed:
                sums[packed[word][0]] += weight * packed[word][1]
        return np.asarray(sums / lengths / max(math.sqrt(square), 1e-12))

    return by_row(row, len(asked), live, k)
