"""Quality figures against counting by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from makers import random_encoder

from bitwren.bundle import Bundle, build
from bitwren.corpus import Document, Question
from bitwren.encoder import EncoderFolder
from bitwren.errors import CorpusError, EncoderMismatch
from bitwren.evaluate import evaluate, first_right
from bitwren.intervals import wilson

DOCUMENTS = [
    Document("led", "the light blinks twice", "Rinse the filter.", "light"),
    Document("leak", "water on the floor", "Check the seal.", "water"),
    Document("leak2", "the hose is dripping", "Tighten it.", "water"),
    Document("noise", "a loud grinding noise", "Remove the stone.", "noise"),
]


def made() -> Bundle:
    return build(DOCUMENTS, EncoderFolder.find("base"), 512)


def test_recall_mrr_and_accuracy() -> None:
    bundle = made()
    ranks = {}
    for document in DOCUMENTS:
        found = [hit.id for hit in bundle.search("the light blinks twice", 4)]
        ranks[document.id] = found.index(document.id) + 1
    assert ranks["led"] == 1
    questions = [Question("the light blinks twice", name, "") for name in ranks]
    quality = evaluate(bundle, questions, ["completely unrelated words"])
    assert quality.recall == {1: 0.25, 5: 1.0, 10: 1.0}
    assert quality.mrr == pytest.approx(sum(1 / rank for rank in ranks.values()) / 4)
    assert quality.accuracy is None
    assert quality.auroc == 1.0
    labelled = evaluate(bundle, [Question("water on the floor", "", "water"), Question("water on the floor", "", "noise")])
    assert (labelled.accuracy, labelled.recall, labelled.auroc) == (0.5, None, None)
    assert quality.intervals["recall@1"] == wilson(1, 4)
    assert set(quality.intervals) == {name for name, value in quality.figures().items() if value is not None}


def test_questions_that_say_nothing_and_queries_without_words() -> None:
    bundle = made()
    questions = [Question("water on the floor", "", ""), Question("?!", "led", ""), Question("the hose is dripping", "leak2", "")]
    quality = evaluate(bundle, questions, ["..."])
    assert (quality.questions, quality.accuracy) == (3, None)
    assert quality.recall == {1: 0.5, 5: 0.5, 10: 0.5}
    assert quality.confident_out == 0.0
    assert first_right(bundle, questions).tolist() == [False, True]


def test_a_label_is_right_wherever_no_id_is_named() -> None:
    questions = [Question("water on the floor", "leak2", "water"), Question("a loud grinding noise", "", "water")]
    quality = evaluate(made(), questions)
    assert quality.accuracy == 0.5
    assert quality.recall is not None
    assert quality.recall[1] == 0.0
    assert quality.recall[5] == 1.0


def test_deleted_documents_are_not_found() -> None:
    bundle = made()
    live = np.array([False, True, True, True])
    less = replace(bundle, table=replace(bundle.table, live=live))
    assert "led" not in [hit.id for hit in less.search("the light blinks twice", 3)]
    assert less.answer("the light blinks twice", 4)["error"] == "k is 4 but the table holds 3 documents: ask for 1 to 3"


def test_confidence_needs_something_near() -> None:
    bundle = made()
    assert bundle.answer("the light blinks twice", 1)["confident"] is True
    assert bundle.answer("stock exchange of a distant planet", 1)["confident"] is False
    assert build(DOCUMENTS[:1], EncoderFolder.find("base"), 64).table.threshold is None


def test_names_that_are_not_there() -> None:
    bundle = made()
    with pytest.raises(CorpusError, match="id 'nothing'"):
        evaluate(bundle, [Question("x", "nothing", "")])
    with pytest.raises(CorpusError, match="label 'nothing'"):
        evaluate(bundle, [Question("x", "", "nothing")])


def test_a_table_of_another_encoder_is_refused() -> None:
    with pytest.raises(EncoderMismatch):
        Bundle(random_encoder(bits=512), made().table)
