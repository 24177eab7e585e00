"""Host and chip agree: the sample corpus's questions on the unix port and the emulated Pico, and CLINC150's where it is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from board_bundle import make_bundle

from bitwren import bundle
from bitwren.corpus import read_corpus, read_questions
from bitwren.encoder import EncoderFolder
from bitwren_host.board_files import cache_folder, native_module
from bitwren_host.verify import verify

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "examples" / "board-help"
CLINC = ROOT.parent / "shared" / "data" / "clinc150"
BUILT = {"unix": "unix/micropython", "pico": "pico/firmware.uf2"}


def need(target: str) -> None:
    if not (cache_folder() / "micropython" / BUILT[target]).exists():
        pytest.skip(f"MicroPython for {target} is not built: make micropython")
    native_module({"unix": "x64", "pico": "armv6m"}[target])  # an error, not a skip: make builds both


def check(
    corpus: Path, questions: Path, folder: Path, bits: int, target: str, limit: int, sample: int, layout: str = "flat"
) -> None:
    encoder = EncoderFolder.find("base")
    bundle.write(bundle.build(read_corpus(corpus), encoder, bits, layout=layout, scoring=bundle.Scoring()), folder)
    texts = [question.query for question in read_questions(questions)][:limit]
    report = verify(folder, texts, [target], 10, {target: sample}, encoder, lambda step, done, total: None)
    print(report.text())
    (found,) = report.targets
    assert found.queries == (sample or len(texts))
    assert found.differing == 0, found.first
    assert report.litert
    assert report.litert.unexplained == 0


@pytest.mark.parametrize("bits", [256, 512])
def test_sample_corpus_on_the_unix_port(tmp_path: Path, bits: int) -> None:
    need("unix")
    check(SAMPLE / "corpus.csv", SAMPLE / "questions.csv", tmp_path / "faq", bits, "unix", 1000, 0)


@pytest.mark.parametrize(("bits", "sample"), [(512, 60), (128, 10)])
def test_sample_corpus_on_the_pico(tmp_path: Path, bits: int, sample: int) -> None:
    need("pico")
    check(SAMPLE / "corpus.csv", SAMPLE / "questions.csv", tmp_path / "faq", bits, "pico", 1000, sample)


@pytest.mark.parametrize(("target", "sample"), [("unix", 0), ("pico", 20)])
def test_sample_corpus_in_the_residual_layout(tmp_path: Path, target: str, sample: int) -> None:
    need(target)
    check(SAMPLE / "corpus.csv", SAMPLE / "questions.csv", tmp_path / "faq", 256, target, 1000, sample, "residual")


@pytest.mark.parametrize(("target", "sample"), [("unix", 0), ("pico", 50)])
def test_clinc150(tmp_path: Path, target: str, sample: int) -> None:
    """1,000 queries against 3,000 documents, on the Pico 50 of them."""
    if not CLINC.is_dir():
        pytest.skip("CLINC150 is not here: put its corpus.csv and queries.csv into ../shared/data/clinc150")
    need(target)
    check(CLINC / "corpus.csv", CLINC / "queries.csv", tmp_path / "clinc", 512, target, 1000, sample)


def test_messages_are_the_same_on_host_and_chip() -> None:
    """The sentences about a query, of toolchain/bitwren/{queries,scoring}.py and firmware/bitwren/messages.py."""
    import importlib.util

    from bitwren.errors import QueryError
    from bitwren.queries import check_effort, check_k, check_query
    from bitwren.scoring import choose

    plain = make_bundle(3).table

    spec = importlib.util.spec_from_file_location("messages", ROOT / "firmware" / "bitwren" / "messages.py")
    assert spec
    assert spec.loader
    chip = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(chip)
    for provoke, sentence in (
        (lambda: check_query(" "), chip.EMPTY),
        (lambda: check_query("x" * 4097), chip.too_long(4097)),
        (lambda: check_k(0, 5), chip.K_TOO_SMALL),
        (lambda: check_k(0, 0), chip.NO_DOCUMENTS),
        (lambda: check_effort(0), chip.EFFORT),
        (lambda: check_effort(101), chip.EFFORT),
        (lambda: check_k(6, 5), chip.k_too_large(6, 5)),
        (lambda: choose(plain, "letters"), chip.STAGES),
        (lambda: choose(plain, "words"), chip.no_stages("words")),
    ):
        with pytest.raises(QueryError) as caught:
            provoke()
        assert str(caught.value) == sentence
