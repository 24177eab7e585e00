"""Where encoders stand beside their teacher: what a chip would answer on the development sets, as a share of the teacher's.

``python -m bitwren.train.standing models/base --labels corpus.csv queries.csv --strangers out-of-scope.txt --pairs src tgt``
builds tables as ``bitwren build`` does, searches them as a chip does, and prints what each stage finds. Several encoders, say of
several seeds, give the mean and the range as well. ``--typo`` also asks with one typo in each query.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import batch, bundle
from ..compiler import unit
from ..corpus import Document
from ..encoder import EncoderFolder
from ..errors import BitwrenError
from ..intervals import auroc
from ..scoring import NAMES, Stages
from ..typos import with_typo
from .measure import read_pairs
from .teacher import Teacher, cache_folder

DEPTH = 10
STAGES = [Stages(bool(number & 1), bool(number & 2)) for number in range(len(NAMES))]


@dataclass(frozen=True)
class Set:
    """A development set: documents, and questions with the numbers of all documents that are right."""

    name: str
    documents: Sequence[Document]
    questions: Sequence[str]
    right: Sequence[NDArray[np.int64]]
    strangers: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Found:
    """R@1, R@10, and AUROC for telling strangers, in percent; None without strangers."""

    first: float
    tenth: float
    apart: float | None


def by_labels(corpus: Path, queries: Path, strangers: Path | None) -> Set:
    """Right is what has the query's label."""
    rows, asked = _rows(corpus), _rows(queries)
    documents = [Document(str(index), row["text"], row["text"], row["label"]) for index, row in enumerate(rows)]
    labels = np.array([row["label"] for row in rows])
    outside = [line for line in strangers.read_text("utf-8").splitlines() if line.strip()] if strangers else []
    return Set(
        corpus.parent.name,
        documents,
        [row["query"] for row in asked],
        [np.flatnonzero(labels == row["label"]) for row in asked],
        outside,
    )


def by_pairs(sentences: Path, questions: Path, first: float) -> Set:
    """Right is the sentence that a question was asked about, among 2,000 (:func:`.measure.read_pairs`)."""
    texts, asked, wanted = read_pairs(sentences, questions, first, 2000)
    documents = [Document(str(index), text, str(index), "") for index, text in enumerate(texts)]
    return Set(sentences.name, documents, asked, [np.array([index]) for index in wanted])


def of_teacher(tried: Set, teacher: Teacher) -> Found:
    """What the teacher's own embeddings find, by cosine."""
    documents = unit(teacher.embed([document.text for document in tried.documents], "documents"))
    near = (unit(teacher.embed(tried.questions, "questions")) @ documents.T).astype(np.float64)
    slots = np.argsort(-near, axis=1, kind="stable")[:, :DEPTH]
    far = (unit(teacher.embed(tried.strangers, "strangers")) @ documents.T).astype(np.float64) if tried.strangers else None
    return _found(tried, slots, near.max(axis=1), None if far is None else far.max(axis=1))


def of_tables(
    tried: Set, folder: EncoderFolder, bits: int, scoring: bundle.Scoring, teacher: Teacher | None, typo: int | None = None
) -> dict[str, Found]:
    """What a table finds by each of its stages.

    :param typo: seed of the typo that goes into each question; None: they stay as they are.
    """
    made = bundle.build(tried.documents, folder, bits, layout="flat", scoring=scoring, teacher=teacher)
    questions = tried.questions if typo is None else [with_typo(each, typo + index) for index, each in enumerate(tried.questions)]
    answers = batch.ask(made, made.ask(questions), STAGES, DEPTH, _quiet)
    away = batch.ask(made, made.ask(tried.strangers), STAGES, 1, _quiet) if tried.strangers else [None] * len(STAGES)
    return {
        stages.name: _found(tried, answer.slots, answer.first, None if stranger is None else stranger.first)
        for stages, answer, stranger in zip(STAGES, answers, away, strict=True)
    }


def _found(tried: Set, slots: NDArray[np.int64], near: NDArray[np.float64], far: NDArray[np.float64] | None) -> Found:
    hits = [np.isin(row, right) for row, right in zip(slots, tried.right, strict=True)]
    apart = None if far is None else 100 * auroc(near, far)
    return Found(100 * float(np.mean([row[0] for row in hits])), 100 * float(np.mean([row.any() for row in hits])), apart)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _quiet(step: str, done: int, total: int) -> None:
    pass


def lines(name: str, runs: Sequence[Found], best: Found) -> str:
    """One line: mean and range over runs, and the mean as a share of the teacher's."""
    parts = []
    for title, values, whole in (
        ("R@1", [run.first for run in runs], best.first),
        ("R@10", [run.tenth for run in runs], best.tenth),
        ("AUROC", [run.apart for run in runs if run.apart is not None], best.apart),
    ):
        if whole and values:
            mean = float(np.mean(values))
            spread = f" ({min(values):.1f}-{max(values):.1f})" if len(values) > 1 else ""
            parts.append(f"{title} {mean:.1f}{spread} = {100 * mean / whole:.1f} %")
    return f"  {name:<10} " + ", ".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m bitwren.train.standing", description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="encoders' folders or names; several count as seeds of one")
    parser.add_argument(
        "--labels", type=Path, nargs=2, metavar=("CORPUS", "QUERIES"), help="CSVs with text and label, query and label"
    )
    parser.add_argument("--strangers", type=Path, help="queries that no document of CORPUS answers, one a line")
    parser.add_argument("--pairs", type=Path, nargs=2, metavar=("SENTENCES", "QUESTIONS"), help="files that agree line by line")
    parser.add_argument("--first", type=float, default=0.8, help="fraction of the pairs that training has seen")
    parser.add_argument("--bits", type=int, default=512)
    parser.add_argument("--vectors", type=int, default=4)
    parser.add_argument("--words", type=int, default=80)
    parser.add_argument("--together", type=float, default=1.0, help="as in bitwren build; 0: without what labels tell")
    parser.add_argument("--no-teacher", action="store_true", help="build without it; it is still measured")
    parser.add_argument("--typo", type=int, metavar="SEED", help="also ask with one typo in each query")
    given = parser.parse_args(arguments)
    try:
        teacher = Teacher("all-MiniLM-L6-v2", cache_folder())
        scoring = bundle.Scoring(given.vectors, given.words, together=given.together)
        sets = [by_labels(given.labels[0], given.labels[1], given.strangers)] if given.labels else []
        sets += [by_pairs(given.pairs[0], given.pairs[1], given.first)] if given.pairs else []
        for tried in sets:
            best = of_teacher(tried, teacher)
            print(f"{tried.name}: {len(tried.documents)} documents, {len(tried.questions)} questions, {given.bits} bits")
            print(lines("teacher", [best], best))
            guide = None if given.no_teacher else teacher
            folders = [EncoderFolder.find(model) for model in given.models]
            for typo in (None,) if given.typo is None else (None, given.typo):
                runs = [of_tables(tried, folder, given.bits, scoring, guide, typo) for folder in folders]
                for name in NAMES:
                    print(lines(name + (", typos" if typo is not None else ""), [run[name] for run in runs], best), flush=True)
    except (BitwrenError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
