"""Tables of codes from elsewhere: embeddings or ready codes that a user has already, with their ids and answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import bundle
from .binarize import Vectors, load
from .bundle import Progress
from .calibrate import FALSE_ACCEPT, by_codes
from .corpus import Document, check_document, read_corpus
from .encoder import ELSEWHERE
from .errors import CorpusError, VectorError
from .hamming import WIDTHS, Codes
from .table import MAX_SLOTS, Table

BIT_ORDERS = ("little", "big")
"""Bit i of a code in byte i // 8: at bit i % 8, least significant first, which is ours; or at bit 7 - i % 8, numpy's own."""


def read_vectors(path: Path) -> Vectors:
    """Embeddings of a .npy file, float16, float32 or float64 [N, D] (or [D], a single one), not read before they are used.

    :raises VectorError: when the file holds something else.
    """
    array = _read_array(path)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        hint = ": for codes of a byte for 8 bits say --packed" if array.dtype.itemsize == 1 else ""
        raise VectorError(f"{path} holds {array.dtype}, but embeddings are float16, float32 or float64{hint}")
    return array


def read_codes(path: Path, bit_order: str = "little") -> Codes:
    """Codes of a .npy file, uint8 [N, bits / 8] (or [bits / 8], a single one), as uint32 [N, bits / 32].

    :param bit_order: of the file, one of :data:`BIT_ORDERS`. No search can tell a wrong one as long as queries have it too.
    :raises VectorError: when the file holds something else, or codes of a width that no chip searches.
    """
    array = _read_array(path)
    if array.dtype != np.uint8:
        hint = ""
        if array.dtype == np.int8:
            hint = ": sentence-transformers makes uint8 with precision='ubinary', which is --bit-order big"
        raise VectorError(f"{path} holds {array.dtype}, but packed codes are uint8{hint}")
    if 8 * array.shape[1] not in WIDTHS:
        raise VectorError(f"{path} holds codes of {8 * array.shape[1]} bits; {', '.join(map(str, WIDTHS))} are possible")
    octets = np.ascontiguousarray(array)
    if bit_order == "big":
        octets = _REVERSED[octets]
    return octets.view("<u4").astype(np.uint32)


def read_queries(path: Path, binarizer: Path) -> Codes:
    """What a .npy file asks for, as uint32 [Q, bits / 32]: embeddings, which a binarizer's file encodes, or codes as they are.

    :raises VectorError: when the file holds neither, or the binarizer is not there, or takes other embeddings.
    :raises FormatError: when the binarizer is damaged.
    """
    if _read_array(path).dtype == np.uint8:
        return read_codes(path)
    vectors = read_vectors(path)
    if not binarizer.exists():
        raise VectorError(f"{binarizer} is not there, which made codes of embeddings: give codes, uint8 [Q, bits / 8], in {path}")
    return load(binarizer).encode(vectors)


def read_documents(count: int, ids: Path | None = None, corpus: Path | None = None) -> list[Document]:
    """The documents of ``count`` rows of embeddings or codes.

    :param ids: of the rows: a JSON list of texts (.json), or a text file with one a line. None: the corpus's, else the numbers
        from 0.
    :param corpus: with answers, and text and labels if there: found by id where ids are given, else in the rows' order.
    :raises CorpusError: when they do not fit the rows, or one another.
    """
    if ids is None and corpus is not None:
        documents = read_corpus(corpus, ("id", "text", "answer"))
        if len(documents) != count:
            raise CorpusError(f"{corpus} holds {len(documents)} documents for {count} rows: give --ids, which row is which")
        return documents
    names = _read_ids(ids) if ids else [str(row) for row in range(count)]
    if len(names) != count:
        raise CorpusError(f"{ids} holds {len(names)} ids for {count} rows: one for each is wanted, in their order")
    if corpus is None:
        return [Document(name, "", "", "") for name in names]
    known = {document.id: document for document in read_corpus(corpus, ("id",))}
    missing = next((name for name in names if name not in known), None)
    if missing is not None:
        raise CorpusError(f"{corpus} has no document with the id {missing!r}, which {ids} names")
    return [known[name] for name in names]


def make_table(
    codes: Codes,
    documents: Sequence[Document],
    notes: dict[str, Any],
    store_text: bool = False,
    layout: str = "auto",
    effort: int = 100,
    progress: Progress = lambda step, done, total: None,
    false_accept: float = FALSE_ACCEPT,
) -> Table:
    """A table of codes from elsewhere, uint32 [N, bits / 32], and their documents.

    :param notes: for people: where the codes come from. The rest is as for :func:`bitwren.bundle.build`.
    :raises BitwrenError: when effort is none, or would change nothing; when the width is too large for the layout.
    """
    layout = bundle.choose_layout(layout, len(documents), 32 * codes.shape[1], effort)
    if store_text and not all(document.text for document in documents):
        raise CorpusError("not every document has a text to store: give --corpus with a 'text' column, or leave out --store-text")
    order = bundle.order_for(codes, layout)
    codes, documents = codes[order], [documents[index] for index in order]
    made = bundle.make_table(codes, documents, ELSEWHERE, notes, store_text, layout, effort)
    return by_codes(made, documents, false_accept, progress)


def _read_array(path: Path) -> NDArray[Any]:
    """A .npy file's array with one or two dimensions as one with two, mapped."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise VectorError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # of a dozen kinds: numpy's parser of a header lets through what Python's own raises
        raise VectorError(f"{path} is no .npy file of numbers, or a damaged one: write it with numpy.save") from error
    if not isinstance(array, np.ndarray):
        raise VectorError(f"{path} is an .npz file: save the one array that is meant with numpy.save")
    if array.ndim not in (1, 2) or not array.size or len(array) > MAX_SLOTS:
        raise VectorError(f"{path} holds an array of shape {list(array.shape)}; [N, D] is wanted, N from 1 to {MAX_SLOTS}")
    return np.atleast_2d(array)


def _read_ids(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} cannot be read: {error}") from error
    if path.suffix.lower() == ".json":
        try:
            names: Any = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CorpusError(f"{path} is not JSON: {error}") from error
        if not isinstance(names, list) or any(isinstance(name, bool) or not isinstance(name, str | int) for name in names):
            raise CorpusError(f"{path} must hold a JSON list of texts or whole numbers")
    else:
        names = [line.strip() for line in text.removesuffix("\n").split("\n")]
    rows: dict[str, int] = {}
    for row, name in enumerate(map(str, names)):
        check_document(f"{path}, row {row}", Document(name, "", "", ""))
        if not name or name in rows:
            what = f"{name!r} is already that of row {rows[name]}; ids must be unique" if name else "is empty"
            raise CorpusError(f"{path}: the id of row {row} {what}")
        rows[name] = row
    return list(rows)


_REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1), axis=1, bitorder="little")[:, 0]
