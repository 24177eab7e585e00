"""Where bitwren keeps on a user's computer what can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """bitwren's folder in ``$XDG_CACHE_HOME``, or in ``~/.cache`` where that is no absolute path."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "bitwren"
