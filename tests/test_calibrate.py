"""Thresholds: what they let pass, and that they say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwren import table as tables
from bitwren.bundle import Bundle, Scoring, build
from bitwren.calibrate import FALSE_ACCEPT, FEW, Strangers, by_codes, loosest, meanings
from bitwren.corpus import Document
from bitwren.encoder import EncoderFolder
from bitwren.scoring import ALL
from bitwren.table import NO_SCORE

scores = st.lists(st.integers(-500, 5000), max_size=60).map(lambda values: np.array(values, dtype=np.float64))
shares = st.floats(0.001, 0.999)

DOCUMENTS = [
    Document("led", "the light blinks twice", "Rinse the filter.", ""),
    Document("led2", "two flashes of the light and then nothing", "Rinse the filter.", ""),
    Document("leak", "water on the floor", "Check the seal.", ""),
    Document("hose", "the hose is dripping", "Tighten it.", ""),
    Document("noise", "a loud grinding noise", "Remove the stone.", ""),
    Document("smell", "it smells of burnt rubber", "Replace the belt.", ""),
]
EVERYDAY = [
    "who won the game last night",
    "set a timer for ten minutes",
    "how old is the queen",
    "play some jazz",
    "the light blinks",
]


def made(documents: list[Document] = DOCUMENTS, strangers: Strangers | None = None, share: float = FALSE_ACCEPT) -> Bundle:
    folder = EncoderFolder.find("base")
    return build(documents, folder, 512, scoring=Scoring(), strangers=strangers or Strangers(), false_accept=share)


@settings(deadline=None)
@given(scores, scores, st.booleans(), shares, shares)
def test_more_false_accepts_never_make_it_stricter(
    documents: np.ndarray, strangers: np.ndarray, known: bool, share: float, other: float
) -> None:
    strict, loose = (loosest(documents, strangers, known, each) for each in sorted((share, other)))
    if strict is None or loose is None:
        assert not len(documents)
        assert not len(strangers)
    else:
        assert loose <= strict


@settings(deadline=None)
@given(scores, shares)
def test_known_strangers_alone(strangers: np.ndarray, share: float) -> None:
    limit = loosest(np.zeros(0), strangers, True, share)
    if limit is not None:
        assert (strangers >= limit).mean() <= share
        looser = strangers[strangers < limit]
        if len(looser):  # the next looser threshold would let too many pass
            assert (strangers >= looser.max()).mean() > share


@settings(deadline=None)
@given(scores.filter(len), shares)
def test_documents_alone_pass_at_ten_times_the_odds(documents: np.ndarray, share: float) -> None:
    limit = loosest(documents, np.zeros(0), False, share)
    passing = (documents >= limit).mean()
    assert passing / (passing + 10 * (1 - passing)) <= share


@settings(deadline=None)
@given(scores.filter(len), st.integers(0, 400))
def test_everyday_strangers_about_the_corpus_do_not_count(documents: np.ndarray, count: int) -> None:
    beyond = np.full(count, documents.max() + 1)
    assert loosest(documents, beyond, False, 0.05) == loosest(documents, np.zeros(0), False, 0.05)


def test_known_strangers_outweigh_documents_as_they_become_many() -> None:
    documents, random = np.full(500, 3000.0), np.random.default_rng(0)
    wanted = 1000.0
    found = []
    for count in (1, FEW, 100 * FEW):
        strangers = random.uniform(0, wanted / 0.95, count)
        limit = loosest(documents, strangers, True, 0.05)
        assert limit is not None
        found.append(limit)
    assert found[0] > 3000
    assert found[2] < found[1] <= 3001
    assert found[2] == pytest.approx(wanted, rel=0.05)


def test_every_stage_has_a_threshold_and_the_file_keeps_them() -> None:
    bundle = made(strangers=Strangers(EVERYDAY))
    assert bundle.table.threshold is not None
    assert all(0 < score < 8192 for score in bundle.table.score_thresholds)
    again = tables.read(tables.write(bundle.table))
    assert (again.threshold, again.score_thresholds) == (bundle.table.threshold, bundle.table.score_thresholds)
    assert again.notes["calibration"] == {"false_accept": 0.05, "strangers": 5, "known": False}
    for stages in ALL:
        asked = ["the light blinks twice", "stock exchange of a distant planet"]
        hits = [bundle.search(each, 1, stages=stages.name) for each in asked]
        assert [bundle.table.confident(each, stages) for each in hits] == [True, False], stages.name


def test_the_named_rate_moves_every_threshold() -> None:
    strict, loose = made(share=0.01).table, made(share=0.6).table
    assert strict.threshold is not None
    assert loose.threshold is not None
    assert strict.threshold < loose.threshold
    assert all(a > b for a, b in zip(strict.score_thresholds, loose.score_thresholds, strict=True))


def test_one_meaning_and_nobody_to_compare_with() -> None:
    same = [replace(document, label="fault") for document in DOCUMENTS]
    table = made(same).table
    assert (table.threshold, table.score_thresholds) == (None, (NO_SCORE, NO_SCORE, NO_SCORE))
    assert "calibration" not in table.notes
    assert made(same, Strangers(EVERYDAY, known=True)).table.threshold is not None


def test_strangers_without_words_do_not_count() -> None:
    one, other = made(strangers=Strangers(EVERYDAY)), made(strangers=Strangers([*EVERYDAY, "?!", ""]))
    assert one.table.score_thresholds == other.table.score_thresholds
    assert other.table.notes["calibration"]["strangers"] == len(EVERYDAY)


def test_meanings() -> None:
    assert meanings(DOCUMENTS).tolist() == [0, 0, 1, 2, 3, 4]
    assert meanings([replace(each, label="ab"[index % 2]) for index, each in enumerate(DOCUMENTS)]).tolist() == [0, 1] * 3


def test_codes_alone() -> None:
    """Of documents whose codes are what asking for their texts gives, codes and texts calibrate alike."""
    bundle = build(DOCUMENTS, EncoderFolder.find("base"), 512)
    bare = replace(bundle.table, threshold=None, notes={})
    assert by_codes(bare, DOCUMENTS, FALSE_ACCEPT).threshold == bundle.table.threshold
    assert bare.notes == {}


def test_a_distance_of_0_can_still_pass() -> None:
    twins = [Document(str(index), "the light blinks twice", str(index), "") for index in range(4)]
    assert build(twins, EncoderFolder.find("base"), 64).table.threshold == 0
