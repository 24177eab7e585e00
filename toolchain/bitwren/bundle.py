"""A bundle: the directory that a board gets, made from a corpus and searched by the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__, container, lower, ordering, residual
from . import table as tables
from .corpus import Document
from .effort import measure
from .encoder import ELSEWHERE, Elsewhere, Encoder, EncoderFolder
from .errors import BitwrenError, EncoderMismatch, QueryError
from .hamming import Codes, distances
from .queries import check_effort, check_k, check_query, check_words

ENCODER_FILE, TABLE_FILE, BINARIZER_FILE = "encoder.bwe", "table.bwt", "binarizer.npz"
FILES = (ENCODER_FILE, TABLE_FILE, BINARIZER_FILE)
"""What a bundle's directory may hold: of the first and the last, the one that made its codes."""
IMPOSTORS = 0.5
"""A match is confident when it is nearer than this share of the documents are to the nearest one that means something else.

Half is where, on the development sets, about four in-scope questions pass for each one out of scope (docs/quality.md)."""

RESIDUAL_FROM = 2048
"""Documents from which on a table in flash is estimated to be searched in less time in the residual layout (docs/residual.md)."""

Progress = Callable[[str, int, int], None]
"""Called with a step's name, what is done and the total."""


@dataclass(frozen=True)
class Bundle:
    """An encoder and a table made with it, or :class:`.Elsewhere` and a table of codes from elsewhere."""

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

    def search_code(self, code: Codes, k: int, effort: int | None = None) -> list[tables.Hit]:
        """The k nearest documents to a code, uint32 [bits / 32], by (distance, slot).

        :param effort: as :meth:`search`.
        :raises QueryError: when k or the effort cannot be used, or the code has another width.
        """
        check_k(k, int(self.table.live.sum()))
        effort = self.table.effort if effort is None else effort
        check_effort(effort)
        if code.shape != (self.table.bits // 32,):
            raise QueryError(f"a code of {32 * code.size} bits cannot be searched for in a table of {self.table.bits}")
        return self.table.search(code, k, effort)

    def answer(self, query: str, k: int, effort: int | None = None) -> dict[str, Any]:
        """One object of docs/protocol.md: the query, its hits or an error."""
        try:
            hits = self.search(query, k, effort)
        except BitwrenError as error:
            return {"query": query, "error": str(error)}
        return {"query": query} | self.reply(hits, effort)

    def reply(self, hits: Sequence[tables.Hit], effort: int | None = None) -> dict[str, Any]:
        """What docs/protocol.md says of hits that were searched for with an effort."""
        found = [{"id": hit.id, "distance": hit.distance, "answer": hit.answer} for hit in hits]
        effort = self.table.effort if effort is None else effort
        exact = {"exact": self.table.always_exact} if effort < 100 else {}
        return {"hits": found, "confident": self.table.confident(hits)} | exact

    @classmethod
    def read(cls, directory: Path) -> Bundle:
        """Read and check a bundle; one without an encoder where the table's codes are from elsewhere.

        :raises FormatError: when a file is missing or damaged.
        :raises EncoderMismatch: when the table belongs to another encoder.
        """
        found = tables.read(container.read_file(directory / TABLE_FILE), str(directory / TABLE_FILE))
        path = directory / ENCODER_FILE
        if found.identity == ELSEWHERE and not path.exists():
            return cls(Elsewhere.of(found.bits), found)
        return cls(lower.read(container.read_file(path), str(path)), found)


def parts(directory: Path) -> list[Path]:
    """The files that a board needs of a bundle: encoder and table, or the table alone where its codes are from elsewhere.

    :raises FormatError: when the encoder is missing, and the table as well or damaged.
    """
    encoder, table = directory / ENCODER_FILE, directory / TABLE_FILE
    alone = not encoder.exists() and tables.read(container.read_file(table), str(table)).identity == ELSEWHERE
    return [table] if alone else [encoder, table]


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

    :param documents: at least one. :param bits: 64, 128, 256 or 512, as far as the encoder's head has outputs.
    :param layout: flat, residual (which changes the documents' order), rows, or auto: residual from :data:`RESIDUAL_FROM` on,
        else flat.
    :param effort: percent of a residual table's codes that a search reads unless it asks for more or less. Below 100 the table's
        notes say what that finds (:mod:`bitwren.effort`).
    :raises BitwrenError: when effort is none, or would change nothing; when a document has no word that the encoder knows, with
        its id.
    """
    layout = choose_layout(layout, len(documents), effort)
    encoder = lower.lower(folder, bits)
    codes = encode(encoder, documents, progress)
    notes = {"encoder": folder.settings.get("name", folder.path.name)}
    return Bundle(encoder, arrange(codes, documents, encoder.identity, notes, store_text, layout, progress, effort))


def choose_layout(layout: str, documents: int, effort: int) -> str:
    """What layout "auto" stands for.

    :raises BitwrenError: when effort is none, or would change nothing.
    """
    if layout == "auto":
        layout = "residual" if documents >= RESIDUAL_FROM or effort < 100 else "flat"
    check_effort(effort)
    if effort < 100 and layout != "residual":
        raise BitwrenError(f"effort below 100 is for the residual layout: a table of layout {layout} is always searched exactly")
    return layout


def arrange(
    codes: Codes,
    documents: Sequence[Document],
    identity: bytes,
    notes: dict[str, Any],
    store_text: bool,
    layout: str,
    progress: Progress,
    effort: int,
) -> tables.Table:
    """A table of codes, uint32 [N, bits / 32], and their documents, calibrated and in the order that its layout wants.

    :param identity: of the encoder. :param notes: for people. :param layout: not "auto".
    """
    threshold = _calibrate(codes, documents, progress)
    if layout == "residual":
        order = ordering.order(codes, residual.LANES)
        codes, documents = codes[order], [documents[index] for index in order]
    records = [tables.Record(d.id, d.answer, d.text if store_text else None, d.label) for d in documents]
    notes = {"made_by": f"bitwren {__version__}"} | notes
    live = np.ones(len(codes), dtype=bool)
    if effort < 100:
        found = measure(codes, residual.LANES, effort)
        notes["effort"] = {"percent": effort, "recall@10": round(found.recall, 3), "bytes_touched": round(found.touched, 3)}
    return tables.Table(codes, records, live, identity, threshold, notes, layout, effort=effort)


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
    encoder = {} if isinstance(bundle.encoder, Elsewhere) else {ENCODER_FILE: lower.write(bundle.encoder)}
    files = encoder | {TABLE_FILE: tables.write(bundle.table)}
    return container.replace_folder(directory, files, FILES)


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
            "encoder": "none: codes from elsewhere" if found.identity == ELSEWHERE else found.identity.hex(),
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

    Two documents with one answer, or one label, mean the same here; one without either is by itself. None when there is nothing
    to compare with.
    """
    same = [document.label or document.answer or document.id for document in documents]
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
