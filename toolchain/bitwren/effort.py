"""What a search of a residual table finds with less effort than an exact one takes, measured on the table's own documents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import residual
from .hamming import Codes, search
from .residual_scan import Scan

NEIGHBOURS, ASKED = 10, 200


@dataclass(frozen=True)
class Measured:
    """Means over the documents that were asked.

    :ivar recall: of the :data:`NEIGHBOURS` nearest other documents, those found; one as near as the last of them counts as right.
    :ivar touched: different bytes of codes and metadata that were read, by the codes' own bytes.
    :ivar asked: how many documents.
    """

    recall: float
    touched: float
    asked: int


def measure(codes: Codes, lanes: int, effort: int) -> Measured:
    """Ask up to :data:`ASKED` documents of a table, uint32 [N, bits / 32] in its order, for their neighbours.

    :param lanes: documents of a block. :param effort: percent of the codes' bytes, 1 to 100.
    """
    live = np.ones(len(codes), dtype=bool)
    scan = Scan(residual.encode(codes, lanes), live)
    wanted = min(NEIGHBOURS, len(codes) - 1)
    sample = np.linspace(0, len(codes) - 1, min(len(codes), ASKED)).astype(int)
    found = touched = 0
    for slot in sample:
        slots, distances = search(codes[slot], codes, wanted + 1, live)
        far = int(distances[slots != slot][:wanted].max(initial=0))
        answer = scan.search(codes[slot], wanted + 1, effort)
        others = [distance for distance, other in answer.hits if other != slot][:wanted]
        found += sum(distance <= far for distance in others)
        touched += answer.touched
    return Measured(found / max(len(sample) * wanted, 1), touched / len(sample) / codes.nbytes, len(sample))
