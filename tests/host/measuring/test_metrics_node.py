"""Video Metrics on clips whose numbers are known, and its networks as the host loads them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from video_ldm.tests.temporal.curation.films import shot

SETTINGS = {"fps": 25.0, "text": False}


def clip(seed: int, frames: int = 6, speed: float = 2.0) -> torch.Tensor:
    """A pan over a texture as an IMAGE."""
    return torch.from_numpy(shot(seed, frames, speed)).float() / 255


SIZES = {
    "model_type": "clip_vision_model",
    "num_channels": 3,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "projection_dim": 16,
    "patch_size": 32,
    "image_size": 64,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}


@pytest.fixture(scope="module")
def networks(host, tmp_path_factory):
    """A tiny CLIP_VISION with random weights, of the host's own class."""
    import comfy.clip_vision

    sizes = tmp_path_factory.mktemp("vision") / "sizes.json"
    sizes.write_text(json.dumps(SIZES))
    torch.manual_seed(0)
    network = comfy.clip_vision.ClipVisionModel(str(sizes))
    network.load_sd({key: torch.randn(value.shape) * 0.2 for key, value in network.get_sd().items()})
    return network


def test_the_numbers_are_those_of_the_command(host):
    from video_ldm.temporal.metrics.films import measure

    report, numbers = host.call("VLDM_VideoMetrics", images=clip(1), **SETTINGS)
    found = json.loads(numbers)["clips"]["this clip"]
    expected = measure(shot(1, 6, 2.0), 25.0).to_json()
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert "6 frames, 160 x 90, 25 fps" in report and "Flicker: 0" in report and "consistency" not in report


def test_a_still_is_consistent_and_a_change_of_picture_is_not(host, networks):
    still, moving = clip(1)[:1].repeat(4, 1, 1, 1), torch.cat([clip(seed, 1) for seed in range(4)])
    values = [
        json.loads(
            host.call(
                "VLDM_VideoMetrics",
                images=images,
                **SETTINGS,
                clip_vision=networks,
                subject_vision=networks,
            )[1]
        )["clips"]["this clip"]
        for images in (still, moving)
    ]
    assert values[0]["background"] == values[0]["subject"] == pytest.approx(1, abs=1e-5)
    assert values[1]["background"] < 0.999


def test_features_are_those_of_the_hosts_own_node(host, networks):
    images = clip(2, 3)
    own = host.call("CLIPVisionEncode", clip_vision=networks, image=images, crop="center")[0]["image_embeds"]
    ours = host.pack("nodes.host.measuring.pictures").features_of(networks, images)
    assert np.allclose(ours, own.numpy(), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_pictures_in_half_precision_are_measured_as_they_are(host, networks, dtype):
    """Encoders shrink them, which some machines cannot do in half precision."""
    images = clip(2, 3).to(dtype)
    features_of = host.pack("nodes.host.measuring.pictures").features_of
    assert np.array_equal(features_of(networks, images), features_of(networks, images.float()))

    prompt_of = host.pack("nodes.host.sampling.image_prompt")._features
    assert torch.equal(prompt_of(networks, images[:1]).cond, prompt_of(networks, images[:1].float()).cond)


def test_two_clips_stand_side_by_side_and_what_they_are_too_few_for_is_said(host):
    report, numbers = host.call("VLDM_VideoMetrics", images=clip(1), other_images=clip(2, 5), **SETTINGS)
    motion = next(line for line in report.splitlines() if line.startswith("Motion"))
    assert motion.count("|") == 1 and "other clip: 5 frames" in report
    assert "FVD was left out: A measure of 1 clips says nothing" in report
    assert set(json.loads(numbers)["clips"]) == {"this clip", "other clip"}


def test_given_images_are_found_where_they_were_given(host):
    images = clip(1)
    given = {"images": images, **SETTINGS, "given_images": images[[0, 5]] + 10 / 255}
    _, numbers = host.call("VLDM_VideoMetrics", **given, given_frames="0, -1")
    far = json.loads(numbers)["clips"]["this clip"]["given"]
    assert far == pytest.approx(10, abs=1.0)
    with pytest.raises(ValueError, match="given_images holds 2 images, but given_frames lists 1 frames"):
        host.call("VLDM_VideoMetrics", **given, given_frames="0")
    with pytest.raises(ValueError, match="The clip is 160 x 90, but the given images are 80 x 90"):
        small = {**given, "given_images": images[:1, :, :80]}
        host.call("VLDM_VideoMetrics", **small, given_frames="0")


def test_a_single_frame_and_a_missing_library_are_one_sentence(host, monkeypatch):
    import sys

    with pytest.raises(ValueError, match="has a single frame"):
        host.call("VLDM_VideoMetrics", images=clip(1, 1), **SETTINGS)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ValueError, match=r"needs OpenCV.*pip install opencv-python-headless"):
        host.call("VLDM_VideoMetrics", images=clip(1), **SETTINGS)
