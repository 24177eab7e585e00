"""How often the right answer comes first: recall@k, MRR@10, label accuracy and out-of-scope AUROC of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle, Progress
from .corpus import Question
from .errors import CorpusError
from .hamming import Codes, search
from .queries import check_k

DEPTH = 10


@dataclass(frozen=True)
class Quality:
    """Shares in 0 .. 1; None where the questions cannot tell.

    :ivar recall: by k (1, 5, 10), of questions with an id: the document is among the first k.
    :ivar mrr: mean of 1 / rank within the first ten, 0 beyond.
    :ivar accuracy: of questions with a label: the nearest document has it (1-NN).
    :ivar auroc: chance that a question in scope is nearer to its best match than one out of scope, ties counting half.
    :ivar confident: share of questions whose best match is within the table's threshold; confident_out: of those out of scope.
    """

    questions: int
    recall: dict[int, float] | None
    mrr: float | None
    accuracy: float | None
    auroc: float | None
    confident: float
    confident_out: float | None

    def json(self) -> dict[str, float | int | None]:
        """The stable object of ``bitwren evaluate --json``."""
        recall = self.recall or {}
        return {
            "questions": self.questions,
            **{f"recall@{k}": recall.get(k) for k in (1, 5, DEPTH)},
            "mrr@10": self.mrr,
            "accuracy": self.accuracy,
            "auroc_out_of_scope": self.auroc,
            "confident": self.confident,
            "confident_out_of_scope": self.confident_out,
        }


def evaluate(
    bundle: Bundle,
    questions: Sequence[Question],
    out_of_scope: Sequence[str] = (),
    progress: Progress = lambda step, done, total: None,
) -> Quality:
    """Search for every question with the reference and compare with what it should find.

    :raises CorpusError: when a question names an id or label that the table does not hold.
    :raises QueryError: when all of its documents are deleted.
    """
    records = bundle.table.records
    live = [record for record, exists in zip(records, bundle.table.live, strict=True) if exists]
    check_k(1, len(live))
    _check_names(questions, {record.id for record in live}, {record.label for record in live})
    codes = bundle.encoder.encode([question.query for question in questions])
    ranks: list[int] = []
    right: list[bool] = []
    nearest: list[int] = []
    for index, question in enumerate(questions):
        slots, distances = search(codes[index], bundle.table.codes, DEPTH, bundle.table.live)
        nearest.append(int(distances[0]))
        if question.id:
            found = [records[slot].id for slot in slots]
            ranks.append(found.index(question.id) + 1 if question.id in found else 0)
        if question.label:
            right.append(records[slots[0]].label == question.label)
        progress("evaluate", index + 1, len(questions))
    outside = _nearest(bundle, bundle.encoder.encode(out_of_scope))
    return Quality(
        questions=len(questions),
        recall={k: float(np.mean([1 <= rank <= k for rank in ranks])) for k in (1, 5, DEPTH)} if ranks else None,
        mrr=float(np.mean([1 / rank if rank else 0.0 for rank in ranks])) if ranks else None,
        accuracy=float(np.mean(right)) if right else None,
        auroc=auroc(np.array(nearest), outside) if len(outside) else None,
        confident=_within(bundle, np.array(nearest)),
        confident_out=_within(bundle, outside) if len(outside) else None,
    )


def auroc(inside: NDArray[np.int64], outside: NDArray[np.int64]) -> float:
    """Area under the ROC curve for telling inside (small distances) from outside, by counting pairs; ties count half."""
    less = np.searchsorted(np.sort(outside), inside, side="right")
    less_or_equal = np.searchsorted(np.sort(outside), inside, side="left")
    wins = len(outside) - (less + less_or_equal) / 2
    return float(wins.mean() / len(outside))


def _nearest(bundle: Bundle, codes: Codes) -> NDArray[np.int64]:
    return np.array([search(code, bundle.table.codes, 1, bundle.table.live)[1][0] for code in codes], dtype=np.int64)


def _within(bundle: Bundle, nearest: NDArray[np.int64]) -> float:
    threshold = bundle.table.threshold
    return 1.0 if threshold is None else float((nearest <= threshold).mean())


def _check_names(questions: Sequence[Question], ids: set[str], labels: set[str]) -> None:
    for question in questions:
        if question.id and question.id not in ids:
            raise CorpusError(f"question {question.query!r} names id {question.id!r}, which the table does not hold")
        if question.label and not question.id and question.label not in labels:
            raise CorpusError(f"question {question.query!r} names label {question.label!r}, which no document has")
