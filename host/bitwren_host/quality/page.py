"""``bitwren evaluate --report``: one HTML file that needs nothing from elsewhere, light or dark as the reader's system is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from bitwren import __version__
from bitwren.batch import NONE
from bitwren.bundle import Bundle
from bitwren.evaluate import Quality, sure
from bitwren.steps import BOARD, Step, Walk
from bitwren.sweeps import Sweep
from bitwren.table import NO_SCORE

from ..svg import STYLE
from . import plots
from .text import TITLES, percent, span

WORST, STRANGERS = 40, 15
_STYLE = """
  :root { color-scheme: light dark; --ink: #1f2328; --quiet: #59636e; --paper: #ffffff; --card: #f6f8fa; --edge: #d1d9e0; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e6edf3; --quiet: #9198a1; --paper: #0d1117; --card: #151b23; --edge: #3d444d; }
  }
  body { margin: 0 auto; padding: 32px 24px 64px; max-width: 1040px; background: var(--paper); color: var(--ink);
    font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; }
  h1 { font-size: 26px; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 19px; margin: 44px 0 4px; }
  p { margin: 4px 0 12px; } .quiet { color: var(--quiet); }
  .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); gap: 10px; margin: 22px 0 0; }
  .tile { background: var(--card); border: 1px solid var(--edge); border-radius: 8px; padding: 10px 14px; }
  .tile b { display: block; font-size: 23px; font-weight: 600; line-height: 1.35; }
  .tile span { display: block; font-size: 12.5px; color: var(--quiet); }
  .pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); gap: 12px; }
  .wide { overflow-x: auto; } .wide svg { min-width: 760px; }
  svg { max-width: 100%; height: auto; display: block; }
  table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
  th, td { text-align: left; vertical-align: top; padding: 6px 10px; border-bottom: 1px solid var(--edge); }
  th { color: var(--quiet); font-weight: 600; } td { overflow-wrap: anywhere; min-width: 11em; } td.number { min-width: 0; }
  .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
  td small { display: block; color: var(--quiet); } tr.default td { font-weight: 600; } tr.default small { font-weight: 400; }
  code { font: 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
  svg .soft { opacity: 0.35; } svg .ring { fill: var(--paper); stroke-width: 1.8; } svg rect { stroke: none; }
  svg .mark { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 5 4; }
"""
_NOTES = {
    "teacher": "the large encoder that ours was trained after, cosines of floats",
    "student": "our encoder computed in floats, cosines about the table's centre",
    "int8": "the same in int8, as the chip computes it",
    "binary": "Hamming distance of codes alone",
    "vectors": "the nearest by distance ranked again by the documents' vectors",
    "words": "distance and words in one score",
    "all": "vectors and words in one score",
    "lexical": "the table's word index alone, for comparison",
    "tfidf": "TF-IDF cosine of whole words, for comparison",
}


@dataclass(frozen=True)
class Report:
    """All that a page shows.

    :ivar name: of the bundle. :ivar typos: the same questions with a typo in each. :ivar texts: of the documents by slot.
    """

    name: str
    bundle: Bundle
    walk: Walk
    typos: Walk | None
    sweep: Sweep
    texts: Sequence[str] | None


def page(report: Report) -> str:
    """The file's text. Nothing that users wrote gets into it unescaped."""
    body = "\n".join([*_head(report), *_steps(report), *_sizes(report), *_sureness(report), *_worst(report), *_passed(report)])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(report.name)}: how well it finds things</title>\n<style>{STYLE}{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _head(report: Report) -> Iterator[str]:
    table, walk = report.bundle.table, report.walk
    outside = f", {len(walk.out_of_scope):,} questions out of scope" if walk.out_of_scope else ""
    about = f"{int(table.live.sum()):,} documents, {table.bits}-bit codes, {len(walk.wanted.questions):,} questions{outside}"
    yield f"<h1>{_quoted(report.name)}</h1>"
    yield f'<p class="quiet">{about}, searched as a board does, by <b>{walk.default}</b>. bitwren {__version__}</p>'
    quality = walk.quality(walk.default)
    other = report.typos.quality(walk.default).figures() if report.typos else {}
    yield '<div class="tiles">'
    for name, value in quality.figures().items():
        if value is not None:
            typo = other.get(name)
            interval = span(quality.intervals[name]) + ("" if typo is None else f"; with typos {percent(typo)}")
            yield f'<div class="tile"><span>{TITLES[name]}</span><b>{percent(value)} %</b><span>{interval}</span></div>'
    yield "</div>"


def _steps(report: Report) -> Iterator[str]:
    walk = report.walk
    yield "<h2>Step by step</h2>"
    yield '<p class="quiet">What each step from the teacher to the chip costs or gives. Bars are 95 % intervals.</p>'
    if walk.wanted.judged.any():
        yield f'<div class="wide">{plots.by_step(walk, report.typos)}</div>'
    qualities = {name: walk.quality(name) for name in walk.steps}
    columns = [name for name in TITLES if any(quality.figures()[name] is not None for quality in qualities.values())]
    head = "".join(f'<th class="number">{TITLES[name]}</th>' for name in columns)
    yield f'<div class="wide"><table><tr><th>step</th>{head}</tr>'
    for name, quality in qualities.items():
        cells = "".join(_figure(quality, column) for column in columns)
        kind = ' class="default"' if name == walk.default else ""
        yield f"<tr{kind}><td>{name}<small>{_NOTES[name]}</small></td>{cells}</tr>"
    yield "</table></div>"
    for name, why in walk.left_out.items():
        yield f'<p class="quiet">Left out: <b>{name}</b>, {escape(why)}.</p>'


def _figure(quality: Quality, name: str) -> str:
    value = quality.figures()[name]
    if value is None:
        return '<td class="number">–</td>'
    return f'<td class="number">{percent(value)}<small>{span(quality.intervals[name])}</small></td>'


def _sizes(report: Report) -> Iterator[str]:
    if not report.sweep.asked:
        return
    total = int(report.walk.wanted.judged.sum())
    some = f"Asked: {report.sweep.asked:,} of the {total:,} questions, evenly spread. " if report.sweep.asked < total else ""
    yield "<h2>What bits and bytes buy</h2>"
    yield (
        f"<p class='quiet'>{some}Codes are the table's, cut off. Vectors of 2, 4 and 8 bits a component, and words, each "
        "beside the whole code. Ids and answers come on top.</p>"
    )
    yield f'<div class="pair">{plots.by_bits(report.sweep)}{plots.by_bytes(report.sweep)}</div>'


def _sureness(report: Report) -> Iterator[str]:
    walk, step = report.walk, report.walk.steps[report.walk.default]
    judged = walk.wanted.judged
    ranks = walk.wanted.ranks(step.found)
    groups = [("right", step.found.first[judged & (ranks == 1)]), ("wrong", step.found.first[judged & (ranks != 1)])]
    if step.outside:
        groups.append(("out of scope", step.outside.first))
    if not any(np.isfinite(scores).any() for _, scores in groups):
        return
    aim = report.bundle.table.notes.get("calibration", {}).get("false_accept")
    target = f" The threshold aims at {100 * aim:g} % of the questions out of scope." if isinstance(aim, int | float) else ""
    yield "<h2>When to say “no confident match”</h2>"
    yield f'<p class="quiet">How near the best match is, where it is right, wrong, or cannot be right.{target}</p>'
    yield f'<div class="wide">{plots.nearness(groups, _limit(step), _distances(walk))}</div>'


def _worst(report: Report) -> Iterator[str]:
    """Wrong answers, the surest first: what a user would be misled by."""
    walk, step, records = report.walk, report.walk.steps[report.walk.default], report.bundle.table.records
    ranks = walk.wanted.ranks(step.found)
    wrong = np.flatnonzero(walk.wanted.judged & (ranks != 1))
    wrong = wrong[np.argsort(-step.found.first[wrong], kind="stable")]
    if not len(wrong):
        return
    by_id = {record.id: slot for slot, record in enumerate(records) if report.bundle.table.live[slot]}
    shown = f", here the {WORST} surest" if len(wrong) > WORST else ""
    share = f"{len(wrong):,} of {int(walk.wanted.judged.sum()):,} questions"
    yield "<h2>Wrong answers</h2>"
    yield f'<p class="quiet">First answers that are not the right ones, of {share}{shown}. ✓ marks a confident match.</p>'
    yield '<div class="wide"><table><tr><th>question</th><th>should find</th><th class="number">at rank</th>'
    yield f'<th>found instead</th><th class="number">{_measure(walk)}</th></tr>'
    confident = _sure(step)
    for index in wrong[:WORST]:
        question = walk.wanted.questions[index]
        should = (
            _document(report, by_id.get(question.id, NONE)) if question.id else f"any of <code>{_quoted(question.label)}</code>"
        )
        rank = str(ranks[index]) if ranks[index] else f"beyond {step.found.slots.shape[1]}"
        yield (
            f'<tr><td>{_quoted(question.query)}</td><td>{should}</td><td class="number">{rank}</td>'
            f"<td>{_document(report, int(step.found.slots[index, 0]))}</td>{_score(step, walk, int(index), confident)}</tr>"
        )
    yield "</table></div>"


def _passed(report: Report) -> Iterator[str]:
    """Questions out of scope, the surest first."""
    walk, step = report.walk, report.walk.steps[report.walk.default]
    if step.outside is None:
        return
    outside = Step(step.outside, None, step.threshold)
    confident = _sure(outside)
    order = np.argsort(-step.outside.first, kind="stable")[:STRANGERS]
    yield "<h2>Out of scope</h2>"
    passing = f"{int(confident.sum()):,} of {len(confident):,} pass as confident. " if step.threshold is not None else ""
    yield f'<p class="quiet">{passing}The nearest:</p>'
    yield f'<div class="wide"><table><tr><th>question</th><th>found</th><th class="number">{_measure(walk)}</th></tr>'
    for index in order:
        found = _document(report, int(step.outside.slots[index, 0]))
        score = _score(outside, walk, int(index), confident)
        yield f"<tr><td>{_quoted(walk.out_of_scope[index])}</td><td>{found}</td>{score}</tr>"
    yield "</table></div>"


def _document(report: Report, slot: int) -> str:
    """A document as people know it: its text where it is known, else its answer, and its id and label."""
    if slot == NONE:
        return "nothing"
    record = report.bundle.table.records[slot]
    text = report.texts[slot] if report.texts else record.answer
    label = f", {_quoted(record.label)}" if record.label else ""
    return f"{_quoted(_short(text))}<small>{_quoted(record.id)}{label}</small>"


def _score(step: Step, walk: Walk, index: int, confident: NDArray[np.bool_]) -> str:
    score = step.found.first[index]
    shown = f"{abs(score) if _distances(walk) else score:,.0f}" if np.isfinite(score) else "–"
    return f'<td class="number">{shown}{" ✓" if confident[index] else ""}</td>'


def _sure(step: Step) -> NDArray[np.bool_]:
    return np.zeros(len(step.found.slots), dtype=bool) if step.threshold is None else sure(step.found, step.threshold)


def _limit(step: Step) -> float | None:
    return None if step.threshold is None or step.threshold <= NO_SCORE else float(step.threshold)


def _distances(walk: Walk) -> bool:
    return BOARD[walk.default] == "hamming"


def _measure(walk: Walk) -> str:
    return "distance" if _distances(walk) else "score"


def _quoted(text: str) -> str:
    """A user's text: escaped, and its writing direction kept to itself."""
    return f"<bdi>{escape(text)}</bdi>"


def _short(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
