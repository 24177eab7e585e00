"""Less effort than an exact search takes: what the toolchain's reference finds, on every target, and what people are told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import ROOT
from test_agreement import need
from test_command import bitwren, fails
from test_native_hostile import mend

from bitwren import bundle, edit, table
from bitwren.bundle import Bundle
from bitwren.corpus import Document, read_corpus, read_questions
from bitwren.encoder import EncoderFolder
from bitwren.errors import FormatError
from bitwren_host.console import ALWAYS_EXACT
from bitwren_host.targets import open_target

SAMPLE = ROOT / "examples" / "board-help"
SENTENCE = "effort must be a whole number from 1 to 100, percent of the table to read"
QUESTIONS = [question.query for question in read_questions(SAMPLE / "questions.csv")][::40]


@pytest.fixture(scope="module", params=["flat", "residual", "residual, appended"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    layout, _, appended = request.param.partition(", ")
    documents = read_corpus(SAMPLE / "corpus.csv")
    count = 300 if appended else len(documents)
    made = bundle.build(documents[:count], EncoderFolder.find("base"), 256, layout=layout)
    if appended:
        made = edit.append(made, documents[count:])
    found = tmp_path_factory.mktemp("effort") / request.param
    bundle.write(made, found)
    return found


def test_the_reference(folder: Path) -> None:
    made = Bundle.read(folder)
    exact = [made.answer(question, 5) for question in QUESTIONS]
    assert all("exact" not in answer for answer in exact)
    answers = [made.answer(question, 5, 10) for question in QUESTIONS]
    assert [answer.pop("exact") for answer in answers] == [made.table.layout == "flat"] * len(answers)
    missed = sum(answer != right for answer, right in zip(answers, exact, strict=True))
    assert (missed > 0) == (made.table.layout == "residual")
    assert all(len(answer["hits"]) == 5 for answer in answers)
    assert [made.answer("abc", 1, effort)["error"] for effort in (0, 101, -1)] == [SENTENCE] * 3


@pytest.mark.parametrize("target", ["unix", "pico"])
def test_a_board_finds_what_the_reference_finds(folder: Path, target: str) -> None:
    need(target)
    made = Bundle.read(folder)
    with open_target(target, folder) as board:
        assert board.info()["layout"] == made.table.layout
        # The emulated Pico takes half a second for an answer.
        for effort in (1, 10, 50, 99, 100) if target == "unix" else (10,):
            for question in QUESTIONS if target == "unix" else QUESTIONS[:4]:
                found, expected = board.answer(question, 5, effort), made.answer(question, 5, effort)
                assert found == expected
                assert list(found) == list(expected)
        for wrong in (0, 101, 2.5, True, "10", [10])[: 6 if target == "unix" else 1]:
            assert board.answer("abc", 1, wrong) == {"query": "abc", "error": SENTENCE}  # type: ignore[arg-type]


def test_search(folder: Path) -> None:
    made = Bundle.read(folder)
    told = [ALWAYS_EXACT] if made.table.layout == "flat" else []
    for effort in (10, 100):
        done = bitwren("search", folder, *QUESTIONS, "--effort", effort, "--json")
        assert [json.loads(line) for line in done.stdout.splitlines()] == [made.answer(q, 3, effort) for q in QUESTIONS]
        assert done.stderr.decode().splitlines() == (told if effort < 100 else [])
    fails(bitwren("search", folder, "abc", "--effort", 0), SENTENCE)
    fails(bitwren("search", folder, "abc", "--effort", "half"), "not a valid integer", code=2)


def test_console_on_a_pipe(folder: Path) -> None:
    made = Bundle.read(folder)
    done = bitwren("console", folder, "--effort", 10, stdin="\n".join(QUESTIONS).encode())
    assert [json.loads(line) for line in done.stdout.splitlines()] == [made.answer(question, 3, 10) for question in QUESTIONS]


def test_a_person_at_a_board(folder: Path) -> None:
    """The unix port's console, as it stands on a board's serial line."""
    need("unix")
    made = Bundle.read(folder)
    typed = [":effort", ":effort 10", QUESTIONS[0], ":effort 0", ":effort x", ":effort"]
    with open_target("unix", folder) as board:
        line = board._line  # type: ignore[attr-defined]
        line.write("".join(f"{text}\n" for text in [*typed, '{"cmd": "info"}']).encode())
        said: list[str] = []
        while not said or not said[-1].startswith("{"):
            said.append(line.readline(30).decode().removeprefix("> ").strip())
    ranked = [
        f"{rank}. {hit['answer']}  [distance {hit['distance']}, id {hit['id']}]"
        for rank, hit in enumerate(made.answer(QUESTIONS[0], 3, 10)["hits"], 1)
    ]
    exact = ": exact" if made.table.layout == "flat" else ""
    begin = said.index("effort is 100 %: exact")
    assert said[begin + 1] == f"effort is 10 %{exact}"
    assert said[begin + 2 : begin + 5] == ranked
    assert said[begin + 6 : begin + 9] == [SENTENCE, SENTENCE, f"effort is 10 %{exact}"]


def test_a_table_built_for_less(tmp_path: Path) -> None:
    """It says what that finds, and is asked so on every target unless a query wants another share."""
    need("unix")
    folder = tmp_path / "hasty"
    done = bitwren("build", SAMPLE / "corpus.csv", "-o", folder, "--bits", 256, "--effort", 15)
    said = re.search(r"an effort of 15 % finds (\d+\.\d) % of .* reads (\d+\.\d) % of", done.stderr.decode())
    assert said
    made = Bundle.read(folder)
    assert (made.table.layout, made.table.effort, made.table.notes["effort"]["percent"]) == ("residual", 15, 15)
    assert 20 < float(said[1]) < 100 * made.table.notes["effort"]["recall@10"] + 0.1 < 100
    assert 12 < float(said[2]) < 25
    for question in QUESTIONS:
        assert made.answer(question, 5) == made.answer(question, 5, 15)
    with open_target("unix", folder) as board:
        for effort in (None, 100, 40):
            assert [board.answer(q, 5, effort) for q in QUESTIONS] == [made.answer(q, 5, effort) for q in QUESTIONS]
    assert "exact" not in made.answer("abc", 1, 100)
    assert edit.append(made, [Document("late", "a late one", "late", "")]).table.effort == 15


def test_an_effort_that_no_table_has(tmp_path: Path) -> None:
    arguments = ("build", SAMPLE / "corpus.csv", "-o", tmp_path / "none")
    fails(bitwren(*arguments, "--effort", 0), SENTENCE)
    fails(bitwren(*arguments, "--effort", 50, "--layout", "flat"), "effort below 100 is for the residual layout")
    assert not (tmp_path / "none").exists()
    made = bundle.build(read_corpus(SAMPLE / "corpus.csv")[:40], EncoderFolder.find("base"), 64, layout="residual")
    data = bytearray(table.write(made.table))
    data[320] = 200
    mend(data)
    with pytest.raises(FormatError, match="its effort is 200 percent"):
        table.read(bytes(data))
