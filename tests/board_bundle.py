"""A small bundle with a random encoder, for tests of what runs on a board, and where what they need is built."""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np
from makers import random_encoder, with_stages

from bitwren import lower, table
from bitwren.bundle import ENCODER_FILE, NO_SCORING, TABLE_FILE, Bundle, Scoring
from bitwren.encoder import Encoder

FIRMWARE = Path(__file__).parents[1] / "firmware"
CACHE = Path(__file__).parents[1] / ".cache"
NATIVE = {arch: CACHE / "native" / f"bitwren_native_{arch}.mpy" for arch in ("x64", "armv6m")}


def make_encoder(seed: int = 1, bits: int = 64, embedding: int | None = None) -> Encoder:
    """An encoder with a hidden layer. :param embedding: components of the embedding that a projection takes, if it has one."""
    return random_encoder(seed, bits, hidden=(32,), embedding=embedding)


def make_bundle(
    documents: int = 40,
    encoder: Encoder | None = None,
    threshold: int | None = 20,
    store_text: bool = False,
    scoring: Scoring = NO_SCORING,
) -> Bundle:
    """Documents of random words; the answer of document i says so, in more than ASCII.

    :param scoring: the stages that the table has, of all its documents; words weigh 0.7 where it says nothing.
    """
    encoder = encoder or make_encoder()
    random = np.random.default_rng(7)
    texts = [" ".join(_word(random) for _ in range(6)) for _ in range(documents)]
    records = [table.Record(f"d{i}", f"answer {i}: “{text}”", text if store_text else None) for i, text in enumerate(texts)]
    live = np.ones(documents, dtype=bool)
    notes = {"made_by": "tests"}
    made = table.Table(encoder.encode(texts), records, live, encoder.identity, threshold, notes)
    weight = round(256 * (0.7 if scoring.weight is None else scoring.weight))
    return Bundle(encoder, with_stages(made, encoder, texts, scoring.vector_bits, scoring.word_bytes, weight))


def bundle_bytes(bundle: Bundle) -> dict[str, bytes]:
    """Its two files by name."""
    return {ENCODER_FILE: lower.write(bundle.encoder), TABLE_FILE: table.write(bundle.table)}


def write_bundle(bundle: Bundle, folder: Path) -> Path:
    """Its two files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in bundle_bytes(bundle).items():
        (folder / name).write_bytes(data)
    return folder


def text_of(bundle: Bundle, slot: int) -> str:
    """What a document of :func:`make_bundle` was made from, so that it is found at distance 0."""
    return bundle.table.records[slot].answer.split("“")[1][:-1]


def _word(random: np.random.Generator) -> str:
    return "".join(random.choice(list(string.ascii_lowercase), random.integers(2, 9)))
