"""What was measured, for programs and for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from .interpreters import ENGINES
from .measure import Row

CHIPS = {
    "armv6m": "Cortex-M0+",
    "armv7m": "Cortex-M3",
    "armv7emsp": "Cortex-M4F",
    "rv32imc": "rv32imc",
    "xtensawin": "ESP32, S3",
    "x64": "x86-64",
}
KERNELS = {
    ("core", "flat"): "bitwren, flat",
    ("compiled", "flat"): "bitwren, flat, query compiled",
    ("core", "residual"): "bitwren, residual",
    ("naive", "rows"): "bit by bit",
    ("bytes", "rows"): "table of bytes",
    ("swar", "rows"): "SWAR, word by word",
    ("merged", "rows"): "SWAR, three words merged",
    ("harley_seal", "rows"): "Harley–Seal within the row",
    ("viper", "flat"): "MicroPython, viper",
    ("python", "flat"): "MicroPython, plain",
}
"""What a kernel and layout are called."""
CODES = {
    "random": "random codes",
    "sample": "the sample corpus",
    "clinc150": "CLINC150's sentences",
    "sentences-in": "public sentences, asked like them",
    "sentences-out": "public sentences, asked otherwise",
}
PARTS = {
    "tokenize": "words to tokens",
    "encode": "tokens to a code",
    "search": "search",
    "fetch": "fetch three answers",
    "python": "MicroPython around them",
    "instructions": "in all",
}
"""Parts of a whole query and what they are called; the last is their sum."""


@dataclass
class Report:
    """All that was measured.

    :ivar query: by architecture, what encoding one text costs; of armv6m also ``whole``, by layout, a whole query on the
        emulated Pico, where that was measured. :ivar module: by architecture, bytes of the native module, of code and of stack;
        of armv6m also ``ram``, where the Pico was asked.
    """

    rows: list[Row] = field(default_factory=list)
    query: dict[str, Any] = field(default_factory=dict)
    module: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"rows": [asdict(row) for row in self.rows], "query": self.query, "module": self.module}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Report:
        """What :meth:`json` gave."""
        return cls([Row(**row) for row in found["rows"]], found["query"], found["module"])

    def parts(self) -> Iterator[RenderableType]:
        """For people: headings and tables."""
        for arch, codes in dict.fromkeys((row.arch, row.codes) for row in self.rows):
            rows = [row for row in self.rows if (row.arch, row.codes) == (arch, codes)]
            yield _heading(f"{CHIPS[arch]}, {CODES[codes]}: instructions for one code")
            yield _kernels(rows, lambda row: f"{row.instructions_per_code:,.1f}")
            yield _heading(f"{CHIPS[arch]}, {CODES[codes]}: bytes read, in % of the codes'")
            yield _kernels([row for row in rows if row.kernel == "core"], lambda row: f"{100 * row.bytes_touched_share:.1f}")
        if self.query:
            yield _heading("A text to a code: instructions")
            yield _encoding(self.query)
        for arch, query in self.query.items():
            if "whole" in query:
                first = query["whole"]["flat"]
                size = f"{first['documents']:,} documents of {first['bits']} bits ({first['corpus']}), {first['k']} answers"
                yield _heading(f"{CHIPS[arch]}, a whole query in MicroPython on the emulated Pico, {size}: instructions")
                yield _whole(query["whole"])
        yield _heading("The native module, bytes")
        yield _module(self.module)
        for arch, sizes in self.module.items():
            if "ram" in sizes:
                yield Text(f"  RAM, {CHIPS[arch]}, as MicroPython counts it: " + ram_sentence(sizes["ram"]))


def ram_sentence(ram: dict[str, int]) -> str:
    """Bytes of RAM, step by step."""
    return (
        f"the native module {ram['native_module']:,} bytes, the package's bytecode {ram['package']:,},"
        f" an open bundle {ram['bundle']:,}, a query {ram['query']:,}"
    )


def _heading(text: str) -> Text:
    return Text(text, style="bold")


def _kernels(rows: list[Row], value: Callable[[Row], str]) -> Table:
    widths = sorted({row.bits for row in rows})
    table = _table("", "N", "k", *(f"{bits} bits" for bits in widths))
    for name, n, found in lines(rows):
        table.add_row(name, n, str(found[0].k), *(next((value(row) for row in found if row.bits == bits), "") for bits in widths))
    return table


def lines(rows: Sequence[Row]) -> Iterator[tuple[str, str, list[Row]]]:
    """Rows that differ in their width alone, under their kernel's name and N; an interpreter's N differs by the width too."""
    for (kernel, layout), name in KERNELS.items():
        ours = [row for row in rows if (row.kernel, row.layout) == (kernel, layout)]
        for n, k in dict.fromkeys((0 if kernel in ENGINES else row.n, row.k) for row in ours):
            found = [row for row in ours if row.k == k and n in (0, row.n)]
            yield name, "–".join(f"{size:,}" for size in sorted({found[0].n, found[-1].n})), found


def _encoding(query: dict[str, Any]) -> Table:
    first = next(iter(query.values()))
    table = _table(f"{first['tokens']} tokens, {first['bits']} bits", *(CHIPS[arch] for arch in query))
    for name in ("tokenize", "pool", "head", "encode"):
        values = (f"{found[f'{name}_instructions']:,}" for found in query.values())
        table.add_row("in all" if name == "encode" else name, *values)
    return table


def _whole(whole: dict[str, Any]) -> Table:
    table = _table("", *whole)
    for part, name in PARTS.items():
        table.add_row(name, *(f"{found[part]:,}" for found in whole.values()))
    return table


def _module(module: dict[str, Any]) -> Table:
    table = _table("", ".mpy", "code", "constants", "stack: search", "encode")
    for arch, sizes in module.items():
        keys = ("mpy_bytes", "code_bytes", "rodata_bytes", "search_stack_bytes", "encode_stack_bytes")
        table.add_row(f"{CHIPS[arch]} ({arch})", *("" if sizes.get(key) is None else f"{sizes[key]:,}" for key in keys))
    return table


def _table(first: str, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table
