"""The toy models in a ComfyUI that is there already, and out of it again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from video_ldm.demo import environment
from video_ldm.demo.install import InstallError, install, uninstall


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A ComfyUI with another pack and a model of the user's."""
    (tmp_path / "custom_nodes" / "other").mkdir(parents=True)
    (tmp_path / "models" / "checkpoints").mkdir(parents=True)
    (tmp_path / "models" / "checkpoints" / "mine.safetensors").write_bytes(b"mine")
    return tmp_path


def files(base: Path) -> set[str]:
    return {path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file()}


def test_it_is_put_there_once_and_leaves_no_trace(base):
    before = files(base)
    made = install(base)
    assert len(made) == 8 and (base / "custom_nodes" / "toy-world" / "__init__.py").is_file()
    assert install(base) == []
    (base / "custom_nodes" / "toy-world" / "__pycache__").mkdir()
    assert sorted(uninstall(base)) == sorted(made)
    assert files(base) == before and not (base / "custom_nodes" / "toy-world").exists()
    assert uninstall(base) == []


def test_files_of_others_stay(base):
    own = base / "models" / "checkpoints" / "toy_sd.safetensors"
    own.write_bytes(b"of the user")
    before = files(base)
    with pytest.raises(InstallError, match="is another file"):
        install(base)
    assert files(base) == before and uninstall(base) == [] and own.read_bytes() == b"of the user"


def test_it_runs_with_a_bare_python_and_refuses_another_folder(tmp_path):
    command = [sys.executable, "-S", str(environment.REPO / "demo"), "install", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "holds no custom_nodes" in done.stderr
