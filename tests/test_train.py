"""Training: what needs no TensorFlow is always tested, the rest where it is installed."""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bitwren.encoder import EncoderFolder
from bitwren.frontend import Rows
from bitwren.lower import lower, read_head, write
from bitwren.projection import SEED, project
from bitwren.text import words
from bitwren.tokenizer import Vocabulary
from bitwren.train import TrainingError, need, require
from bitwren.train.fit import read_recipe, write_model
from bitwren.train.hyper import Hyper, as_hyper
from bitwren.train.measure import auroc, distances, encode, read_pairs, recall
from bitwren.train.phrases import TOPICS, fill, words_by_topic
from bitwren.train.quantize import export_head, quantize_rows
from bitwren.train.sources import Source, read_source, read_sources, tidy
from bitwren.train.student import initial_rows
from bitwren.train.texts import Texts
from bitwren.train.vocabulary import count_words, learn_pieces, prune, tokenize, train_vocabulary, weighted_counts

BASE = Path(__file__).parents[1] / "models" / "base"


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)} (pip install 'bitwren[train]')")


# --- imports ---


def test_neither_bitwren_nor_its_training_imports_a_heavy_library():
    code = (
        "import sys, bitwren, bitwren.train.fit, bitwren.train.measure, bitwren.train.__main__\n"
        "print([m for m in ('tensorflow', 'torch', 'sentence_transformers', 'tokenizers', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_library_is_an_error_that_says_what_to_install():
    with pytest.raises(TrainingError, match=r"pip install 'bitwren\[train\]'"):
        need("no_such_library_anywhere")
    with pytest.raises(TrainingError, match="needs no_such_library: pip install"):
        require("numpy", "no_such_library")


# --- sources ---


def test_tidy_undoes_treebank_marks():
    assert tidy("where did levi 's stadium -lrb- the new one -rrb- open ?") == "where did levi's stadium (the new one) open?"
    assert tidy("they do n't   know , `` yes ''") == 'they don\'t know, " yes "'


def write_sources(folder: Path) -> None:
    (folder / "talk.tsv").write_text("USER\tFind me a bus\nSYSTEM\tWhere to?\nUSER\tFind me a bus!\n", "utf-8")
    (folder / "asked.jsonl").write_text(json.dumps({"question": "who wrote hamlet"}) + "\n", "utf-8")
    (folder / "lines.txt").write_text("".join(f"line number {index}\n" for index in range(10)), "utf-8")
    (folder / "data.noun").write_text(
        "  1 This software is licensed\n"
        '00001740 03 n 01 living_thing 0 001 ~ 00001930 n 0000 | a living entity; "plants are living things"  \n',
        "utf-8",
    )
    (folder / "Packages").write_text("Package: x\nDescription: small editor (GTK version)\n\n", "utf-8")
    page = folder / "pages" / "tar.md"
    page.parent.mkdir()
    page.write_text("# tar\n\n> Archiving utility.\n> More information: <x>.\n\n- Create an [a]rchive:\n\n`tar cf`\n", "utf-8")
    with tarfile.open(folder / "pages.tar.gz", "w:gz") as archive:
        archive.add(page, "pages/tar.md")


@pytest.mark.parametrize(
    ("reader", "file", "options", "expected"),
    [
        ("tsv", "talk.tsv", {"columns": [1]}, ["Find me a bus", "Where to?", "Find me a bus!"]),
        ("jsonl", "asked.jsonl", {"field": "question"}, ["who wrote hamlet"]),
        ("lines", "lines.txt", {"first": 0.2}, ["line number 0", "line number 1"]),
        ("wordnet", "data.*", {}, ["living thing: a living entity", "plants are living things"]),
        ("debian", "Packages", {}, ["small editor"]),
        ("tldr", "pages.tar.gz", {}, ["Archiving utility.", "Create an archive"]),
    ],
)
def test_each_reader(tmp_path, reader, file, options, expected):
    write_sources(tmp_path)
    source = Source.from_recipe({"name": "some", "files": [file], "reader": reader, "licence": "any", **options})
    assert list(read_source(source, tmp_path)) == expected


def test_sources_are_deduplicated_limited_and_repeatable(tmp_path):
    write_sources(tmp_path)
    talk = Source("talk", ("talk.tsv",), "tsv", options={"columns": [1]})
    lines = Source("lines", ("lines.txt", "talk.tsv"), "lines", limit=4)
    once, again = (read_sources([talk, lines], tmp_path, 7) for _ in range(2))
    assert once == again
    assert sorted(once[0]) == ["Find me a bus", "Where to?"]
    assert len(once[1]) == 4
    assert read_sources([talk, lines], tmp_path, 8)[1] != once[1]


def test_a_missing_or_unknown_source_says_what_to_do(tmp_path):
    with pytest.raises(TrainingError, match="fetch it from its origin"):
        list(read_source(Source("gone", ("gone.txt",), "lines"), tmp_path))
    with pytest.raises(TrainingError, match="use one of debian"):
        Source.from_recipe({"name": "a", "files": ["a"], "reader": "psychic"})


# --- phrases ---


WORDNET = """  1 This software is licensed
00000001 06 n 02 fridge 0 iron_lung 0 000 | a thing
00000002 29 v 02 blink 0 dry 0 000 | to do
00000003 00 a 01 blue(a) 0 000 | a look
"""


def test_words_are_sorted_by_topic_and_inflected_only_as_the_word_list_knows(tmp_path):
    (tmp_path / "data.all").write_text(WORDNET, "utf-8")
    common = frozenset(["fridge", "fridges", "blink", "blinks", "blinking", "dry", "dries", "dried", "blue"])
    assert words_by_topic(tmp_path, common) == {
        "artifact": ["fridge"],
        "verb": ["blink", "dry"],
        "adj": ["blue"],
        "artifacts": ["fridges"],
        "verbs": ["blinks", "dries"],
        "verbing": ["blinking"],
        "verbed": ["dried"],
    }


def test_topics_are_those_of_wordnet():
    assert len(TOPICS) == 45
    assert (TOPICS[3], TOPICS[28], TOPICS[29], TOPICS[44]) == ("tops", "time", "verb.body", "participle")


def test_every_word_gets_its_rounds_and_phrases_repeat():
    lists = {"thing": ["fridge", "lamp"], "verb": ["blink"]}
    templates = ["does the {thing} {verb}", "where is the {thing}", "can it {verb}"]
    once, again = (list(fill(templates, lists, 2)) for _ in range(2))
    assert once == again
    assert len(once) == 2 * 3
    assert {"where is the fridge", "where is the lamp", "can it blink"} <= set(once)
    assert not [phrase for phrase in once if "{" in phrase]


# --- vocabulary ---


def test_pruning_keeps_the_pieces_that_longest_match_uses():
    counts = Counter({b"flashing": 50, b"flash": 100, b"light": 80, b"7": 3})
    learnt = ["f", "fl", "fla", "flash", "flashing", "light", "##ing", "##ight", "##x", "a-piece-of-over-16-bytes"]
    vocabulary = prune(learnt, counts, pieces=36 * 2 + 3)
    assert len(vocabulary) == 36 * 2 + 3
    assert {b"flash", b"flashing", b"light"} <= set(vocabulary.starts)
    assert b"fla" not in vocabulary.starts
    assert vocabulary.starts == sorted(vocabulary.starts)
    for single in (b"a", b"z", b"0", b"9"):
        assert single in vocabulary.starts
        assert single in vocabulary.continuations


def test_tokenize_agrees_with_the_vocabulary():
    vocabulary = Vocabulary([b"blink", b"light", b"t"], [b"h", b"s"])
    texts = ["The light blinks", "", "blink blink ths"]
    ids, offsets = tokenize(vocabulary, texts)
    assert ids.dtype == np.int32
    wanted = [vocabulary.tokens(words(text)) for text in texts]
    assert [ids[a:b].tolist() for a, b in itertools.pairwise(offsets)] == wanted


def test_count_words_counts_normalised_words():
    assert count_words(["Café, café!", "esp32"]) == {b"cafe": 2, b"esp": 1, b"32": 1}
    assert weighted_counts([["a b b"], ["b"]], [0.5, 3]) == {b"a": 1, b"b": 4}


def test_merges_are_the_most_frequent_neighbours_first_and_ties_are_alphabetical():
    assert learn_pieces({b"ab": 3, b"abc": 2, b"xy": 2, b"aaa": 1}, 100) == [
        *("##a", "##b", "##c", "##y", "a", "x"),
        *("ab", "abc", "xy", "##aa", "aaa"),
    ]
    assert max(len(piece) for piece in learn_pieces({b"a" * 40: 9}, 100)) <= 18  # 16 bytes after ##


def test_a_vocabulary_is_learnt_from_counts_alone_and_alike_every_time():
    counts = count_words(["the light blinks twice", "the light is blinking", "blink the lights"] * 5)
    first, second = (train_vocabulary(counts, 90) for _ in range(2))
    assert first.text() == second.text()
    assert len(first) <= 90
    assert len(first.tokens([b"light"])) == 1


# --- quantisation ---


def test_rows_quantise_to_the_nearest_of_four_values():
    weights = np.array([[-4, -0.5, 0.5, 1.0] * 8, [0.25] * 32, [0.0] * 32], dtype=np.float32)
    rows = quantize_rows(weights)
    step = np.abs(weights[0]).mean()
    assert rows.scales.tolist() == [255, round(255 * 0.25 / step), 0]
    assert rows.values([0])[0, :4].tolist() == [-3 * 255, -255, 255, 255]
    assert set(rows.values([1])[0].tolist()) == {3 * rows.scales[1]}
    assert not rows.values([2]).any()


# --- measuring ---


def test_distances_and_recall():
    documents = np.array([[0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1]], dtype=bool)
    far = distances(documents[[1, 2]], documents)
    assert far.tolist() == [[2, 0, 2], [0, 2, 0]]
    assert recall(far, np.array([1, 2]), 1) == 0.5  # the tie goes to document 0
    assert recall(far, np.array([1, 2]), 2) == 1.0


def test_auroc_counts_ties_as_half():
    assert auroc(np.array([1, 2]), np.array([2, 3])) == pytest.approx(3.5 / 4)


def test_pairs_keep_to_the_unseen_part(tmp_path):
    (tmp_path / "s").write_text("one\ntwo\nthree\nfour\nfour\n", "utf-8")
    (tmp_path / "q").write_text("1\n2\n3\n4\n5\n", "utf-8")
    documents, questions, wanted = read_pairs(tmp_path / "s", tmp_path / "q", 0.6, 3)
    assert documents == ["four", "three", "two"]
    assert questions == ["4", "5"]
    assert wanted == [0, 0]


# --- the model folder ---


def test_a_model_is_replaced_whole_and_keeps_its_card(tmp_path):
    out = tmp_path / "model"
    out.mkdir()
    (out / "README.md").write_text("card", "utf-8")
    (out / "head.tflite").write_bytes(b"old")
    rows = Rows(np.zeros((2, 32), np.uint8), np.ones(2, np.uint8), 2)
    write_model(out, {"name": 'a "b"', "bits": 8}, Vocabulary([b"a"], [b"b"]), rows, b"head", None)
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "encoder.toml",
        "head.tflite",
        "rows.npy",
        "scales.npy",
        "vocabulary.txt",
    ]
    assert (out / "encoder.toml").read_text("utf-8") == 'name = "a \\"b\\""\nbits = 8\n'
    assert (out / "vocabulary.txt").read_bytes() == b"a\n##b\n"
    assert (out / "head.tflite").read_bytes() == b"head"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_recipe_that_lacks_something_says_so(tmp_path):
    (tmp_path / "recipe.toml").write_text('name = "x"\n', "utf-8")
    with pytest.raises(TrainingError, match="lacks language, licence, seed, sources, version, vocabulary"):
        read_recipe(tmp_path / "recipe.toml")
    with pytest.raises(TrainingError, match="Cannot read"):
        read_recipe(tmp_path / "none.toml")


def test_the_shipped_recipe_is_complete_and_never_trains_on_evaluation_text():
    recipe = read_recipe(BASE / "recipe.toml")
    sources = [Source.from_recipe(entry) for entry in recipe["sources"]]
    assert not [source for source in sources if "clinc" in " ".join(source.files)]
    assert {source.first for source in sources if source.name == "squad-nqg"} == {0.8}
    assert all(entry["licence"] and entry["origin"] for entry in recipe["sources"])


@pytest.mark.parametrize(("name", "dims", "kilobytes"), [("base", 160, 350), ("tiny", 96, 110)])
def test_a_shipped_model_fits_its_description_and_its_budget(name, dims, kilobytes):
    folder = EncoderFolder.read(BASE.parent / name)
    assert (folder.settings["name"], folder.settings["dims"], folder.settings["row_bits"]) == (name, dims, 2)
    assert (folder.binarizer, folder.settings["units"]) == ("lsh", dims)
    assert folder.settings["input_scale"] == 1 / 32
    recipe = read_recipe(folder.path / "recipe.toml")
    assert (recipe["name"], len(folder.vocabulary)) == (name, recipe["vocabulary"]["pieces"])
    assert len(write(lower(folder, 1024))) <= kilobytes * 1024


def test_the_shipped_model_finds_a_paraphrase():
    documents = ["how do I reset my password", "the battery does not charge", "book a table for two"]
    codes = encode(EncoderFolder.read(BASE), [*documents, "I forgot my password", "charging the battery fails"])
    assert distances(codes[3:], codes[:3]).argmin(axis=1).tolist() == [0, 1]


# --- hyper-parameters ---


def test_a_recipe_chooses_hyper_parameters():
    hyper = as_hyper({"binarizer": "learned", "bits": 64, "prefixes": [64], "mse": 2, "sharpness": [1.0, 8.0]})
    assert (hyper.outputs, hyper.prefixes, hyper.mse, hyper.sharpness) == (64, (64,), 2.0, (1.0, 8.0))
    assert (Hyper(dims=96).outputs, Hyper(dims=96, units=64).outputs) == (96, 64)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"epoch": 3}, "has no epoch: there are binarizer, dims"),
        ({"epochs": "3"}, "gives epochs as '3': it is of kind int"),
        ({"binarizer": "pq"}, "use one of lsh, itq, sign, learned"),
        ({"gradient": "none"}, "use one of straight-through, continuation"),
        ({"dims": 100}, "multiple of 32 dimensions"),
        ({"bits": 100}, "codes have one of 64, 128"),
        ({"units": 1000}, "a multiple of 4 outputs, 4 to 512"),
        ({"binarizer": "sign", "bits": 512, "units": 160}, "with binarizer sign it is bits, 512"),
        ({"binarizer": "itq", "bits": 512}, "512 of 160 are not possible"),
        ({"binarizer": "sign", "code_weight": 1.0}, "is binarizer learned"),
        ({"code_weight": 1.0, "prefixes": [1024]}, "prefixes are widths up to bits"),
        ({"vector_bits": 3}, "2, 4 and 8 are possible"),
    ],
)
def test_hyper_parameters_that_cannot_be_are_refused(table, message):
    with pytest.raises(TrainingError, match=message):
        as_hyper(table)


# --- what needs TensorFlow ---


@needs("tensorflow")
def test_the_exported_head_keeps_scale_and_signs():
    random = np.random.default_rng(3)
    kernel = random.normal(size=(32, 64)).astype(np.float32)
    bias = random.normal(size=64).astype(np.float32)
    inputs = np.clip(np.rint(random.normal(size=(50, 32)) * 32), -127, 127).astype(np.int8)
    wanted = inputs.astype(np.float32) / 32 @ kernel + bias
    (layer,) = read_head(export_head([(kernel, bias)], inputs, signs=True), 32)
    assert ((layer.accumulate(inputs) >= 0) == (wanted > 0)).mean() > 0.98


def small_world(random: np.random.Generator) -> tuple[Texts, np.ndarray, np.ndarray]:
    """256 texts on four topics, of three words from the topic's four: texts, topics, rows to start from."""
    topics = random.normal(size=(4, 48))
    labels = np.arange(256) % 4
    targets = topics[labels] + 0.3 * random.normal(size=(256, 48))
    targets = (targets / np.linalg.norm(targets, axis=1, keepdims=True)).astype(np.float16)
    ids = (labels[:, None] * 4 + random.integers(0, 4, (256, 3))).astype(np.int32)
    start = initial_rows(random.normal(size=(16, 48)), np.bincount(ids.ravel()), 32)
    return Texts(ids.ravel(), np.arange(0, 257 * 3, 3), targets), labels, start


@needs("tensorflow", "sklearn")
@pytest.mark.parametrize(
    "given",
    [
        {"binarizer": "learned", "code_weight": 1.0, "float_weight": 0.3, "anchor": 1.0},
        {"binarizer": "learned", "code_weight": 1.0, "gradient": "continuation"},
        {"binarizer": "sign"},
        {"binarizer": "sign", "ptq": True},
        {"binarizer": "lsh"},
        {"binarizer": "lsh", "code_weight": 1.0, "asymmetric_weight": 0.0, "vector_bits": 0},
    ],
    ids=lambda given: "-".join(map(str, given.values())),
)
def test_a_student_learns_a_small_world(given):
    from bitwren.train.distil import distil

    texts, labels, start = small_world(np.random.default_rng(0))
    hyper = Hyper(dims=32, bits=64, prefixes=(64,), epochs=8, batch=64, run=8, **given)
    student = distil(texts, start, labels, hyper, seed=1)
    outputs = quantize_rows(student.rows).values(texts.ids).reshape(256, 3, 32).sum(axis=1) @ student.kernel
    projected = project(np.rint(outputs * 255 / np.abs(outputs).max()).astype(np.int16), 64, SEED)
    codes = projected if hyper.binarizer == "lsh" else outputs > 0
    far = distances(codes, codes) + 1000 * np.eye(256, dtype=np.int32)
    assert (labels[far.argmin(axis=1)] == labels).mean() > 0.9
