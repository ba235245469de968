"""Temporal layers whose image model was trained along: what changed in it comes with them into the MODEL."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from video_ldm.demo import environment
from video_ldm.temporal.errors import IncompatibleModelError

CHECKPOINT = environment.REPO / "demo" / "models" / "toy_sd.safetensors"
UNET = "model.diffusion_model."


def changes_of(rig, scale: float) -> dict[str, torch.Tensor]:
    """A change for every weight of the toy image model."""
    dice = torch.Generator().manual_seed(3)
    shapes = {name: weight.shape for name, weight in rig.model.model.diffusion_model.state_dict().items()}
    return {name: scale * torch.randn(shape, generator=dice) for name, shape in shapes.items()}


def layers(rig, changes, scale: float = 0.1):
    patcher = rig.stack(scale=scale, image_model="changed")
    patcher.model.changed_image = changes
    return patcher


def test_new_ones_are_exactly_the_image_model(rig):
    model = rig.with_layers(patcher=layers(rig, changes_of(rig, 0.0), scale=0))
    assert torch.equal(rig.sample(model), rig.sample(rig.model))


def test_they_are_the_layers_on_a_checkpoint_that_has_the_changed_weights(rig, tmp_path):
    """And the image model that they came to stays as it was."""
    from video_ldm.nodes.host.training import models as host

    before, changes = rig.sample(rig.model), changes_of(rig, 0.003)
    tensors = {key: value.float() for key, value in load_file(CHECKPOINT).items()}
    for name, change in changes.items():
        tensors[UNET + name] += change
    save_file(tensors, tmp_path / "changed.safetensors")
    with torch.inference_mode():
        other = host.load_checkpoint(str(tmp_path / "changed.safetensors")).model
    expected = rig.sample(rig.with_layers(model=other, patcher=layers(rig, {})))
    made = rig.sample(rig.with_layers(patcher=layers(rig, changes)))
    unchanged = rig.sample(rig.with_layers(patcher=layers(rig, {})))
    distance = (unchanged - expected).abs().mean()
    assert distance > 1e-3
    assert (made - expected).abs().mean() < 0.05 * distance
    assert torch.equal(rig.sample(rig.with_layers(patcher=layers(rig, changes), strength=0.0)), before)
    assert torch.equal(rig.sample(rig.model), before)


def test_known_frames_reach_the_input(rig):
    """The first convolution alone: the other layers are new, and see nothing."""
    from video_ldm.nodes.host.sampling.known import with_frames

    patcher = layers(rig, {}, scale=0)
    latent = with_frames({"samples": torch.zeros(5, 4, 10, 6)}, torch.ones(1, 4, 10, 6), ((0, 0),))
    plain = rig.sample_video(rig.with_layers(patcher=patcher), latent=latent)["samples"]
    with torch.no_grad():
        patcher.model.known_input.conv.weight.add_(0.05)
    told = rig.sample_video(rig.with_layers(patcher=patcher), latent=latent)["samples"]
    assert torch.equal(told[0], plain[0])
    assert torch.equal(told[1:], plain[1:])  # new layers carry nothing from one frame to another


@pytest.mark.parametrize("part", [{"start_percent": 0.2}, {"end_percent": 0.8}])
def test_a_part_of_the_sampling_is_refused(rig, part):
    with pytest.raises(IncompatibleModelError, match="cannot change inside a sampling"):
        rig.with_layers(patcher=layers(rig, changes_of(rig, 0.1)), **part)


def test_weights_that_the_image_model_does_not_have_are_refused(rig):
    changes = changes_of(rig, 0.1)
    changes["out.2.weight"] = changes["out.2.weight"][:2]
    with pytest.raises(IncompatibleModelError, match=r"does not have: out\.2\.weight"):
        rig.with_layers(patcher=layers(rig, changes))
