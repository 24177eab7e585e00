"""Documents appended and deleted on the chip, in MicroPython: from then on it answers as the host does after the same changes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board_bundle import FIRMWARE, NATIVE, make_bundle, make_encoder, text_of, write_bundle
from test_native_hostile import mend
from test_natmod_unix import MICROPYTHON

from bitwren import container, edit
from bitwren.bundle import TABLE_FILE, Bundle, Scoring
from bitwren.corpus import Document
from bitwren.scoring import NAMES, choose
from bitwren.table import LAYOUTS

pytestmark = pytest.mark.skipif(
    not (MICROPYTHON.is_file() and NATIVE["x64"].is_file()),
    reason="MicroPython's unix port or the x64 native module is not built: make unix natmods",
)

SCRIPT = """
import bitwren, json

with open("steps.json") as file:
    steps = json.load(file)
wren = bitwren.open("faq", engine=ENGINE, storage=STORAGE)

def fill():
    added = 0
    for number in range(500):
        try:
            print("ANSWER " + json.dumps(wren.append("document %d" % number, "answer " * 40)))
            added += 1
        except bitwren.Error as error:
            print("ANSWER " + json.dumps("Error: " + str(error)))
    print("ANSWER " + json.dumps(len(wren)))
    hit = wren.search("document %d" % (added - 1), 1)[0]
    print("ANSWER " + json.dumps([hit.answer, hit.id, hit.distance]))

for name, *arguments in steps or fill() or []:
    try:
        if name == "info":
            answer = wren.info()["documents"]
        elif name == "text":
            answer = [hit.text for hit in wren.search(*arguments)]
        else:
            answer = getattr(wren, name)(*arguments)
    except bitwren.Error as error:
        answer = "Error: " + str(error)
    print("ANSWER " + json.dumps(answer))
"""


class Model:
    """What the host makes of the same steps; but what is appended on a chip has neither vector nor words."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def step(self, name: str, *arguments: Any) -> Any:
        table = self.bundle.table
        ids = [record.id for record, live in zip(table.records, table.live, strict=True) if live]
        if name == "append":
            text, answer, id = arguments
            number = len(table.records)
            while id is None and str(number) in ids:
                number += 1
            id = str(number) if id is None else id
            if id in ids:
                return f"Error: there is a document with the id {id} already: delete it first, or take another id"
            more = edit.append(self.bundle, [Document(id, text, text if answer is None else answer, "")])
            self.bundle = replace(more, table=replace(more.table, vectors=table.vectors, words=table.words))
            return id
        if name == "delete":
            if arguments[0] not in ids:
                return 0
            self.bundle = edit.delete(self.bundle, arguments)
            return ids.count(arguments[0])
        if name == "answer":
            return self.bundle.answer(*arguments)
        if name == "text":
            return [table.records[hit.slot].text for hit in self.bundle.search(*arguments)]
        return len(ids)


def run(folder: Path, steps: list[Any], engine: str = "auto", storage: str = "auto", heap: str = "2M") -> list[Any]:
    (folder / "steps.json").write_text(json.dumps(steps))
    (folder / "script.py").write_text(SCRIPT.replace("ENGINE", repr(engine)).replace("STORAGE", repr(storage)))
    (folder / "bitwren_native.mpy").write_bytes(NATIVE["x64"].read_bytes())
    environment = {**os.environ, "MICROPYPATH": f"{folder}:{FIRMWARE}"}
    command = [MICROPYTHON, "-X", f"heapsize={heap}", "script.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert not done.stderr, done.stderr
    return [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("ANSWER ")]


def some_steps(bundle: Bundle, seed: int, count: int, stages: Sequence[str | None] = ()) -> list[Any]:
    """Changes and questions in random order; some documents are added twice, deleted twice, deleted while in RAM.

    :param stages: of the questions, one of them each time.
    """
    random = np.random.default_rng(seed)
    ids = [record.id for record in bundle.table.records]
    steps: list[Any] = []
    for number in range(count):
        kind = random.integers(5)
        if kind <= 1:
            text = f"new {['light', 'pump', 'door', 'né'][random.integers(4)]} {number % 7}"
            id = [None, f"n{number % 9}", ids[random.integers(len(ids))]][random.integers(3)]
            steps.append(["append", text, [None, f"answer {number}"][number % 2], id])
        elif kind == 2:
            steps.append(
                ["delete", [ids[random.integers(len(ids))], f"n{number % 9}", str(len(ids) + number % 5)][random.integers(3)]]
            )
        else:
            query = ["new light 3", "new pump 1", text_of(bundle, int(random.integers(len(ids))))][random.integers(3)]
            ranked = [None, stages[random.integers(len(stages))]] if stages else []
            steps.append(["answer", query, int(random.integers(1, len(ids) // 2)), *ranked])
    return [*steps, ["info"], ["__len__"]]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("engine", ["native", "viper", "python"])
def test_the_same_as_the_host(tmp_path: Path, layout: str, engine: str) -> None:
    wide = 512 if layout == "residual" else 1024
    for seed, (documents, staged, bits) in enumerate([(40, 0, 64), (70, 39, 64), (33, 1, wide), (32, 0, 64)]):
        bundle = make_bundle(documents, make_encoder(bits=bits), store_text=bool(seed % 2))
        bundle = replace(bundle, table=replace(bundle.table, layout=layout, staged=staged))
        folder = write_bundle(bundle, tmp_path / "faq")
        steps = some_steps(bundle, seed, 120)
        if seed % 2:
            steps.append(["text", "new light 3", 5])
        model = Model(bundle)
        expected = [model.step(*step) for step in steps]
        assert run(folder.parent, steps, engine, ["ram", "file"][seed // 2]) == expected


@pytest.mark.parametrize("scoring", [Scoring(4, 60), Scoring(2, 0), Scoring(0, 1000)])
@pytest.mark.parametrize("embedding", [None, 48])
@pytest.mark.parametrize("engine", ["native", "viper", "python"])
def test_the_same_as_the_host_with_stages(tmp_path: Path, engine: str, embedding: int | None, scoring: Scoring) -> None:
    for seed, (layout, documents, staged) in enumerate([("flat", 40, 0), ("residual", 170, 39), ("rows", 33, 0)]):
        bundle = make_bundle(documents, make_encoder(bits=64, embedding=embedding), scoring=scoring)
        bundle = replace(bundle, table=replace(bundle.table, layout=layout, staged=staged))
        folder = write_bundle(bundle, tmp_path / "faq")
        steps = some_steps(bundle, seed, 60, [None, *scoring_names(bundle)])
        model = Model(bundle)
        expected = [model.step(*step) for step in steps]
        assert run(folder.parent, steps, engine, ["ram", "file"][seed % 2]) == expected


def scoring_names(bundle: Bundle) -> list[str]:
    """What a query may ask of a bundle."""
    number = NAMES.index(choose(bundle.table, None).name)
    return [name for index, name in enumerate(NAMES) if not index & ~number]


def test_everything_deleted_and_begun_again(tmp_path: Path) -> None:
    bundle = make_bundle(33)
    write_bundle(bundle, tmp_path / "faq")
    steps: list[Any] = [["delete", f"d{slot}"] for slot in range(33)]
    steps += [["answer", "hello", 1], ["search", "hello"], ["append", "hello world", "hi", "h"], ["answer", "hello world", 1]]
    answers = run(tmp_path, steps)
    none = "the table holds no documents, all of them are deleted: append some, or build it again"
    assert answers[33:36] == [{"query": "hello", "error": none}, f"Error: {none}", "h"]
    assert [(hit["id"], hit["distance"]) for hit in answers[36]["hits"]] == [("h", 0)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["", None, None], "the document is empty: type a few words"),
        (["...", None, None], "the document has no words, only punctuation: type a few words"),
        (["a" * 4097, None, None], "the document is 4097 bytes long; at most 4096 are possible: shorten it"),
        (["a b", None, ""], "a document's id must be text, and not empty"),
        (["a b", None, 5], "a document's id must be text, and not empty"),
        (["a b", 5, None], "a document's answer must be text"),
        (["a b", "x", "d3"], "there is a document with the id d3 already: delete it first, or take another id"),
    ],
)
def test_what_is_refused_changes_nothing(tmp_path: Path, arguments: list[Any], sentence: str) -> None:
    bundle = make_bundle(20)
    write_bundle(bundle, tmp_path / "faq")
    query = ["answer", text_of(bundle, 3), 20]
    assert run(tmp_path, [["append", *arguments], query, ["__len__"]]) == [f"Error: {sentence}", bundle.answer(*query[1:]), 20]


@pytest.mark.parametrize("value", [0, 3, 5000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_places_of_records_that_are_wrong(tmp_path: Path, value: int) -> None:
    """Whatever a file with right checksums says about its records, looking for an id ends in an answer or a sentence."""
    bundle = make_bundle(40)
    folder = write_bundle(bundle, tmp_path / "faq")
    data = bytearray((folder / TABLE_FILE).read_bytes())
    begin = container.unpack(bytes(data), "BWT1").offsets["OFFS"]
    for slot in (3, 4, 20, 40):
        data[begin + 4 * slot : begin + 4 * slot + 4] = value.to_bytes(4, "little")
    mend(data)
    (folder / TABLE_FILE).write_bytes(data)
    steps = [
        ["delete", "d3"],
        ["delete", "d10"],
        ["append", "hello", None, None],
        ["append", "hello", None, "x" * 5000],
        ["__len__"],
    ]
    answers = run(tmp_path, steps)
    assert answers == [0, 1, "40", "x" * 5000, 41]


def test_memory_that_ends_is_a_sentence(tmp_path: Path) -> None:
    """Documents go in until there is no room; then the answers are still those of all that went in."""
    bundle = make_bundle(40, make_encoder(bits=512))
    write_bundle(bundle, tmp_path / "faq")
    answers = run(tmp_path, [], storage="file", heap="120k")
    full = [answer for answer in answers[:500] if answer.startswith("Error")]
    assert full
    assert set(full) == {
        "Error: not enough memory for this change: build the table again with bitwren build, all documents in it"
    }
    added = 500 - len(full)
    assert added > 20
    assert answers[:added] == [str(40 + number) for number in range(added)]
    assert answers[500:] == [40 + added, ["answer " * 40, str(39 + added), 0]]


def test_console(tmp_path: Path) -> None:
    bundle = make_bundle(12)
    write_bundle(bundle, tmp_path / "faq")
    (tmp_path / "bitwren_native.mpy").write_bytes(NATIVE["x64"].read_bytes())
    typed = [
        {"cmd": "append", "text": "the pump is loud", "answer": "Oil it.", "id": "loud"},
        {"cmd": "append", "text": "the pump is loud", "id": "loud"},
        {"cmd": "append", "text": "ein L\ud83d\ude00ch"},
        {"cmd": "append", "answer": "x"},
        {"query": "the pump is loud", "k": 1},
        {"cmd": "info"},
        {"cmd": "delete", "id": "loud"},
        {"cmd": "delete", "id": "loud"},
        {"cmd": "delete"},
        {"cmd": "erase"},
    ]
    people = [":append the door squeaks = Oil the hinge.", "the door squeaks", ":delete 14", ":delete 14", ":append hm", ":) x"]
    lines = [*map(json.dumps, typed), *people]
    environment = {**os.environ, "MICROPYPATH": f"{tmp_path}:{FIRMWARE}"}
    command = [MICROPYTHON, FIRMWARE / "main.py"]
    text = "".join(line + "\n" for line in lines).encode()
    done = subprocess.run(command, cwd=tmp_path, env=environment, input=text, capture_output=True, timeout=60, check=True)
    said = done.stdout.decode().splitlines()
    replies = [json.loads(line) for line in said if line.startswith("{")]
    assert replies[0] == {"id": "loud", "documents": 13}
    assert "the id loud already" in replies[1]["error"]
    assert replies[2] == {"id": "13", "documents": 14}
    assert 'no text under "text"' in replies[3]["error"]
    assert replies[4]["hits"] == [{"id": "loud", "distance": 0, "answer": "Oil it."}]
    assert replies[5]["documents"] == 14
    assert replies[6] == {"deleted": 1, "documents": 13}
    assert replies[7]["error"] == "no document has the id loud: nothing was deleted"
    assert "id must be text" in replies[8]["error"]
    assert "the commands are" in replies[9]["error"]
    shown = "\n".join(said)
    assert "added until the power is off, with the id 14; 14 documents" in shown
    assert "1. Oil the hinge.  [distance 0, id 14]" in shown
    assert "deleted until the power is off; 13 documents" in shown
    assert "no document has the id 14: nothing was deleted" in shown
    assert "with the id 15; 14 documents" in shown
