"""Two bundles, or two ways to search one, by the same questions: whether one is better or it only looks so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .batch import NONE, Ranking
from .bundle import Bundle, Progress
from .corpus import Question
from .evaluate import Quality, answers
from .intervals import mcnemar
from .scoring import choose


@dataclass(frozen=True)
class Side:
    """What one of two answered.

    :ivar first: id of each question's best match, empty where there is none. :ivar right: whether it is the right one.
    """

    stages: str
    quality: Quality
    first: list[str]
    right: list[bool]


@dataclass(frozen=True)
class Comparison:
    """Both sides.

    :ivar p: McNemar's, that both are equally often right in the first place.
    :ivar only_a: numbers of the questions that A alone has right in the first place; only_b: that B alone has.
    """

    questions: Sequence[Question]
    a: Side
    b: Side
    p: float
    only_a: list[int]
    only_b: list[int]

    def difference(self) -> dict[str, float]:
        """Figures of B less those of A, where both have them."""
        pairs = zip(self.a.quality.figures().items(), self.b.quality.figures().values(), strict=True)
        return {name: other - value for (name, value), other in pairs if value is not None and other is not None}

    def json(self) -> dict[str, Any]:
        """The stable object of ``bitwren compare --json``."""
        sides = {name: {"stages": side.stages} | side.quality.json() for name, side in (("a", self.a), ("b", self.b))}
        only = {name: [self.row(index) for index in rows] for name, rows in (("only_a", self.only_a), ("only_b", self.only_b))}
        return {"questions": len(self.questions)} | sides | {"difference": self.difference(), "p": self.p} | only

    def row(self, index: int) -> dict[str, str]:
        """A question, what it should find, and the ids that A and B found."""
        question = self.questions[index]
        wanted = question.id or question.label
        return {"query": question.query, "wanted": wanted, "a": self.a.first[index], "b": self.b.first[index]}


def compare(
    a: Bundle,
    b: Bundle,
    questions: Sequence[Question],
    out_of_scope: Sequence[str] = (),
    stages: tuple[str | None, str | None] = (None, None),
    progress: Progress = lambda step, done, total: None,
) -> Comparison:
    """Ask both the same questions.

    :param stages: of A and of B; None: all that the table has.
    :raises CorpusError: when a question names an id or label that one of them does not hold.
    :raises QueryError: when all documents of one are deleted, or it lacks its stages.
    """
    left, right = (_ask(bundle, questions, out_of_scope, name, progress) for bundle, name in zip((a, b), stages, strict=True))
    only_a = [index for index, (of_a, of_b) in enumerate(zip(left.right, right.right, strict=True)) if of_a and not of_b]
    only_b = [index for index, (of_a, of_b) in enumerate(zip(left.right, right.right, strict=True)) if of_b and not of_a]
    return Comparison(questions, left, right, mcnemar(len(only_a), len(only_b)), only_a, only_b)


def _ask(
    bundle: Bundle, questions: Sequence[Question], out_of_scope: Sequence[str], name: str | None, progress: Progress
) -> Side:
    wanted, found, quality = answers(bundle, questions, out_of_scope, name, progress)
    right = (wanted.ranks(found) == 1).tolist()
    return Side(choose(bundle.table, name).name, quality, _ids(bundle, found), right)


def _ids(bundle: Bundle, found: Ranking) -> list[str]:
    return ["" if slot == NONE else bundle.table.records[slot].id for slot in np.asarray(found.slots[:, 0])]
