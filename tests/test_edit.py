"""`bitwren append` and `bitwren delete`: what a search finds afterwards, what is refused, and what stays as it was."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from board_bundle import make_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from test_command import CORPUS, bitwren, fails

from bitwren import bundle, edit, lexical, postings, table
from bitwren.bundle import Bundle, Scoring
from bitwren.corpus import Document, Question, read_corpus
from bitwren.encoder import EncoderFolder
from bitwren.errors import BitwrenError, CorpusError
from bitwren.evaluate import evaluate
from bitwren.vectors import quantize

NEW = (
    b"id,text,answer,label\n"
    b"fox,the quick brown fox jumps over the lazy dog,It does.,animals\n"
    b"owl,owls hoot all night,Let them.,animals\n"
)


@pytest.fixture(scope="module", params=table.LAYOUTS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "faq"
    done = bitwren("build", CORPUS, "-o", folder, "--bits", 128, "--layout", request.param, "--store-text")
    assert done.returncode == 0, done.stderr.decode()
    return folder


@pytest.fixture
def faq(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "faq")
    (tmp_path / "new.csv").write_bytes(NEW)
    return tmp_path / "faq"


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_appended_and_deleted(faq: Path) -> None:
    before = Bundle.read(faq)
    count = len(before.table.records)
    done = bitwren("append", faq, faq.parent / "new.csv")
    assert done.returncode == 0, done.stderr.decode()
    assert b"2 added" in done.stderr
    said = bitwren("search", faq, "The quick brown fox jumps over the lazy dog!", "-k", 1).stdout
    assert re.search(rb"\[fox, score \d\.\d\d, 0/128\]", said), said
    made = Bundle.read(faq)
    assert made.table.layout == before.table.layout
    assert made.table.staged == (0 if made.table.layout == "rows" else 2)
    assert made.table.threshold == before.table.threshold
    assert made.table.records[count] == table.Record("fox", "It does.", "the quick brown fox jumps over the lazy dog", "animals")
    assert made.table.records[:count] == before.table.records
    texts = [record.text or "" for record in made.table.records[count:]]
    assert np.array_equal(made.table.codes[count:], made.encoder.encode(texts, before.table.centre))

    done = bitwren("delete", faq, "fox", "pico-no-drive")
    assert done.returncode == 0, done.stderr.decode()
    assert f"2 deleted; {count} documents".encode() in done.stderr
    found = bitwren("search", faq, "My Pico does not appear as a USB drive when I plug it in", "-k", count, "--json").stdout
    assert found.count(b'"id":') == count
    assert b'"id": "fox"' not in found
    assert b'"id": "pico-no-drive"' not in found
    assert b'"id": "owl"' in found
    said = bitwren("inspect", faq).stdout.decode().split("table.bwt")[1]
    assert f"documents     {count}\n" in said
    assert "deleted       2\n" in said
    assert f"staged        {made.table.staged}\n" in said

    # What was deleted may come back, and the bundle stays one that can be appended to and deleted from.
    assert bitwren("append", faq, CORPUS.parent / "corpus.csv").returncode == 1
    (faq.parent / "again.csv").write_bytes(NEW.replace(b"owl", b"owl2"))
    assert bitwren("append", faq, faq.parent / "again.csv").returncode == 0
    assert bitwren("delete", faq, "fox").returncode == 0
    assert sorted(os.listdir(faq)) == [bundle.ENCODER_FILE, bundle.TABLE_FILE]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("append", "again.csv"), ["id 'pico-no-drive' is in the table already: delete that document first"]),
        (("append", "wordless.csv"), ["document 'x' has no words"]),
        (("append", "nothing.csv"), ["cannot be read"]),
        (("append", "twice.csv"), ["already used"]),
        (("delete", "fox"), ["no document has the id 'fox': nothing was deleted"]),
        (("delete", "pico-no-drive", "fox"), ["no document has the id 'fox': nothing was deleted"]),
    ],
)
def test_refused_and_nothing_changed(faq: Path, arguments: tuple[str, ...], words: list[str]) -> None:
    folder = faq.parent
    (folder / "again.csv").write_text("id,text\nnew,some words\npico-no-drive,other words\n")
    (folder / "wordless.csv").write_text("id,text\nnew,some words\nx,...\n")
    (folder / "twice.csv").write_text("id,text\nx,some words\nx,other words\n")
    before = contents(faq)
    command, *rest = arguments
    fails(bitwren(command, faq, *(folder / name if command == "append" else name for name in rest)), *words)
    assert contents(faq) == before
    assert sorted(os.listdir(faq)) == sorted(before)


def test_a_bundle_that_is_damaged_or_not_there(faq: Path) -> None:
    fails(bitwren("append", faq.parent / "nowhere", faq.parent / "new.csv"), "cannot be read")
    fails(bitwren("delete", faq), "Missing argument", code=2)
    path = faq / bundle.TABLE_FILE
    path.write_bytes(path.read_bytes()[:-1])
    fails(bitwren("delete", faq, "pico-no-drive"), "truncated")


def test_all_deleted(faq: Path) -> None:
    ids = [record.id for record in Bundle.read(faq).table.records]
    assert bitwren("delete", faq, *ids).returncode == 0
    fails(bitwren("search", faq, "no serial port", "-k", 1), "the table holds no documents, all of them are deleted")
    with pytest.raises(BitwrenError, match="holds no documents"):
        evaluate(Bundle.read(faq), [])
    assert bitwren("append", faq, faq.parent / "new.csv").returncode == 0
    assert b"[owl," in bitwren("search", faq, "owls hoot", "-k", 1).stdout


def test_the_same_as_built_at_once() -> None:
    """Appending finds what building from all documents about the same centre finds: ids and distances, the flat order being that
    of the corpus."""
    documents = read_corpus(CORPUS)
    folder = EncoderFolder.find("base")
    whole, part = bundle.build(documents, folder, 256), bundle.build(documents[:300], folder, 256)
    centre = part.table.centre
    assert centre is not None
    assert not np.array_equal(centre, whole.table.centre)
    codes = part.encoder.encode([document.text for document in documents], centre)
    assert np.array_equal(codes[:300], part.table.codes)
    whole = replace(whole, table=replace(whole.table, codes=codes, centre=centre))
    appended = edit.append(edit.append(part, documents[300:333]), documents[333:])
    assert appended.table.staged == len(documents) - 300
    for query in ("the board is hot", "no serial port appears", "wifi"):
        assert appended.search(query, 50) == whole.search(query, 50)
    fewer = edit.delete(appended, [document.id for document in documents[::3]])
    some = [index for index in range(len(documents)) if index % 3]
    kept = bundle.build([documents[index] for index in some], folder, 256)
    kept = replace(kept, table=replace(kept.table, codes=codes[some], centre=centre))
    for query in ("the board is hot", "no serial port appears", "wifi"):
        found = [(hit.distance, hit.id) for hit in fewer.search(query, 50)]
        assert found == [(hit.distance, hit.id) for hit in kept.search(query, 50)]


@pytest.mark.parametrize("layout", table.LAYOUTS)
@pytest.mark.parametrize("scoring", [Scoring(4, 40), Scoring(8, 0), Scoring(0, 1000)])
def test_appended_documents_get_vectors_and_words(tmp_path: Path, layout: str, scoring: Scoring) -> None:
    """They are what a build would have made of them with this table's centre, mean length and dropped terms."""
    documents = read_corpus(CORPUS)[:60]
    made = bundle.build(documents, EncoderFolder.find("base"), 64, layout=layout, scoring=scoring)
    bundle.write(made, tmp_path / "faq")
    (tmp_path / "new.csv").write_bytes(NEW)
    new = read_corpus(tmp_path / "new.csv")
    assert bitwren("append", tmp_path / "faq", tmp_path / "new.csv").returncode == 0
    before, after = made.table, Bundle.read(tmp_path / "faq").table
    if before.vectors and after.vectors and before.centre is not None:
        embeddings = made.encoder.embed([document.text for document in new]).astype(np.float64)
        expected = quantize(embeddings - before.centre, scoring.vector_bits)
        assert after.vectors.packed.tolist() == [*before.vectors.packed.tolist(), *expected.packed.tolist()]
        assert after.vectors.scales.tolist() == [*before.vectors.scales.tolist(), *expected.scales.tolist()]
    assert (after.vectors is None, after.words is None) == (not scoring.vector_bits, not scoring.word_bytes)
    if after.words:
        assert (len(after.words), after.words.mean_length) == (62, before.words.mean_length)  # type: ignore[union-attr]
    for document in new:
        assert Bundle.read(tmp_path / "faq").search(document.text, 1)[0].id == document.id
    again = edit.append(Bundle.read(tmp_path / "faq"), [Document("crow", "a crow caws", "", "")]).table
    assert [len(part) for part in (again.vectors, again.words) if part] == [63] * (bool(again.vectors) + bool(again.words))


@settings(max_examples=100, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from(["pump", "pumping", "light", "é", "a", "of"]), max_size=5), min_size=1, max_size=12),
    first=st.integers(1, 12),
    budget=st.sampled_from([0, 360, 500, 100_000]),
)
def test_words_extended(texts: list[list[str]], first: int, budget: int) -> None:
    """Each document is in the buckets of its terms and in no others, however the index came about."""
    joined = [" ".join(text) for text in texts]
    built = lexical.build(joined[:first], budget, 8)
    made = lexical.extend(built, joined[first:])
    assert np.array_equal(made.dropped, built.dropped)
    for bucket in range(256):
        having = [slot for slot, text in enumerate(joined) if bucket in {lexical.bucket(term, 8) for term in lexical.terms(text)}]
        assert made.slots[made.starts[bucket] : made.starts[bucket + 1]].tolist() == ([] if built.dropped[bucket] else having)
    gains = [lexical.gain(len(lexical.terms(text)), built.mean_length / 16) for text in joined[first:]]
    assert made.gains.tolist() == [*built.gains.tolist(), *gains]
    assert postings.unpack(postings.pack(made), len(texts)).slots.tolist() == made.slots.tolist()


def test_vectors_and_words_that_do_not_reach_the_end_stay_so() -> None:
    """A table from elsewhere may have them of its first documents only: those of others would lie in the wrong slots."""
    made = make_bundle(20, scoring=Scoring(4, 60))
    vectors, words = made.table.vectors, made.table.words
    assert vectors
    assert words
    part = replace(vectors, packed=vectors.packed[:10], scales=vectors.scales[:10])
    more = edit.append(replace(made, table=replace(made.table, vectors=part)), [Document("new", "a new one", "", "")])
    assert more.table.vectors is part
    assert more.table.words
    assert len(more.table.words) == 21


def test_questions_about_deleted_documents_are_refused() -> None:
    documents = [Document("a", "red light", "x", ""), Document("b", "green light", "y", "")]
    made = bundle.build(documents, EncoderFolder.find("base"), 64)
    assert evaluate(made, [Question("red", "a", "")]).questions == 1
    with pytest.raises(CorpusError, match="names id 'a', which the table does not hold"):
        evaluate(edit.delete(made, ["a"]), [Question("red", "a", "")])
