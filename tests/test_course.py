"""Training on a corpus: what is taught and held out, where it begins, what an interruption leaves, and the command itself."""

from __future__ import annotations

import csv
import functools
import importlib.util
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_command import bitwren, fails

from bitwren.compiler import drawn_together, unit
from bitwren.corpus import Document, Question, alike
from bitwren.encoder import EncoderFolder
from bitwren.errors import BitwrenError
from bitwren.lower import lower, write
from bitwren.train import TrainingError, checkpoint
from bitwren.train.begin import file_bytes, from_encoder, known_pieces, pieces_within, readings
from bitwren.train.course import Wish, rotation, shape, teach
from bitwren.train.fit import check_output
from bitwren.train.heldout import HeldOut, gain, hold_out, represented
from bitwren.train.lessons import TOGETHER, batches, lessons
from bitwren.train.teacher import OwnTeacher
from bitwren.train.vocabulary import count_words, learn_pieces, tokenize

TINY = EncoderFolder.find("tiny")
TENSORFLOW = importlib.util.find_spec("tensorflow") is not None
needs_tensorflow = pytest.mark.skipif(not TENSORFLOW, reason="needs tensorflow (pip install 'bitwren[train]')")

VERBS = ("open", "close", "clean", "replace", "charge", "reset", "find", "sell", "paint", "carry")
THINGS = ("door", "pump", "filter", "lamp", "battery", "kettle", "router", "drill", "engine", "window")


def corpus(labels: bool = True) -> list[Document]:
    """100 documents, 10 labels."""
    texts = [(f"how do I {verb} the {thing}", verb) for thing in THINGS for verb in VERBS]
    return [Document(str(index), text, text, label if labels else "") for index, (text, label) in enumerate(texts)]


def written(folder: Path, documents: list[Document]) -> Path:
    path = folder / "corpus.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "label"])
        writer.writerows((document.id, document.text, document.label) for document in documents)
    return path


# --- what says the same ---


def test_alike_are_documents_of_one_answer_and_without_answers_those_of_one_label():
    documents = [
        Document("a", "one", "press reset", "topic"),
        Document("b", "two", "press reset", "topic"),
        Document("c", "three", "another answer", "topic"),
        Document("d", "four", "four", "topic"),
        Document("e", "five", "five", "topic"),
        Document("f", "six", "six", ""),
        Document("g", "seven", "seven", "alone"),
    ]
    assert alike(documents).tolist() == [0, 0, -1, 1, 1, -1, -1]


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=30), st.integers(0, 9), st.floats(0.1, 3))
@settings(deadline=None, max_examples=50)
def test_documents_are_drawn_to_their_own_groups_middle(groups: list[int], seed: int, share: float):
    vectors = unit(np.random.default_rng(seed).normal(size=(len(groups), 8)))
    found = drawn_together(vectors, np.array(groups, dtype=np.int32), share)
    for index, group in enumerate(groups):
        if group < 0:
            expected = vectors[index]
        else:
            mean = np.mean([vectors[other] for other, same in enumerate(groups) if same == group], axis=0)
            expected = vectors[index] + share * mean / np.linalg.norm(mean)
            expected = expected / np.linalg.norm(expected)
        np.testing.assert_allclose(found[index], expected, atol=1e-5)


# --- lessons ---


def test_a_corpus_gives_groups_pairs_and_everyday_texts():
    documents = [Document("a", "no power", "check the fuse", "x"), Document("b", "it is dark", "check the fuse", "x")]
    documents.append(Document("c", "too loud", "oil the fan", "y"))
    questions = [Question("nothing lights up", "b", ""), Question("noise", "", "y"), Question("nobody knows", "z", "w")]
    found = lessons(documents, questions, ["the weather"], labels=True, answers=True)
    assert found.texts == [
        *("no power", "it is dark", "too loud", "nothing lights up", "noise", "nobody knows"),
        *("check the fuse", "check the fuse", "oil the fan", "the weather"),
    ]
    assert (found.documents, found.own) == (3, 6)
    assert found.groups.tolist() == [0, 0, -1, 0, -1, -1, -1, -1, -1, -1]
    assert found.pairs.tolist() == [[3, 1], [0, 6], [1, 7], [2, 8]]
    bare = lessons(documents, questions, [], labels=False, answers=False)
    assert (bare.groups == -1).all()
    assert bare.pairs.tolist() == [[3, 1]]


def test_an_epoch_holds_every_chosen_text_once_and_what_belongs_together_in_one_batch():
    taught = lessons(corpus(), [Question("my door is stuck", "3", "")], [f"everyday {index}" for index in range(50)], True, False)
    chosen = np.setdiff1d(np.arange(len(taught.texts)), [5, 6])
    targets = np.eye(len(taught.texts), dtype=np.float16)
    drawn = list(batches(taught, chosen, TINY.vocabulary, targets, 16, (0.2, 0.2), np.random.default_rng(3)))
    seen = Counter(int(row.argmax()) for batch in drawn for row in batch.targets)
    assert set(seen) == set(chosen.tolist())
    assert all(count == 1 for text, count in seen.items() if text not in (3, 100))  # those of the pair may come with it again
    for batch in drawn:
        texts = batch.targets.argmax(axis=1)
        np.testing.assert_array_equal(batch.groups, taught.groups[texts])
        for first, second in batch.pairs:
            assert [texts[first], texts[second]] in taught.pairs.tolist()
        assert (np.diff(batch.segments) >= 0).all()
        sizes = np.bincount(batch.groups[batch.groups >= 0], minlength=1)
        assert not (sizes == 1).sum() > len(VERBS)
    assert any(len(batch.pairs) for batch in drawn)
    together = [np.bincount(batch.groups[batch.groups >= 0]).max(initial=0) for batch in drawn]
    assert max(together) >= TOGETHER


def test_what_is_held_out_leaves_more_than_half_of_its_group():
    taught = lessons(corpus(), [], [], True, False)
    targets = unit(np.random.default_rng(0).normal(size=(len(taught.texts), 6))).astype(np.float16)
    held = hold_out(taught, targets, 0.3, np.random.default_rng(1))
    assert held is not None
    assert len(held.asked) == 30
    assert not set(held.asked.tolist()) & set(held.searched.tolist())
    assert max(np.bincount(taught.groups[held.asked])) < 5
    same = taught.groups[held.asked][:, None] == taught.groups[held.searched]
    np.testing.assert_array_equal(held.gains, same)
    part = taught.without(held.asked)
    assert (part.groups[held.asked] == -1).all()


def test_without_groups_the_teacher_says_what_is_to_be_found_and_few_texts_say_nothing():
    taught = lessons(corpus(labels=False), [], [], True, False)
    nothing = np.zeros((len(taught.texts), 0), dtype=np.float16)
    targets = unit(np.random.default_rng(0).normal(size=(len(taught.texts), 6))).astype(np.float16)
    held = hold_out(taught, targets, 0.2, np.random.default_rng(1))
    assert held is not None
    expected = np.maximum(targets[held.asked].astype(np.float32) @ targets[held.searched].astype(np.float32).T, 0)
    np.testing.assert_allclose(held.gains, expected, atol=1e-6)
    assert hold_out(taught, nothing, 0.2, np.random.default_rng(1)) is None
    assert hold_out(taught, targets, 0.1, np.random.default_rng(1)) is None


def test_the_gain_is_ndcg():
    documents = corpus(labels=False)
    hyper = shape(Wish(bits=128), TINY, False)
    counts = count_words(document.text for document in documents)
    begin = from_encoder(TINY, hyper, TINY.vocabulary, counts, 0)
    ids, offsets = tokenize(TINY.vocabulary, [document.text for document in documents])
    asked, searched = np.arange(10), np.arange(10, 100)
    held = HeldOut(asked, searched, np.random.default_rng(2).random((10, 90)).astype(np.float32))
    # The oracle: distances of codes one by one, the sum of Järvelin & Kekäläinen in a loop.
    vectors = represented(begin.weights, hyper, ids, offsets, np.arange(100))
    from bitwren.train.losses import projection_matrix

    codes = np.sign((vectors - vectors[searched].mean(axis=0)) @ projection_matrix(hyper))
    total = 0.0
    for query in asked:
        order = sorted(range(90), key=lambda place: (int((codes[query] != codes[searched[place]]).sum()), place))
        best = sorted(held.gains[query], reverse=True)
        found = sum(held.gains[query, place] / np.log2(rank + 2) for rank, place in enumerate(order[:10]))
        total += found / sum(best[rank] / np.log2(rank + 2) for rank in range(10))
    assert gain(begin.weights, hyper, ids, offsets, held) == pytest.approx(total / 10, abs=1e-5)


# --- where it begins ---


def test_an_encoder_that_is_kept_begins_as_it_is():
    hyper = shape(Wish(), TINY, False)
    begin = from_encoder(TINY, hyper, TINY.vocabulary, Counter(), 0)
    assert begin.kept
    texts = [document.text for document in corpus()]
    ids, offsets = tokenize(TINY.vocabulary, texts)
    found = represented(begin.weights, hyper, ids, offsets, np.arange(len(texts)))
    encoder = lower(TINY, 512)
    exact = encoder.embed(texts).astype(np.float32) - encoder.origin
    cosines = (unit(found) * unit(exact)).sum(axis=1)
    assert cosines.min() > 0.99  # rows are rounded to two bits once more, which moves scales a little


def test_another_vocabulary_begins_with_what_the_encoder_reads_there():
    documents = corpus()
    counts = count_words(document.text for document in documents)
    hyper = shape(Wish(flash=90 << 10), TINY, False)
    vocabulary = pieces_within(90 << 10, hyper, [*learn_pieces(counts, 200), *known_pieces(TINY.vocabulary)], counts)
    begin = from_encoder(TINY, hyper, vocabulary, counts, 0)
    assert not begin.kept
    texts = [document.text for document in documents]
    found = represented(begin.weights, hyper, *tokenize(vocabulary, texts), np.arange(len(texts)))
    encoder = lower(TINY, 512)
    exact = encoder.embed(texts).astype(np.float32) - encoder.origin
    near, wanted = unit(found) @ unit(found).T, unit(exact) @ unit(exact).T
    assert np.corrcoef(near.ravel(), wanted.ravel())[0, 1] > 0.6  # two bits a component, once more


def test_readings_spell_their_pieces():
    counts = count_words(document.text for document in corpus())
    after = pieces_within(60 << 10, shape(Wish(flash=60 << 10), None, False), learn_pieces(counts, 300), counts)
    pieces = [*TINY.vocabulary.starts, *TINY.vocabulary.continuations]
    for piece, ids in zip((*after.starts, *after.continuations), readings(TINY.vocabulary, after), strict=True):
        assert b"".join(pieces[token] for token in ids) == piece
    for ids in readings(TINY.vocabulary, after)[len(after.starts) :]:
        assert all(token >= len(TINY.vocabulary.starts) for token in ids)


@pytest.mark.parametrize("name", ["tiny", "base"])
def test_an_encoders_size_is_known_beforehand(name: str):
    folder = EncoderFolder.find(name)
    assert file_bytes(folder.vocabulary, shape(Wish(), folder, False)) == len(write(lower(folder, 512)))


def test_a_budget_is_used_and_kept():
    counts = count_words(document.text for document in corpus())
    learnt = [*learn_pieces(counts, 300), *known_pieces(EncoderFolder.find("base").vocabulary)]
    for flash in (40 << 10, 75 << 10, 200 << 10):
        hyper = shape(Wish(flash=flash), None, False)
        size = file_bytes(pieces_within(flash, hyper, learnt, counts), hyper)
        assert flash - 3 * 4096 < size <= flash
    with pytest.raises(TrainingError, match="too few for rows of 64 dimensions"):
        pieces_within(20_000, shape(Wish(flash=20_000), None, False), learnt, counts)


def test_itq_is_one_more_layer():
    vectors = np.random.default_rng(4).normal(size=(500, 32)).astype(np.float32) + 0.3
    vectors = 4 * unit(vectors)  # of one length, as outputs nearly are: then the layer is itq's code exactly
    from bitwren.binarize import itq
    from bitwren.hamming import unpack_bits

    kernel, bias = rotation(vectors, 32)
    np.testing.assert_array_equal(vectors @ kernel + bias > 0, unpack_bits(itq(vectors, 32).encode(vectors)).astype(bool))
    with pytest.raises(TrainingError, match="itq needs more vectors than bits"):
        rotation(vectors[:20], 32)


def test_an_encoder_can_be_its_own_teacher():
    texts = ["open the door", "close the window"]
    found = OwnTeacher(TINY).embed(texts)
    assert found.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(found.astype(np.float32), axis=1), [1, 1], atol=1e-3)


# --- checkpoints and folders ---


def test_a_checkpoint_comes_back_and_another_runs_is_refused(tmp_path: Path):
    path = tmp_path / "x.npz"
    assert checkpoint.load(path, "this run") is None
    checkpoint.save(path, "this run", {"epoch": 3, "scores": [0.5]}, {"a": np.arange(4.0)})
    facts, arrays = checkpoint.load(path, "this run") or ({}, {})
    assert facts == {"epoch": 3, "scores": [0.5]}
    np.testing.assert_array_equal(arrays["a"], np.arange(4.0))
    with pytest.raises(TrainingError, match="other texts, settings or another encoder"):
        checkpoint.load(path, "another run")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TrainingError, match="damaged"):
        checkpoint.load(path, "this run")
    assert [file.name for file in tmp_path.iterdir()] == ["x.npz"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(BitwrenError, match=r"holds other files \(holiday.jpg\)"):
        check_output(tmp_path)
    check_output(tmp_path / "new")


# --- the command's refusals, which need no TensorFlow to be right ---


def test_sizes_and_folders_are_checked_first(tmp_path: Path):
    path = written(tmp_path, corpus())
    fails(bitwren("train", path, "-o", tmp_path / "e", "--flash", "much"), "'much' is no size", "200KB", code=2)
    fails(bitwren("train", tmp_path / "none.csv", "-o", tmp_path / "e"), "cannot be read")
    fails(bitwren("train", path, "-o", tmp_path), "holds other files (corpus.csv)")
    fails(bitwren("train", path, "-o", tmp_path / "e", "--from", "nowhere"), "no encoder 'nowhere'")
    assert not (tmp_path / "e").exists()


@pytest.mark.skipif(TENSORFLOW, reason="tensorflow is installed")
def test_without_tensorflow_it_says_what_to_install(tmp_path: Path):
    path = written(tmp_path, corpus())
    fails(bitwren("train", path, "-o", tmp_path / "e", "--teacher", "none"), "needs tensorflow", "bitwren[train]")
    fails(bitwren("build", path, "-o", tmp_path / "b", "--adapt", "--teacher", "none"), "needs tensorflow", "bitwren[train]")


# --- training itself ---


def quiet(message: str) -> None:
    pass


@needs_tensorflow
def test_labels_bring_together_what_belongs_together():
    documents = corpus()
    folder, learnt = teach(documents, [], TINY, None, Wish(bits=128, epochs=8, held_out=0.3), quiet)
    assert learnt.before is not None
    assert learnt.after is not None
    assert learnt.after > learnt.before + 0.05
    assert folder.knows_labels
    encoder = lower(folder, 128)
    embeddings = encoder.embed([document.text for document in documents]).astype(np.float32)
    vectors = unit(embeddings - embeddings.mean(axis=0))
    groups = alike(documents)
    near = vectors @ vectors.T
    same = groups[:, None] == groups
    assert near[same & ~np.eye(100, dtype=bool)].mean() > near[~same].mean() + 0.3


@needs_tensorflow
@pytest.mark.parametrize("binarizer", ["lsh", "itq", "sign", "learned"])
@pytest.mark.parametrize("ptq", [False, True])
def test_every_binarizer_makes_an_encoder_for_a_chip(binarizer: str, ptq: bool):
    wish = Wish(bits=64, flash=60 << 10, binarizer=binarizer, epochs=2, held_out=0, ptq=ptq)
    folder, _ = teach(corpus(), [], TINY, None, wish, quiet)
    encoder = lower(folder, 64)
    assert len(write(encoder)) <= 60 << 10
    codes = encoder.encode([document.text for document in corpus()])
    assert len(np.unique(codes, axis=0)) > 50


@needs_tensorflow
def test_from_nothing_with_labels_alone_and_not_without():
    folder, _ = teach(corpus(), [], None, None, Wish(bits=64, flash=40 << 10, epochs=2, held_out=0), quiet)
    assert folder.settings["begun_with"] == "random rows"
    with pytest.raises(TrainingError, match="there is nothing to learn from"):
        teach(corpus(labels=False), [], None, None, Wish(), quiet)


@needs_tensorflow
def test_an_interrupted_run_goes_on_to_the_same_encoder(tmp_path: Path):
    path = written(tmp_path, corpus())
    common = ["--from", "tiny", "--teacher", "none", "--epochs", "4", "--held-out", "0.25"]
    whole, other = tmp_path / "whole", tmp_path / "other"
    done = bitwren("train", path, "-o", whole, *common)
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-c", "from bitwren_host.cli import main; main()", "train", str(path), "-o", str(other), *common]
    # A shell that runs tests in the background has them ignore Ctrl-C, and their children with them.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heed)
    saved = tmp_path / "other.training.npz"
    while not saved.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert b"--resume goes on" in said
    assert not other.exists()
    done = bitwren("train", path, "-o", other, *common, "--resume")
    assert done.returncode == 0, done.stderr
    assert b"going on after epoch" in done.stderr
    assert not saved.exists()
    for name in ("rows.npy", "scales.npy", "head.tflite", "vocabulary.txt"):
        assert (whole / name).read_bytes() == (other / name).read_bytes(), name


@needs_tensorflow
def test_build_adapts_and_search_answers(tmp_path: Path):
    path = written(tmp_path, corpus())
    done = bitwren("build", path, "-o", tmp_path / "b", "--encoder", "tiny", "--teacher", "none", "--adapt", "--bits", "128")
    assert done.returncode == 0, done.stderr
    found = bitwren("search", tmp_path / "b", "how do I open the kettle", "-k", "1", "--json")
    assert b"how do I open the kettle" in found.stdout
