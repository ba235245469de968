"""Video From Latents with the host's Save Video as a graph.

What is kept in the file, and what goes wrong while it is written.
"""

from __future__ import annotations

import errno
import json
import os

import pytest
from video_ldm.demo.comfy import HostError, Interrupted

from .test_render import film_graph, interrupt_at


@pytest.fixture(autouse=True)
def output(host, tmp_path, monkeypatch):
    """An output folder of this test's own."""
    import folder_paths

    folder = tmp_path / "output"
    folder.mkdir()
    monkeypatch.setattr(folder_paths, "output_directory", str(folder))
    return folder


def lazy_graph():
    """An empty latent straight into the host's Save Video, decoded as it is saved."""
    graph = film_graph()
    lazy = {"samples": ["2", 0], "vae": ["1", 2], "fps": 8.0, "chunk_length": 2}
    graph["3"] = {"class_type": "VLDM_LazyVideo", "inputs": lazy}
    saved = {"video": ["3", 0], "filename_prefix": "film", "format": "auto", "codec": "auto"}
    return {**graph, "4": {"class_type": "SaveVideo", "inputs": saved}}


def test_save_video_keeps_the_prompt_of_a_lazy_video(host, output):
    import av

    graph = lazy_graph()
    host.run(graph)
    with av.open(str(output / "film_00001_.mp4")) as film:
        assert json.loads(film.metadata["prompt"]) == graph


def test_save_video_of_a_lazy_video_can_be_interrupted(host, output, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_at(host, patch, 2)
        with pytest.raises(Interrupted):
            host.run(lazy_graph())
    assert not list(output.iterdir())
    host.run(lazy_graph())
    assert len(list(output.iterdir())) == 1


def test_a_lazy_video_on_a_disk_that_gives_up_leaves_nothing(host, output, monkeypatch):
    writer = host.pack("temporal.video.writer")

    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(writer.VideoFile, "write", full)
        with pytest.raises(HostError, match=r"cannot be written to .*No space left on device"):
            host.run(lazy_graph())
    assert not list(output.iterdir())
    assert host.run(lazy_graph()).shown["4"]["images"]
