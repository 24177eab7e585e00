"""A bundle: the directory that a board gets, made from a corpus and searched by the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import __version__, container, lexical, lower, ordering, postings, residual
from . import table as tables
from .boards import Board
from .calibrate import FALSE_ACCEPT, NOBODY, Strangers, calibrated
from .compiler import Teacher, compile_documents, drawn_together, unit
from .corpus import Document, alike
from .effort import measure
from .encoder import ELSEWHERE, Elsewhere, Encoder, EncoderFolder, Projection
from .errors import BitwrenError, EncoderMismatch, QueryError
from .hamming import Codes, pack_bits
from .projection import project
from .queries import check_effort, check_k, check_query, check_words
from .scoring import WEIGHT_ONE, Query, choose
from .vectors import quantize
from .weighing import choose_weight

ENCODER_FILE, TABLE_FILE, BINARIZER_FILE = "encoder.bwe", "table.bwt", "binarizer.npz"
FILES = (ENCODER_FILE, TABLE_FILE, BINARIZER_FILE)
"""What a bundle's directory may hold: of the first and the last, the one that made its codes."""
RESIDUAL_FROM = 2048
"""Documents from which on a table in flash is estimated to be searched in less time in the residual layout (docs/residual.md)."""

LEAST_WORDS = 2048
"""Bytes that a word index may take whatever the number of documents: a handful of them would not fill its table of lists."""

FEW = 32
"""Documents that move a table's centre half way from the encoder's origin to their mean."""

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
        return self.table.search(Query(code), k, effort, choose(self.table, "hamming"))

    def answer(self, query: str, k: int, effort: int | None = None, stages: str | None = None) -> dict[str, Any]:
        """One object of docs/protocol.md: the query, its hits or an error."""
        try:
            hits = self.search(query, k, effort, stages)
        except BitwrenError as error:
            return {"query": query, "error": str(error)}
        return {"query": query} | self.reply(hits, effort, stages)

    def reply(self, hits: Sequence[tables.Hit], effort: int | None = None, stages: str | None = None) -> dict[str, Any]:
        """What docs/protocol.md says of hits that were searched for with an effort and stages."""
        found = []
        for hit in hits:
            score = {} if hit.score is None else {"score": hit.score}
            found.append({"id": hit.id, "distance": hit.distance} | score | {"answer": hit.answer})
        effort = self.table.effort if effort is None else effort
        exact = {"exact": self.table.always_exact} if effort < 100 else {}
        return {"hits": found, "confident": self.table.confident(hits, choose(self.table, stages))} | exact

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


@dataclass(frozen=True)
class Scoring:
    """What a table gets for the stages after the Hamming search.

    :ivar vector_bits: of a component of the documents' vectors, 2, 4 or 8; 0: no vectors.
    :ivar word_bytes: of the word index, at most, a document on average; 0: no words.
    :ivar weight: of the words' score beside a cosine; None: chosen on queries made from the documents.
    :ivar together: how far documents that say the same are drawn together (:func:`.compiler.drawn_together`); 0: not.
    """

    vector_bits: int = 4
    word_bytes: int = 80
    weight: float | None = None
    together: float = 1.0


NO_SCORING = Scoring(0, 0, together=0.0)


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
        An encoder that was trained on labels has them where they should be, whatever the teacher says.
    :param strangers: questions that the corpus should not answer. :param false_accept: share of such questions that may count as
        confident matches (:mod:`bitwren.calibrate`).
    :raises BitwrenError: when effort is none, or would change nothing; when the width is too large for the layout; when a
        document has no word that the encoder knows, with its id.
    """
    layout = choose_layout(layout, len(documents), bits, effort)
    encoder = lower.lower(folder, bits)
    embeddings = embed(encoder, documents, progress)
    centre = _centre(encoder, embeddings)
    texts = [document.text for document in documents]
    wanted = unit(teacher.embed(texts, "documents")) if teacher else None
    own, codes = embeddings.astype(np.float32) - centre, encoder.binarize(embeddings, centre)
    vectors = own
    if teacher and not folder.knows_labels and wanted is not None and (encoder.projection or scoring.vector_bits):
        vectors = compile_documents(encoder, embeddings, centre, wanted, teacher, progress=progress)
    groups = alike(documents)
    apart = vectors
    if scoring.together and (groups >= 0).any() and (encoder.projection or scoring.vector_bits):
        vectors = drawn_together(unit(vectors), groups, scoring.together)
    if encoder.projection and vectors is not own:
        codes = _moved_codes(vectors, encoder.projection)
    order = order_for(codes, layout)
    codes, vectors, apart, embeddings = codes[order], vectors[order], apart[order], embeddings[order]
    documents, texts = [documents[index] for index in order], [texts[index] for index in order]
    notes: dict[str, Any] = {"encoder": folder.settings.get("name", folder.path.name)}
    if teacher:
        notes["teacher"] = teacher.name
    stored = quantize(vectors, scoring.vector_bits) if scoring.vector_bits else None
    words = lexical.build(texts, max(scoring.word_bytes * len(texts), LEAST_WORDS)) if scoring.word_bytes else None
    weight = scoring.weight
    if words and weight is None:
        same = [document.label or document.answer for document in documents]
        judged = None if wanted is None else wanted[order]
        # Documents that were drawn together are found by their own words' meaning too easily to judge by.
        judged_by = quantize(apart, scoring.vector_bits or 8)
        weight = choose_weight(encoder, texts, same, embeddings, centre, judged_by, words, judged)
    made = replace(
        make_table(codes, documents, encoder.identity, notes, store_text, layout, effort),
        centre=centre if encoder.projection or stored else None,
        vectors=stored,
        words=words,
        weight=round((weight or 0.0) * WEIGHT_ONE),
    )
    return calibrated(Bundle(encoder, made), documents, strangers, false_accept, progress)


def choose_layout(layout: str, documents: int, bits: int, effort: int) -> str:
    """What layout "auto" stands for, and any other if it can be used.

    :raises BitwrenError: when effort is none, or would change nothing; when the width is too large for the layout.
    """
    if layout == "auto":
        pays = documents >= RESIDUAL_FROM or effort < 100
        layout = "residual" if pays and bits in residual.WIDTHS else "flat"
    check_effort(effort)
    if effort < 100 and layout != "residual":
        raise BitwrenError(f"effort below 100 is for the residual layout: a table of layout {layout} is always searched exactly")
    if layout == "residual":
        residual.check_width(bits)
    return layout


def order_for(codes: Codes, layout: str) -> NDArray[np.int64]:
    """The order of documents, int64 [N], that a layout wants them in."""
    return ordering.order(codes, residual.LANES) if layout == "residual" else np.arange(len(codes))


def make_table(
    codes: Codes,
    documents: Sequence[Document],
    identity: bytes,
    notes: dict[str, Any],
    store_text: bool,
    layout: str,
    effort: int,
) -> tables.Table:
    """A table of codes, uint32 [N, bits / 32], and their documents, in the order that its layout wants; not calibrated yet.

    :param identity: of the encoder. :param notes: for people.
    """
    records = [tables.Record(d.id, d.answer, d.text if store_text else None, d.label) for d in documents]
    notes = {"made_by": f"bitwren {__version__}"} | notes
    if effort < 100:
        found = measure(codes, residual.LANES, effort)
        notes["effort"] = {"percent": effort, "recall@10": round(found.recall, 3), "bytes_touched": round(found.touched, 3)}
    return tables.Table(codes, records, np.ones(len(codes), dtype=bool), identity, None, notes, layout, effort=effort)


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


def _moved_codes(vectors: NDArray[np.float32], projection: Projection) -> Codes:
    """Codes of documents that are no longer where the encoder has them, of vectors [N, E]."""
    scaled = vectors * (255 / np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-9))
    return pack_bits(project(np.rint(scaled).astype(np.int16), projection.bits, projection.seed))


def write(bundle: Bundle, directory: Path, board: Board | None = None) -> int:
    """Write a bundle's directory; returns its bytes. What was there is replaced only once everything is written.

    :param board: the one that it is for; None: any.
    :raises BitwrenError: when the directory holds something else, or cannot be written; when the board has no room for it.
    """
    encoder = {} if isinstance(bundle.encoder, Elsewhere) else {ENCODER_FILE: lower.write(bundle.encoder)}
    files = encoder | {TABLE_FILE: tables.write(bundle.table)}
    size, room = sum(map(len, files.values())), board.limits.bundle_bytes if board else 0
    if board and 0 < room < size:
        raise BitwrenError(
            f"the bundle takes {size:,} bytes, {size - room:,} more than {board.title} has room for: take fewer documents, "
            "shorter codes (--bits), fewer words or vectors, or --encoder tiny; nothing was written"
        )
    return container.replace_folder(directory, files, FILES)


def describe(path: Path) -> dict[str, Any]:
    """What ``bitwren inspect`` shows of a ``.bwe`` or ``.bwt`` file: sizes, fields, notes, sections."""
    return describe_bytes(container.read_file(path), str(path))


def describe_bytes(data: bytes, name: str) -> dict[str, Any]:
    """As :func:`describe`, of the bytes of a file. :param name: what to call it."""
    magic = data[:4].decode("ascii", "replace")
    if magic == tables.MAGIC:
        found = tables.read(data, name)
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
        } | _describe_stages(found)
        notes = found.notes
    else:
        encoder = lower.read(data, name)
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
    file = container.unpack(data, magic, name)
    sections = {tag: {"offset": file.offsets[tag], "bytes": len(body)} for tag, body in file.sections.items()}
    return {"file": name, "bytes": len(data)} | fields | {"notes": notes, "sections": sections}


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
