"""A plain copy of the folder, under whatever name: it loads quietly, and shows its nodes, help and graphs."""

from __future__ import annotations

import ast
import asyncio
import shutil
import socket
import sys
from pathlib import Path

import pytest
from video_ldm.demo.comfy import NOT_THE_PACK

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["comfyui-video-ldm-main", "Video LDM (copy)", "video.ldm-0.1.0", "packed for the registry"]


@pytest.fixture
def registry(host, monkeypatch):
    """The host's lists of what packs bring, restored afterwards."""
    import nodes

    for name in ("EXTENSION_WEB_DIRS", "LOADED_MODULE_DIRS", "NODE_CLASS_MAPPINGS"):
        monkeypatch.setattr(nodes, name, dict(getattr(nodes, name)))
    before = set(sys.modules)
    yield nodes
    forget(before)


def forget(before: set[str]) -> None:
    """Take modules of packs that came after others out of Python, so that they are loaded anew."""
    for name in set(sys.modules) - before:
        if "custom_nodes" in name:
            del sys.modules[name]


@pytest.fixture(params=NAMES)
def copy(request, tmp_path) -> Path:
    """A copy of the pack as it is downloaded."""
    target = shutil.copytree(ROOT, tmp_path / "custom_nodes" / request.param, ignore=NOT_THE_PACK)
    if "registry" in request.param:
        for line in (ROOT / ".comfyignore").read_text("utf-8").splitlines():
            if line.endswith("/"):
                shutil.rmtree(target / line, ignore_errors=True)
    return target


def files_below(*folders: Path) -> set[Path]:
    """All files and folders, without compiled Python."""
    return {path for folder in folders for path in folder.rglob("*") if "__pycache__" not in path.parts}


def test_a_copy_loads_under_any_name(host, registry, copy, monkeypatch, capsys):
    def refuse(*address: object) -> None:
        raise AssertionError(f"the pack connects to {address} while it is loaded")

    there = files_below(copy, host.base)
    ours = [name for name in registry.NODE_CLASS_MAPPINGS if name.startswith("VLDM_")]
    for name in ours:
        del registry.NODE_CLASS_MAPPINGS[name]
    with monkeypatch.context() as offline:
        offline.setattr(socket.socket, "connect", refuse)
        assert asyncio.run(registry.load_custom_node(str(copy)))
    assert sorted(name for name in registry.NODE_CLASS_MAPPINGS if name.startswith("VLDM_")) == sorted(ours)
    assert registry.EXTENSION_WEB_DIRS[copy.name] == str(copy / "web")
    assert files_below(copy, host.base) == there
    assert capsys.readouterr() == ("", "")


def test_the_host_shows_help_and_graphs(server):
    assert "comfyui-video-ldm" in server.get("/workflow_templates")
    page = server._request("/extensions/comfyui-video-ldm/docs/VLDM_VideoKSampler.md")
    assert page.decode().startswith("# Video KSampler")


def test_nothing_calls_cuda():
    """The host chooses devices; what names CUDA would fail on a Mac and on a CPU."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("nodes", "temporal")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr == "cuda")
        or (isinstance(node, ast.Constant) and str(node.value).startswith("cuda"))
    ]
    assert not found
