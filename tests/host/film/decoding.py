"""Frames of latents as Temporal VAE Decode makes them, with given frames by their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def decode_clip(
    vae: Any,
    latent: Tensor,
    chunk_length: int = 16,
    overlap: int = 4,
    given: Mapping[int, Tensor] | None = None,
    colours: Tensor | None = None,
) -> Tensor:
    """Images (f h w 3) of latents (f c h w); `given` images (h w 3) come out exactly."""
    from video_ldm.nodes.host.film.frame_stream import DecodeSettings, collect, latent_stream
    from video_ldm.nodes.host.latents import KNOWN_KEY

    samples, images = {"samples": latent}, None
    if given:
        samples[KNOWN_KEY] = torch.tensor([float(frame in given) for frame in range(len(latent))])
        images = torch.stack([given[frame] for frame in sorted(given)])
    return collect(latent_stream(samples, vae, 8.0, DecodeSettings(chunk_length, overlap, images, colours)))
