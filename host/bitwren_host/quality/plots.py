"""The plots of a quality report: recall by step, against bits and bytes, and how near right and wrong matches are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bitwren.intervals import Interval, wilson
from bitwren.steps import Walk
from bitwren.sweeps import Point, Sweep

from ..svg import bar, dot, line, picture, polyline, text

HUES = {"table": "grey", "codes": "blue", "vectors": "orange", "words": "green"}
TITLES = {"codes": "codes alone", "vectors": "and vectors", "words": "and words", "table": "this table"}
_WIDTH, _HALF = 1040, 510
_BINS = 48


def by_step(walk: Walk, typos: Walk | None) -> str:
    """First answers right, and right ones within ten, at each step; hollow with a typo in each question."""
    names = list(walk.steps)
    top, pitch, left, right = 44, 30, 96, 860
    bottom = top + pitch * len(names)

    def across(share: float) -> float:
        return left + share * (right - left)

    parts = list(_legend(left, 22, (("blue", "first answer right"), ("orange", "right one within ten"))))
    if typos:
        parts += [_ring("grey", left + 380, 18), text(left + 392, 22, "with a typo in each question", "quiet")]
    for percent in range(0, 101, 20):
        x = across(percent / 100)
        parts += [line(x, top, x, bottom), text(x, bottom + 18, f"{percent} %", "quiet", "middle")]
    for place, name in enumerate(names):
        y = top + pitch * (place + 0.5)
        strong = " strong" if name == walk.default else ""
        parts.append(text(left - 12, y + 4, name, f"text{strong}", "end"))
        shown = []
        for hue, k in (("blue", 1), ("orange", 10)):
            hits = walk.right(name, k)
            low, high = _interval(hits)
            share = float(hits.mean())
            parts += [bar(f"{hue} soft", across(low), y, across(high), y, 6), dot(hue, across(share), y, 4.5)]
            shown.append(f"{100 * share:.1f}")
            if typos:
                parts.append(_ring(hue, across(float(typos.right(name, k).mean())), y))
        parts.append(text(right + 16, y + 4, " / ".join(shown) + " %", f"text{strong}"))
    return picture(_WIDTH, bottom + 32, "Questions answered rightly at each step", parts)


def by_bits(sweep: Sweep) -> str:
    """First answers right, and right ones within ten, against the bits of a code."""
    points = sweep.series("codes")
    frame = _Frame([8 * point.size for point in points], [share for point in points for share in (point.first, point.ten)])
    parts = [text(24, 30, "Bits of a code, Hamming distance alone", "text title"), *frame.grid("")]
    for hue, name, shares in (
        ("blue", "first", [point.first for point in points]),
        ("orange", "within ten", [point.ten for point in points]),
    ):
        spots = [frame.place(8 * point.size, share) for point, share in zip(points, shares, strict=True)]
        parts += [polyline(hue, spots), *(dot(hue, x, y, 4) for x, y in spots)]
        parts += [text(x, y - 10, f"{100 * share:.1f}", "quiet", "middle") for share, (x, y) in zip(shares, spots, strict=True)]
        parts.append(text(spots[-1][0] + 12, spots[-1][1] + 4, name, f"{hue} name strong"))
    return picture(_HALF, frame.height, "Right answers by bits of a code", parts)


def by_bytes(sweep: Sweep) -> str:
    """First answers right against bytes of flash a document: codes, and vectors or words beside the whole code."""
    frame = _Frame([point.size for point in sweep.points], [point.first for point in sweep.points])
    parts = [text(24, 30, "First answer right, by bytes of flash a document", "text title"), *frame.grid(" B")]
    there, whole = [name for name in HUES if sweep.series(name)], sweep.series("codes")[-1]
    parts += _legend(24, 52, [(HUES[name], TITLES[name]) for name in there], 118)
    for name in there:
        points = sweep.series(name)
        base = [whole] if name in ("vectors", "words") else []
        spots = [frame.place(point.size, point.first) for point in [*base, *points]]
        parts.append(polyline(HUES[name], spots))
        parts += [_ring(HUES[name], x, y, 7) if name == "table" else dot(HUES[name], x, y, 4) for x, y in spots[len(base) :]]
        parts += _notes(points, whole.first, frame)
    return picture(_HALF, frame.height, "First answers right by bytes of flash a document", parts)


def nearness(groups: Sequence[tuple[str, NDArray[np.float64]]], threshold: float | None, distances: bool) -> str:
    """Histograms of the best match's distance or score, one for each group, and the threshold.

    :param groups: names and scores, higher is nearer. :param distances: whether they are distances times -1.
    """
    sign = -1 if distances else 1
    values = [(name, sign * scores[np.isfinite(scores)]) for name, scores in groups]
    limits = [] if threshold is None else [sign * threshold]
    joined = np.concatenate([*(scores for _, scores in values), limits])
    edges = np.linspace(joined.min(), joined.max() + 1, _BINS + 1)
    left, right, top, rise = 190, 1010, 40, 84
    bottom = top + rise * len(values)

    def across(value: float) -> float:
        return left + float((value - edges[0]) / (edges[-1] - edges[0])) * (right - left)

    parts = []
    hues = {"right": "blue", "wrong": "orange"}
    for row, (name, scores) in enumerate(values):
        base = top + rise * (row + 1)
        counts = np.histogram(scores, edges)[0]
        highest = max(int(counts.max()), 1)
        hue = hues.get(name, "grey")
        for count, start, end in zip(counts, edges, edges[1:], strict=False):
            if count:
                height = (rise - 18) * count / highest
                x, width = across(start), across(end) - across(start) - 1
                parts.append(
                    f'<rect class="{hue}" x="{x:.1f}" y="{base - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
                )
        parts += [line(left, base, right, base), text(24, base - 34, name, "text strong")]
        passing = "" if threshold is None or not len(scores) else f", {_passing(scores, threshold, sign):.1f} % confident"
        parts.append(text(24, base - 16, f"{len(scores):,}{passing}", "quiet"))
    for value in _ticks(float(edges[0]), float(edges[-1]), 8):
        parts.append(text(across(value), bottom + 18, f"{value:,.0f}", "quiet", "middle"))
    for limit in limits:
        x = across(limit)
        sure = "confident up to" if distances else "confident from"
        anchor, aside = ("end", -6) if x > (left + right) / 2 else ("start", 6)
        parts += [f'<line class="mark" x1="{x:.1f}" y1="{top - 12}" x2="{x:.1f}" y2="{bottom}"/>']
        parts.append(text(x + aside, top - 4, f"{sure} {limit:,.0f}", "text", anchor))
    label = "distance of the best match, bits" if distances else "score of the best match, 1/4096"
    parts.append(text((left + right) / 2, bottom + 38, label, "quiet", "middle"))
    return picture(_WIDTH, bottom + 50, f"Histograms: {label}", parts)


@dataclass(frozen=True)
class _Frame:
    """Axes of a plot that takes half a page: doublings along, shares up."""

    along: Sequence[float]
    up: Sequence[float]
    height: int = 360
    top: int = 84
    bottom: int = 316
    left: int = 66
    right: int = 430

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a value is drawn."""
        first, last = math.log2(min(self.along)), math.log2(max(self.along))
        low, high = self._range()
        begin = self.left + 28
        across = (math.log2(x) - first) / max(last - first, 1e-9)
        return begin + across * (self.right - begin), self.bottom - (y - low) / (high - low) * (self.bottom - self.top)

    def grid(self, unit: str) -> Iterator[str]:
        """Lines and their values."""
        low, high = self._range()
        for value in _ticks(100 * low, 100 * high, 6):
            y = self.place(self.along[0], value / 100)[1]
            yield line(self.left, y, self.right, y)
            yield text(self.left - 10, y + 4, f"{value:.0f} %", "quiet", "end")
        for power in range(math.ceil(math.log2(min(self.along))), math.floor(math.log2(max(self.along))) + 1):
            yield text(self.place(2**power, low)[0], self.bottom + 20, f"{2**power}{unit}", "quiet", "middle")

    def _range(self) -> tuple[float, float]:
        low, high = math.floor(10 * min(self.up)) / 10, math.ceil(10 * max(self.up)) / 10
        return low, max(high, low + 0.1)


def _notes(points: Sequence[Point], base: float, frame: _Frame) -> Iterator[str]:
    """What each point is, beside it; of words only the first and the last, since they lie close together.

    :param base: the share that the codes alone find.
    """
    for place, point in enumerate(points):
        x, y = frame.place(point.size, point.first)
        if point.series == "codes":
            yield text(x - 6, y - 8, point.name.replace(" bits", ""), "quiet", "end")
        elif point.series == "vectors":
            yield text(x + 4, y + 20, point.name.replace("-bit vectors", "-bit"), "quiet", "middle")
        elif point.series == "words" and place in (0, len(points) - 1):
            anchor, aside = ("middle", 0) if place == 0 and len(points) > 1 else ("start", 6)
            short = point.name.replace("words, ", "").replace(" bytes", " B")
            yield text(x + aside, y - 9 if point.first >= base else y + 19, short, "quiet", anchor)


def _legend(x: float, y: float, entries: Sequence[tuple[str, str]], pitch: float = 190) -> Iterator[str]:
    for place, (hue, name) in enumerate(entries):
        yield dot(hue, x + pitch * place + 5, y - 4, 4.5)
        yield text(x + pitch * place + 16, y, name, "quiet")


def _ring(hue: str, x: float, y: float, radius: float = 4) -> str:
    return f'<circle class="{hue} ring" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def _interval(hits: NDArray[np.bool_]) -> Interval:
    return wilson(int(hits.sum()), len(hits))


def _passing(values: NDArray[np.float64], threshold: float, sign: int) -> float:
    return 100 * float((sign * values >= threshold).mean())


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round values between two, at most so many."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(max(rough, 1e-9)))
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= rough * 0.999)
    return [step * index for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
