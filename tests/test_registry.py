"""pyproject.toml says all that the Comfy registry asks for, in words it knows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LARGEST_ARCHIVE = 50  # MB
SYSTEMS = {"OS Independent", "Microsoft :: Windows", "MacOS", "POSIX :: Linux"}
NOT_THE_HOSTS = re.compile(  # `forbidden patterns` of comfy-test 0.4.15
    r"\.cuda\s*\(|\.to\s*\(\s*(torch\.device\s*\(\s*)?[\"']cuda|torch\.(cuda\.)?(amp\.)?autocast"
    r"|(?<![\w.])(torch\.)?nn\.(Linear|Conv[123]d|ConvTranspose[12]d|LayerNorm|GroupNorm|Embedding)\s*\("
)
# The host loads none of these: they want gradients, first values and weights in full precision.
DECLARED = {
    "temporal/training/trainer.py": "trainings that compute in half precision with weights in full",
    "temporal/training/decoder/adversary.py": "the adversary, which starts anew with each training",
    "temporal/training/decoder/perceptual.py": "features that a training compares, in its precision",
    "demo/train/autoencoder.py": "the adversary of its pictures, which starts anew with each training",
    "demo/train/common.py": "the toy world's trainings",
    "demo/train/image_model.py": "the toy world's trainings",
    "demo/train/preview.py": "the toy world's trainings",
    "demo/world/classifier.py": "a judge of toy clips that has no file",
}


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


def test_the_tested_hosts_are_those_that_the_pack_knows(project):
    """They stand in nodes/host/layers/versions.py, which cannot be imported without a host."""
    code = (ROOT / "nodes" / "host" / "layers" / "versions.py").read_text("utf-8")
    oldest, newest = re.search(r'^TESTED = \("([\d.]+)", "([\d.]+)"\)', code, re.MULTILINE).groups()
    assert project["tool"]["comfy"]["requires-comfyui"] == f">={oldest}"
    comment = re.search(
        r"^requires-comfyui = .*# (.*)$", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )
    assert comment[1].startswith(f"tested on {oldest} and {newest} ")
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert f"ComfyUI {oldest} or newer ({newest} is the newest tested)" in readme
    assert (
        f"COMFYUI_PATH=/path/to/ComfyUI python tests # on a ComfyUI you have; tested on {oldest} and {newest}"
        in readme
    )


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
        assert re.fullmatch(r"[a-z0-9-]+>=[0-9.]+(;python_version<'3\.\d+')?", dependency), dependency


def test_the_archive_holds_what_an_artist_needs_and_no_more():
    """`comfy node pack` takes what git tracks, without what .comfyignore names."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this copy is no git repository")
    lines = (ROOT / ".comfyignore").read_text("utf-8").splitlines()
    ignored = tuple(line for line in lines if line and not line.startswith("#"))
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    tracked = listed.stdout.splitlines()
    packed = [name for name in tracked if not name.startswith(ignored)]
    assert {name.partition("/")[0] for name in packed} == {
        *("CHANGELOG.md", "LICENSE", "README.md", "__init__.py", "pyproject.toml", "requirements.txt"),
        *("curation", "demo", "evaluation", "formats", "graphs", "locales", "nodes", "temporal", "training"),
        *("subgraphs", "web", "workflows"),
    }
    assert all(any(name.startswith(pattern) for name in tracked) for pattern in ignored)
    assert sum((ROOT / name).stat().st_size for name in packed) < LARGEST_ARCHIVE * 2**20


def test_no_code_is_refused_by_the_registry():
    """`comfy node validate` looks for exec, eval, several statements on a line."""
    ruff = [sys.executable, "-m", "ruff", "check", ".", "--select", "S102,S307,E702", "--ignore-noqa"]
    run = subprocess.run(ruff, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


@pytest.mark.slow
def test_layers_are_the_hosts_except_where_only_training_has_them():
    """comfy-test cannot be told of exceptions: these are all, in what artists get."""
    ignored = tuple(line for line in (ROOT / ".comfyignore").read_text("utf-8").split() if line[0] != "#")
    found = set()
    for path in ROOT.rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        lines = [] if name.startswith((".", *ignored)) else path.read_text("utf-8").splitlines()
        if any(NOT_THE_HOSTS.search(line) and not line.lstrip().startswith("#") for line in lines):
            found.add(name)
    assert found == set(DECLARED)
