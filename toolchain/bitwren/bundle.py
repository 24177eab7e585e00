"""A bundle: the directory that a board gets, made from a corpus and searched by the reference."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__, container, lower, ordering, residual
from . import table as tables
from .corpus import Document
from .effort import measure
from .encoder import Encoder, EncoderFolder
from .errors import BitwrenError, EncoderMismatch
from .hamming import Codes, distances
from .queries import check_effort, check_k, check_query, check_words

ENCODER_FILE, TABLE_FILE = "encoder.bwe", "table.bwt"
IMPOSTORS = 0.5
"""A match is confident when it is nearer than this share of the documents are to the nearest one that means something else.

Half is where, on the development sets, about four in-scope questions pass for each one out of scope (docs/quality.md)."""

RESIDUAL_FROM = 2048
"""Documents from which on a table in flash is estimated to be searched in less time in the residual layout (docs/residual.md)."""

Progress = Callable[[str, int, int], None]
"""Called with a step's name, what is done and the total."""


@dataclass(frozen=True)
class Bundle:
    """An encoder and a table made with it."""

    encoder: Encoder
    table: tables.Table

    def __post_init__(self) -> None:
        if self.encoder.identity != self.table.identity or self.encoder.bits != self.table.bits:
            raise EncoderMismatch(
                "the table was made with another encoder: build the bundle again, or put back the encoder it was made with"
            )

    def search(self, query: str, k: int, effort: int | None = None) -> list[tables.Hit]:
        """The k nearest documents, by (distance, slot).

        :param effort: percent of a residual table's codes that a chip reads, below 100 documents may be missing; None: what the
            table was built for.
        :raises QueryError: when the query, k or the effort cannot be used.
        """
        check_query(query)
        check_k(k, int(self.table.live.sum()))
        effort = self.table.effort if effort is None else effort
        check_effort(effort)
        check_words(self.encoder, query)
        return self.table.search(self.encoder.encode([query])[0], k, effort)

    def answer(self, query: str, k: int, effort: int | None = None) -> dict[str, Any]:
        """One object of docs/protocol.md: the query, its hits or an error."""
        try:
            hits = self.search(query, k, effort)
        except BitwrenError as error:
            return {"query": query, "error": str(error)}
        found = [{"id": hit.id, "distance": hit.distance, "answer": hit.answer} for hit in hits]
        effort = self.table.effort if effort is None else effort
        exact = {"exact": self.table.always_exact} if effort < 100 else {}
        return {"query": query, "hits": found, "confident": self.table.confident(hits)} | exact

    @classmethod
    def read(cls, directory: Path) -> Bundle:
        """Read and check a bundle.

        :raises FormatError: when a file is missing or damaged.
        :raises EncoderMismatch: when the table belongs to another encoder.
        """
        encoder = lower.read(container.read_file(directory / ENCODER_FILE), str(directory / ENCODER_FILE))
        found = tables.read(container.read_file(directory / TABLE_FILE), str(directory / TABLE_FILE))
        return cls(encoder, found)


def build(
    documents: Sequence[Document],
    folder: EncoderFolder,
    bits: int,
    store_text: bool = False,
    layout: str = "auto",
    progress: Progress = lambda step, done, total: None,
    effort: int = 100,
) -> Bundle:
    """Make a bundle in memory.

    :param documents: at least one. :param bits: 64, 128, 256, 512 or 1024, as far as the encoder's head has outputs.
    :param layout: flat, residual (which changes the documents' order; up to 512 bits), rows, or auto: residual from
        :data:`RESIDUAL_FROM` on, where the width allows it, else flat.
    :param effort: percent of a residual table's codes that a search reads unless it asks for more or less. Below 100 the table's
        notes say what that finds (:mod:`bitwren.effort`).
    :raises BitwrenError: when effort is none, or would change nothing; when the width is too large for the layout; when a
        document has no word that the encoder knows, with its id.
    """
    if layout == "auto":
        pays = len(documents) >= RESIDUAL_FROM or effort < 100
        layout = "residual" if pays and bits in residual.WIDTHS else "flat"
    check_effort(effort)
    if effort < 100 and layout != "residual":
        raise BitwrenError(f"effort below 100 is for the residual layout: a table of layout {layout} is always searched exactly")
    if layout == "residual":
        residual.check_width(bits)
    encoder = lower.lower(folder, bits)
    codes = encode(encoder, documents, progress)
    threshold = _calibrate(codes, documents, progress)
    if layout == "residual":
        order = ordering.order(codes, residual.LANES)
        codes, documents = codes[order], [documents[index] for index in order]
    records = [tables.Record(d.id, d.answer, d.text if store_text else None, d.label) for d in documents]
    notes: dict[str, Any] = {"made_by": f"bitwren {__version__}", "encoder": folder.settings.get("name", folder.path.name)}
    live = np.ones(len(codes), dtype=bool)
    if effort < 100:
        found = measure(codes, residual.LANES, effort)
        notes["effort"] = {"percent": effort, "recall@10": round(found.recall, 3), "bytes_touched": round(found.touched, 3)}
    made = tables.Table(codes, records, live, encoder.identity, threshold, notes, layout, effort=effort)
    return Bundle(encoder, made)


def encode(encoder: Encoder, documents: Sequence[Document], progress: Progress = lambda step, done, total: None) -> Codes:
    """Codes of documents, uint32 [N, bits / 32].

    :raises BitwrenError: when a document has no word that the encoder knows, with its id.
    """
    vectors = []
    for index, document in enumerate(documents):
        if not encoder.tokens(document.text):
            raise BitwrenError(f"document {document.id!r} has no words in its text ({document.text[:40]!r}): change or remove it")
        vectors.append(encoder.vector(document.text))
        progress("encode", index + 1, len(documents))
    return encoder.encode_vectors(np.stack(vectors))


def write(bundle: Bundle, directory: Path) -> int:
    """Write a bundle's directory; returns its bytes. What was there is replaced only once everything is written.

    :raises BitwrenError: when the directory holds something else, or cannot be written.
    """
    others = _other_files(directory)
    if others:
        raise BitwrenError(f"{directory} holds other files ({', '.join(others[:3])}): give a new or a bundle's directory")
    files = {ENCODER_FILE: lower.write(bundle.encoder), TABLE_FILE: tables.write(bundle.table)}
    staging: Path | None = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        new, old = staging / "new", staging / "old"
        for name, data in files.items():
            container.write_atomic(new / name, data)
        if directory.exists():
            os.rename(directory, old)
        try:
            os.rename(new, directory)
        except BaseException:
            if old.exists():
                os.rename(old, directory)
            raise
    except OSError as error:
        raise BitwrenError(f"{directory} cannot be written: {error.strerror}; nothing was changed") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
    return sum(map(len, files.values()))


def describe(path: Path) -> dict[str, Any]:
    """What ``bitwren inspect`` shows of a ``.bwe`` or ``.bwt`` file: sizes, fields, notes, sections."""
    data = container.read_file(path)
    magic = data[:4].decode("ascii", "replace")
    if magic == tables.MAGIC:
        found = tables.read(data, str(path))
        fields: dict[str, Any] = {
            "kind": "table",
            "documents": int(found.live.sum()),
            "deleted": int((~found.live).sum()),
            "staged": found.staged,
            "bits": found.bits,
            "layout": found.layout + (f", blocks of {found.lanes}" if found.layout == "residual" else ""),
            "threshold": found.threshold,
            "stores_text": found.records[0].text is not None,
            "encoder": found.identity.hex(),
        }
        notes = found.notes
    else:
        encoder = lower.read(data, str(path))
        fields = {
            "kind": "encoder",
            "bits": encoder.bits,
            "pieces": len(encoder.vocabulary),
            "dims": encoder.rows.dims,
            "row_bits": encoder.rows.bits,
            "layers": [list(layer.weights.shape) for layer in encoder.layers],
            "identity": encoder.identity.hex(),
        }
        notes = encoder.notes
    file = container.unpack(data, magic, str(path))
    sections = {tag: {"offset": file.offsets[tag], "bytes": len(body)} for tag, body in file.sections.items()}
    return {"file": str(path), "bytes": len(data)} | fields | {"notes": notes, "sections": sections}


def _calibrate(codes: Codes, documents: Sequence[Document], progress: Progress) -> int | None:
    """A distance that :data:`IMPOSTORS` of the documents are from the nearest one that means something else.

    Two documents with one answer, or one label, mean the same here. None when there is nothing to compare with.
    """
    same = [document.label or document.answer for document in documents]
    names = {name: index for index, name in enumerate(dict.fromkeys(same))}
    groups = np.array([names[name] for name in same])
    if len(names) < 2:
        return None
    sample = np.linspace(0, len(codes) - 1, min(len(codes), 1000)).astype(int)
    nearest: list[int] = []
    for done, index in enumerate(sample, 1):
        nearest.append(int(distances(codes[index], codes)[groups != groups[index]].min()))
        progress("calibrate", done, len(sample))
    return int(np.quantile(np.array(nearest), IMPOSTORS, method="lower"))


def _other_files(directory: Path) -> list[str]:
    if directory.is_dir():
        return sorted(file.name for file in directory.iterdir() if file.name not in (ENCODER_FILE, TABLE_FILE))
    return [directory.name] if directory.exists() else []
