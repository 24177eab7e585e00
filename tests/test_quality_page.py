"""The quality report: well-formed, self-contained, and nothing that users wrote gets out of its place in it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from bitwren.bundle import Bundle, Scoring, build
from bitwren.calibrate import Strangers
from bitwren.corpus import Document, Question
from bitwren.encoder import EncoderFolder
from bitwren.steps import walk, with_typos
from bitwren.sweeps import sweep
from bitwren_host.quality import text
from bitwren_host.quality.page import Report, page

EVIL = '<script>alert("1")</script>&amp;</style></svg><!-- \'" ]]>\u202e'
DOCUMENTS = [
    Document("led" + EVIL, "the light blinks twice " + EVIL, "Rinse the filter." + EVIL, "light" + EVIL),
    Document("leak", "water on the floor", "Check the seal.", "water"),
    Document("hose", "the hose is dripping", "Tighten it.", "water"),
    Document("noise", "a loud grinding noise", "Remove the stone.", "noise"),
]
QUESTIONS = [
    Question("water " + EVIL, "led" + EVIL, ""),
    Question("the hose is dripping", "", "light" + EVIL),
    Question("the hose is dripping", "hose", "water"),
]
PLENTY = Scoring(4, 2000)
VOID = {"meta", "rect", "line", "circle", "polyline", "br"}


class Page(HTMLParser):
    """Collects tags and text, and insists that what is opened is closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def made(scoring: Scoring) -> Bundle:
    bits = 256 if scoring.vector_bits else 64
    return build(DOCUMENTS, EncoderFolder.find("base"), bits, True, scoring=scoring, strangers=Strangers(["play some jazz"]))


def report(scoring: Scoring = PLENTY, outside: tuple[str, ...] = ("who won " + EVIL, "?!"), stages: str | None = None) -> Report:
    bundle, texts = made(scoring), [document.text for document in DOCUMENTS]
    known = texts if scoring.vector_bits else None
    found = walk(bundle, QUESTIONS, outside, known, stages=stages)
    typos = walk(bundle, with_typos(QUESTIONS, 1), outside, known, stages=stages) if scoring.vector_bits else None
    return Report("faq" + EVIL, bundle, found, typos, sweep(bundle, QUESTIONS, known), known)


@pytest.mark.parametrize("scoring", [PLENTY, Scoring(0, 0)])
@pytest.mark.parametrize("outside", [("who won " + EVIL, "?!"), ()])
def test_page(scoring: Scoring, outside: tuple[str, ...]) -> None:
    source = page(report(scoring, outside))
    found = Page(source)
    tags = {tag for tag, _ in found.seen}
    assert not tags & {"script", "link", "img", "iframe", "object", "foreignobject", "image", "use"}
    assert found.text.count(EVIL) >= 3
    assert "<script>" not in source
    for _, attributes in found.seen:
        assert not any(name.startswith("on") or name in ("href", "src", "xlink:href") for name in attributes)
    assert not re.search(r"url\(|@import|@font-face", source)
    assert re.findall(r"https?://[^\"]*", source).count("http://www.w3.org/2000/svg") == len(re.findall("https?://", source))
    assert "prefers-color-scheme: dark" in source
    # What is drawn has numbers for places and sizes, and lies in its picture.
    pictures = [attributes for tag, attributes in found.seen if tag == "svg"]
    assert len(pictures) == 4
    assert all(re.fullmatch(r"0 0 \d+ \d+(\.\d+)?", attributes["viewbox"] or "") for attributes in pictures)
    for tag, attributes in found.seen:
        if tag in ("rect", "circle", "line", "text"):
            places = [
                float(value or "") for name, value in attributes.items() if name in ("x", "y", "cx", "cy", "x1", "x2", "y1", "y2")
            ]
            assert all(0 <= place <= 1040 for place in places), (tag, attributes)


def test_what_it_says() -> None:
    found = Page(page(report()))
    for words in (
        "Step by step",
        "recall@1",
        "MRR@10",
        "AUROC",
        "false accepts",
        "confident from",
        "this table",
        "Wrong answers",
    ):
        assert words in found.text
    assert "3 questions, 2 questions out of scope" in found.text
    assert "The threshold aims at 5 %" in found.text
    assert "First answers that are not the right ones, of 1 of 3 questions." in found.text
    by_distance = Page(page(report(stages="hamming"))).text
    assert "confident up to" in by_distance
    assert "distance of the best match, bits" in by_distance


def test_nothing_but_queries_without_words() -> None:
    bundle = made(Scoring(0, 0))
    questions = [Question("?!", "leak", ""), Question("...", "hose", "")]
    found = Page(page(Report("faq", bundle, walk(bundle, questions), None, sweep(bundle, questions, None), None)))
    assert "0.0 %" in found.text
    assert "nothing" in found.text


def test_a_table_without_a_threshold() -> None:
    whole = report(Scoring(0, 0))
    bundle = replace(whole.bundle, table=replace(whole.bundle.table, threshold=None, notes={}))
    source = page(replace(whole, bundle=bundle, walk=walk(bundle, QUESTIONS, ["play some jazz"])))
    assert "confident up to" not in Page(source).text


def test_lines_for_a_terminal() -> None:
    whole = report()
    lines = list(text.evaluation(whole.walk, whole.typos))
    assert lines[0] == "3 questions, searched by all; in brackets 95 % intervals   with a typo each"
    figures = next(line for line in lines if line.startswith("recall@1"))
    assert re.fullmatch(r"recall@1 +\d+\.\d %  \(\d+\.\d to \d+\.\d\) + \d+\.\d %", figures)
    steps = {line.split()[0]: line.split()[1:] for line in lines[lines.index("") + 2 :] if not line.startswith("left out")}
    assert set(steps) == set(whole.walk.steps)
    quality = whole.walk.quality("binary")
    assert steps["binary"][0] == f"{100 * (quality.recall or {})[1]:.1f}"
    assert lines[-1] == "left out: teacher, which nobody asked for"
    assert np.isfinite(quality.auroc or 0)
