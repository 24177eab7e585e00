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
from numpy.typing import NDArray

from . import __version__, container, lexical, lower, ordering, postings, residual
from . import table as tables
from .calibrate import FALSE_ACCEPT, NOBODY, Strangers, calibrated
from .compiler import Teacher, compile_documents, unit
from .corpus import Document
from .effort import measure
from .encoder import Encoder, EncoderFolder
from .errors import BitwrenError, EncoderMismatch
from .hamming import Codes, pack_bits
from .projection import project
from .queries import check_effort, check_k, check_query, check_words
from .scoring import WEIGHT_ONE, Query, choose
from .vectors import quantize
from .weighing import choose_weight

ENCODER_FILE, TABLE_FILE = "encoder.bwe", "table.bwt"
RESIDUAL_FROM = 2048
"""Documents from which on a table in flash is estimated to be searched in less time in the residual layout (docs/residual.md)."""

FEW = 32
"""Documents that move a table's centre half way from the encoder's origin to their mean."""

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

    def search(self, query: str, k: int, effort: int | None = None, stages: str | None = None) -> list[tables.Hit]:
        """The k best documents.

        :param effort: percent of a residual table's codes that a chip reads, below 100 documents may be missing; None: what the
            table was built for.
        :param stages: what ranks the candidates of the Hamming search, one of :data:`bitwren.scoring.NAMES`; None: all there is.
        :raises QueryError: when the query, k, the effort or the stages cannot be used.
        """
        check_query(query)
        check_k(k, int(self.table.live.sum()))
        effort = self.table.effort if effort is None else effort
        check_effort(effort)
        chosen = choose(self.table, stages)
        check_words(self.encoder, query)
        return self.table.search(self.ask([query])[0], k, effort, chosen)

    def ask(self, queries: Sequence[str]) -> list[Query]:
        """Queries as the table takes them."""
        embeddings = self.encoder.embed(queries)
        codes = self.encoder.binarize(embeddings, self.table.centre)
        return [Query(code, embedding, text) for code, embedding, text in zip(codes, embeddings, queries, strict=True)]

    def answer(self, query: str, k: int, effort: int | None = None, stages: str | None = None) -> dict[str, Any]:
        """One object of docs/protocol.md: the query, its hits or an error."""
        try:
            hits = self.search(query, k, effort, stages)
        except BitwrenError as error:
            return {"query": query, "error": str(error)}
        found = []
        for hit in hits:
            score = {} if hit.score is None else {"score": hit.score}
            found.append({"id": hit.id, "distance": hit.distance} | score | {"answer": hit.answer})
        effort = self.table.effort if effort is None else effort
        exact = {"exact": self.table.always_exact} if effort < 100 else {}
        confident = self.table.confident(hits, choose(self.table, stages))
        return {"query": query, "hits": found, "confident": confident} | exact

    @classmethod
    def read(cls, directory: Path) -> Bundle:
        """Read and check a bundle.

        :raises FormatError: when a file is missing or damaged.
        :raises EncoderMismatch: when the table belongs to another encoder.
        """
        encoder = lower.read(container.read_file(directory / ENCODER_FILE), str(directory / ENCODER_FILE))
        found = tables.read(container.read_file(directory / TABLE_FILE), str(directory / TABLE_FILE))
        return cls(encoder, found)


@dataclass(frozen=True)
class Scoring:
    """What a table gets for the stages after the Hamming search.

    :ivar vector_bits: of a component of the documents' vectors, 2, 4 or 8; 0: no vectors.
    :ivar word_bytes: of the word index, at most, a document on average; 0: no words.
    :ivar weight: of the words' score beside a cosine; None: chosen on queries made from the documents.
    """

    vector_bits: int = 4
    word_bytes: int = 80
    weight: float | None = None


NO_SCORING = Scoring(0, 0)


def build(
    documents: Sequence[Document],
    folder: EncoderFolder,
    bits: int,
    store_text: bool = False,
    layout: str = "auto",
    progress: Progress = lambda step, done, total: None,
    effort: int = 100,
    scoring: Scoring = NO_SCORING,
    teacher: Teacher | None = None,
    strangers: Strangers = NOBODY,
    false_accept: float = FALSE_ACCEPT,
) -> Bundle:
    """Make a bundle in memory.

    :param documents: at least one. :param bits: 64, 128, 256, 512 or 1024, as far as the encoder's head has outputs.
    :param layout: flat, residual (which changes the documents' order; up to 512 bits), rows, or auto: residual from
        :data:`RESIDUAL_FROM` on, where the width allows it, else flat.
    :param effort: percent of a residual table's codes that a search reads unless it asks for more or less. Below 100 the table's
        notes say what that finds (:mod:`bitwren.effort`).
    :param teacher: moves the documents to where it has them (:mod:`bitwren.compiler`), if the encoder projects or the table has
        vectors; None: documents stay where the encoder has them.
    :param strangers: questions that the corpus should not answer. :param false_accept: share of such questions that may count as
        confident matches (:mod:`bitwren.calibrate`).
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
    embeddings = embed(encoder, documents, progress)
    centre = _centre(encoder, embeddings)
    texts = [document.text for document in documents]
    wanted = unit(teacher.embed(texts, "documents")) if teacher else None
    vectors = embeddings.astype(np.float32) - centre
    if teacher and wanted is not None and (encoder.projection or scoring.vector_bits):
        vectors = compile_documents(encoder, embeddings, centre, wanted, teacher, progress=progress)
    codes = _codes(encoder, embeddings, vectors)
    order = ordering.order(codes, residual.LANES) if layout == "residual" else np.arange(len(codes))
    codes, vectors, embeddings = codes[order], vectors[order], embeddings[order]
    documents, texts = [documents[index] for index in order], [texts[index] for index in order]
    records = [tables.Record(d.id, d.answer, d.text if store_text else None, d.label) for d in documents]
    notes: dict[str, Any] = {"made_by": f"bitwren {__version__}", "encoder": folder.settings.get("name", folder.path.name)}
    if teacher:
        notes["teacher"] = teacher.name
    live = np.ones(len(codes), dtype=bool)
    if effort < 100:
        found = measure(codes, residual.LANES, effort)
        notes["effort"] = {"percent": effort, "recall@10": round(found.recall, 3), "bytes_touched": round(found.touched, 3)}
    stored = quantize(vectors, scoring.vector_bits) if scoring.vector_bits else None
    words = lexical.build(texts, scoring.word_bytes * len(texts)) if scoring.word_bytes else None
    weight = scoring.weight
    if words and weight is None:
        groups = [document.label or document.answer for document in documents]
        judged = None if wanted is None else wanted[order]
        weight = choose_weight(encoder, texts, groups, embeddings, centre, stored or quantize(vectors, 8), words, judged)
    made = tables.Table(
        codes,
        records,
        live,
        encoder.identity,
        None,
        notes,
        layout,
        effort=effort,
        centre=centre if encoder.projection or stored else None,
        vectors=stored,
        words=words,
        weight=round((weight or 0.0) * WEIGHT_ONE),
    )
    return calibrated(Bundle(encoder, made), documents, strangers, false_accept, progress)


def embed(
    encoder: Encoder, documents: Sequence[Document], progress: Progress = lambda step, done, total: None
) -> NDArray[np.int8]:
    """Embeddings of documents, int8 [N, E].

    :raises BitwrenError: when a document has no word that the encoder knows, with its id.
    """
    vectors = []
    for index, document in enumerate(documents):
        if not encoder.tokens(document.text):
            raise BitwrenError(f"document {document.id!r} has no words in its text ({document.text[:40]!r}): change or remove it")
        vectors.append(encoder.vector(document.text))
        progress("encode", index + 1, len(documents))
    return encoder.embed_vectors(np.stack(vectors))


def _centre(encoder: Encoder, embeddings: NDArray[np.int8]) -> NDArray[np.int8]:
    """The documents' mean embedding, int8 [E]: codes are finest about it. Few documents move it little from the origin."""
    origin = encoder.origin.astype(np.float64)
    share = len(embeddings) / (len(embeddings) + FEW)
    return np.asarray(np.rint(origin + share * (embeddings.mean(axis=0) - origin)), dtype=np.int8)


def _codes(encoder: Encoder, embeddings: NDArray[np.int8], vectors: NDArray[np.float32]) -> Codes:
    """Codes of documents: of their vectors where the encoder projects, since those may have been moved."""
    if encoder.projection is None:
        return encoder.binarize(embeddings)
    scaled = vectors * (255 / np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-9))
    return pack_bits(project(np.rint(scaled).astype(np.int16), encoder.bits, encoder.projection.seed))


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
        } | _describe_stages(found)
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
            "embedding": encoder.units,
            "binarizer": "lsh" if encoder.projection else "dense",
            "identity": encoder.identity.hex(),
        }
        notes = encoder.notes
    file = container.unpack(data, magic, str(path))
    sections = {tag: {"offset": file.offsets[tag], "bytes": len(body)} for tag, body in file.sections.items()}
    return {"file": str(path), "bytes": len(data)} | fields | {"notes": notes, "sections": sections}


def _describe_stages(table: tables.Table) -> dict[str, Any]:
    """Of what a table has for the stages after the Hamming search; only what there is."""
    fields: dict[str, Any] = {"stages": choose(table, None).name}
    if table.centre is not None:
        fields["centre"] = f"{len(table.centre)} components, length {np.linalg.norm(table.centre):.0f}"
    if table.vectors:
        fields |= {"vectors": len(table.vectors), "vector_bits": table.vectors.bits}
    if table.words:
        fields |= {
            "words": len(table.words),
            "word_bytes": postings.size(table.words),
            "word_weight": round(table.weight / WEIGHT_ONE, 3),
            "word_buckets": len(table.words.dropped),
            "word_dropped": int(table.words.dropped.sum()),
        }
    if fields["stages"] != "hamming":
        fields["score_thresholds"] = [None if score == tables.NO_SCORE else score for score in table.score_thresholds]
    return fields


def _other_files(directory: Path) -> list[str]:
    if directory.is_dir():
        return sorted(file.name for file in directory.iterdir() if file.name not in (ENCODER_FILE, TABLE_FILE))
    return [directory.name] if directory.exists() else []
