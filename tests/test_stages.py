"""Scoring stages as a user meets them: the same answers and sentences from the command, the reference and a board."""

from __future__ import annotations

import importlib
import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from board_bundle import NATIVE, make_bundle, make_encoder, text_of, write_bundle
from test_agreement import need
from test_command import CORPUS, bitwren, fails
from test_firmware_console import ask, needs_unix_port, package, run  # noqa: F401  (package is a fixture)
from test_native_hostile import mend

from bitwren import bundle, container
from bitwren.bundle import TABLE_FILE, Bundle, Scoring
from bitwren.corpus import read_corpus, read_questions
from bitwren.encoder import EncoderFolder
from bitwren.scoring import NAMES
from bitwren_host.targets import open_target
from bitwren_host.verify import verify

QUESTIONS = [question.query for question in read_questions(CORPUS.with_name("questions.csv"))][::57]
WRONG = "stages must be one of hamming, vectors, words, all"
MISSING = "the table was built without what {} needs: leave stages out, or build it again"


# --- The command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stages") / "faq"
    made = bundle.build(read_corpus(CORPUS), EncoderFolder.find("base"), 256, scoring=Scoring(4, 80, 0.7))
    bundle.write(replace(made, table=replace(made.table, score_thresholds=(2500, 3000, 4500))), folder)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(make_bundle(), tmp_path_factory.mktemp("plain") / "faq")


@pytest.mark.parametrize("stages", [None, "hamming", "words"])
def test_search(faq: Path, stages: str | None) -> None:
    made = Bundle.read(faq)
    options = [] if stages is None else ["--stages", stages]
    expected = [made.answer(question, 3, None, stages) for question in QUESTIONS]
    done = bitwren("search", faq, *QUESTIONS, *options, "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected
    done = bitwren("console", faq, *options, stdin="\n".join(QUESTIONS).encode())
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected
    first = expected[-1]["hits"][0]
    score = "" if stages == "hamming" else f", score {first['score'] / 4096:.2f}"
    assert f"[{first['id']}{score}, {first['distance']}/256]" in bitwren("search", faq, QUESTIONS[-1], *options).stdout.decode()


def test_stages_change_what_is_found(faq: Path) -> None:
    made = Bundle.read(faq)
    found = {name: [made.answer(question, 3, None, name)["hits"] for question in QUESTIONS] for name in NAMES}
    ids = {name: [[hit["id"] for hit in hits] for hits in answers] for name, answers in found.items()}
    assert all(ids["hamming"] != ids[name] != ids["all"] for name in ("vectors", "words"))


def test_refused(faq: Path, plain: Path) -> None:
    fails(bitwren("search", faq, "x", "--stages", "letters"), "'letters' is not one of", code=2)
    for name in ("vectors", "words", "all"):
        fails(bitwren("search", plain, "x", "--stages", name), MISSING.format(name))
    assert bitwren("search", plain, "x", "--stages", "hamming").returncode == 0


def test_inspect(faq: Path, plain: Path) -> None:
    found = json.loads(bitwren("inspect", faq, "--json").stdout)
    encoder, table = Bundle.read(faq).encoder, found[1]
    assert (found[0]["embedding"], found[0]["binarizer"]) == (encoder.units, "lsh")
    assert (table["stages"], table["vector_bits"], table["vectors"], table["words"]) == ("all", 4, 395, 395)
    assert (table["word_weight"], table["word_bytes"]) == (0.699, table["sections"]["WORD"]["bytes"])
    assert table["centre"].startswith(f"{encoder.units} components")
    assert table["score_thresholds"] == [2500, 3000, 4500]
    other = json.loads(bitwren("inspect", plain / TABLE_FILE, "--json").stdout)
    assert other["stages"] == "hamming"
    assert not {"vectors", "words", "centre", "score_thresholds"} & set(other)


def test_a_board_agrees(faq: Path) -> None:
    need("unix")
    made = Bundle.read(faq)
    with open_target("unix", faq) as board, open_target("host", faq) as host:
        assert board.info()["stages"] == host.info()["stages"] == "all"
        for stages in (None, *NAMES):
            for question in QUESTIONS:
                found, expected = board.answer(question, 5, None, stages), made.answer(question, 5, None, stages)
                assert found == expected
                assert [list(hit) for hit in found["hits"]] == [list(hit) for hit in expected["hits"]], "the keys' order"
    report = verify(faq, QUESTIONS, ["unix"], 5, {}, EncoderFolder.find("base"), lambda step, done, total: None)
    assert report.identical
    assert "identical ids, scores, distances and order" in report.text()


# --- The package in MicroPython's unix port --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made() -> Bundle:
    return make_bundle(70, make_encoder(embedding=32), scoring=Scoring(4, 60))


@pytest.fixture
def board(tmp_path: Path, made: Bundle) -> Path:
    """A folder as a board's filesystem: the bundle as faq/, the native module in lib/."""
    write_bundle(made, tmp_path / "faq")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "bitwren_native.mpy").write_bytes(NATIVE["x64"].read_bytes())
    return tmp_path


@needs_unix_port
def test_what_a_program_may_ask(board: Path, made: Bundle) -> None:
    query = text_of(made, 5)
    answers = ask(board, *({"query": query, "k": 4, "stages": name} for name in (None, *NAMES)), {"cmd": "info"})
    assert answers[:-1] == [made.answer(query, 4, None, name) for name in (None, *NAMES)]
    assert answers[-1]["stages"] == "all"
    wrong = ask(board, *({"query": query, "stages": value} for value in ("letters", "", 3, ["all"], True, {})))
    assert wrong == [{"query": query, "error": WRONG}] * 6
    write_bundle(make_bundle(70, made.encoder, scoring=Scoring(0, 60)), board / "faq")
    names = ("vectors", "all")
    assert ask(board, *({"query": query, "stages": name} for name in names)) == [
        {"query": query, "error": MISSING.format(name)} for name in names
    ]
    # As on the host, k is looked at before the stages, and the query's words after them.
    assert "k must be" in ask(board, {"query": "...", "k": 0, "stages": 5})[0]["error"]
    assert ask(board, {"query": "...", "stages": 5})[0]["error"] == WRONG


@needs_unix_port
def test_a_table_without_stages(board: Path) -> None:
    bundle = make_bundle()
    write_bundle(bundle, board / "faq")
    asked = [{"query": "abc", "k": 3, "stages": name} for name in NAMES]
    assert ask(board, *asked) == [bundle.answer("abc", 3), *({"query": "abc", "error": MISSING.format(n)} for n in NAMES[1:])]
    script = "import bitwren, sys\nbitwren.open('faq').search('abc')\nprint([name for name in sys.modules if 'stages' in name])"
    assert run(board, script) == "[]\n", "what a table has no use for takes no RAM"


@needs_unix_port
@pytest.mark.parametrize("least", [-0x80000000, -5000, 1, 20000])
@pytest.mark.parametrize("name", NAMES[1:])
def test_confidence_by_score(board: Path, made: Bundle, name: str, least: int) -> None:
    """Each combination of stages has its own threshold."""
    thresholds = [20000, 20000, 20000]
    thresholds[NAMES.index(name) - 1] = least
    calibrated = replace(made, table=replace(made.table, score_thresholds=tuple(thresholds)))
    write_bundle(calibrated, board / "faq")
    for query in ("zz", text_of(made, 3)):
        answer = calibrated.answer(query, 1, None, name)
        assert ask(board, {"query": query, "k": 1, "stages": name}) == [answer]
        assert answer["confident"] == (answer["hits"][0]["score"] >= least)


@needs_unix_port
@pytest.mark.parametrize("storage", ["ram", "file"])
@pytest.mark.parametrize("k", [1, 64, 65, 70])
def test_the_package(board: Path, made: Bundle, storage: str, k: int) -> None:
    script = f"""
import bitwren
wren = bitwren.open("faq", storage="{storage}")
for stages in ("hamming", "vectors", "words", None):
    print([(hit.id, hit.distance, hit.score) for hit in wren.search({text_of(made, 9)!r}, {k}, stages=stages)])
try:
    wren.search("x", stages="none")
except bitwren.Error as error:
    print(repr(str(error)))
"""
    said = [eval(line) for line in run(board, script).splitlines()]
    for stages, found in zip((*NAMES[:3], None), said[:4], strict=True):
        assert found == [(hit.id, hit.distance, hit.score) for hit in made.search(text_of(made, 9), k, None, stages)]
    assert said[4:] == [WRONG]


@needs_unix_port
def test_a_person(board: Path, made: Bundle) -> None:
    query = text_of(made, 4)
    typed = [":stages", ":stages words", query, ":stages letters", ":stages", ":stages hamming", query, ":info"]
    said = [line.removeprefix("> ").strip() for line in run(board, typed="\n".join(typed).encode()).splitlines()]
    begin = said.index("stages: all")
    assert said[begin + 1] == "stages: words"
    first = made.answer(query, 3, None, "words")["hits"][0]
    shown = f"[score {first['score'] / 4096:.2f}, distance {first['distance']}, id {first['id']}]"
    assert said[begin + 2] == f"1. {first['answer']}  {shown}"
    assert said[begin + 6 : begin + 9] == [WRONG, "stages: words", "stages: hamming"]
    assert said[begin + 9] == f"1. {made.table.records[4].answer}  [distance 0, id d4]"
    assert "stages     all" in said


@pytest.mark.parametrize(
    ("score", "shown"), [(0, "0.00"), (4096, "1.00"), (-4096, "-1.00"), (20, "0.00"), (-20, "0.00"), (21, "0.01"), (7331, "1.79")]
)
@pytest.mark.usefixtures("package")
def test_a_score_for_people(score: int, shown: str) -> None:
    assert importlib.import_module("bitwren_board.stages").decimal(score) == shown


@needs_unix_port
@pytest.mark.parametrize(
    ("tag", "place", "value"),
    [("CENT", None, 8), ("VECS", None, 99), ("WORD", 0, 5000), ("WORD", 4, 3), ("WORD", None, 20)],
    ids=lambda value: str(value),
)
def test_damage_that_no_checksum_tells(board: Path, made: Bundle, tag: str, place: int | None, value: int) -> None:
    """A section that is shorter than it should be (no place), or has a field that is none: a sentence, and no other answer."""
    path = board / "faq" / TABLE_FILE
    data = bytearray(path.read_bytes())
    begin = container.unpack(bytes(data), "BWT1").offsets[tag]
    if place is None:
        entry = next(at for at in range(32, 288, 16) if data[at : at + 4] == tag.encode())
        struct.pack_into("<I", data, entry + 8, value)
    else:
        struct.pack_into("<I", data, begin + place, value)
    mend(data)
    path.write_bytes(data)
    query = text_of(made, 4)
    sentence = "faq/table.bwt is damaged or truncated: a field is out of its range; copy or build it again"
    for engine in ("auto", "python"):
        script = f"import bitwren, json\nprint(json.dumps(bitwren.open('faq', engine='{engine}').answer({query!r}, 3)))"
        assert json.loads(run(board, script)) == {"query": query, "error": sentence}
