"""Training of encoders: what needs TensorFlow or a teacher, and only that.

Nothing outside this package imports it except to train, and its modules import TensorFlow, sentence-transformers
and scikit-learn only where they are used, so ``import bitwren`` needs none of them.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from ..errors import BitwrenError


class TrainingError(BitwrenError):
    """A recipe, a data folder or an installation that cannot train an encoder."""


def need(module: str) -> Any:
    """Import a module that only training needs.

    :raises TrainingError: when it is not installed, with what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise TrainingError(f"Training needs {module.split('.')[0]}: pip install 'bitwren[train]' ({error})") from error


def require(*modules: str) -> None:
    """Check that modules are installed, without the seconds that importing them takes.

    :raises TrainingError: when one is not, with what to install.
    """
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise TrainingError(f"Training needs {', '.join(missing)}: pip install 'bitwren[train]'")


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep TensorFlow's notes, most of which C++ prints, from both streams: none is about anything a user could do."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(stream) for stream in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, before in zip((1, 2), kept, strict=True):
            os.dup2(before, stream)
        for descriptor in (*kept, nowhere):
            os.close(descriptor)
