"""Thresholds of a confident match, set so that of the questions which nothing in a table answers a named share passes.

Nobody knows those questions when a table is built, so two estimates of the share that a threshold lets pass are averaged:

- *Strangers*: everyday questions that ship with bitwren. Some are about what the corpus is about; those as near to a document as
  few documents are to one that means something else are left out. The rest are farther from a special corpus than what its users
  will ask in vain, so by themselves they make too loose a threshold.
- *Documents*, each asked as a question of those that mean something else (have another label, or answer). They are nearer than a
  stranger: of odds that one passes, a tenth is taken (:data:`NEARER`). Without strangers this alone decides.

Questions that are known to be out of scope count for more than both. docs/quality.md says what this gives on real ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .batch import search
from .corpus import Document
from .scoring import ALL, Query, Stages, there
from .table import NO_SCORE, Record, Table

if TYPE_CHECKING:
    from .bundle import Bundle, Progress

FALSE_ACCEPT = 0.05
"""Share of the questions out of scope that may pass, unless another is named."""
NEARER = 10.0
"""A document's odds to pass as an answer to another one, by those of a question out of scope."""
ABOUT_IT = 0.95
"""A stranger nearer to a document than this share of the documents are to one of another meaning is about the corpus."""
FEW = 50
"""Questions out of scope whose own share counts as much as what the documents say."""
ASKED = 1000
"""Documents, and strangers, that are asked at most, evenly spread."""

Scores = NDArray[np.float64]
_NO_SCORES: Scores = np.zeros(0)


@dataclass(frozen=True)
class Strangers:
    """Questions that the corpus should not answer.

    :ivar known: whether they are known to be out of scope, rather than everyday questions some of which may be in it.
    """

    texts: Sequence[str] = ()
    known: bool = False


NOBODY = Strangers()


def calibrated(
    bundle: Bundle,
    documents: Sequence[Document],
    strangers: Strangers = NOBODY,
    false_accept: float = FALSE_ACCEPT,
    progress: Progress = lambda step, done, total: None,
) -> Bundle:
    """The bundle with thresholds for the distance and for all its stages, and a note of what they aim at.

    :param documents: by slot. :param false_accept: share of the questions out of scope that may pass, above 0 and below 1.
    """
    sample = spread(len(documents))
    asked = [strangers.texts[index] for index in spread(len(strangers.texts))]
    asked = [text for text in asked if bundle.encoder.tokens(text)]
    own = bundle.ask([documents[slot].text for slot in sample])
    found = _first(bundle.table, own, meanings(documents), sample, progress)
    away = _first(bundle.table, bundle.ask(asked), None, sample, progress)
    limits = {stages: loosest(found.get(stages, _NO_SCORES), away[stages], strangers.known, false_accept) for stages in away}
    return replace(bundle, table=_with(bundle.table, limits, false_accept, Strangers(asked, strangers.known)))


def by_codes(
    table: Table, documents: Sequence[Document], false_accept: float, progress: Progress = lambda step, done, total: None
) -> Table:
    """A table of codes alone, calibrated by its documents: their codes are what is asked."""
    sample = spread(len(documents))
    own = [Query(table.codes[slot]) for slot in sample]
    found = _first(replace(table, vectors=None, words=None), own, meanings(documents), sample, progress)
    limits = {stages: loosest(scores, _NO_SCORES, False, false_accept) for stages, scores in found.items()}
    return _with(table, limits, false_accept, NOBODY)


def meanings(documents: Sequence[Document] | Sequence[Record]) -> NDArray[np.int64]:
    """A number for what each document means, [N]: those with one label, or without labels one answer, mean the same.

    One without either is by itself.
    """
    names = [document.label or document.answer or document.id for document in documents]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)


def loosest(documents: Scores, strangers: Scores, known: bool, false_accept: float) -> int | None:
    """The least score that at most a share of the questions out of scope is estimated to reach; None without any scores.

    :param documents: best scores of documents with those of another meaning, [N]. :param strangers: of strangers, [M].
    :param known: whether these are known to be out of scope.
    """
    if len(documents) and not known:
        strangers = strangers[strangers <= np.quantile(documents, ABOUT_IT)]
    tried = np.unique(np.concatenate([documents, strangers]))
    if not len(tried):
        return None
    tried = np.append(tried, tried[-1] + 1)
    trust = len(strangers) / (len(strangers) + FEW) / (1 if known else 2) if len(documents) else 1.0
    passing = trust * _reaching(tried, strangers)
    if len(documents):
        share = _reaching(tried, documents)
        passing += (1 - trust) * share / (share + NEARER * (1 - share))
    return int(np.ceil(tried[np.argmax(passing <= false_accept)]))


def _reaching(tried: Scores, scores: Scores) -> Scores:
    """Share of the scores that reach each of those tried."""
    below = np.searchsorted(np.sort(scores), tried, side="left")
    return np.asarray((len(scores) - below) / max(len(scores), 1))


def _first(
    table: Table, queries: Sequence[Query], groups: NDArray[np.int64] | None, sample: NDArray[np.int64], progress: Progress
) -> dict[Stages, Scores]:
    """Best scores of queries, by all stages that the table has; with groups, of documents in another one than the query's own.

    :param sample: slots of the documents that the queries are.
    """
    table, stages = replace(table, effort=100), there(table)

    def told(step: str, done: int, total: int) -> None:
        progress("calibrate", done, total)

    if groups is None:
        found = search(table, queries, stages, 1, progress=told)
    elif len(np.unique(groups)) < 2:
        return {}
    else:
        found = search(table, queries, stages, 1, lambda rows: groups[sample[rows], None] != groups, told)
    return {each: ranking.first for each, ranking in zip(stages, found, strict=True)}


def _with(table: Table, limits: dict[Stages, int | None], false_accept: float, strangers: Strangers) -> Table:
    """The table with thresholds; a stage that has none is not calibrated."""
    far = limits.get(Stages(False, False))
    scores = [limits.get(each) for each in ALL if each.any]
    vectors, words, both = (NO_SCORE if score is None else score for score in scores)
    notes = table.notes
    if far is not None:
        note = {"false_accept": false_accept, "strangers": len(strangers.texts), "known": strangers.known}
        notes = notes | {"calibration": note}
    return replace(table, threshold=None if far is None else max(0, -far), score_thresholds=(vectors, words, both), notes=notes)


def spread(count: int) -> NDArray[np.int64]:
    """Numbers of those of so many that are asked, at most :data:`ASKED`, evenly spread."""
    return np.linspace(0, count - 1, min(count, ASKED)).astype(np.int64)
