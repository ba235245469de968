"""Decoding a clip in chunks that overlap, so that a decoder that looks along time never meets a bare cut."""

from __future__ import annotations

from typing import Any

import comfy.model_management as mm
import comfy.utils
import torch
from einops import rearrange
from torch import Tensor

from ...temporal.errors import InvalidInputError

MIN_CHUNK = 2


def decode_clip(vae: Any, latent: Tensor, chunk_length: int, overlap: int) -> Tensor:
    """Images (f h w 3) in 0..1 of a clip's latents (f c h w).

    Each chunk of `chunk_length` new frames is decoded together with `overlap` neighbours on either side, which are
    then dropped. Out of memory halves the chunk and goes on; frames are never decoded one by one.
    Raises InvalidInputError for latents the VAE cannot decode, and when two frames do not fit in memory.
    """
    if latent.ndim != 4 or latent.shape[1] != vae.latent_channels:
        raise InvalidInputError(
            f"The latent has shape {tuple(latent.shape)}; this VAE decodes (frames, {vae.latent_channels}, height, "
            "width). Connect the VAE of the checkpoint that made the latent."
        )
    num_frames = latent.shape[0]
    progress = comfy.utils.ProgressBar(num_frames)
    images: list[Tensor] = []
    start = 0
    while start < num_frames:
        stop = chunk_stop(start, chunk_length, num_frames)
        low, high = max(0, start - overlap), min(num_frames, stop + overlap)
        frames = _decode(vae, latent[low:high])
        if frames is None:
            chunk_length = _smaller(stop - start)
            continue
        images.append(frames[start - low : stop - low])
        start = stop
        progress.update_absolute(start, num_frames)
    return torch.cat(images)


def chunk_stop(start: int, length: int, num_frames: int) -> int:
    """End of the chunk that begins at `start`; a last single frame joins the chunk before it."""
    stop = start + max(length, MIN_CHUNK)
    return num_frames if stop >= num_frames - 1 else stop


def _decode(vae: Any, latent: Tensor) -> Tensor | None:
    """Images of a few frames decoded together, None when they did not fit in memory."""
    mm.throw_exception_if_processing_interrupted()
    needed = vae.memory_used_decode(tuple(latent.shape), vae.vae_dtype) * latent.shape[0]
    try:
        mm.load_models_gpu([vae.patcher], memory_required=needed)
        frames = vae.first_stage_model.decode(latent.to(vae.vae_dtype).to(vae.device))
        return rearrange(vae.process_output(frames.to(vae.output_device).float()), "f c h w -> f h w c")
    except mm.OOM_EXCEPTION:
        return None


def _smaller(length: int) -> int:
    if length <= MIN_CHUNK:
        raise InvalidInputError(
            f"There is not enough memory to decode {length} frames together at this size. Close other programs, or "
            "make the clip smaller."
        )
    mm.soft_empty_cache()
    return max(MIN_CHUNK, length // 2)
