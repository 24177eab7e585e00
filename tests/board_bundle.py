"""A small bundle with a random encoder, for tests of what runs on a board: no training, no LiteRT, the same every time."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path

import numpy as np

from bitwren import lower, table
from bitwren.bundle import ENCODER_FILE, TABLE_FILE, Bundle
from bitwren.encoder import Dense, Encoder
from bitwren.frontend import Rows
from bitwren.tokenizer import Vocabulary

FIRMWARE = Path(__file__).parents[1] / "firmware"
CACHE = Path(__file__).parents[1] / ".cache"


def make_encoder(seed: int = 1, bits: int = 64, pieces: int = 600) -> Encoder:
    """An encoder of one hidden layer whose vocabulary is the alphabet and random pieces."""
    random = np.random.default_rng(seed)
    letters = [letter.encode() for letter in string.ascii_lowercase + string.digits]
    drawn = {_word(random).encode() for _ in range(pieces)}
    starts, continuations = sorted({*letters, *drawn}), sorted(letters)
    count, dims, hidden = len(starts) + len(continuations), 64, 32
    rows = Rows(
        random.integers(0, 256, (count, dims // 4)).astype(np.uint8), random.integers(1, 9, count).astype(np.uint8), 2
    )
    first = Dense(
        random.integers(-127, 128, (hidden, dims)).astype(np.int8),
        random.integers(-900, 900, hidden).astype(np.int32),
        np.full(hidden, 1 << 30, np.int32),
        np.full(hidden, 37, np.uint8),
        0,
        -127,
        127,
    )
    last = Dense(
        random.integers(-127, 128, (bits, hidden)).astype(np.int8), random.integers(-900, 900, bits).astype(np.int32)
    )
    encoder = Encoder(Vocabulary(starts, continuations), rows, (first, last), b"", {"name": f"random{seed}"})
    return replace(encoder, identity=lower._identity(encoder, lower._sections(encoder)))


def make_bundle(
    documents: int = 40, encoder: Encoder | None = None, threshold: int | None = 20, store_text: bool = False
) -> Bundle:
    """Documents of random words; the answer of document i says so, in more than ASCII."""
    encoder = encoder or make_encoder()
    random = np.random.default_rng(7)
    texts = [" ".join(_word(random) for _ in range(6)) for _ in range(documents)]
    records = [
        table.Record(f"d{i}", f"answer {i}: “{text}”", text if store_text else None) for i, text in enumerate(texts)
    ]
    live = np.ones(documents, dtype=bool)
    return Bundle(
        encoder, table.Table(encoder.encode(texts), records, live, encoder.identity, threshold, {"made_by": "tests"})
    )


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


def native_module(arch: str) -> Path | None:
    """The built native module for an architecture, where there is one."""
    found = CACHE / "native" / f"bitwren_native_{arch}.mpy"
    return found if found.is_file() else None


def _word(random: np.random.Generator) -> str:
    return "".join(random.choice(list(string.ascii_lowercase), random.integers(2, 9)))
