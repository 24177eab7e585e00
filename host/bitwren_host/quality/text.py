"""Quality figures for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from bitwren.compare import Comparison
from bitwren.intervals import Interval
from bitwren.steps import Walk

TITLES = {
    "recall@1": "recall@1",
    "recall@5": "recall@5",
    "recall@10": "recall@10",
    "mrr@10": "MRR@10",
    "accuracy": "accuracy",
    "auroc_out_of_scope": "AUROC",
    "confident": "confident",
    "confident_out_of_scope": "false accepts",
}
"""Figures by their names in JSON, as people read them; a false accept is a confident match of a question out of scope."""
_SHOWN = 12


def percent(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.1f}"


def span(interval: Interval) -> str:
    """An interval in percent."""
    return f"{percent(interval[0])} to {percent(interval[1])}"


def evaluation(walk: Walk, typos: Walk | None) -> Iterator[str]:
    """Lines: the figures with intervals, then those of each step, then what was left out."""
    quality = walk.quality(walk.default)
    other = typos.quality(walk.default).figures() if typos else {}
    beside = "   with a typo each" if typos else ""
    yield f"{quality.questions} questions, searched by {walk.default}; in brackets 95 % intervals{beside}"
    for name, value in quality.figures().items():
        if value is not None:
            interval = f"({span(quality.intervals[name])})"
            typo = other.get(name)
            after = "" if typo is None else f"{percent(typo):>6} %"
            yield f"{TITLES[name]:<14}{percent(value):>6} %  {interval:<16}{after}".rstrip()
    figures = {name: walk.quality(name).figures() for name in walk.steps}
    columns = [name for name in TITLES if any(each[name] is not None for each in figures.values())]
    yield ""
    yield f"{'step':<9}" + "".join(f"{TITLES[name]:>14}" for name in columns)
    for name, each in figures.items():
        cells = [each[column] for column in columns]
        yield f"{name:<9}" + "".join(f"{'–' if cell is None else percent(cell):>14}" for cell in cells)
    for name, why in walk.left_out.items():
        yield f"left out: {name}, {why}"


def comparison(found: Comparison, names: tuple[str, str]) -> Iterator[str]:
    """Lines: figures side by side, the test, and the questions that one alone answers."""
    a, b = (f"{name}, {side.stages}" for name, side in zip(names, (found.a, found.b), strict=True))
    yield f"A: {a}"
    yield f"B: {b}"
    yield f"{len(found.questions)} questions"
    yield ""
    yield f"{'':<14}{'A':>8}{'B':>8}{'B - A':>9}"
    for name, difference in found.difference().items():
        values = [side.quality.figures()[name] for side in (found.a, found.b)]
        cells = "".join(f"{percent(value):>8}" for value in values if value is not None)
        yield f"{TITLES[name]:<14}{cells}{100 * difference:>+9.1f}"
    yield ""
    alone = f"first answer right by A alone: {len(found.only_a)}, by B alone: {len(found.only_b)}"
    verdict = "hardly by chance" if found.p < 0.05 else "chance may explain it"
    yield f"{alone}; p = {found.p:.3g} (McNemar, exact): {verdict}"
    for name, rows in (("A", found.only_a), ("B", found.only_b)):
        for index in rows[:_SHOWN]:
            row = found.row(index)
            yield f"only {name}: {row['query']}  [wanted {row['wanted']}; A {row['a'] or '–'}, B {row['b'] or '–'}]"
        if len(rows) > _SHOWN:
            yield f"only {name}: {len(rows) - _SHOWN} more, which --json lists"
