"""The proof that host and chip agree: the same queries asked of the reference and of each target, every hit compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bitwren.bundle import Bundle, Progress
from bitwren.encoder import Elsewhere, EncoderFolder
from bitwren.errors import BitwrenError, NoEncoder
from bitwren.litert import Agreement, compare
from bitwren.lower import lower

from .targets import open_target


@dataclass(frozen=True)
class TargetReport:
    """How one target compares: queries asked, how many answers differ, the first that does."""

    target: str
    queries: int
    differing: int
    first: dict[str, Any] | None
    info: dict[str, Any]


@dataclass(frozen=True)
class Report:
    """All targets, and the TFLite runtime."""

    targets: list[TargetReport] = field(default_factory=list)
    litert: Agreement | None = None

    @property
    def identical(self) -> bool:
        """No answer differs, and no code bit that a difference of 1 LSB in the runtime's outputs does not explain."""
        return not any(target.differing for target in self.targets) and not (self.litert and self.litert.unexplained)

    def text(self) -> str:
        """The report for people."""
        lines = []
        for found in self.targets:
            scores = "" if found.info.get("stages") == "hamming" else "scores, "
            verdict = f"identical ids, {scores}distances and order" if not found.differing else f"{found.differing} DIFFER"
            lines.append(f"{found.target:<9} {found.queries} queries: {verdict}  ({found.info.get('native')})")
            if found.first:
                lines.append(f"          first difference: {found.first}")
        if self.litert:
            share = 100 * self.litert.differing / self.litert.bits
            lines.append(
                f"{self.litert.runtime}: {self.litert.bits} bits of {self.litert.texts} codes, {self.litert.differing} differ "
                f"({share:.4f} %), {self.litert.unexplained} of them by more than 1 LSB of its outputs explains"
            )
        return "\n".join(lines)


def verify(
    directory: Path,
    queries: Sequence[str],
    targets: Sequence[str],
    k: int,
    samples: Mapping[str, int],
    folder: EncoderFolder,
    progress: Progress,
) -> Report:
    """Ask each target every query (or an evenly spread sample) and compare with the reference.

    :param samples: by target, how many queries it is asked; 0 or absent: all.
    :param folder: the encoder folder the bundle was made with; its TFLite head is compared too.
    :raises BitwrenError: when the bundle was made with another encoder, or has none.
    """
    bundle = Bundle.read(directory)
    if isinstance(bundle.encoder, Elsewhere):
        raise NoEncoder
    if lower(folder, bundle.encoder.bits).identity != bundle.encoder.identity:
        raise BitwrenError(f"{directory} was not made with encoder {folder.path.name}: name its encoder with --encoder")
    k = min(k, int(bundle.table.live.sum()))
    reports = []
    for name in targets:
        wanted = samples.get(name, 0) or len(queries)
        asked = [queries[index * len(queries) // wanted] for index in range(min(wanted, len(queries)))]
        first, differing = None, 0
        with open_target(name, directory) as target:
            for done, query in enumerate(asked, 1):
                expected, found = bundle.answer(query, k), target.answer(query, k)
                if expected != found:
                    differing += 1
                    first = first or {"reference": expected, "target": found}
                progress(name, done, len(asked))
            info = target.info()
        reports.append(TargetReport(name, len(asked), differing, first, info))
    return Report(reports, compare(folder, bundle.encoder, queries))
