"""How often the right answer comes first: recall@k, MRR@10, label accuracy and out-of-scope AUROC, each with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .batch import NONE, Ranking, ask
from .bundle import Bundle, Progress
from .corpus import Question
from .errors import CorpusError
from .intervals import Interval, auroc, bootstrap, delong, wilson
from .queries import check_k
from .scoring import Stages, choose
from .table import NO_SCORE, Table

DEPTH = 10
KS = (1, 5, DEPTH)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Quality:
    """Shares in 0 .. 1; None where the questions cannot tell.

    :ivar recall: by k (1, 5, 10), of questions with an id: the document is among the first k.
    :ivar mrr: mean of 1 / rank within the first ten, 0 beyond.
    :ivar accuracy: of questions with a label: the nearest document has it (1-NN).
    :ivar auroc: chance that a question in scope is nearer to its best match than one out of scope, ties counting half.
    :ivar confident: share of questions whose best match is within the table's threshold, None where there can be none;
        confident_out: of those out of scope.
    :ivar intervals: 95 %, by the names that :meth:`json` has: Wilson's of shares, bootstrap of MRR, DeLong's of AUROC.
    """

    questions: int
    recall: dict[int, float] | None
    mrr: float | None
    accuracy: float | None
    auroc: float | None
    confident: float | None
    confident_out: float | None
    intervals: dict[str, Interval] = field(default_factory=dict)

    def figures(self) -> dict[str, float | None]:
        """The figures by their names in ``bitwren evaluate --json``."""
        recall = self.recall or {}
        return {
            **{f"recall@{k}": recall.get(k) for k in KS},
            "mrr@10": self.mrr,
            "accuracy": self.accuracy,
            "auroc_out_of_scope": self.auroc,
            "confident": self.confident,
            "confident_out_of_scope": self.confident_out,
        }

    def json(self) -> dict[str, object]:
        """The stable object of ``bitwren evaluate --json``."""
        return {"questions": self.questions, **self.figures(), "intervals": self.intervals}


class Wanted:
    """What questions should find, in numbers: of each slot and of each question those of its id and its label.

    :ivar has_id: bool [Q], questions that name a document; has_label: those that name a label.

    :raises CorpusError: when a question names an id or label that no live document has.
    :raises QueryError: when no document is live.
    """

    def __init__(self, table: Table, questions: Sequence[Question]) -> None:
        live = [record for record, exists in zip(table.records, table.live, strict=True) if exists]
        check_k(1, len(live))
        ids = {name: number for number, name in enumerate(dict.fromkeys(record.id for record in live))}
        labels = {name: number for number, name in enumerate(dict.fromkeys(record.label for record in live if record.label))}
        _check_names(questions, ids, labels)
        self.questions = questions
        self._slot_ids = _numbers((record.id for record in table.records), ids)
        self._slot_labels = _numbers((record.label for record in table.records), labels)
        self._ids = _numbers((question.id for question in questions), ids)
        self._labels = _numbers((question.label for question in questions), labels)
        self.has_id = np.array([bool(question.id) for question in questions], dtype=bool)
        self.has_label = np.array([bool(question.label) for question in questions], dtype=bool)

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Questions that say what is right, bool [Q]."""
        return np.asarray(self.has_id | self.has_label)

    def ranks(self, found: Ranking) -> Ints:
        """Rank of each question's right document, its id's or else the first with its label, int64 [Q]; 0: not found."""
        by_id = _rank(self._slot_ids, self._ids, found)
        return np.where(self.has_id, by_id, _rank(self._slot_labels, self._labels, found))

    def labelled(self, found: Ranking) -> NDArray[np.bool_]:
        """Whether the nearest document has the question's label, bool [Q]."""
        return np.asarray(_rank(self._slot_labels, self._labels, found) == 1)


def first_right(
    bundle: Bundle, questions: Sequence[Question], progress: Progress = lambda step, done, total: None
) -> NDArray[np.bool_]:
    """Of the questions that say what is right, whether the best match is: recall@1, or accuracy where only labels are given.

    :raises CorpusError: when a question names an id or label that the table does not hold.
    """
    wanted, found, _ = answers(bundle, questions, (), None, progress)
    return np.asarray((wanted.ranks(found) == 1)[wanted.judged])


def evaluate(
    bundle: Bundle,
    questions: Sequence[Question],
    out_of_scope: Sequence[str] = (),
    progress: Progress = lambda step, done, total: None,
    stages: str | None = None,
) -> Quality:
    """Search for every question with the reference and compare with what it should find.

    :param stages: one of :data:`bitwren.scoring.NAMES`; None: all that the table has.
    :raises CorpusError: when a question names an id or label that the table does not hold.
    :raises QueryError: when all of its documents are deleted, or the table lacks the stages.
    """
    return answers(bundle, questions, out_of_scope, stages, progress)[2]


def answers(
    bundle: Bundle, questions: Sequence[Question], out_of_scope: Sequence[str], stages: str | None, progress: Progress
) -> tuple[Wanted, Ranking, Quality]:
    """What :func:`evaluate` measures, with the questions' best documents."""
    wanted, chosen = Wanted(bundle.table, questions), choose(bundle.table, stages)
    queries = bundle.ask([*(question.query for question in questions), *out_of_scope])
    found, outside = ask(bundle, queries, [chosen], DEPTH, progress)[0].split(len(questions))
    return wanted, found, rate(wanted, found, outside if out_of_scope else None, least(bundle.table, chosen))


def rate(wanted: Wanted, found: Ranking, outside: Ranking | None, threshold: int | None) -> Quality:
    """The figures of a ranking of the questions, and of one of questions out of scope.

    :param threshold: least score of a confident match; None: the search has none.
    """
    count = len(wanted.questions)
    ranks, right = wanted.ranks(found)[wanted.has_id], wanted.labelled(found)[wanted.has_label]
    intervals: dict[str, Interval] = {}

    def share(name: str, hits: NDArray[np.bool_]) -> float | None:
        if not len(hits):
            return None
        intervals[name] = wilson(int(hits.sum()), len(hits))
        return float(hits.mean())

    recall = {k: share(f"recall@{k}", (ranks >= 1) & (ranks <= k)) for k in KS}
    reciprocal = np.where(ranks, 1 / np.maximum(ranks, 1), 0.0)
    if len(ranks):
        intervals["mrr@10"] = bootstrap(reciprocal)
    accuracy = share("accuracy", right)
    if outside is not None:
        intervals["auroc_out_of_scope"] = delong(found.first, outside.first)
    confident = None if threshold is None else share("confident", sure(found, threshold))
    return Quality(
        questions=count,
        recall={k: value for k, value in recall.items() if value is not None} or None,
        mrr=float(reciprocal.mean()) if len(ranks) else None,
        accuracy=accuracy,
        auroc=None if outside is None else auroc(found.first, outside.first),
        confident=confident,
        confident_out=None if threshold is None or outside is None else share("confident_out_of_scope", sure(outside, threshold)),
        intervals=intervals,
    )


def least(table: Table, stages: Stages) -> int:
    """The least score, or distance times -1, of a confident match."""
    if stages.any:
        return table.score_thresholds[stages.vectors + 2 * stages.words - 1]
    return NO_SCORE if table.threshold is None else -table.threshold


def sure(found: Ranking, threshold: int) -> NDArray[np.bool_]:
    """Whether each query's best match is confident, bool [Q]."""
    return np.asarray((found.slots[:, 0] != NONE) & (found.first >= threshold))


def _rank(of_slot: Ints, of_question: Ints, found: Ranking) -> Ints:
    there = (found.slots != NONE) & (of_question[:, None] != NONE)
    hits = there & (of_slot[found.slots] == of_question[:, None])
    return np.asarray(np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0), dtype=np.int64)


def _numbers(names: Iterable[str], known: dict[str, int]) -> Ints:
    return np.array([known.get(name, NONE) for name in names], dtype=np.int64)


def _check_names(questions: Sequence[Question], ids: dict[str, int], labels: dict[str, int]) -> None:
    for question in questions:
        if question.id and question.id not in ids:
            raise CorpusError(f"question {question.query!r} names id {question.id!r}, which the table does not hold")
        if question.label and not question.id and question.label not in labels:
            raise CorpusError(f"question {question.query!r} names label {question.label!r}, which no document has")
