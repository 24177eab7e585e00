"""Codes of real sentences to measure with: documents, held-out sentences of the same sources, and questions from elsewhere."""

from __future__ import annotations

import bz2
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bitwren import lower
from bitwren.encoder import EncoderFolder
from bitwren.hamming import Codes

DOCUMENTS, QUERIES = 65_536, 200
_SEED = 1


@dataclass(frozen=True)
class Sentences:
    """Codes by use: uint32 [N, bits / 32] each.

    :ivar documents: in random order, so that the first n are a smaller table. :ivar inside: held-out sentences of the same
        sources. :ivar outside: questions of CLINC150.
    """

    documents: Codes
    inside: Codes
    outside: Codes


def encoded(data: Path, bits: int, encoder: str = "base", cache: Path | None = None) -> Sentences:
    """Codes of the public text under ``data``; kept in ``cache`` (an .npz file) where one is given."""
    if cache is not None and cache.is_file():
        with np.load(cache) as kept:
            return Sentences(kept["documents"], kept["inside"], kept["outside"])
    model = lower.lower(EncoderFolder.find(encoder), bits)
    texts = sorted({text for text in _texts(data) if model.tokens(text)})
    chosen = np.random.default_rng(_SEED).permutation(len(texts))[: DOCUMENTS + QUERIES]
    outside = sorted({text for text in _questions(data) if model.tokens(text)})
    asked = np.random.default_rng(_SEED).permutation(len(outside))[:QUERIES]
    codes = model.encode([texts[index] for index in chosen])
    found = Sentences(codes[:-QUERIES], codes[-QUERIES:], model.encode([outside[index] for index in asked]))
    if cache is not None:
        np.savez(cache, documents=found.documents, inside=found.inside, outside=found.outside)
    return found


def _texts(data: Path) -> Iterator[str]:
    """SGD's user utterances, WikiSQL's questions, WikiSplit's simple sentences."""
    for line in (data / "sgd" / "train-utterances.tsv").read_text("utf-8").splitlines():
        speaker, _, text = line.partition("\t")
        if speaker == "USER":
            yield text.strip()
    for entry in json.loads(bz2.decompress((data / "wikisql" / "data" / "wikisql.json.bz2").read_bytes())):
        for sentence in entry["sentences"]:
            yield sentence["original"].strip()
    for name in ("tune", "validation", "test"):
        for line in (data / "wiki-split" / f"{name}.tsv").read_text("utf-8").splitlines():
            for part in line.partition("\t")[2].split("<::::>"):
                yield part.strip()


def _questions(data: Path) -> Iterator[str]:
    with (data / "clinc150" / "queries.csv").open(encoding="utf-8", newline="") as file:
        yield from (row["query"] for row in csv.DictReader(file))
