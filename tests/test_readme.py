"""README.md: code blocks run, commands exist, links lead somewhere, tables hold what there is."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from video_ldm.demo import film
from video_ldm.demo.graphs import to_api
from video_ldm.tests.messages import ITEM, in_the_code, section

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^ *```(\w*)\n(.*?)^ *```", README, re.DOTALL | re.MULTILINE)
PYTHON = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [
    line.strip() for language, text in BLOCKS if not language for line in text.splitlines() if line.strip()
]
LINKS = re.findall(r"\]\(([^)\s]+)\)", README)
INSTALLED = "comfyui-video-ldm/"  # the repository, as the five steps name it


def test_it_can_be_read_in_a_few_minutes():
    assert len(README.splitlines()) < 260
    assert len(PYTHON) == 2 and all(len(text.splitlines()) <= 17 for text in PYTHON)


@pytest.mark.parametrize("link", sorted(set(LINKS)))
def test_links_lead_somewhere(link):
    if link.startswith("#"):
        headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
        assert link[1:] in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in headings}
    elif link.startswith("http"):
        assert re.fullmatch(
            r"https://(arxiv\.org/abs/\d{4}\.\d{5}|(huggingface\.co|github\.com)/[\w-]+(/[\w.-]+)?)", link
        )
    else:
        assert (ROOT / link.partition("#")[0]).is_file()


def test_files_in_running_text_exist():
    for name in re.findall(r"`((?:demo|benchmarks|tests|locales|nodes|web|workflows)/[\w./-]+)`", README):
        assert (ROOT / name).exists(), name


def test_every_graph_and_every_node_is_there():
    graphs = {path.stem for path in (ROOT / "workflows").glob("*.json")}
    assert {Path(link).stem for link in LINKS if link.startswith("workflows/")} == graphs
    nodes = json.loads((ROOT / "tests/nodes/frozen.json").read_text("utf-8"))
    assert {Path(link).stem for link in LINKS if link.endswith(".md") and "docs/VLDM_" in link} == set(nodes)


def test_the_table_of_files_has_every_folder_of_the_pack(host):
    rows = [row.split("|") for row in section(README, "Files it opens").splitlines() if row.startswith("| ")]
    folders = " ".join(columns[3] for columns in rows)
    assert not [name for name in host.pack("nodes.host.files").FOLDERS if f"`{name}`" not in folders]


@pytest.mark.slow
def test_messages_are_those_of_the_code():
    messages = ITEM.findall(section(README, "When something goes wrong"))
    assert len(messages) > 5
    assert not [message for message in messages if not in_the_code(message)]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_exist(command, monkeypatch):
    words = shlex.split(command, comments=True)
    if words and words[0].startswith("COMFYUI_PATH="):
        words = words[1:]
    match words:
        case ["python", demo, "install", _] if demo == f"{INSTALLED}demo":
            assert (ROOT / "demo" / "install.py").is_file()
        case ["python", "demo", *arguments]:
            film.parse(arguments)
        case ["python", "tests", *_]:
            assert (ROOT / "tests" / "__main__.py").is_file()
        case ["python", "-m", "pip", "install", "-r", requirements]:
            assert (ROOT / requirements.removeprefix(INSTALLED)).is_file()
        case ["python", "-m", "video_ldm.formats", "convert", *_]:
            run(monkeypatch, "video_ldm.formats", "convert", "--help")
        case ["python", "-m", module, *arguments]:
            run(monkeypatch, module, *arguments)
        case ["git", "clone", url]:
            assert url in (ROOT / "pyproject.toml").read_text("utf-8")
        case ["cd", *_]:
            pass
        case _:
            pytest.fail(f"nobody knows how to test {command!r}")


def run(monkeypatch: pytest.MonkeyPatch, module: str, *arguments: str) -> None:
    """Run a module as a program in the repository's folder; it must end well."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        assert not ended.code


def test_the_library_example_runs(tmp_path):
    script = tmp_path / "library.py"
    script.write_text(next(text for text in PYTHON if "open_stack" in text).replace("demo/", f"{ROOT}/demo/"))
    names = runpy.run_path(str(script))
    assert names["video"].shape == names["hidden"].shape
    assert not names["video"].equal(names["hidden"])


def test_the_script_queues_a_graph_and_fetches_the_video(server, tmp_path, monkeypatch):
    workflow = json.loads((ROOT / "workflows" / "text_to_video.json").read_text("utf-8"))
    graph = to_api(workflow, server.object_info())
    for node in graph.values():
        if node["class_type"] == "VLDM_VideoKSampler":
            node["inputs"]["steps"] = 1
    monkeypatch.chdir(tmp_path)
    Path("text_to_video_api.json").write_text(json.dumps(graph), "utf-8")
    text = next(text for text in PYTHON if "SERVER" in text)
    Path("script.py").write_text(text.replace("http://127.0.0.1:8188", server.url), "utf-8")
    runpy.run_path("script.py")
    [video] = tmp_path.glob("*.mp4")
    assert video.read_bytes()[4:8] == b"ftyp"
