"""Steps from teacher to chip, typos, sweeps, leave-one-out and comparisons, on a bundle small enough to count by hand."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import random_encoder

from bitwren import student
from bitwren.batch import NONE
from bitwren.bundle import Bundle, Scoring, build
from bitwren.compare import compare
from bitwren.corpus import Document, Question
from bitwren.encoder import EncoderFolder
from bitwren.errors import BitwrenError, CorpusError, QueryError
from bitwren.evaluate import evaluate
from bitwren.holdout import leave_one_out
from bitwren.steps import STEPS, document_texts, tfidf, walk, with_typos
from bitwren.sweeps import sweep
from bitwren.typos import with_typo

DOCUMENTS = [
    Document("led", "the light blinks twice", "Rinse the filter.", "light"),
    Document("led2", "two flashes of the light, then nothing happens", "Rinse the filter.", "light"),
    Document("leak", "water on the floor", "Check the seal.", "water"),
    Document("hose", "the hose is dripping", "Tighten it.", "water"),
    Document("noise", "a loud grinding noise", "Remove the stone.", "noise"),
]
TEXTS = [document.text for document in DOCUMENTS]
QUESTIONS = [Question(each.text, each.id, each.label) for each in DOCUMENTS] + [Question("grinding sound", "noise", "noise")]


PLENTY = Scoring(word_bytes=2000, together=0.0)  # so few documents have no room for words within the usual budget


def made(scoring: Scoring | None = None, store_text: bool = False, bits: int = 512, projected: bool = False) -> Bundle:
    folder = EncoderFolder.find("base")
    if projected:
        folder = replace(folder, settings=folder.settings | {"binarizer": "lsh"})
    return build(DOCUMENTS, folder, bits, store_text, scoring=scoring or PLENTY)


@pytest.mark.parametrize("projected", [False, True])
def test_every_step(projected: bool) -> None:
    bundle = made(projected=projected)
    units = np.random.default_rng(0).normal(size=(40, 8))
    found = walk(bundle, QUESTIONS, ["who won the game"], TEXTS, lambda texts: units[: len(texts)])
    assert tuple(found.steps) == STEPS
    assert found.left_out == {}
    assert found.default == "all"
    for step in set(STEPS) - {"teacher"}:
        assert found.right(step, 1)[: len(DOCUMENTS)].all(), step  # each document finds itself
    json = found.json()
    assert json["step"] == "all"
    assert set(json["stages"]) == set(STEPS)
    assert json["recall@1"] == json["stages"]["all"]["recall@1"]
    assert set(json["stages"]["tfidf"]) == set(json) - {"questions", "step", "stages", "left_out"}
    assert json["stages"]["int8"]["confident"] is None


@pytest.mark.parametrize("name", ["hamming", "vectors", "words", "all"])
def test_a_boards_steps_are_the_evaluation_by_those_stages(name: str) -> None:
    bundle = made()
    found = walk(bundle, QUESTIONS, ["who won the game"], stages=name)
    assert found.default == {"hamming": "binary"}.get(name, name)
    assert found.quality(found.default) == evaluate(bundle, QUESTIONS, ["who won the game"], stages=name)


def test_what_is_left_out_says_why() -> None:
    found = walk(made(Scoring(0, 0)), QUESTIONS)
    assert tuple(found.steps) == ("binary",)
    assert list(found.left_out) == [name for name in STEPS if name != "binary"]
    assert "--corpus" in found.left_out["teacher"]
    assert "without documents' vectors" in found.left_out["vectors"]
    assert walk(made(), QUESTIONS, texts=TEXTS, teacher="since it is ill").left_out == {"teacher": "since it is ill"}
    with pytest.raises(QueryError, match="built without what words needs"):
        walk(made(Scoring(4, 0)), QUESTIONS, stages="words")


def test_texts_come_from_the_table_or_from_the_corpus() -> None:
    assert document_texts(made(), None) is None
    assert document_texts(made(store_text=True), None) == TEXTS
    assert document_texts(made(), DOCUMENTS[::-1]) == TEXTS
    with pytest.raises(CorpusError, match="lacks document 'noise'"):
        document_texts(made(), DOCUMENTS[:-1])
    bundle = made()
    live = np.array([True, True, True, True, False])
    assert document_texts(replace(bundle, table=replace(bundle.table, live=live)), DOCUMENTS[:-1]) == [*TEXTS[:-1], ""]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 100), st.booleans())
def test_the_student_is_the_encoder_but_for_rounding(seed: int, layer: bool) -> None:
    encoder = random_encoder(seed, hidden=(32,) if layer else ())
    texts = ["pump", "the light blinks twice", "water 7"]
    exact, rounded = student.embed(encoder, texts), encoder.embed(texts).astype(float)
    reach = 1.0  # the front end rounds to units, after a reciprocal of few bits
    if layer:  # which moves a sum by at most what its weights weigh
        real = encoder.layers[0].weights * (encoder.layers[0].multiplier / 2.0 ** encoder.layers[0].shift)[:, None]
        reach = 0.5 + float(np.abs(real).sum(axis=1).max())
    inside = np.abs(exact) < 120  # the rest may be saturated
    assert inside.any()
    assert np.abs(exact - rounded)[inside].max() <= reach
    assert np.corrcoef(np.clip(exact, -128, 127).ravel(), rounded.ravel())[0, 1] > 0.98


def test_the_student_of_the_encoder_that_ships() -> None:
    encoder = made(projected=True).encoder
    exact = student.embed(encoder, TEXTS)
    assert np.abs(np.clip(exact, -128, 127) - encoder.embed(TEXTS)).max() < 4


def test_tfidf_by_hand() -> None:
    found = tfidf(["light water", "zebra"], TEXTS, np.ones(5, dtype=bool), 5)
    light, water = 1 + np.log(6 / 3), 1 + np.log(6 / 2)
    two_words = [("led", TEXTS[0], light), ("leak", TEXTS[2], water)]
    rarity = {"the": 4, "light": 2, "blinks": 1, "twice": 1, "water": 1, "on": 1, "floor": 1}
    lengths = [sum((1 + np.log(6 / (1 + rarity[word]))) ** 2 for word in text.split()) ** 0.5 for _, text, _ in two_words]
    query = (light**2 + water**2) ** 0.5
    wanted = {0: light * light / lengths[0] / query, 2: water * water / lengths[1] / query}
    scores = dict(zip(found.slots[0].tolist(), found.scores[0].tolist(), strict=True))
    for slot, score in wanted.items():
        assert scores[slot] == pytest.approx(score, abs=1e-5)
    assert (found.slots[1] == NONE).all()


@settings(deadline=None)
@given(st.text(max_size=60), st.integers())
def test_a_typo_is_one_mistake(text: str, seed: int) -> None:
    changed = with_typo(text, seed)
    assert changed == with_typo(text, seed)
    if not re.search(r"[^\W\d_]{4,}", text):
        assert changed == text
        return
    assert changed != text
    assert abs(len(text) - len(changed)) <= 1
    # All but at most two neighbouring letters of one word are as they were.
    start = next((at for at, (a, b) in enumerate(zip(text, changed, strict=False)) if a != b), min(len(text), len(changed)))
    same = 0
    while same < min(len(text), len(changed)) - start and text[-1 - same] == changed[-1 - same]:
        same += 1
    assert len(text) - start - same <= 2
    touched = text[start : len(text) - same] or text[start - 1 : start]
    assert re.fullmatch(r"[^\W\d_]+", touched)


def test_typos_of_every_kind_and_the_same_ones_for_ever() -> None:
    kinds = {len(with_typo("blinking", seed)) - len("blinking") for seed in range(50)}
    assert kinds == {0, -1}
    sorted_same = {sorted(with_typo("blinking", seed)) == sorted("blinking") for seed in range(50)}
    assert sorted_same == {True, False}
    assert [with_typo("the light blinks twice", seed) for seed in (1, 2, 3)] == GOLDEN
    assert [question.query for question in with_typos(QUESTIONS[:1], 1)] == GOLDEN[:1]


GOLDEN = ["the lgiht blinks twice", "the light blink twice", "the light bpinks twice"]


def test_sweep() -> None:
    found = sweep(made(), QUESTIONS, TEXTS)
    assert [(point.name, point.size) for point in found.series("codes")] == [
        ("64 bits", 8),
        ("128 bits", 16),
        ("256 bits", 32),
        ("512 bits", 64),
    ]
    assert [point.name for point in found.series("vectors")] == ["2-bit vectors", "4-bit vectors", "8-bit vectors"]
    assert [point.size for point in found.series("vectors")] == [64 + 4 + 160 * bits // 8 for bits in (2, 4, 8)]
    assert found.series("words")
    assert found.asked == len(QUESTIONS)
    bundle = made()
    (whole,) = found.series("table")
    assert whole.first == evaluate(bundle, QUESTIONS).recall[1]  # type: ignore[index]
    for point in found.points:
        assert point.interval[0] <= point.first <= min(point.interval[1], point.ten)


def test_a_sweep_without_texts_tries_what_the_table_has() -> None:
    found = sweep(made(), QUESTIONS, None)
    assert [point.name for point in found.series("vectors")] == ["2-bit vectors", "4-bit vectors"]
    assert len(found.series("words")) == 1
    bare = sweep(made(Scoring(0, 0), bits=128), QUESTIONS, None)
    assert [point.name for point in bare.points] == ["64 bits", "128 bits", "this table"]


def test_narrower_codes_are_beginnings_of_wider_ones() -> None:
    """What the sweep over bits relies on, of both kinds of encoder."""
    for projected in (False, True):
        wide = made(Scoring(0, 0), projected=projected).encoder
        narrow = made(Scoring(0, 0), bits=128, projected=projected).encoder
        assert (wide.encode(TEXTS)[:, :4] == narrow.encode(TEXTS)).all()


def test_fitted_documents_are_not_measured_by_their_texts() -> None:
    bundle = made()
    other = replace(bundle, table=replace(bundle.table, codes=bundle.table.codes[::-1].copy()))
    assert [point.name for point in sweep(other, QUESTIONS, TEXTS).series("vectors")] == ["2-bit vectors", "4-bit vectors"]


def test_leave_one_out() -> None:
    same = [
        Document(str(index), text, "", "ab"[index // 2]) for index, text in enumerate([TEXTS[0], TEXTS[0], TEXTS[2], TEXTS[2]])
    ]
    folder = EncoderFolder.find("base")
    bundle = build([*same, Document("4", "a loud noise", "x", "c")], folder, 512)
    assert leave_one_out(bundle, [*(each.text for each in same), "a loud noise"]).tolist() == [True] * 4
    crossed = build([replace(each, label="ab"[index % 2]) for index, each in enumerate(same)], folder, 512)
    assert leave_one_out(crossed, [each.text for each in same]).tolist() == [False] * 4
    lone = [replace(each, label="", answer=each.id) for each in DOCUMENTS]
    with pytest.raises(BitwrenError, match="no two documents share a label or an answer"):
        leave_one_out(build(lone, folder, 512), TEXTS)


def test_compare() -> None:
    questions = [*QUESTIONS[:2], Question("the light blinks twice", "noise", ""), Question("?!", "led", "")]
    a = made()
    fewer = replace(a.table, live=np.array([True, False, True, True, True]))
    with pytest.raises(CorpusError, match="'led2'"):
        compare(a, replace(a, table=fewer), questions)
    moved = replace(a, table=replace(a.table, codes=a.table.codes[[1, 0, 2, 3, 4]]))
    found = compare(a, moved, questions, ["who won the game"], ("hamming", "hamming"))
    assert (found.only_a, found.only_b, found.p) == ([0, 1], [], 0.5)
    assert found.row(0) == {"query": TEXTS[0], "wanted": "led", "a": "led", "b": "led2"}
    assert found.row(3)["a"] == ""
    json = found.json()
    assert json["difference"]["recall@1"] == -0.5
    assert (json["a"]["stages"], json["a"]["recall@1"], json["b"]["recall@1"]) == ("hamming", 0.5, 0.0)
    assert [row["wanted"] for row in json["only_a"]] == ["led", "led2"]
    same = compare(a, a, questions)
    assert (same.p, same.only_a, same.only_b, set(same.difference().values())) == (1.0, [], [], {0.0})
