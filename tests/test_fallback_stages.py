"""The fallback's projection and scoring stages, in plain Python under CPython: the reference's answers."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from fallback import FallbackCore
from fallback import load as load_fallback
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import random_encoder, with_stages
from native import ARGUMENT, KINDS, TEXT, CoreError
from test_fallback_boards import engines, needs_unix_port, run, with_fallback
from test_native_hostile import mend

from bitwren import container, lower, residual, scoring, table
from bitwren.encoder import Encoder
from bitwren.hamming import WIDTHS
from bitwren.scoring import DEPTH, Query, Stages
from bitwren.slicing import live_words
from bitwren.table import LAYOUTS, Record, Table

SYLLABLES = ["ta", "re", "blink", "ing", "ed", "s", "no", "li", "ght", "é", "ñu", "漢", "pump", "es", "o"]
LONG = " ".join(f"{a}{b}{c}" for a in "abcde" for b in "qrstuv" for c in "xyz")  # more terms than count


def words(random: np.random.Generator, most: int) -> str:
    """Text of up to so many words, of few syllables, so that documents share some."""
    chosen = ("".join(random.choice(SYLLABLES, random.integers(1, 4))) for _ in range(random.integers(1, most + 1)))
    return "a " + " ".join(chosen)


@functools.cache
def encoder_of(bits: int, embedding: int | None, hidden: tuple[int, ...]) -> Encoder:
    return random_encoder(bits + len(hidden), bits, 32, hidden=hidden, extra=20, embedding=embedding)


@dataclass(frozen=True)
class Case:
    """What a bundle is made from, and what is asked of it."""

    seed: int
    bits: int
    embedding: int | None
    hidden: tuple[int, ...]
    count: int
    covered: float
    vector_bits: int
    word_bytes: int
    weight: int
    layout: str
    staged: float
    alive: float
    added: int
    asked: str

    def encoder(self) -> Encoder:
        return encoder_of(self.bits, self.embedding, self.hidden)

    def bundle(self) -> tuple[Table, Table, str]:
        """A table as a file holds it, the one that a chip makes of it, and a query."""
        random, encoder = np.random.default_rng(self.seed), self.encoder()
        texts = [words(random, 8) for _ in range(self.count)]
        records = [Record(str(slot), "") for slot in range(self.count)]
        staged = 0 if self.layout == "rows" else int(self.staged * (self.count - 1))
        live = random.random(self.count) < self.alive
        made = Table(encoder.encode(texts), records, live, encoder.identity, layout=self.layout, staged=staged)
        covered = max(1, round(self.covered * self.count))
        vector_bits = self.vector_bits if encoder.units * self.vector_bits % 32 == 0 else 8  # rows are whole words
        made = with_stages(made, encoder, texts[:covered], vector_bits, self.word_bytes, self.weight)
        codes = encoder.encode([words(random, 8) for _ in range(self.added)], made.centre)
        changed = random.random(self.count + self.added) < 0.7 if self.added else live
        on_chip = replace(made, codes=np.concatenate([made.codes, codes]), live=changed)
        query = {"words": words(random, 5), "a document": texts[random.integers(self.count)], "long": LONG, "": "a"}[self.asked]
        return made, on_chip, query


cases = st.builds(
    Case,
    seed=st.integers(0, 2**32),
    bits=st.sampled_from(WIDTHS),
    embedding=st.sampled_from([None, 4, 32, 36, 64, 160, 512]),
    hidden=st.sampled_from([(), (32,)]),
    count=st.one_of(st.integers(1, 200), st.sampled_from([63, 64, 65, 128])),
    covered=st.sampled_from([1.0, 0.6, 0.01]),
    vector_bits=st.sampled_from([0, 2, 4, 8]),
    word_bytes=st.sampled_from([0, 15, 60, 1000]),
    weight=st.sampled_from([0, 1, 180, 0xFFFF]),
    layout=st.sampled_from(LAYOUTS),
    staged=st.sampled_from([0.0, 0.4]),
    alive=st.sampled_from([1.0, 0.8, 0.0]),
    added=st.sampled_from([0, 0, 1, 40]),
    asked=st.sampled_from(["words", "a document", "long", ""]),
).filter(lambda case: case.layout != "residual" or case.bits in residual.WIDTHS)


@pytest.fixture(scope="module")
def core() -> FallbackCore:
    return FallbackCore()


@pytest.fixture(scope="module", params=[64, 1024])
def window(request: pytest.FixtureRequest) -> Iterator[int]:
    """Slots whose words' sums are held at a time: few of them, so that small tables need several windows."""
    module = load_fallback("ranking")
    before, module._WINDOW = module._WINDOW, request.param
    yield request.param
    module._WINDOW = before


@settings(max_examples=100, deadline=None)
@given(case=cases, kind=st.sampled_from(list(KINDS)), k=st.sampled_from([1, 3, DEPTH, DEPTH + 1, 3000]))
def test_the_same_as_the_reference(core: FallbackCore, window: int, case: Case, kind: str, k: int) -> None:
    made, on_chip, text = case.bundle()
    encoder = case.encoder()
    source, encoder_source = KINDS[kind](table.write(made)), KINDS[kind](lower.write(encoder))
    centre = None if made.centre is None else made.centre.tobytes()
    code, embedding = core.embed(encoder_source, text.encode(), centre)
    assert embedding.tolist() == encoder.embed([text])[0].tolist()
    assert code.tolist() == encoder.encode([text], made.centre)[0].tolist()
    query = Query(code, embedding, text)
    k = min(k, int(on_chip.live.sum()))
    if not k:
        return
    hits = on_chip.nearest(code, max(DEPTH, k))
    live = live_words(on_chip.live).astype("<u4").tobytes() if case.added else None
    for number in (1, 2, 3):
        stages = Stages(bool(number & 1) and made.vectors is not None, bool(number & 2) and made.words is not None)
        asked = text.encode(), code, embedding.tobytes()
        found = core.rank((source, encoder_source), asked, hits, k, number, live)
        assert found == scoring.rank(on_chip, query, k, 100, stages), number


def test_damaged_sections_end_in_an_error_or_in_results(core: FallbackCore) -> None:
    """Of a file whose checksums are right whatever its sections say."""
    random = np.random.default_rng(3)
    errors = 0
    made_once = [(case, *case.bundle()) for case in some_cases(4, 14)[1:]]
    whole = [(table.write(made), lower.write(case.encoder())) for case, made, _, _ in made_once]
    for number in range(300):
        case, made, _, text = made_once[number % len(made_once)]
        data = bytearray(whole[number % len(whole)][0])
        file = container.unpack(bytes(data), table.MAGIC)
        tags = [tag for tag in ("WORD", "VECS", "CENT") if tag in file.sections]
        if number % 4 and tags:
            tag = tags[random.integers(len(tags))]
            size = len(file.sections[tag])
            for place in random.integers(0, min(size, 60) if number % 2 else size, random.integers(1, 6)):
                data[file.offsets[tag] + place] = random.choice([0, 1, 0xFF, 0xFE, random.integers(256)])
        elif number % 8:
            data[320 + random.integers(1, 8)] = random.choice([0, 1, 2, 3, 8, 16, 0xFF])
        else:
            entry = 32 + 16 * random.integers(data[6]) + random.choice([4, 8])
            data[entry : entry + 4] = int(random.choice([0, 1, 5, 4096, 0x7FFFFFFF, 0xFFFFF000])).to_bytes(4, "little")
        mend(data)
        embedding = case.encoder().embed([text])[0]
        code = case.encoder().binarize(embedding[None], made.centre)[0]
        hits = [(int(far), slot) for slot, far in enumerate(random.integers(0, case.bits + 1, case.count)[:DEPTH])]
        kind = list(KINDS.values())[number % len(KINDS)]
        for stages in (1, 2, 3):
            sources = kind(bytes(data)), KINDS["contiguous"](whole[number % len(whole)][1])
            try:
                found = core.rank(sources, (text.encode(), code, embedding.tobytes()), hits, 10, stages)
            except CoreError:
                errors += 1
            else:
                assert len(found) >= min(10, len(hits))
                assert found == sorted(found, key=lambda result: (-result[0], result[2]))
                assert len({slot for _, _, slot in found}) == len(found)
    assert errors > 100


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"k": 0}, None), ({"found": -1}, None), ({"ranked": bytearray(12 * DEPTH)}, None), ({"hits": bytearray(8)}, None),
     ({"work": bytearray(6143)}, None), ({"code": bytes(4)}, None), ({"embedding": bytes(31)}, ARGUMENT),
     ({"embedding": None}, ARGUMENT), ({"live": bytes(4)}, ARGUMENT), ({"text": b"a" * 4097}, TEXT), ({}, 0)],
)  # fmt: skip
def test_wrong_arguments(core: FallbackCore, wrong: dict[str, object], code: int | None) -> None:
    """Refused as the native module refuses them: what no buffer should be raises, what does not fit the file is an error code."""
    encoder = random_encoder(1, 64, 32, embedding=32)
    texts = ["a b", "c d"] * 20
    made = with_stages(Table(encoder.encode(texts), [Record("", "")] * 40, np.ones(40, bool), encoder.identity), encoder, texts)
    arguments: dict[str, object] = {
        "given": table.write(made), "words": lower.write(encoder), "text": b"a b", "code": bytes(8), "embedding": bytes(32),
        "hits": bytearray(16), "found": 2, "k": 1, "ranked": bytearray(12 * (DEPTH + 2)), "work": bytearray(6144), "stages": 3,
        "live": None,
    }  # fmt: skip
    arguments |= wrong
    if code is None:
        with pytest.raises(ValueError):  # noqa: PT011  (MicroPython's messages are short)
            core.core.rank(*arguments.values())
    else:
        assert core.core.rank(*arguments.values()) == (code or 1)


# --- In MicroPython's unix port --------------------------------------------------------------------------------------

RUN = """
import array, binascii, gc, json, uctypes
import bitwren_native as native

window = bytearray(600)
view = memoryview(window)

def sources(name):
    with open(name, "rb") as file:
        data = file.read()
    yield data
    places, pieces = array.array("L"), []
    for start in range(0, len(data), 1020):
        pieces.append(bytearray(data[start : start + 1020]))
        places.append(start)
        places.append(uctypes.addressof(pieces[-1]))
    yield places, len(data)
    file = open(name, "rb")
    def read(offset, length):
        file.seek(offset)
        if file.readinto(view[:length]) != length:
            raise OSError(5)
    yield read, window, len(data)  # the one window of both files, as on a board

def unhex(text):
    return text and binascii.unhexlify(text)

with open("asked.json") as file:
    asked = json.load(file)
work = bytearray(max(native.ENCODE_WORK, native.RANK_WORK))
for number, case in enumerate(asked):
    for encoder, table in zip(sources("%d.bwe" % number), sources("%d.bwt" % number)):
        gc.collect()
        code, embedding, centre = bytearray(case["bits"] // 8), bytearray(case["units"]), unhex(case["centre"])
        text, hits, live = case["text"].encode(), array.array("I", case["hits"]), case["live"] and array.array("I", case["live"])
        tokens = native.encode(encoder, text, code, work, centre, embedding)
        answers = [tokens, binascii.hexlify(code).decode(), binascii.hexlify(embedding).decode()]
        for k in case["ks"]:
            for stages in (1, 2, 3):
                found = len(hits) // 2
                ranked = array.array("i", bytes(12 * (found + native.DEPTH)))
                count = native.rank(table, encoder, text, code, embedding, hits, found, k, ranked, work, stages, live)
                answers.append([count, list(ranked[: 3 * count])])
        print("ANSWER " + json.dumps(answers))
"""


def some_cases(seed: int, count: int) -> list[Case]:
    """Cases that together have every shape, from the seed."""
    random = np.random.default_rng(seed)

    def pick(*choices: object) -> object:
        return choices[random.integers(len(choices))]

    return [
        Case(
            seed=number,
            bits=WIDTHS[number % 4],
            embedding=pick(None, 4, 36, 160),
            hidden=pick((), (32,)),
            count=int(random.integers(1, 150)) if number else 1100,
            covered=pick(1.0, 0.6, 0.01),
            vector_bits=pick(0, 2, 4, 8),
            word_bytes=pick(0, 15, 60, 1000),
            weight=pick(1, 180, 0xFFFF),
            layout=LAYOUTS[number % 3],
            staged=pick(0.0, 0.4),
            alive=pick(1.0, 0.8),
            added=pick(0, 40),
            asked=pick("words", "a document", "long", ""),
        )  # type: ignore[arg-type]
        for number in range(count)
    ]


def write_cases(folder: Path, cases: list[Case]) -> list[list[object]]:
    """The files of RUN; what it should answer for each kind of source."""
    asked, expected = [], []
    for number, case in enumerate(cases):
        made, on_chip, text = case.bundle()
        encoder = case.encoder()
        (folder / f"{number}.bwe").write_bytes(lower.write(encoder))
        (folder / f"{number}.bwt").write_bytes(table.write(made))
        embedding = encoder.embed([text])[0]
        code = encoder.binarize(embedding[None], made.centre)[0]
        hits = on_chip.nearest(code, max(DEPTH, 70))
        answers: list[object] = [len(encoder.tokens(text)), code.tobytes().hex(), embedding.tobytes().hex()]
        for k in (3, 70):
            for number_of_stages in (1, 2, 3):
                stages = Stages(bool(number_of_stages & 1 and made.vectors), bool(number_of_stages & 2 and made.words))
                found = scoring.rank(on_chip, Query(code, embedding, text), 70, 100, stages)[:k]
                answers.append([len(found), [value for triple in found for value in triple]])
        expected.append(answers)
        asked.append(
            {
                "bits": case.bits,
                "units": encoder.units,
                "text": text,
                "centre": None if made.centre is None else made.centre.tobytes().hex(),
                "ks": [3, 70],
                "hits": [value for hit in hits for value in hit],
                "live": live_words(on_chip.live).tolist() if case.added else None,
            }
        )
    (folder / "asked.json").write_text(json.dumps(asked))
    return expected


@needs_unix_port
@engines
def test_unix_port(tmp_path: Path, engine: str) -> None:
    expected = write_cases(tmp_path, some_cases(1, 36))
    said = run(tmp_path, with_fallback(RUN, engine))
    answers = [json.loads(line[7:]) for line in said.splitlines() if line.startswith("ANSWER ")]
    assert len(answers) == 3 * len(expected), said[-2000:]
    for number, right in enumerate(expected):
        assert answers[3 * number : 3 * number + 3] == [right] * 3, number
