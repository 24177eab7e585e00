"""How much of a table the residual block scan touches, on codes of real sentences, every answer compared with brute force.

python -m bitwren_host.bench.residual DATA [--encoder base] [--bits 256] [--lanes 64] [-k 10] [--queries 200] [--codes FILE.npz]

DATA holds the folders sgd, wikisql, wiki-split and clinc150 (their origins are in models/base/recipe.toml).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bitwren import ordering, residual
from bitwren.hamming import Codes, search
from bitwren.residual_scan import Scan

from .sentences import encoded


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line of a table for each number of documents, kind of query and effort."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--encoder", default="base", help="A shipped encoder's name or an encoder's folder.")
    parser.add_argument("--bits", type=int, default=256)
    parser.add_argument("--lanes", type=int, default=residual.LANES, choices=residual.LANE_CHOICES)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--codes", type=Path, help="Keep the codes here, and take them from here the next time.")
    parser.add_argument("--documents", type=int, nargs="*", default=[1024, 2048, 4096, 16_384, 65_536])
    parser.add_argument("--effort", type=int, nargs="*", default=[100, 10, 5])
    options = parser.parse_args(arguments)
    sentences = encoded(options.data, options.bits, options.encoder, options.codes)
    print("| documents | queries | effort | touched, median | mean | fetched, median | recall | exact | ordering |")
    print("|---|---|---|---|---|---|---|---|---|")
    for count in options.documents:
        began = time.perf_counter()
        codes = sentences.documents[:count]
        codes = codes[ordering.order(codes, options.lanes)]
        seconds = time.perf_counter() - began
        scan = Scan(residual.encode(codes, options.lanes), np.ones(len(codes), dtype=bool))
        for name, queries in (("in", sentences.inside), ("out", sentences.outside)):
            for effort in options.effort:
                figures = _measure(scan, codes, queries[: options.queries], options.k, effort)
                print(f"| {count:,} | {name} | {effort} % | {figures} | {seconds:.1f} s |", flush=True)


def _measure(scan: Scan, codes: Codes, queries: Codes, k: int, effort: int) -> str:
    touched, fetched, found, exact = [], [], 0, 0
    for query in queries:
        result = scan.search(query, k, effort)
        slots, distances = search(query, codes, k)
        right = [(int(distance), int(slot)) for slot, distance in zip(slots, distances, strict=True)]
        exact += result.hits == right
        # A document as near as the last of the right ones is as good an answer.
        found += sum(distance <= right[-1][0] for distance, _ in result.hits)
        touched.append(100 * result.touched / codes.nbytes)
        fetched.append(100 * result.fetched / codes.nbytes)
    shares = f"{np.median(touched):.1f} % | {np.mean(touched):.1f} % | {np.median(fetched):.1f} %"
    return f"{shares} | {found / (len(queries) * k):.3f} | {exact} of {len(queries)}"


if __name__ == "__main__":
    main()
