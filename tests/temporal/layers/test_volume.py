"""Convolutions over a clip against three-dimensional ones, with norms over the clip."""

import pytest
import torch
from einops import rearrange, repeat
from video_ldm.temporal.layers.volume import FramesBlock, LevelModule
from video_ldm.temporal.sampling.clip import Clip

from ...reference_lavie import level_module, res_block
from ..tiny import normal, sine_init

CHANNELS, EMBEDDING, SIZE = 64, 12, (3, 5)
NAMES = {
    "norm_in": "norm1",
    "conv_in": "conv1",
    "time_embedding": "time_emb_proj",
    "norm_out": "norm2",
    "conv_out": "conv2",
    "frames": "resblocks_3d_t",
    "image": "resblocks_3d_s",
    "shift": "shift_conv",
}


def as_published(layer: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The layer's weights under the names of files; convolutions along the frames have three axes there."""
    found = {}
    for key, weight in layer.state_dict().items():
        *parts, leaf = key.split(".")
        along_frames = weight.ndim == 4 and weight.shape[-1] == 1 and weight.shape[-2] > 1
        name = ".".join(["m", *(NAMES[part] for part in parts), leaf])
        found[name] = weight[..., None] if along_frames else weight
    return found


def clips(num_frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    return normal(2, CHANNELS, num_frames, *SIZE).double(), normal(2, EMBEDDING, seed=1).double()


def flat(video: torch.Tensor) -> torch.Tensor:
    return rearrange(video, "b c f h w -> (b f) c h w")


@pytest.mark.parametrize("num_frames", [1, 3, 5])
def test_convolutions_along_the_frames(num_frames):
    layer = sine_init(FramesBlock(CHANNELS, None, (3, 3), torch.nn)).double()
    video, _ = clips(num_frames)
    expected = flat(res_block(as_published(layer), "m", video, None, 1e-6))
    torch.testing.assert_close(layer(flat(video), Clip(num_frames)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_frames", [1, 3, 5])
def test_a_module_after_a_level(num_frames):
    layer = sine_init(LevelModule(CHANNELS, EMBEDDING, torch.nn)).double()
    video, emb = clips(num_frames)
    expected = flat(level_module(as_published(layer), "m", video, emb))
    out = layer(flat(video), repeat(emb, "b e -> (b f) e", f=num_frames), Clip(num_frames))
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)


def test_new_layers_change_nothing():
    hidden, emb = normal(6, CHANNELS, *SIZE), normal(6, EMBEDDING)
    assert torch.equal(FramesBlock(CHANNELS, None, (3, 3), torch.nn)(hidden, Clip(3)), hidden)
    assert torch.equal(LevelModule(CHANNELS, EMBEDDING, torch.nn)(hidden, emb, Clip(3)), hidden)


def test_frames_reach_two_and_one_further():
    """A change of the last of nine frames is seen 2 + 1 frames earlier by the convolutions alone.

    The norms stand still.
    """
    layer = sine_init(FramesBlock(CHANNELS, EMBEDDING, (5, 3), torch.nn))
    layer.norm_in = layer.norm_out = torch.nn.Identity()
    hidden, emb = normal(9, CHANNELS, *SIZE), normal(9, EMBEDDING)
    changed = hidden.clone()
    changed[8] += 1
    difference = (layer(changed, Clip(9), emb) - layer(hidden, Clip(9), emb)).abs().amax(dim=(1, 2, 3))
    assert (difference[:5] == 0).all() and (difference[5:] > 0).all()
