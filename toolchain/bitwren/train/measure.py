"""Retrieval figures of an encoder folder, from the exact codes that a chip computes: what the model card quotes.

``python -m bitwren.train.measure models/base --corpus corpus.csv --queries queries.csv``, or with ``--pairs`` for sentences and
their questions line by line. Distances are Hamming distances and nothing else; ties go to the document that comes first.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..encoder import EncoderFolder
from ..errors import BitwrenError
from ..hamming import WIDTHS, unpack_bits
from ..lower import lower, read_head
from .sources import tidy

Bits = NDArray[np.bool_]


def encode(folder: EncoderFolder, texts: Sequence[str]) -> Bits:
    """Code bits of texts [N, K], as the lowered encoder, and so the chip, computes them."""
    bits = len(read_head(folder.head, folder.rows.dims)[-1].bias)
    return unpack_bits(lower(folder, bits).encode(texts))


def distances(queries: Bits, documents: Bits) -> NDArray[np.int32]:
    """Hamming distances [Q, N]."""
    signs = 2 * queries.astype(np.float32) - 1
    products = signs @ (2 * documents.astype(np.float32) - 1).T  # exact: sums of at most 1024 ones
    return np.asarray((queries.shape[1] - products) / 2, dtype=np.int32)


def auroc(positive: NDArray[np.int32], negative: NDArray[np.int32]) -> float:
    """Probability that a positive's distance is below a negative's, ties counting half (Mann & Whitney 1947)."""
    ordered = np.sort(negative)
    above = len(negative) - np.searchsorted(ordered, positive, "right")
    equal = np.searchsorted(ordered, positive, "right") - np.searchsorted(ordered, positive, "left")
    return float((above + equal / 2).mean() / len(negative))


def recall(far: NDArray[np.int32], wanted: NDArray[np.intp], k: int) -> float:
    """Fraction of queries whose wanted document is among the k nearest; distances [Q, N], wanted [Q]."""
    nearest = np.argsort(far, axis=1, kind="stable")[:, :k]
    return float((nearest == wanted[:, None]).any(axis=1).mean())


def read_pairs(sentences: Path, questions: Path, first: float, documents: int) -> tuple[list[str], list[str], list[int]]:
    """Sentences, questions of the last ``1 - first`` of the lines, and the sentence of each question.

    Earlier sentences fill the documents up to ``documents``, as distractors; at most as many questions are asked.
    """
    answers = [tidy(line) for line in sentences.read_text("utf-8").splitlines()]
    asked = [tidy(line) for line in questions.read_text("utf-8").splitlines()]
    begin = round(len(answers) * first)
    unique = list(dict.fromkeys(answers[begin:] + answers[:begin][::-1]))[:documents]
    place = {sentence: index for index, sentence in enumerate(unique)}
    return unique, asked[begin : begin + documents], [place[each] for each in answers[begin : begin + documents]]


def measure_labels(folder: EncoderFolder, corpus: Path, queries: Path, strangers: Path | None) -> list[str]:
    """Accuracy of the nearest document's label at each width, and how well distances tell strangers."""
    rows, asked = _rows(corpus), _rows(queries)
    documents = encode(folder, [row["text"] for row in rows])
    questions = encode(folder, [row["query"] for row in asked])
    labels, wanted = np.array([row["label"] for row in rows]), np.array([row["label"] for row in asked])
    outside = encode(folder, strangers.read_text("utf-8").splitlines()) if strangers else None
    lines = []
    for width in _widths(documents):
        far = distances(questions[:, :width], documents[:, :width])
        line = f"{width} bits: accuracy {(labels[far.argmin(axis=1)] == wanted).mean():.2%}"
        if outside is not None:
            nearest = distances(outside[:, :width], documents[:, :width]).min(axis=1)
            line += f", out-of-scope AUROC {auroc(far.min(axis=1), nearest):.2%}"
        lines.append(line)
    return lines


def measure_pairs(folder: EncoderFolder, sentences: Path, questions: Path, first: float) -> list[str]:
    """R@1 and R@10 of questions to their sentences at each width."""
    answers, asked, wanted = read_pairs(sentences, questions, first, 2000)
    documents, queries = encode(folder, answers), encode(folder, asked)
    lines = []
    for width in _widths(documents):
        far = distances(queries[:, :width], documents[:, :width])
        at = {k: recall(far, np.array(wanted, dtype=np.intp), k) for k in (1, 10)}
        lines.append(f"{width} bits: R@1 {at[1]:.2%}, R@10 {at[10]:.2%}, {len(asked)} questions to {len(answers)} sentences")
    return lines


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _widths(bits: Bits) -> list[int]:
    return [width for width in WIDTHS if width <= bits.shape[1]]


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m bitwren.train.measure", description=__doc__.splitlines()[0])
    parser.add_argument("model", help="an encoder's folder or name")
    parser.add_argument("--corpus", type=Path, help="CSV with text and label")
    parser.add_argument("--queries", type=Path, help="CSV with query and label")
    parser.add_argument("--strangers", type=Path, help="queries that no document answers, one a line")
    parser.add_argument("--pairs", type=Path, nargs=2, metavar=("SENTENCES", "QUESTIONS"), help="files that agree line by line")
    parser.add_argument("--first", type=float, default=0.8, help="fraction of the pairs that training has seen")
    given = parser.parse_args(arguments)
    try:
        folder = EncoderFolder.find(given.model)
        if given.corpus and given.queries:
            print(*measure_labels(folder, given.corpus, given.queries, given.strangers), sep="\n")
        if given.pairs:
            print(*measure_pairs(folder, given.pairs[0], given.pairs[1], given.first), sep="\n")
    except (BitwrenError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
