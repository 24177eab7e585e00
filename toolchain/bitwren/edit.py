"""Documents added to a bundle, and deleted from it, without building it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import container, lexical
from . import table as tables
from .bundle import TABLE_FILE, Bundle, Progress, embed
from .corpus import Document
from .errors import BitwrenError
from .vectors import Vectors, quantize


def append(bundle: Bundle, documents: Sequence[Document], progress: Progress = lambda step, done, total: None) -> Bundle:
    """The bundle with more documents, behind those that it has. Its threshold stays as it was calibrated.

    They are staged, which each search goes through row by row; in the row layout they are as good as built in. They get vectors
    and words where all documents before them have those.

    :raises BitwrenError: when a document's id is in use, or its text has no word that the encoder knows.
    """
    table = bundle.table
    used = _slots_by_id(table)
    for document in documents:
        if document.id in used:
            raise BitwrenError(
                f"id {document.id!r} is in the table already: delete that document first (bitwren delete), or take another id"
            )
    embeddings = embed(bundle.encoder, documents, progress)
    codes = bundle.encoder.binarize(embeddings, table.centre)
    store_text = table.records[0].text is not None
    records = [tables.Record(d.id, d.answer, d.text if store_text else None, d.label) for d in documents]
    words, vectors = table.words, table.vectors
    if words and len(words) == len(table.codes):
        words = lexical.extend(words, [d.text for d in documents])
    if vectors and table.centre is not None and len(vectors) == len(table.codes):
        new = quantize(embeddings.astype(np.float64) - table.centre, vectors.bits)
        packed, scales = np.concatenate([vectors.packed, new.packed]), np.concatenate([vectors.scales, new.scales])
        vectors = Vectors(packed, scales, vectors.bits)
    more = replace(
        table,
        codes=np.concatenate([table.codes, codes]),
        records=[*table.records, *records],
        live=np.append(table.live, np.ones(len(codes), dtype=bool)),
        staged=0 if table.layout == "rows" else table.staged + len(codes),
        vectors=vectors,
        words=words,
    )
    return Bundle(bundle.encoder, more)


def delete(bundle: Bundle, ids: Sequence[str]) -> Bundle:
    """The bundle with documents marked as deleted: no search finds them, their bytes stay.

    :raises BitwrenError: when no document has one of the ids.
    """
    slots = _slots_by_id(bundle.table)
    live = bundle.table.live.copy()
    for name in ids:
        if name not in slots:
            raise BitwrenError(f"no document has the id {name!r}: nothing was deleted")
        live[slots[name]] = False
    return Bundle(bundle.encoder, replace(bundle.table, live=live))


def write_table(bundle: Bundle, directory: Path) -> int:
    """Replace the table of a bundle's directory as a whole; returns its bytes.

    :raises BitwrenError: when it cannot be written; the old table is untouched.
    """
    data = tables.write(bundle.table)
    container.write_atomic(directory / TABLE_FILE, data)
    return len(data)


def _slots_by_id(table: tables.Table) -> dict[str, list[int]]:
    """Live documents; a table from elsewhere may have an id twice."""
    slots: dict[str, list[int]] = {}
    for slot, record in enumerate(table.records):
        if table.live[slot]:
            slots.setdefault(record.id, []).append(slot)
    return slots
