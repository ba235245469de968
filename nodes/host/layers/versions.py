"""The versions of the host that the pack is tested on.

README and pyproject.toml name them too; a test compares.
"""

from __future__ import annotations

import re

import comfyui_version

TESTED = ("0.3.75", "0.26.0")  # oldest and newest


def host_version() -> str:
    """The version of the running host, as it says itself."""
    return comfyui_version.__version__


def is_newer_than_tested(version: str) -> bool:
    """True if a version came after the newest tested one; one that is no row of numbers did."""
    return _numbers(version) > _numbers(TESTED[-1])


def _numbers(version: str) -> tuple[float, ...]:
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else (float("inf"),)
