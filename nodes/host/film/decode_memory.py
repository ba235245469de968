"""Memory that decoding a clip takes, before it begins.

Shapes: latents (f c h w).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from comfy.ldm.models.autoencoder import AutoencodingEngine
from comfy.ldm.modules.temporal_ae import VideoDecoder
from comfy.taesd.taesd import TAESD
from torch import Tensor

from ....temporal.decoder.windows import longest_window
from .decode import piece_length, takes_pieces

KL_SCALE = 8
TAESD_LIVE = 4 * 64  # channels of TAESD at full size that are alive at its fullest moment
VIDEO_LIVE = 7 * 128  # the same of Stable Video Diffusion's decoder, counted on its operations
LEAST_LIVE = 2 * 64  # channels in and out of the last layer at full size, in the smallest decoder there is


@dataclass(frozen=True)
class DecodeNeeds:
    """The most frames that are decoded together, about how many bytes they take, and how many at the least.

    `shrinks`: fewer frames are decoded together where memory runs out.
    """

    together: int
    memory: float
    least: float
    shrinks: bool


def decode_needs(vae: Any, latents: Tensor, chunk_length: int, overlap: int, at_once: bool) -> DecodeNeeds:
    """Memory that `stream_frames` takes on the VAE's device.

    `at_once`: the decoder gets the clip as a whole.
    """
    num_frames, _, height, width = latents.shape
    shrinks = takes_pieces(vae.first_stage_model)
    if at_once:
        together = num_frames
    elif shrinks:
        together = min(piece_length(vae, latents.shape[1:], chunk_length), num_frames)
    else:
        together = longest_window(num_frames, chunk_length, overlap)
    live = VIDEO_LIVE if _is_video_decoder(vae) else LEAST_LIVE
    pixels = height * width * vae.spacial_compression_decode() ** 2
    return DecodeNeeds(
        together=together,
        memory=together * frame_memory(vae, height, width),
        least=(1 if shrinks else together) * live * pixels * vae.vae_dtype.itemsize,
        shrinks=shrinks,
    )


def frame_memory(vae: Any, height: int, width: int) -> float:
    """Bytes that decoding a frame of latents of a size takes.

    The host counts every decoder as a KL one that enlarges eight times; TAESD is as it was measured, and the
    KL decoder of the x4 upscaler, which enlarges four times, takes its part.
    """
    autoencoder = getattr(vae.first_stage_model, "autoencoder", vae.first_stage_model)
    host = vae.memory_used_decode((1, vae.latent_channels, height, width), vae.vae_dtype)
    scale = vae.spacial_compression_decode()
    if isinstance(autoencoder, TAESD) and not _is_video_decoder(vae):
        return min(host, TAESD_LIVE * height * width * scale**2 * vae.vae_dtype.itemsize)
    return host * (scale / KL_SCALE) ** 2 if isinstance(autoencoder, AutoencodingEngine) else host


def _is_video_decoder(vae: Any) -> bool:
    return any(isinstance(module, VideoDecoder) for module in vae.first_stage_model.modules())
