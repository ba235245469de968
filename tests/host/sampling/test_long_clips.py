"""A user with only an AnimateDiff file.

Windows, convolution and pinned interpolation on motion modules in the published layout.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from ..families import motion_rig as rig

SIZE = (4, 8, 16)


@pytest.fixture(scope="module")
def loaded(host):
    """Load Temporal Layers with AnimateDiff v2 in the spelling of its authors, on a tiny SD 1.x.

    MODEL by longer_clips.
    """
    from video_ldm.nodes.load import LoadTemporalLayers
    from video_ldm.temporal.formats import motion_modules

    path = host.base / "models" / "temporal_layers" / "mm_tiny_v2.safetensors"
    unet = rig.reference_unet("SD 1.x", True, 32)
    save_file(
        {key: value.contiguous() for key, value in rig.as_original(rig.motion_weights(unet)).items()}, path
    )
    image = rig.host_model("SD 1.x", unet)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(motion_modules, "BASES", {4: ("SD 1.x", rig.TINY_SD1)})
        yield lambda longer_clips="refuse": LoadTemporalLayers.execute(
            image, path.name, 1.0, longer_clips=longer_clips
        ).result[0]
    path.unlink()


@pytest.fixture
def conds():
    torch.manual_seed(1)
    return [[[torch.randn(1, 7, 24), {}]] for _ in range(2)]


@pytest.fixture
def calls(monkeypatch):
    """Frames of every clip that motion modules saw."""
    from video_ldm.temporal.layers.motion import MotionModule

    seen = []
    forward = MotionModule.forward

    def spy(module, hidden, clip):
        seen.append(clip)
        return forward(module, hidden, clip)

    monkeypatch.setattr(MotionModule, "forward", spy)
    return seen


def settings(**changes):
    from video_ldm.nodes.host.sampling.clip import SamplerSettings

    plain = SamplerSettings(seed=3, steps=2, cfg=2.0, sampler_name="euler", scheduler="normal", fps=8.0)
    return replace(plain, **changes)


def sample(model, conds, num_frames):
    from video_ldm.nodes.host.sampling.clip import sample_clip

    with torch.inference_mode():
        return sample_clip(model, *conds, {"samples": torch.zeros(num_frames, *SIZE)}, settings(), None)[
            "samples"
        ]


@pytest.mark.parametrize("num_frames", [7, 40])
def test_windows_show_the_layers_no_more_frames_than_they_hold(loaded, conds, calls, num_frames):
    from video_ldm.nodes.host.sampling.windows import add_windows

    model = add_windows(loaded(), 6, 2, "standard_static", "pyramid", False, False)
    clip = sample(model, conds, num_frames)
    assert clip.shape == (num_frames, *SIZE) and bool(clip.isfinite().all())
    assert {seen.num_frames for seen in calls} == {6}
    assert torch.equal(sample(model, conds, 5), sample(loaded(), conds, 5))


def test_a_convolved_clip_is_as_long_as_wanted(loaded, conds, calls):
    clip = sample(loaded("convolve"), conds, 40)
    assert clip.shape == (40, *SIZE) and bool(clip.isfinite().all())
    assert {(seen.num_frames, seen.window) for seen in calls} == {(40, 16)}


def test_pinned_interpolation_goes_between_keyframes(loaded, conds, calls):
    from video_ldm.nodes.host.sampling.interpolate import Interpolation, PromptedModel, interpolate

    keyframes = torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(2))
    choice = Interpolation("pinned", 2, False, 2.0, 0.6)
    with torch.inference_mode():
        made = interpolate(
            {"samples": keyframes, "video_ldm_fps": 2.0},
            choice,
            PromptedModel(loaded(), *conds, None),
            settings(),
        )
    clip = made["samples"]
    assert clip.shape == (33, *SIZE) and made["video_ldm_fps"] == 32.0
    assert torch.equal(clip[::16], keyframes), "given keyframes are bit-identical"
    assert bool(clip.isfinite().all()) and {seen.num_frames for seen in calls} == {5}
    between = clip[1:16]
    assert not any(torch.equal(frame, other) for frame in between for other in keyframes)
