"""What the fuzz targets start from: files of every layout and width as the toolchain writes them, small.

python tests/fuzz_seeds.py FOLDER      FOLDER/table/… and FOLDER/encoder/…
"""

from __future__ import annotations

import itertools
import struct
import sys
from pathlib import Path

import numpy as np
from makers import random_encoder

from bitwren import lower, residual, table
from bitwren.hamming import WIDTHS, Codes
from bitwren.table import LAYOUTS, Record, Table

PAGE, HEAD = 4096, 544
TEXTS = (b"The light blinks 2 times", "Éire, ﬁnish straße; 日本語".encode(), b"nothingness" * 20)


def pack(file: bytes, text: bytes, kind: int, k: int, repeats: int) -> bytes:
    """An input as firmware/native/fuzz/input.h says.

    :param text: or query, at most 255 bytes. :param kind: of source. :param k: hits, less one. :param repeats: of the
        text; of a table: documents appended since, 16 more if some were deleted.
    """
    control = struct.pack("<BBHBBBB", kind, 31 * kind, k, 40, 3 * kind, repeats, len(text))
    pages = [file[start : start + PAGE].rstrip(b"\0") for start in range(PAGE, len(file), PAGE)]
    return control + text + file[:HEAD] + b"".join(struct.pack("<H", len(page)) + page for page in pages)


def a_table(bits: int, layout: str, count: int, staged: int) -> tuple[bytes, bytes]:
    """A file, and a query near to some of its documents."""
    random = np.random.default_rng(bits + count)
    base = random.integers(0, 1 << 32, (1 + count // 40, bits // 32), dtype=np.uint64).astype(np.uint32)
    noise = random.integers(0, 1 << 32, (4, count, bits // 32), dtype=np.uint64).astype(np.uint32)
    codes: Codes = base[np.arange(count) % len(base)] ^ np.bitwise_and.reduce(noise)
    records = [Record(str(slot), "") for slot in range(count)]
    made = Table(
        codes, records, random.random(count) < 0.9, bytes(16), layout=layout, lanes=32 if count % 2 else 64, staged=staged
    )
    return table.write(made), codes[count // 2].astype("<u4").tobytes()


def write(folder: Path) -> None:
    """Write all seeds; the same ones every time."""
    for name in ("table", "encoder"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    kinds = [kind for kind in itertools.product(LAYOUTS, WIDTHS) if kind[0] != "residual" or kind[1] in residual.WIDTHS]
    for number, ((layout, bits), count) in enumerate(itertools.product(kinds, (33, 300))):
        file, query = a_table(bits, layout, count, 5 * (number // 2 % 2))
        packed = pack(file, query, number % 3, 9 + 90 * (number % 2), 7 * number % 32)
        (folder / "table" / f"{layout}-{bits}-{count}").write_bytes(packed)
    shapes = itertools.product(WIDTHS, ((32, 8, ()), (64, 4, (24,)), (96, 2, (32, 16))))
    for number, (bits, (dims, row_bits, hidden)) in enumerate(shapes):
        file = lower.write(random_encoder(bits, bits, dims, row_bits, hidden, extra=60))
        (folder / "encoder" / f"{bits}-{dims}-{row_bits}").write_bytes(pack(file, TEXTS[number % 3], number % 3, 0, 2))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
