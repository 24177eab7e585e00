"""A bundle's codes for other programs: numpy arrays, and indexes of FAISS, which the package faiss-cpu writes."""

from __future__ import annotations

import importlib
import io
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import __version__
from .encoder import ELSEWHERE
from .errors import BitwrenError
from .table import Table

KINDS = ("npy", "faiss-flat", "faiss-ivf", "faiss-hnsw")
CODES_FILE, INDEX_FILE = "codes.npy", "index.faiss"
IDS_FILE, DOCUMENTS_FILE, ABOUT_FILE = "ids.json", "documents.jsonl", "about.json"
FILES = (CODES_FILE, INDEX_FILE, IDS_FILE, DOCUMENTS_FILE, ABOUT_FILE)
"""What an export's directory may hold."""
HNSW_LINKS, HNSW_SEARCHED = 32, 32
"""M and ef of Malkov & Yashunin 2018: links of a document in a layer, and candidates that a search keeps."""
_TRAINED_BY = 39
"""Documents for each list of an inverted file below which FAISS warns that its k-means has too few."""


def live_codes(table: Table) -> NDArray[np.uint8]:
    """Codes of a table's live documents in the order of their slots, uint8 [N, bits / 8]: bit i in byte i // 8 at bit i % 8."""
    return np.ascontiguousarray(table.codes[table.live], dtype="<u4").view(np.uint8)


def export(table: Table, kind: str) -> dict[str, bytes]:
    """The files of an export, by name: codes or an index, ids, documents, and what they are.

    Row i of each is the same document; rows are in the order of slots, so that ties decided by row are decided as ours.

    :param kind: one of :data:`KINDS`.
    :raises BitwrenError: when all documents are deleted; when FAISS is needed and not installed, with what to install.
    """
    if not table.live.any():
        raise BitwrenError("the table holds no documents, all of them are deleted: there is nothing to export")
    codes = live_codes(table)
    records = [record for record, live in zip(table.records, table.live, strict=True) if live]
    rows = [
        {"id": record.id, "answer": record.answer}
        | ({"label": record.label} if record.label else {})
        | ({} if record.text is None else {"text": record.text})
        for record in records
    ]
    about: dict[str, Any] = {
        "made_by": f"bitwren {__version__}",
        "kind": kind,
        "documents": len(codes),
        "bits": table.bits,
        "bit_order": "little",
        "threshold": table.threshold,
        "encoder": None if table.identity == ELSEWHERE else table.identity.hex(),
    }
    if kind == "npy":
        file = io.BytesIO()
        np.save(file, codes)
        made = {CODES_FILE: file.getvalue()}
    else:
        faiss = _faiss()
        about["faiss"] = faiss.__version__
        made = {INDEX_FILE: faiss.serialize_index_binary(_INDEXES[kind](faiss, codes)).tobytes()}
    return made | {
        IDS_FILE: (json.dumps([record.id for record in records], ensure_ascii=False, indent=0) + "\n").encode(),
        # In ASCII: some programs end a line at U+2028 or U+0085, too.
        DOCUMENTS_FILE: "".join(json.dumps(row) + "\n" for row in rows).encode(),
        ABOUT_FILE: (json.dumps(about, indent=2) + "\n").encode(),
    }


def _faiss() -> Any:
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise BitwrenError(f"writing FAISS's indexes needs FAISS: pip install 'bitwren[faiss]' ({error})") from error


def _flat(faiss: Any, codes: NDArray[np.uint8]) -> Any:
    index = faiss.IndexBinaryFlat(8 * codes.shape[1])
    index.add(codes)
    return index


def _ivf(faiss: Any, codes: NDArray[np.uint8]) -> Any:
    """An inverted file of about 4 √N lists, of which a search looks into an eighth unless its ``nprobe`` is changed."""
    bits = 8 * codes.shape[1]
    lists = max(1, min(round(4 * math.sqrt(len(codes))), len(codes) // _TRAINED_BY))
    index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(bits), bits, lists)
    index.nprobe = max(1, lists // 8)
    index.train(codes)
    index.add(codes)
    return index


def _hnsw(faiss: Any, codes: NDArray[np.uint8]) -> Any:
    index = faiss.IndexBinaryHNSW(8 * codes.shape[1], HNSW_LINKS)
    index.hnsw.efSearch = HNSW_SEARCHED
    index.add(codes)
    return index


_INDEXES: dict[str, Callable[[Any, NDArray[np.uint8]], Any]] = {"faiss-flat": _flat, "faiss-ivf": _ivf, "faiss-hnsw": _hnsw}
