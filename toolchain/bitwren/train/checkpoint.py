"""What a training run has done so far, in one file, so that it can go on after an interruption."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import TrainingError


def save(path: Path, of: str, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write beside, then rename: an interrupted run leaves the checkpoint of before.

    :param of: names the run; :func:`load` refuses another's.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, facts=np.array(json.dumps({"of": of, **facts})), **arrays)  # type: ignore[arg-type]
    temporary.replace(path)


def load(path: Path, of: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
    """The facts and arrays of a checkpoint; None where there is none.

    :raises TrainingError: when it is damaged, or of another run.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: np.array(file[key]) for key in file.files}
        facts = json.loads(str(arrays.pop("facts")))
    except Exception as error:  # of a dozen kinds, from numpy, zipfile, zlib and json
        raise TrainingError(f"{path} is damaged: leave --resume out to begin again") from error
    if facts.pop("of", None) != of:
        raise TrainingError(
            f"{path} is of a run with other texts, settings or another encoder: repeat its command, or leave "
            "--resume out to begin again"
        )
    return facts, arrays
