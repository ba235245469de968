"""Deep Shrink (the host's PatchModelAddDownscale) with known frames.

It makes the image model's tensors smaller.
"""

from __future__ import annotations

import pytest
import torch

LATENT = (3, 4, 16, 12)
SHRINK = {
    "downscale_factor": 2.0,
    "start_percent": 0.0,
    "end_percent": 0.6,
    "downscale_method": "bicubic",
    "upscale_method": "bicubic",
}


@pytest.mark.parametrize("after_skip", [True, False])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_layers_see_known_frames_at_every_size(host, rig, block, after_skip):
    from video_ldm.nodes.host.sampling.known import with_frames

    given = torch.randn(2, *LATENT[1:], generator=torch.Generator().manual_seed(3))
    clips = [with_frames({"samples": torch.zeros(LATENT)}, given[[n]], ((1, 0),)) for n in (0, 1)]
    model = rig.with_layers()
    shrunk = host.call(
        "PatchModelAddDownscale",
        model=model,
        block_number=block,
        downscale_after_skip=after_skip,
        **SHRINK,
    )[0]
    made = [rig.sample_video(shrunk, latent=clip)["samples"] for clip in clips]
    assert torch.equal(made[0][1], given[0]) and bool(torch.isfinite(made[0]).all())
    assert not torch.equal(made[0][0], made[1][0]), "the given frame is seen"
    assert not torch.equal(made[0], rig.sample_video(model, latent=clips[0])["samples"]), (
        "the size did change"
    )
    assert rig.hooks_left() == 0


def test_features_keep_their_mean_in_a_smaller_size():
    from video_ldm.temporal.sampling.clip import Clip
    from video_ldm.temporal.stack.stack import _features

    clip = Clip(num_frames=2, features={1: torch.arange(2.0 * 3 * 4 * 6).reshape(2, 3, 4, 6)})
    assert _features(1, torch.zeros(2, 8, 4, 6), clip) is clip.features[1]
    small = _features(1, torch.zeros(2, 8, 2, 3), clip)
    torch.testing.assert_close(small[1, 2, 1, 2], clip.features[1][1, 2, 2:4, 4:6].mean())
    assert _features(0, torch.zeros(2, 8, 4, 6), clip) is None
