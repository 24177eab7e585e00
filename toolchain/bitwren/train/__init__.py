"""Training of encoders: what needs TensorFlow or a teacher, and only that.

Nothing outside this package imports it except to train, and its modules import TensorFlow, sentence-transformers
and scikit-learn only where they are used, so ``import bitwren`` needs none of them.
"""

from __future__ import annotations

import importlib
import importlib.util
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
