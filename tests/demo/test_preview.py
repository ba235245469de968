"""Colours of toy latents in previews: those of the pictures that they stand for."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from video_ldm.demo.environment import REPO


@pytest.fixture(scope="module")
def examples(host):
    """Latents of drawn pictures and their mean colours."""
    from video_ldm.demo.train.autoencoder import picture_pool
    from video_ldm.demo.train.toy_models import encode, load_autoencoder

    pictures = torch.from_numpy(picture_pool(6, 11)).permute(0, 3, 1, 2).float() / 255
    autoencoder = load_autoencoder(REPO / "demo" / "models" / "toy_sd.safetensors")
    return encode(autoencoder, pictures), F.avg_pool2d(pictures, 8)


def test_the_preview_has_the_colours_of_the_picture(host, examples):
    import comfy.latent_formats
    import folder_paths
    import latent_preview
    from comfy.sd import load_checkpoint_guess_config

    path = folder_paths.get_full_path("checkpoints", "toy_sd.safetensors")
    toy = load_checkpoint_guess_config(path, output_vae=False, output_clip=False)[0].model.latent_format
    assert toy.latent_rgb_factors_reshape is not None

    def error(latent_format):
        previewer = latent_preview.Latent2RGBPreviewer(
            latent_format.latent_rgb_factors,
            latent_format.latent_rgb_factors_bias,
            latent_format.latent_rgb_factors_reshape,
        )
        latents, colours = examples
        shown = [torch.tensor(list(previewer.decode_latent_to_preview(x[None]).getdata())) for x in latents]
        wanted = [255 * c.flatten(1).T for c in colours]
        return (torch.stack(shown) - torch.stack(wanted)).square().mean().sqrt().item() / 255

    assert error(toy) < 0.05 < error(comfy.latent_formats.SD15())
