"""The command as a user meets it: results on stdout, one clear sentence and a non-zero exit for every mistake."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bitwren import bundle

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "examples" / "board-help" / "corpus.csv"


def bitwren(*arguments: str | Path, stdin: bytes = b"", **settings: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from bitwren_host.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False, **settings)  # type: ignore[call-overload,no-any-return]


def fails(done: subprocess.CompletedProcess[bytes], *words: str, code: int = 1) -> None:
    """It ended with the exit code and one sentence that holds the words, not a traceback."""
    said = done.stderr.decode()
    assert done.returncode == code, said
    assert "Traceback" not in said
    for word in words:
        assert word in said


@pytest.fixture(scope="session")
def faq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faq") / "faq"
    done = bitwren("build", CORPUS, "-o", folder, "--bits", 256)
    assert done.returncode == 0, done.stderr.decode()
    assert b"documents, 256 bits each" in done.stderr
    assert re.search(rb"confident from a score of \d\.\d\d on; by distance alone, up to a distance of \d+ bits", done.stderr)
    assert done.stdout == b""
    return folder


def test_search_text(faq: Path) -> None:
    done = bitwren("search", faq, "My Pico does not appear as a USB drive when I plug it in", "-k", 2)
    assert done.returncode == 0
    first, second = done.stdout.decode().strip().splitlines()
    found = re.search(r"\[pico-no-drive, score (\d\.\d\d), 0/256\]", first)
    assert found, first
    assert float(found[1]) > 1.1  # a cosine of 1, and words
    assert second.strip().startswith("2.")


def test_search_json(faq: Path) -> None:
    done = bitwren("search", faq, "wifi password wrong", "garbage on the uart", "-k", 5, "--json")
    assert done.returncode == 0
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [reply["query"] for reply in replies] == ["wifi password wrong", "garbage on the uart"]
    for reply in replies:
        assert set(reply) == {"query", "hits", "confident"}
        assert [list(hit) for hit in reply["hits"]] == [["id", "distance", "score", "answer"]] * 5
        assert [hit["score"] for hit in reply["hits"]] == sorted((hit["score"] for hit in reply["hits"]), reverse=True)


def test_search_json_by_distance_alone(faq: Path) -> None:
    done = bitwren("search", faq, "wifi password wrong", "-k", 5, "--json", "--stages", "hamming")
    assert done.returncode == 0
    reply = json.loads(done.stdout)
    assert [list(hit) for hit in reply["hits"]] == [["id", "distance", "answer"]] * 5
    assert [hit["distance"] for hit in reply["hits"]] == sorted(hit["distance"] for hit in reply["hits"])


def test_console_on_a_pipe(faq: Path) -> None:
    asked = [b"no serial port appears", b"", b"?!", b"x" * 70_000, b"\xff\xfe", b"blink an led"]
    done = bitwren("console", faq, stdin=b"\n".join(asked) + b"\n")
    assert done.returncode == 0
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    assert [("error" in reply) for reply in replies] == [False, True, True, True, True, False]
    assert [len(reply["hits"]) for reply in replies if "hits" in reply] == [3, 3]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x", "-k", "0"], ["k must be at least 1"]),
        (["x", "-k", "-3"], ["k must be at least 1"]),
        (["x", "-k", "5000"], ["k is 5000 but the table holds"]),
        ([""], ["the query is empty"]),
        (["  \t"], ["the query is empty"]),
        (["?! ..."], ["no words, only punctuation"]),
        (["x" * 65536], ["65536 bytes long; at most 4096"]),
    ],
)
def test_bad_queries(faq: Path, arguments: list[str], words: list[str]) -> None:
    fails(bitwren("search", faq, *arguments), *words)
    reply = bitwren("search", faq, *arguments, "--json")
    fails(reply, *words)
    assert words[0] in json.loads(reply.stdout)["error"]


@pytest.mark.parametrize(
    ("corpus", "words"),
    [
        (None, ["No such file"]),
        (b"", ["is empty"]),
        (b"text\n", ["holds no documents"]),
        (b"question\nx\n", ["no column 'text'"]),
        (b"text\nx\n \n", [":3:", "is empty"]),
        (b"text\n" + b"y" * 100_000, ["100000 bytes"]),
        (b"text\n\xff\n", ["not UTF-8"]),
        (b"text\n\x00\n", ["NUL bytes"]),
        (b"id,text\n1,x\n1,y\n", ["already used"]),
        (b"text\nfine\n...\n", ["document '1' has no words"]),
    ],
)
def test_bad_corpora_leave_nothing(tmp_path: Path, corpus: bytes | None, words: list[str]) -> None:
    if corpus is not None:
        (tmp_path / "c.csv").write_bytes(corpus)
    before = sorted(os.listdir(tmp_path))
    fails(bitwren("build", tmp_path / "c.csv", "-o", tmp_path / "out"), *words)
    assert sorted(os.listdir(tmp_path)) == before


def test_bad_build_keeps_the_old_bundle(faq: Path, tmp_path: Path) -> None:
    mine = tmp_path / "faq"
    shutil.copytree(faq, mine)
    before = {file.name: file.read_bytes() for file in mine.iterdir()}
    (tmp_path / "bad.csv").write_text("text\n...\n")
    fails(bitwren("build", tmp_path / "bad.csv", "-o", mine), "no words")
    assert {file.name: file.read_bytes() for file in mine.iterdir()} == before
    (tmp_path / "good.csv").write_text("text\nsomething else\n")
    assert bitwren("build", tmp_path / "good.csv", "-o", mine, "--bits", 64).returncode == 0
    assert b"something else" in bitwren("search", mine, "else", "-k", 1).stdout
    assert sorted(os.listdir(tmp_path)) == ["bad.csv", "faq", "good.csv"]


def test_output_that_is_not_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    fails(bitwren("build", CORPUS, "-o", tmp_path), "holds other files (precious.txt)")
    fails(bitwren("build", CORPUS, "-o", tmp_path / "precious.txt"), "precious.txt")
    fails(bitwren("build", CORPUS, "-o", tmp_path / "out", "--encoder", "nothing"), "no encoder 'nothing'")
    fails(bitwren("build", CORPUS, "-o", tmp_path / "out", "--bits", "100"), "100 bits are not possible")
    fails(bitwren("build", CORPUS, "-o", tmp_path / "out", "--bits", "many"), "not a valid integer", code=2)
    assert os.listdir(tmp_path) == ["precious.txt"]


@pytest.mark.parametrize("delay", [0.05, 0.2, 0.35, 0.5, 0.8])
def test_ctrl_c_leaves_nothing_half_written(faq: Path, tmp_path: Path, delay: float) -> None:
    mine = tmp_path / "faq"
    assert bitwren("build", CORPUS, "-o", mine, "--bits", 64).returncode == 0
    after = {file.name: file.read_bytes() for file in mine.iterdir()}
    shutil.rmtree(mine)
    shutil.copytree(faq, mine)
    before = {file.name: file.read_bytes() for file in mine.iterdir()}
    command = [sys.executable, "-c", "from bitwren_host.cli import main; main()", "build", CORPUS, "-o", mine, "--bits", "64"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as building:
        time.sleep(delay)
        building.send_signal(signal.SIGINT)
        _, said = building.communicate(timeout=60)
    assert os.listdir(tmp_path) == ["faq"]
    assert building.returncode in (0, 130, -signal.SIGINT)
    now = {file.name: file.read_bytes() for file in mine.iterdir()}
    assert now == after or (now == before and building.returncode), said.decode()


def test_full_disk(tmp_path: Path) -> None:
    """A real full file system: a tiny tmpfs. Needs root; elsewhere the unit test of write_atomic stands for it."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {mounted.stderr.decode().strip()}")
    try:
        fails(bitwren("build", CORPUS, "-o", small / "faq"), "No space left on device")
        assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", str(small)], check=False)


@pytest.mark.parametrize("name", [bundle.ENCODER_FILE, bundle.TABLE_FILE])
def test_damaged_bundles(faq: Path, tmp_path: Path, name: str) -> None:
    mine = tmp_path / "faq"
    shutil.copytree(faq, mine)
    good = (mine / name).read_bytes()
    for data, words in (
        (good[:-1], "truncated"),
        (good[:100], "truncated"),
        (good[:5000] + bytes([good[5000] ^ 4]) + good[5001:], "damaged"),
    ):
        (mine / name).write_bytes(data)
        for command in (["search", mine, "x"], ["inspect", mine], ["console", mine]):
            fails(bitwren(*command), words, name)
    (mine / name).unlink()
    fails(bitwren("search", mine, "x"), "No such file", name)


def test_another_encoder(faq: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert bitwren("build", CORPUS, "-o", other, "--bits", 128).returncode == 0
    shutil.copy(faq / bundle.TABLE_FILE, other / bundle.TABLE_FILE)
    fails(bitwren("search", other, "x"), "made with another encoder")


def test_inspect(faq: Path) -> None:
    done = bitwren("inspect", faq, "--json")
    encoder, table = json.loads(done.stdout)
    assert (encoder["kind"], table["kind"]) == ("encoder", "table")
    assert encoder["identity"] == table["encoder"]
    assert table["documents"] >= 300
    text = bitwren("inspect", faq / bundle.TABLE_FILE)
    assert b"every checksum right" in text.stdout
    fails(bitwren("inspect", CORPUS), "not an encoder")


def test_boards() -> None:
    done = bitwren("boards", "--json")
    assert {board["name"] for board in json.loads(done.stdout)} >= {"pico", "unix"}
    assert b"RP2040" in bitwren("boards").stdout


def test_evaluate(faq: Path, tmp_path: Path) -> None:
    questions = CORPUS.with_name("questions.csv")
    found = json.loads(bitwren("evaluate", faq, questions, "--json").stdout)
    assert 0.1 < found["recall@1"] <= found["recall@5"] <= found["recall@10"] <= 1
    assert found["recall@1"] <= found["mrr@10"] <= found["recall@10"]
    (tmp_path / "q.csv").write_text("query,id\nhello there,nothing\n")
    fails(bitwren("evaluate", faq, tmp_path / "q.csv"), "which the table does not hold")
    fails(bitwren("evaluate", faq, tmp_path / "no.csv"), "No such file")


def test_evaluate_json(faq: Path, tmp_path: Path) -> None:
    questions, outside = CORPUS.with_name("questions.csv"), CORPUS.with_name("out-of-scope.txt")
    report = tmp_path / "report.html"
    done = bitwren(
        *("evaluate", faq, questions, "--out-of-scope", outside, "--corpus", CORPUS, "--no-teacher"),
        *("--typos", 3, "--report", report, "--json"),
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    figures = {"recall@1", "recall@5", "recall@10", "mrr@10", "accuracy", "auroc_out_of_scope", "confident"}
    figures |= {"confident_out_of_scope"}
    assert set(found) == figures | {"questions", "intervals", "step", "stages", "left_out", "typos"}
    assert set(found["typos"]) == set(found) - {"typos"} | {"seed"}
    assert list(found["stages"]) == ["student", "int8", "binary", "vectors", "words", "all", "lexical", "tfidf"]
    assert found["left_out"]["teacher"] == "which --no-teacher asks for"
    for name, (low, high) in found["intervals"].items():
        assert 0 <= low <= found[name] <= high <= 1
    assert found["typos"]["recall@1"] < found["recall@1"]
    assert report.read_text().startswith("<!DOCTYPE html>")
    text = bitwren("evaluate", faq, questions)
    assert b"left out: student, which needs the documents' texts: give the corpus (--corpus)" in text.stdout
    plain = tmp_path / "plain"
    assert bitwren("build", CORPUS, "-o", plain, "--bits", 64, "--vectors", 0, "--words", 0).returncode == 0
    fails(bitwren("evaluate", plain, questions, "--stages", "words"), "built without what words needs")
    fails(bitwren("evaluate", faq, questions, "--out-of-scope", tmp_path / "no.txt"), "No such file")
    (tmp_path / "less.csv").write_text("id,text\na,b\n")
    fails(bitwren("evaluate", faq, questions, "--corpus", tmp_path / "less.csv"), "the corpus lacks document")
    fails(bitwren("evaluate", faq, questions, "--report", tmp_path), "is a directory", code=2)
    fails(bitwren("evaluate", faq, questions, "--report", faq / "encoder.bwe" / "x.html"), "cannot be written")


def test_compare(faq: Path, tmp_path: Path) -> None:
    questions, other = CORPUS.with_name("questions.csv"), tmp_path / "narrow"
    assert bitwren("build", CORPUS, "-o", other, "--bits", 64, "--vectors", 0, "--words", 0).returncode == 0
    found = json.loads(bitwren("compare", faq, other, questions, "--json").stdout)
    assert found["difference"]["recall@1"] < 0
    assert found["p"] < 0.001
    counted = (len(found["only_b"]) - len(found["only_a"])) / found["questions"]
    assert counted == pytest.approx(found["difference"]["recall@1"])
    text = bitwren("compare", faq, other, questions).stdout.decode()
    assert "(McNemar, exact): hardly by chance" in text
    same = json.loads(bitwren("compare", faq, faq, questions, "--stages", "hamming", "--json").stdout)
    assert (same["p"], same["a"], same["only_a"]) == (1.0, same["b"], [])
    fails(bitwren("compare", faq, other, questions, "--stages", "hamming", "--stages", "all"), "built without what all needs")
    fails(bitwren("compare", faq, faq, questions, *["--stages", "hamming"] * 3), "once for both bundles, or twice", code=2)
    fails(bitwren("compare", faq, tmp_path / "none", questions), "No such file")


def test_min_recall(tmp_path: Path) -> None:
    output, questions = tmp_path / "out", CORPUS.with_name("questions.csv")
    arguments = ["build", CORPUS, "-o", output, "--bits", "64", "--min-recall"]
    fails(bitwren(*arguments, "0.5", "--queries", questions), "of 399 questions find their answer first, fewer than the 50 %")
    fails(bitwren(*arguments, "0.9"), "of 395 questions find their answer first, fewer than the 90 %", "nothing was written")
    fails(bitwren(*arguments, "5"), "is not in the range", code=2)
    (tmp_path / "lone.csv").write_text("text\none thing\nanother matter\n")
    fails(bitwren("build", tmp_path / "lone.csv", "-o", output, "--min-recall", "0.1"), "give --queries FILE")
    assert sorted(os.listdir(tmp_path)) == ["lone.csv"]
    done = bitwren(*arguments, "0.05", "--queries", questions)
    assert done.returncode == 0
    assert b"of 399 questions find their answer first (95 % interval" in done.stderr
    assert output.is_dir()


def test_false_accept(tmp_path: Path) -> None:
    outside, found = CORPUS.with_name("out-of-scope.txt"), []
    for share in ("0.01", "0.3"):
        done = bitwren(
            *("build", CORPUS, "-o", tmp_path / "out", "--bits", 64, "--false-accept", share, "--out-of-scope", outside)
        )
        assert done.returncode == 0, done.stderr.decode()
        table = json.loads(bitwren("inspect", tmp_path / "out" / bundle.TABLE_FILE, "--json").stdout)
        found.append(table["threshold"])
        assert table["notes"]["calibration"] == {"false_accept": float(share), "strangers": 60, "known": True}
    assert found[0] < found[1]
    arguments = "build", CORPUS, "-o", tmp_path / "out", "--bits", 64, "--vectors", 0, "--words", 0
    assert b"\na match is confident up to a distance of " in bitwren(*arguments).stderr
    for share in ("0", "1", "-1", "5"):
        fails(bitwren("build", CORPUS, "-o", tmp_path / "out", "--false-accept", share), "is not in the range", code=2)
    (tmp_path / "empty.txt").write_text("\n \n")
    fails(bitwren("build", CORPUS, "-o", tmp_path / "new", "--out-of-scope", tmp_path / "empty.txt"), "holds no text")
    assert not (tmp_path / "new").exists()


def test_misuse_is_exit_2(faq: Path) -> None:
    fails(bitwren("search", faq), "Missing argument", code=2)
    fails(bitwren("nonsense"), "No such command", code=2)
    fails(bitwren("search", faq, "x", "--on", "mars"), "mars", code=2)


def test_a_bundle_too_large_for_its_board(tmp_path: Path) -> None:
    board = tmp_path / "small.toml"
    board.write_text((ROOT / "boards" / "pico.toml").read_text().replace("bundle_bytes = ", "bundle_bytes = 65536 # "))
    corpus, output = tmp_path / "c.csv", tmp_path / "out"
    corpus.write_text("text\none thing\nanother matter\n")
    build = ["build", corpus, "-o", output, "--encoder", "tiny", "--teacher", "none"]
    fails(bitwren(*build, "--board", board), "more than Raspberry Pi Pico has room for", "--encoder tiny", "nothing was written")
    fails(bitwren(*build, "--board", "toaster"), "toaster")
    assert not output.exists()
    assert bitwren(*build, "--board", "pico").returncode == 0
    assert output.is_dir()
