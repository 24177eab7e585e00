"""The figures of docs/performance.md and docs/performance.svg, written from what was measured and never by hand.

python -m bitwren_host.bench.document RESULT.json docs/performance.md     (RESULT.json: of `bitwren bench --json`)
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bitwren.container import write_atomic
from bitwren.errors import BitwrenError

from . import plot
from .measure import Row
from .report import CHIPS, CODES, KERNELS, PARTS, Report, lines, ram_sentence

_MARKED = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def write(report: Report, path: Path) -> None:
    """Replace what is between ``<!-- bench: NAME -->`` and ``<!-- end -->``, and draw the plot beside it, as .svg.

    :raises BitwrenError: when the file cannot be read or names a part that there is not, or the report is not complete;
        nothing is written then.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BitwrenError(f"{path} cannot be read: {error}") from error
    unknown = sorted({match[2] for match in _MARKED.finditer(text)} - set(_SECTIONS))
    if unknown:
        raise BitwrenError(f"{path} asks for {', '.join(unknown)}; there is {', '.join(_SECTIONS)}")
    picture = plot.draw(report)
    try:
        filled = _MARKED.sub(lambda match: f"{match[1]}\n" + "\n".join(_SECTIONS[match[2]](report)) + f"\n\n{match[3]}", text)
    except (KeyError, ValueError, StopIteration) as error:
        raise BitwrenError(f"the report lacks what {path} shows ({error}): measure all of it, with --sentences") from error
    write_atomic(path.with_suffix(".svg"), picture.encode())
    write_atomic(path, filled.encode())


def _search(report: Report) -> Iterator[str]:
    """Random codes: every kernel at every width."""
    rows = [row for row in report.rows if row.codes == "random"]
    n = max(row.n for row in rows)
    widths = sorted({row.bits for row in rows})
    yield from _head(f"N = {n:,}, k = {rows[0].k}", *(f"{bits} bits" for bits in widths))
    for arch in dict.fromkeys(row.arch for row in rows):
        mine = [row for row in rows if row.arch == arch and (row.n == n or row.kernel != "core")]
        for name, size, found in lines(mine):
            of = "" if found[0].n == n else f" (N = {size})"
            values = [_instructions(_one(found, bits=bits)) for bits in widths]
            if found[0].kernel == "core" and found[0].layout == "flat":
                yield _line(f"**{CHIPS[arch]}: {name}**", *(f"**{value}**" for value in values))
            else:
                yield _line(name + of, *values)


def _gains(report: Report) -> Iterator[str]:
    """How many times fewer instructions than each other way, at 256 bits."""
    rows = [row for row in report.rows if (row.codes, row.bits) == ("random", plot.BITS)]
    n = max(row.n for row in rows)
    archs = list(dict.fromkeys(row.arch for row in rows))
    yield from _head(f"{plot.BITS} bits: times fewer than", *(CHIPS[arch] for arch in archs))
    for (kernel, layout), name in KERNELS.items():
        values = []
        for arch in archs:
            core = _one(rows, arch=arch, kernel="core", layout="flat", n=n)
            other = [row for row in rows if (row.arch, row.kernel, row.layout) == (arch, kernel, layout)]
            times = other[-1].instructions_per_code / core.instructions_per_code if other else 0
            values.append(f"{times:,.1f}" if 0 < times < 20 else f"{times:,.0f}" if other else "")
        if kernel not in ("core", "compiled"):
            yield _line(name, *values)


def _real(report: Report) -> Iterator[str]:
    """Real codes on the first architecture: both layouts, instructions and bytes."""
    rows = [row for row in report.rows if row.arch == plot.ARCH and row.kernel == "core"]
    widths = sorted({row.bits for row in rows})
    n = max(row.n for row in rows if row.codes == "random")
    yield from _head(f"{CHIPS[plot.ARCH]}: instructions; bytes read", "layout", "N", *(f"{bits} bits" for bits in widths))
    for codes in CODES:
        for layout in ("flat", "residual"):
            found = [row for row in rows if (row.codes, row.layout) == (codes, layout) and row.n <= n]
            size = max((row.n for row in found), default=0)
            if found:
                values = (_both(_one(found, bits=bits, n=size)) for bits in widths)
                yield _line(CODES[codes] if layout == "flat" else "", layout, f"{size:,}", *values)


def _touched(report: Report) -> Iterator[str]:
    """What grows with N: the sentence sets at one width."""
    rows = [row for row in report.rows if (row.arch, row.bits, row.kernel) == (plot.ARCH, plot.BITS, "core")]
    kinds = [(layout, codes) for layout in ("flat", "residual") for codes in ("sentences-in", "sentences-out")]
    names = {"sentences-in": "asked like them", "sentences-out": "asked otherwise"}
    yield from _head("documents: instructions; bytes read", *(f"{layout}, {names[codes]}" for layout, codes in kinds))
    for n in sorted({row.n for row in rows if row.codes == "sentences-in"}):
        values = (_both(_one(rows, n=n, layout=layout, codes=codes)) for layout, codes in kinds)
        yield _line(f"{n:,}", *values)


def _whole(report: Report) -> Iterator[str]:
    """A whole query on the emulated Pico."""
    whole = report.query[plot.ARCH]["whole"]
    first = next(iter(whole.values()))
    size = f"{first['documents']:,} documents, {first['bits']} bits, {first['k']} answers"
    yield from _head(f"{size}: instructions", *whole)
    for part, name in PARTS.items():
        mark = "**" if part == "instructions" else ""
        yield _line(f"{mark}{name}{mark}", *(f"{mark}{found[part]:,}{mark}" for found in whole.values()))
    yield _line("the native module's part of fetching", *(f"{found['fetch_native']:,}" for found in whole.values()))
    yield _line(f"the dearest of {len(first['queries'])} queries", *(f"{found['most']:,}" for found in whole.values()))
    yield _line("table as a file, bytes", *(f"{found['table_bytes']:,}" for found in whole.values()))


def _module(report: Report) -> Iterator[str]:
    """The native modules, and RAM."""
    columns = {
        "mpy_bytes": ".mpy, bytes",
        "code_bytes": "of it code",
        "rodata_bytes": "constants",
        "search_stack_bytes": "stack of a search",
        "encode_stack_bytes": "of encoding",
    }
    yield from _head("", *columns.values())
    for arch, sizes in report.module.items():
        values = (f"{sizes[key]:,}" if sizes.get(key) is not None else "" for key in columns)
        yield _line(f"{CHIPS[arch]} (`{arch}`)", *values)
    yield ""
    yield f"RAM on the emulated Pico: {ram_sentence(report.module[plot.ARCH]['ram'])} bytes."


_SECTIONS: dict[str, Callable[[Report], Iterator[str]]] = {
    "search": _search,
    "gains": _gains,
    "real": _real,
    "touched": _touched,
    "whole": _whole,
    "module": _module,
}


def _one(rows: Sequence[Row], **wanted: Any) -> Row:
    for row in rows:
        if all(getattr(row, name) == value for name, value in wanted.items()):
            return row
    raise ValueError(f"no row with {wanted}")


def _instructions(row: Row) -> str:
    return f"{row.instructions_per_code:,.1f}" if row.instructions_per_code < 1000 else f"{row.instructions_per_code:,.0f}"


def _both(row: Row) -> str:
    return f"{_instructions(row)}; {100 * row.bytes_touched_share:.1f} %"


def _head(*cells: str) -> Iterator[str]:
    yield _line(*cells)
    yield "|---|" + "---:|" * (len(cells) - 1)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a document from a measured report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("document", type=Path)
    options = parser.parse_args(arguments)
    write(Report.from_json(json.loads(options.result.read_text("utf-8"))), options.document)


if __name__ == "__main__":
    main()
