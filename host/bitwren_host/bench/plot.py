"""docs/performance.svg: instructions for a code by kernel, and bytes read as a table grows. Light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from bitwren.errors import BitwrenError

from ..svg import STYLE, bar, dot, line, picture, polyline, text
from .measure import Row
from .report import KERNELS, Report

ARCH, BITS = "armv6m", 256
HUES = {"flat": "blue", "residual": "orange"}
_WIDTH, _HEIGHT, _TOP, _BOTTOM = 920, 400, 84, 348
_NAMES, _BARS, _BARS_END = 196, 208, 424  # where the left panel's labels end, its axis begins and ends
_LEFT, _RIGHT = 540, 820  # the right panel's axis


def draw(report: Report) -> str:
    """An SVG file.

    :raises BitwrenError: when the report has no real sentences at several numbers of documents.
    """
    kernels = _kernels(report.rows)
    curves = {
        (layout, codes): sorted(
            (row.n, row.bytes_touched_share)
            for row in report.rows
            if (row.arch, row.bits, row.kernel, row.layout, row.codes) == (ARCH, BITS, "core", layout, codes)
        )
        for layout in ("flat", "residual")
        for codes in ("sentences-in", "sentences-out")
    }
    if not kernels or any(len(points) < 2 for points in curves.values()):
        raise BitwrenError(f"the plot needs {ARCH} at {BITS} bits, the emulated Pico and --sentences")
    label = "Instructions for one code by kernel; bytes read by number of documents"
    return picture(_WIDTH, _HEIGHT, label, [*_left(kernels), *_right(curves)], STYLE)


def _kernels(rows: Sequence[Row]) -> list[Row]:
    """Those on random codes, the cheapest first; of the core's, the residual layout is the other panel's."""
    found = [row for row in rows if (row.arch, row.bits, row.codes) == (ARCH, BITS, "random") and row.layout != "residual"]
    least = {row.kernel: row for row in sorted(found, key=lambda row: row.n)}
    return sorted(least.values(), key=lambda row: row.instructions_per_code)


def _left(kernels: Sequence[Row]) -> Iterator[str]:
    yield text(24, 34, f"Instructions for one code of {BITS} bits", "text title")
    yield text(24, 54, "Cortex-M0+, random codes, 10 nearest; logarithmic", "quiet")
    least = 10 ** math.floor(math.log10(kernels[0].instructions_per_code))
    decades = math.ceil(math.log10(kernels[-1].instructions_per_code / least))
    per_decade = (_BARS_END - _BARS) / decades
    for decade in range(decades + 1):
        x = _BARS + per_decade * decade
        yield line(x, _TOP - 8, x, _BOTTOM)
        yield text(x, _BOTTOM + 18, f"{least * 10**decade:,}", "quiet", "middle")
    pitch = (_BOTTOM - _TOP) / len(kernels)
    for place, row in enumerate(kernels):
        y = _TOP + pitch * (place + 0.5)
        x = _BARS + per_decade * math.log10(row.instructions_per_code / least)
        core = row.kernel == "core"
        kind = "blue" if core else "grey"
        name = KERNELS[row.kernel, row.layout]
        yield text(_NAMES, y + 4, name, "text strong" if core else "text", "end")
        yield bar(kind, _BARS, y, x, y)
        yield dot(kind, x, y, 5)
        yield text(x + 11, y + 4, f"{row.instructions_per_code:,.0f}", "text strong" if core else "text")


def _right(curves: dict[tuple[str, str], list[tuple[int, float]]]) -> Iterator[str]:
    yield text(_LEFT - 44, 34, "Bytes of the codes that a search reads", "text title")
    yield text(_LEFT - 44, 54, f"public sentences, {BITS} bits, 10 nearest, exact; by documents", "quiet")
    sizes = [n for n, _ in curves["flat", "sentences-in"]]
    first, last = math.log2(sizes[0]), math.log2(sizes[-1])

    def place(n: int, share: float) -> tuple[float, float]:
        along = (math.log2(n) - first) / (last - first)
        return _LEFT + along * (_RIGHT - _LEFT), _BOTTOM - share * (_BOTTOM - _TOP)

    for percent in range(0, 101, 25):
        y = place(sizes[0], percent / 100)[1]
        yield line(_LEFT, y, _RIGHT, y)
        yield text(_LEFT - 8, y + 4, f"{percent} %", "quiet", "end")
    for n in sizes:
        yield text(place(n, 0)[0], _BOTTOM + 18, f"{n:,}" if n < 10_000 else f"{n // 1024} K", "quiet", "middle")
    for (layout, codes), points in curves.items():
        dashes = " out" if codes == "sentences-out" else ""
        spots = [place(n, share) for n, share in points]
        yield polyline(HUES[layout] + dashes, spots)
        yield from (dot(HUES[layout], x, y) for x, y in spots)
    for layout in ("flat", "residual"):
        inside, outside = curves[layout, "sentences-in"][-1], curves[layout, "sentences-out"][-1]
        y = place(inside[0], (inside[1] + outside[1]) / 2)[1]
        yield text(_RIGHT + 12, y + 4, layout, f"{HUES[layout]} name strong")
    for step, (dashes, name) in enumerate((("", "asked like the documents"), (" out", "asked otherwise"))):
        x, y = _LEFT - 44 + 200 * step, _HEIGHT - 12
        yield bar(f"grey{dashes}", x, y - 4, x + 28, y - 4)
        yield text(x + 36, y, name, "quiet")
