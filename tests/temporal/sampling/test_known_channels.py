"""Known frames as input channels of an image model."""

import torch
from video_ldm.temporal.sampling.known_channels import GREY, channels_of, known_channels, nothing_known

from ..tiny import normal


def known(given: list[int], num_frames: int, clips: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents ((b f) 4 h w), and the same in the form of known frames.

    Masked, with the mask as fifth channel.
    """
    latents = normal(clips * num_frames, 4, 3, 5)
    mask = torch.zeros(clips * num_frames)
    for clip in range(clips):
        mask[[clip * num_frames + frame for frame in given]] = 1
    mask = mask[:, None, None, None].expand(-1, 1, 3, 5)
    return latents, torch.cat([latents * mask, mask], dim=1)


def test_masked_marks_what_is_to_be_made_and_shows_grey_there():
    latents, frames = known([0, 4], 5, clips=2)
    mask, shown = known_channels("masked", frames).split([1, 4], dim=1)
    assert mask[:, 0, 0, 0].tolist() == [0, 1, 1, 1, 0] * 2
    assert torch.equal(shown[[0, 4, 5, 9]], latents[[0, 4, 5, 9]])
    grey = torch.tensor(GREY)[:, None, None].expand(4, 3, 5)
    assert all(torch.equal(shown[frame], grey) for frame in (1, 2, 3, 6, 7, 8))


def test_nothing_known():
    latents, frames = known([], 3)
    for condition in ("masked", "nearest"):
        assert torch.equal(nothing_known(condition, latents), known_channels(condition, frames))


def test_channels_of_a_call():
    latents, frames = known([1], 3)
    half = latents.half()
    assert torch.equal(channels_of("masked", frames, half), known_channels("masked", frames.half()))
    assert torch.equal(channels_of("masked", None, half), nothing_known("masked", half))
