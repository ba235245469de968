"""The booted host itself: what is in it, both ways to run a graph, errors and interrupts."""

from __future__ import annotations

import threading

import pytest
from video_ldm.demo.comfy import HostError, Interrupted


def film(frames: int = 3) -> dict:
    """Grey frames to an mp4 through the host's own nodes."""
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 32, "height": 32, "batch_size": frames, "color": 0},
        },
        "2": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "fps": 8.0}},
        "3": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["2", 0], "filename_prefix": "boot", "format": "auto", "codec": "auto"},
        },
    }


def test_the_pack_is_loaded_beside_the_hosts_nodes(host):
    assert "KSampler" in host.nodes
    assert any(name.startswith("VLDM_") for name in host.nodes)


def test_a_graph_runs_in_this_process(host):
    run = host.run(film(frames=3))
    assert run.outputs["1"][0].shape == (3, 32, 32, 3)
    assert run.shown["3"]["images"][0]["filename"].endswith(".mp4")
    assert ("executing", "3") in [(event, data.get("node")) for event, data in run.events]


def test_the_same_host_serves_http(server):
    heard = []
    shown = server.run(film(), lambda event, data: heard.append(event))
    assert server.view(shown["3"]["images"][0])[4:8] == b"ftyp"
    assert heard[0] == "execution_start"
    assert heard[-1] == "execution_success"


@pytest.mark.parametrize("way", ["host", "server"])
def test_an_invalid_graph_is_refused_with_the_reason(request, way):
    graph = film()
    del graph["2"]["inputs"]["fps"]
    with pytest.raises(HostError, match="fps"):
        request.getfixturevalue(way).run(graph)


@pytest.mark.parametrize("way", ["host", "server"])
def test_a_failing_node_raises_with_its_message(request, way):
    graph = film()
    graph["1"]["inputs"]["width"] = 33  # H.264 wants even sizes
    with pytest.raises(HostError, match="SaveVideo"):
        request.getfixturevalue(way).run(graph)


def test_an_interrupt_ends_a_run(server):
    graph = {
        str(n): {"class_type": "ImageInvert", "inputs": {"image": [str(n - 1), 0]}} for n in range(1, 40)
    }
    image = {"width": 256, "height": 256, "batch_size": 16, "color": 0}
    graph["0"] = {"class_type": "EmptyImage", "inputs": image}
    graph["40"] = {"class_type": "PreviewImage", "inputs": {"images": ["39", 0]}}

    stop = threading.Thread(target=server.interrupt)

    def stop_early(event, data):
        if event == "executing" and stop.ident is None:
            stop.start()

    with pytest.raises(Interrupted):
        server.run(graph, stop_early)
    stop.join()
