"""Video Upscale in the host: the same frames as without it, its interrupts, its memory, its refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from video_ldm.temporal.upscaler import UpscaleSettings, save_upscaler, upscale
from video_ldm.tests.temporal.upscaler.tiny import moving_clip, random_upscaler

NAME = "random_upscaler.safetensors"
VALUES = {
    "steps": 2, "noise_augmentation": 0.2, "seed": 5, "temporal_strength": 1.0, "context_length": 0,
    "context_overlap": 1, "tile_size": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(host):
    folder = host.base / "models" / "video_upscalers"
    folder.mkdir(parents=True, exist_ok=True)
    save_upscaler(folder / NAME, random_upscaler())
    yield folder
    (folder / NAME).unlink()


def load(host, **changes):
    return host.call("VLDM_LoadVideoUpscaler", file=NAME, **{**VALUES, **changes})[0]


def expected(frames, **changes):
    upscaler = random_upscaler()
    settings = replace(UpscaleSettings(steps=2, noise_level=0.2, seed=5, overlap=1), **changes)
    with torch.no_grad():
        return torch.cat(list(upscale(upscaler, upscaler.config, [frames], settings)))


def test_it_enlarges_as_the_upscaler_does_outside_the_host(host, folder):
    frames = moving_clip(6, 7, 10)
    made, report = host.call("VLDM_VideoUpscale", images=frames, upscaler=load(host))
    torch.testing.assert_close(made, expected(frames), atol=1e-5, rtol=0)
    assert "6 frames of 10 x 7 become 40 x 28" in report


def test_every_setting_arrives(host, folder):
    frames = moving_clip(8, 7, 10)
    cases = {
        "steps": (3, {"steps": 3}),
        "noise_augmentation": (0.4, {"noise_level": 0.4}),
        "seed": (6, {"seed": 6}),
        "temporal_strength": (0.5, {"strength": 0.5}),
        "context_length": (3, {"window": 3}),
        "context_overlap": (2, {"overlap": 2}),
    }
    usual = expected(frames)
    for name, (value, settings) in cases.items():
        made = host.call("VLDM_VideoUpscale", images=frames, upscaler=load(host, **{name: value}))[0]
        torch.testing.assert_close(made, expected(frames, **settings), atol=1e-5, rtol=0)
        assert not torch.allclose(made, usual, atol=1e-4), name
    assert load(host, tile_size=16).settings.tile == 16


def test_a_stream_gives_every_frame_once_whatever_the_chunks(host, folder):
    frames = moving_clip(9, 6, 8)
    upscaler = load(host)
    assert upscaler.scale == 4
    made = [torch.cat(list(upscaler.stream(iter(frames.split(size))))) for size in (1, 4, 9)]
    assert made[0].shape == (9, 24, 32, 3)
    assert torch.equal(made[0], made[1]) and torch.equal(made[1], made[2])


def test_the_host_counts_and_frees_the_weights(host, folder):
    import comfy.model_management as mm

    upscaler = load(host)
    list(upscaler.stream([moving_clip(2, 4, 4)]))
    assert any(loaded.model is upscaler.patcher for loaded in host.models())
    mm.unload_all_models()


def test_an_interrupt_stops_in_the_middle_and_the_next_run_is_whole(host, folder):
    import comfy.model_management as mm

    frames, upscaler = moving_clip(9, 6, 8), load(host)
    stream = upscaler.stream(iter(frames.split(1)))
    next(stream)
    mm.interrupt_current_processing()
    with pytest.raises(mm.InterruptProcessingException):
        list(stream)
    made = host.call("VLDM_VideoUpscale", images=frames, upscaler=upscaler)[0]
    torch.testing.assert_close(made, expected(frames), atol=1e-5, rtol=0)


def test_what_cannot_fit_is_refused_before_it_begins(host, folder, monkeypatch):
    import comfy.model_management as mm
    from video_ldm.temporal.errors import VideoLDMError

    upscaler = load(host)
    monkeypatch.setattr(mm, "get_free_memory", lambda device=None: 2**20)
    monkeypatch.setattr(upscaler.patcher.model, "forward", None)
    with pytest.raises(
        ValueError, match=r"for the result.*Only 0.00 GB of memory are free.*Render Video.*tile_size"
    ):
        host.call("VLDM_VideoUpscale", images=moving_clip(9, 30, 30), upscaler=upscaler)
    assert issubclass(VideoLDMError, ValueError)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise_augmentation": 0.7}, r"noise level is 0.7.*trained on 0 to 0.5"),
        ({"context_length": 4, "context_overlap": 4}, "Windows of 4 frames cannot overlap by 4"),
        ({"file": "gone.safetensors"}, r"no file 'gone.safetensors' in models/video_upscalers"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_the_loader(host, folder, changes, message):
    with pytest.raises(ValueError, match=message):
        host.call("VLDM_LoadVideoUpscaler", **{"file": NAME, **VALUES, **changes})


def test_transparency_is_left_out_with_a_line_and_no_frames_are_refused(host, folder):
    upscaler = load(host)
    clip = moving_clip(2, 8, 8)
    opaque, _ = host.call("VLDM_VideoUpscale", images=clip, upscaler=upscaler)
    clear = torch.cat([clip, torch.rand(2, 8, 8, 1)], dim=-1)
    made, report = host.call("VLDM_VideoUpscale", images=clear, upscaler=upscaler)
    assert torch.equal(made, opaque) and "Transparency is left out" in report
    with pytest.raises(ValueError, match=r"at least one. Connect an IMAGE"):
        host.call("VLDM_VideoUpscale", images=torch.zeros(0, 8, 8, 3), upscaler=upscaler)


def test_a_wrong_file_is_named_in_a_graph_and_the_next_one_runs(host, folder):
    from video_ldm.demo.comfy import HostError

    (folder / "layers.safetensors").write_bytes(
        (host.base / "models" / "temporal_layers" / "toy_temporal.safetensors").read_bytes()
    )
    graph = {
        "load": {"class_type": "VLDM_LoadVideoUpscaler", "inputs": {"file": "layers.safetensors", **VALUES}},
        "image": {
            "class_type": "EmptyImage",
            "inputs": {"width": 16, "height": 8, "batch_size": 3, "color": 200},
        },
        "upscale": {
            "class_type": "VLDM_VideoUpscale",
            "inputs": {"images": ["image", 0], "upscaler": ["load", 0]},
        },
        "show": {"class_type": "PreviewImage", "inputs": {"images": ["upscale", 0]}},
    }
    with pytest.raises(HostError, match="no video upscaler: it holds temporal layers of Video LDM"):
        host.run(graph)
    (folder / "layers.safetensors").unlink()
    graph["load"]["inputs"]["file"] = NAME
    assert host.run(graph).outputs["upscale"][0].shape == (3, 32, 64, 3)


def test_render_video_writes_the_enlarged_frames(host, folder):
    frames = moving_clip(5, 8, 10)
    video = host.call(
        "VLDM_RenderVideo", images=frames, upscaler=load(host), format="png sequence (16 bit)", quality=100,
        fps=8.0, filename_prefix="enlarged",
    )[0]  # fmt: skip
    torch.testing.assert_close(video.get_components().images, expected(frames), atol=1e-4, rtol=0)


def test_what_it_needs_is_said_before_it_begins(host, folder, monkeypatch):
    module, events = host.pack("nodes.host.film.upscaler"), []
    monkeypatch.setattr(module, "say", events.append)
    monkeypatch.setattr(
        module.HostUpscaler, "stream", lambda _self, _frames: events.append("begun") or iter(())
    )
    _, report = module.upscale_clip(load(host), moving_clip(6, 7, 10))
    assert events == [report, "begun"]
    assert "GB on the device that computes" in report


@pytest.mark.parametrize(("context_length", "window"), [(0, 4), (9, 9), (2, 2)])
def test_memory_is_asked_for_the_window_whatever_the_chunks(
    host, folder, monkeypatch, context_length, window
):
    import comfy.model_management as mm

    asked, inner = [], mm.load_models_gpu

    def recorded(models, memory_required=0, **options):
        asked.append(memory_required)
        return inner(models, memory_required=memory_required, **options)

    monkeypatch.setattr(mm, "load_models_gpu", recorded)
    upscaler = load(host, context_length=context_length)
    for size in (1, 8):
        list(upscaler.stream(moving_clip(10, 6, 8).split(size)))
    assert asked == 2 * [upscaler.estimate(window, 6, 8).device]
