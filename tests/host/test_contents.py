"""Fingerprints of the files that a graph chooses.

Only of those, never of a text, and right when a file is replaced.
"""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def contents(host):
    """Fingerprints of the files above one input of a node, by nodes that lead there."""
    from comfy_execution.graph import DynamicPrompt
    from video_ldm.nodes.host.graph import ancestors, contents

    def look(kind, **inputs):
        nodes = {
            "1": {"class_type": kind, "inputs": inputs},
            "2": {"class_type": "VLDM_ExtendVideo", "inputs": {"model": ["1", 0]}},
        }
        return contents(ancestors(DynamicPrompt(nodes), "2", ("model", "positive")))

    return look


def test_a_replaced_file_of_the_same_name_is_noticed(host):
    from comfy_execution.graph import DynamicPrompt
    from video_ldm.nodes.host.graph import ancestors, contents

    path = host.base / "models" / "loras" / "replaced.safetensors"
    path.parent.mkdir(exist_ok=True)
    nodes = {
        "1": {"class_type": "LoraLoader", "inputs": {"lora_name": path.name, "strength": 1.0, "text": "a b"}},
        "2": {"class_type": "VLDM_ExtendVideo", "inputs": {"model": ["1", 0]}},
    }
    graph = DynamicPrompt(nodes)
    seen = []
    for content in (b"one", b"two", b"one"):
        path.write_bytes(content)
        os.utime(path, (len(seen), len(seen)))
        seen.append(contents(ancestors(graph, "2", ("model", "positive"))))
    path.unlink()
    assert list(seen[0]) == ["loras/replaced.safetensors"] and seen[0] == seen[2] != seen[1]
    assert contents(ancestors(graph, "2", ("model",))) == {}


@pytest.mark.parametrize("how", ["written", "moved"])
def test_a_file_with_the_size_and_time_of_the_one_before_is_noticed(host, contents, how):
    path = host.base / "models" / "loras" / "same.safetensors"
    path.parent.mkdir(exist_ok=True)
    seen = []
    for content in (b"a" * 2**20, b"a" * 2**19 + b"b" + b"a" * (2**19 - 1)):
        target = path if how == "written" else path.with_name("new")
        target.write_bytes(content)
        os.utime(target, ns=(10**18, 10**18))
        target.replace(path)
        seen.append(contents("LoraLoader", lora_name=path.name))
    path.unlink()
    assert seen[0].keys() == seen[1].keys() == {"loras/same.safetensors"}
    assert seen[0] != seen[1]


@pytest.mark.parametrize("length", [86, 255, 256, 300, 512, 5000])
@pytest.mark.parametrize("letter", ["x", "\u5706"])
def test_a_prompt_of_any_length_is_no_file(contents, length, letter):
    for text in (letter * length, f"{letter}/" * length, f"\0{letter}"):
        assert contents("CLIPTextEncode", text=text) == {}
        assert contents("LoraLoader", lora_name=text) == {}, "nor is such a choice, which is none"


def test_a_text_that_is_the_name_of_a_file_is_a_text(host, contents):
    path = host.base / "input" / "cat"
    path.write_bytes(b"a picture")
    assert contents("CLIPTextEncode", text="cat") == {}
    assert list(contents("LoadImage", image="cat")) == ["input/cat"]
    assert list(contents("LoadImage", image="cat [input]")) == ["input/cat [input]"]
    path.unlink()


@pytest.mark.parametrize(
    "name", ["/proc/kmsg", "/etc/passwd", "../outside", "../../outside [temp]", "a/../../outside"]
)
def test_a_choice_stays_inside_its_folder(host, contents, name):
    (host.base / "outside").write_bytes(b"secret")
    assert contents("LoadImage", image=name) == {}
    assert contents("LoraLoader", lora_name=name) == {}
    (host.base / "outside").unlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named devices")
def test_a_named_device_is_not_waited_for(host, contents):
    path = host.base / "input" / "pipe.png"
    os.mkfifo(path)
    assert contents("LoadImage", image=path.name) == {}
    path.unlink()


def test_a_large_file_is_read_in_pieces_once_and_may_be_interrupted(host, contents, monkeypatch):
    import comfy.model_management as mm
    from video_ldm.nodes.host import graph as module

    path = host.base / "models" / "loras" / "large.safetensors"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(os.urandom(5000))
    told = []
    monkeypatch.setattr(module, "BLOCK", 1000)
    monkeypatch.setattr(module, "TimeLeft", lambda: lambda *progress: told.append(progress))
    mm.interrupt_current_processing()
    with pytest.raises(mm.InterruptProcessingException):
        contents("LoraLoader", lora_name=path.name)
    assert not told
    contents("LoraLoader", lora_name=path.name)
    assert told == [("reading large.safetensors", done, 5000) for done in range(1000, 6000, 1000)]
    contents("LoraLoader", lora_name=path.name)
    assert len(told) == 5, "once"
    path.unlink()
