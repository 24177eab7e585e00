"""Hatchling's hook for the wheel: what a release carries that is built, not committed (bitwren_host/release.py makes it)."""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WheelHook(BuildHookInterface):
    """Puts the folder that BITWREN_WHEEL_DATA names, if it is set, into the wheel as bitwren_host/data."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built."""
        folder = os.environ.get("BITWREN_WHEEL_DATA")
        if folder:
            build_data["force_include"][folder] = "bitwren_host/data"
