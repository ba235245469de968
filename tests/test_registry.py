"""pyproject.toml says all that the Comfy registry asks for, in words it knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = {"OS Independent", "Microsoft :: Windows", "MacOS", "POSIX :: Linux"}


@pytest.fixture(scope="module")
def project() -> dict:
    tomllib = pytest.importorskip("tomllib")
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_the_registry_finds_what_it_shows(project):
    comfy, about = project["tool"]["comfy"], project["project"]
    assert re.fullmatch(r"[a-z0-9-]+", comfy["PublisherId"])
    assert comfy["DisplayName"] == "Video LDM"
    assert re.fullmatch(r">=\d+\.\d+\.\d+", comfy["requires-comfyui"])
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,99}", about["name"]) and "comfyui" not in comfy["DisplayName"]
    assert about["urls"]["Repository"].startswith("https://")
    assert len(about["description"]) < 200


def test_the_icon_is_in_the_repository(project):
    repository, icon = project["project"]["urls"]["Repository"], project["tool"]["comfy"]["Icon"]
    place = icon.removeprefix(f"{repository.replace('github.com', 'raw.githubusercontent.com')}/main/")
    picture = (ROOT / place).read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(picture[16:20], "big") == int.from_bytes(picture[20:24], "big") <= 800


def test_systems_and_devices_are_ones_the_registry_knows(project):
    classifiers = project["project"]["classifiers"]
    systems = {
        name.removeprefix("Operating System :: ") for name in classifiers if name.startswith("Operating")
    }
    devices = [name for name in classifiers if name.startswith("Environment :: GPU :: ")]
    assert systems and systems <= SYSTEMS
    assert devices


def test_dependencies_have_lower_bounds_and_no_pins(project):
    for dependency in project["project"]["dependencies"]:
        assert re.fullmatch(r"[a-z0-9-]+>=[0-9.]+", dependency), dependency
