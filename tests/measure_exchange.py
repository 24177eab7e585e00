"""What codes find of what embeddings do:  python tests/measure_exchange.py DOCUMENTS.npy QUERIES.npy [CORPUS QUESTIONS]

Both float [N, D] of one model. Of each query's ten nearest documents by cosine, the share among the nearest 10, and among 100, by
Hamming distance, ties going to the row that comes first; with the texts, whose rows are those of the embeddings, the share of
questions whose right document is first, or among ten. Then what FAISS's indexes find of the ten nearest codes of the last
binarizer, one as near as the tenth counting as right. Figures of docs/exchange.md.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from bitwren import binarize, elsewhere, export
from bitwren.corpus import read_corpus, read_questions
from bitwren.errors import VectorError
from bitwren.hamming import WIDTHS, search, unpack_bits

NEIGHBOURS, DEPTHS = 10, (10, 100)


def nearest(similarities: Any, k: int) -> Any:
    """Columns of the k largest of each row [Q, N], by (similarity, column)."""
    return np.argsort(-similarities, axis=1, kind="stable")[:, :k]


def show(name: str, *figures: Any) -> None:
    """A row of a Markdown table."""
    print(f"| {name} | " + " | ".join("–" if x is None else f"{100 * x:.1f}" for x in figures) + " |", flush=True)


def main(documents: Any, queries: Any, right: Any) -> None:
    """:param right: each query's right document, or None."""

    def answered(found: Any) -> list[Any]:
        return [] if right is None else [(found[:, :k] == right[:, None]).any(axis=1).mean() for k in (1, 10)]

    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (documents, queries)]
    wanted = nearest(unit[1] @ unit[0].T, NEIGHBOURS)
    names = ["codes", *(f"of ten, among {depth}" for depth in DEPTHS), *(["R@1", "R@10"] if right is not None else [])]
    print(f"| {' | '.join(names)} |\n{'|---' * len(names)}|")
    show("embeddings", *[None] * len(DEPTHS), *answered(wanted))
    for kind in binarize.KINDS:
        for bits in sorted({*WIDTHS, *([documents.shape[1]] if kind == "sign" and documents.shape[1] % 32 == 0 else [])}):
            try:
                made = binarize.fit(kind, documents, bits)
            except VectorError:
                continue
            signs = [np.where(unpack_bits(made.encode(rows)), np.float32(1), np.float32(-1)) for rows in (documents, queries)]
            found = nearest(signs[1] @ signs[0].T, max(DEPTHS))
            shares = [np.mean([np.isin(w, f[:depth]).mean() for w, f in zip(wanted, found, strict=True)]) for depth in DEPTHS]
            show(f"{kind}, {bits} bits", *shares, *answered(found))
    print()
    show_indexes(made.encode(documents), made.encode(queries))


def show_indexes(codes: Any, queries: Any) -> None:
    """What FAISS's indexes find, as exported and with other effort; and how often equally near documents come as ours do."""
    import faiss

    documents = elsewhere.read_documents(len(codes))
    table = elsewhere.make_table(codes, documents, {}, layout="flat")
    ours = [search(query, codes, NEIGHBOURS) for query in queries]
    octets = np.ascontiguousarray(queries, dtype="<u4").view(np.uint8)
    print("| index | file, KB | setting | found | the same documents in the same order, where all distances are right |")
    print("|---|---|---|---|---|")
    for kind in export.KINDS[1:]:
        data = np.frombuffer(export.export(table, kind)["index.faiss"], np.uint8)
        index = faiss.deserialize_index_binary(data)
        settings: list[tuple[str, Any]] = [("", None)]
        if kind == "faiss-ivf":
            efforts = [index.nprobe * factor // 2 for factor in (1, 2, 4)]
            settings = [(f"nprobe {n} of {index.nlist}", faiss.SearchParametersIVF(nprobe=n)) for n in efforts]
        elif kind == "faiss-hnsw":
            efforts = [index.hnsw.efSearch * factor // 2 for factor in (1, 2, 4)]
            settings = [(f"efSearch {ef}", faiss.SearchParametersHNSW(efSearch=ef)) for ef in efforts]
        for setting, parameters in settings:
            found, rows = index.search(octets, NEIGHBOURS, params=parameters)
            share = np.mean([(distances <= far[-1]).mean() for distances, (_, far) in zip(found, ours, strict=True)])
            right = [np.array_equal(distances, far) for distances, (_, far) in zip(found, ours, strict=True)]
            same = [np.array_equal(row, slots) for row, (slots, _) in zip(rows, ours, strict=True)]
            print(f"| {kind} | {len(data) // 1024:,} | {setting} | {100 * share:.1f} | {sum(same)} of {sum(right)} |", flush=True)


def right_documents(corpus: Path, questions: Path) -> Any:
    """Each question's document, by its row."""
    rows = {document.id: row for row, document in enumerate(read_corpus(corpus))}
    return np.array([rows[question.id] for question in read_questions(questions)])


if __name__ == "__main__":
    paths = [Path(argument) for argument in sys.argv[1:]]
    embeddings = (np.asarray(elsewhere.read_vectors(path), dtype=np.float64) for path in paths[:2])
    main(*embeddings, right_documents(*paths[2:]) if paths[2:] else None)
