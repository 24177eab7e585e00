"""How often a corpus finds its own: documents that mean the same as another one, each asked as a question of the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .batch import search
from .bundle import Bundle, Progress
from .calibrate import meanings, spread
from .errors import BitwrenError
from .scoring import choose


def leave_one_out(bundle: Bundle, texts: Sequence[str], progress: Progress = lambda step, done, total: None) -> NDArray[np.bool_]:
    """Of the documents that are asked, whether the best of the others means the same: has the same label, or answer.

    Measured is what the table finds for a question that is like a document; nobody has to write questions for it. Too kind to a
    table whose documents were drawn together: the one that is asked has helped to draw the others.

    :param texts: of the documents, by slot.
    :raises BitwrenError: when no two documents mean the same.
    """
    groups = meanings(bundle.table.records)
    shared = np.flatnonzero(np.bincount(groups)[groups] > 1)
    if not len(shared):
        raise BitwrenError("no two documents share a label or an answer, so none can stand for a question: give --queries FILE")
    asked, slots = shared[spread(len(shared))], np.arange(len(groups))
    queries = bundle.ask([texts[slot] for slot in asked])
    stages = [choose(bundle.table, None)]
    (found,) = search(bundle.table, queries, stages, 1, lambda rows: asked[rows, None] != slots, progress)
    return np.asarray(groups[found.slots[:, 0]] == groups[asked])
