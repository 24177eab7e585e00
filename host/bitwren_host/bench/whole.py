"""A whole query on the emulated Pico, counted: text in, three answers out, 10,000 documents in mapped flash."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bitwren import bundle, lower, ordering, residual, table
from bitwren.bundle import ENCODER_FILE, TABLE_FILE, Bundle
from bitwren.corpus import Document, read_corpus
from bitwren.encoder import EncoderFolder
from bitwren.errors import BitwrenError, CorpusError

from ..board_files import BUNDLE_FOLDER
from . import made
from .pico import CountingPico

DOCUMENTS, BITS, ANSWERS = 10_000, 256, 3
LAYOUTS = ("flat", "residual")
_WATCHED = {name: f"native.{name}" for name in ("encode", "search", "record", "read")}
# What stays allocated is measured after each step.
_OPEN = f"""
def kept():
    gc.collect()
    return gc.mem_alloc()
steps = [kept()]
import bitwren_native as native
steps.append(kept())
import bitwren
steps.append(kept())
wren = bitwren.open("{BUNDLE_FOLDER}")
steps.append(kept())
import json
from array import array
ids = array("H", bytes(2 * native.MAX_TEXT))
"""
_ASK = """
text = TEXT
gc.collect()
gc.disable()
before = gc.mem_alloc()
hits = wren.search(text, K)
used = gc.mem_alloc() - before
gc.enable()
slots = array("I", bytes(8 * K))
native.search(wren._table.source, wren._code, K, slots, wren._work)
print(json.dumps([used, [[hit.id, hit.distance, hit.answer] for hit in hits]]))
"""


@dataclass(frozen=True)
class Corpus:
    """Documents and questions to ask of them.

    :ivar name: ``made`` (:mod:`.made`) or that of a file.
    """

    name: str
    documents: Sequence[Document]
    queries: Sequence[str]


def made_corpus(count: int = DOCUMENTS) -> Corpus:
    """The documents that everyone can make again."""
    return Corpus("made", made.documents(count), made.QUERIES)


def read(path: Path, count: int = DOCUMENTS, queries: int = 3) -> Corpus:
    """The first ``count`` documents of a CSV, TSV or JSON Lines file; the texts of the next ones are asked, if there are enough.

    :raises CorpusError: when it cannot be read, or has fewer documents than are to be answered.
    """
    documents = read_corpus(path)
    if len(documents) < ANSWERS:
        raise CorpusError(f"{path} has {len(documents)} documents, and {ANSWERS} answers are fetched: give at least so many")
    held_out = [document.text for document in documents[count:]]
    asked = held_out[:: max(1, len(held_out) // queries)][:queries] or [document.text for document in documents[:queries]]
    return Corpus(path.name, documents[:count], asked)


def bundles(corpus: Corpus, bits: int = BITS) -> dict[str, Bundle]:
    """The corpus as a bundle in each layout; the residual one has its own order, as ``bitwren build`` gives it."""
    flat = bundle.build(corpus.documents, EncoderFolder.find("base"), bits, layout="flat")
    codes, records = flat.table.codes, flat.table.records
    order = ordering.order(codes, residual.LANES)
    ordered = replace(flat.table, codes=codes[order], records=[records[index] for index in order], layout="residual")
    return {"flat": flat, "residual": Bundle(flat.encoder, ordered)}


def measure(corpus: Corpus, built: Bundle) -> dict[str, Any]:
    """Boot a Pico with the bundle and count each query.

    :raises BitwrenError: when it does not fit the Pico's flash, or an answer is not the reference's.
    """
    files = {ENCODER_FILE: lower.write(built.encoder), TABLE_FILE: table.write(built.table)}
    pico = CountingPico({f"{BUNDLE_FOLDER}/{name}": data for name, data in files.items()})
    pico.execute(_OPEN)
    info = pico.execute('info = wren.info()\nprint(json.dumps([info["storage"], info["native"], steps]))')
    storage, native, steps = json.loads(info)
    asked = [_ask(pico, built, text) for text in corpus.queries]
    parts = ("instructions", "tokenize", "encode", "search", "fetch", "fetch_native", "python")
    gaps = [after - before for before, after in itertools.pairwise(steps)]
    return {
        "corpus": corpus.name,
        "documents": len(built.table.codes),
        "bits": built.table.bits,
        "k": ANSWERS,
        "table_bytes": len(files[TABLE_FILE]),
        "encoder_bytes": len(files[ENCODER_FILE]),
        "storage": storage,
        "native": native,
        **{part: round(sum(query[part] for query in asked) / len(asked)) for part in parts},
        "most": max(query["instructions"] for query in asked),
        "queries": asked,
        "ram": dict(zip(("native_module", "package", "bundle"), gaps, strict=True))
        | {"query": max(query["ram"] for query in asked)},
    }


def _ask(pico: CountingPico, built: Bundle, text: str) -> dict[str, Any]:
    """One query, checked and counted: in all, and its parts, which add up to it; ``fetch_native`` is part of ``fetch``."""
    used, hits = json.loads(pico.execute(_ASK.replace("TEXT", repr(text)).replace("K", str(ANSWERS))))
    right = [[hit.id, hit.distance, hit.answer] for hit in built.search(text, ANSWERS)]
    if hits != right:
        raise BitwrenError(f"the emulated Pico answers {hits} to {text!r} and the reference {right}: please report this")
    whole = pico.count(f"lambda: wren.search(text, {ANSWERS})", _WATCHED)
    tokens = pico.count("lambda: native.tokens(wren._encoder.source, text, ids)", {"tokens": "native.tokens"})
    fetched = [pico.count(f"lambda: wren._hit(slots[{2 * rank}], slots[{2 * rank + 1}])") for rank in range(ANSWERS)]
    (encode,), (search,), (tokenize,) = whole.calls["encode"], whole.calls["search"], tokens.calls["tokens"]
    fetch = sum(counted.instructions for counted in fetched)
    return {
        "text": text,
        "tokens": len(built.encoder.tokens(text)),
        "instructions": whole.instructions,
        "tokenize": tokenize,
        "encode": encode - tokenize,
        "search": search,
        "fetch": fetch,
        "fetch_native": sum(whole.calls["record"] + whole.calls["read"]),
        "python": whole.instructions - encode - search - fetch,
        "ram": used,
    }
