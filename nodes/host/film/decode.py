"""Decoding a clip of any length in bounded memory, never frame by frame without its neighbours.

Shapes: f frames of the clip, n of a piece, c channels, h w size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import comfy.model_management as mm
import torch
from comfy.ldm.models.autoencoder import AutoencodingEngine
from comfy.taesd.taesd import TAESD
from einops import rearrange
from torch import Tensor, nn

from ....temporal.decoder.streaming import DecoderStream, LatentReader
from ....temporal.decoder.windows import decode_windows
from ....temporal.errors import InvalidInputError
from ..memory import unless_out_of_memory
from .given import check_sizes, references_of
from .temporal_autoencoders import ReferenceAutoencoder, TemporalAutoencoder

CHUNK_LENGTH, OVERLAP = 16, 4  # where nobody says
LONGEST = 2**31  # frames of a clip that is decoded as a whole
# bytes of frames that are made together: larger ones get fresh pages from the kernel each time
PIECE = 24 * 2**20
TAIL_FRAMES = 2  # what a stream keeps between its pieces, as frames whose decode needs as much memory
IMAGE_AUTOENCODERS = (AutoencodingEngine, TAESD)


def stream_frames(
    vae: Any,
    samples: Tensor | Iterator[Tensor],
    chunk_length: int = CHUNK_LENGTH,
    overlap: int = OVERLAP,
    references: Tensor | None = None,
) -> Iterator[Tensor]:
    """Frames (n h w 3) in 0..1 of a clip's latents, in order, each once, as float32 on the CPU.

    `samples` are latents (f c h w), or pieces of one clip that are read as they are needed. A decoder of ours
    goes on from piece to piece, so that `chunk_length` and PIECE decide only how much memory is used; an
    image decoder knows no pieces. Other decoders that look along time get windows of `chunk_length` frames
    with `overlap` neighbours on either side, cross-faded. Out of memory halves the pieces of the first two,
    with the same frames. `references`, the first and the last frame as images (2 h w 3), are for a decoder
    that looks at them; it gets the clip as a whole. Raises InvalidInputError for latents the VAE cannot
    decode, and when memory does not suffice.
    """
    latents = LatentReader(samples)
    check_latents(vae, samples if isinstance(samples, Tensor) else latents.peek(1))
    autoencoder = vae.first_stage_model
    if isinstance(autoencoder, ReferenceAutoencoder) and references is not None:
        seen = _on_device(vae, vae.process_input(rearrange(references, "two h w c -> two c h w")))
        return iter([_decode_window(vae, latents.take(LONGEST), references=seen)])
    if isinstance(autoencoder, TemporalAutoencoder):
        return _streamed(vae, DecoderStream(autoencoder.run, autoencoder.decoder), latents, chunk_length)
    if is_image_decoder(autoencoder):
        stream = DecoderStream(lambda piece, _: autoencoder.decode(piece))
        return _streamed(vae, stream, latents, chunk_length)
    return decode_windows(partial(_decode_window, vae), latents, chunk_length, overlap)


def check_latents(vae: Any, latents: Tensor) -> None:
    """Refuse latents (f c h w) that a VAE does not decode."""
    if latents.ndim != 4 or latents.shape[1] != vae.latent_channels:
        raise InvalidInputError(
            f"The latent has shape {tuple(latents.shape)}; this VAE decodes (frames, {vae.latent_channels}, "
            "height, width). Connect the VAE of the checkpoint that made the latent."
        )


def references_for(vae: Any, latent: Tensor, given: Mapping[int, Tensor]) -> Tensor | None:
    """References (2 h w 3) for a VAE that decodes latents (f c h w), None where it looks at none.

    Raises InvalidInputError for given frames of another size, or without the two ends that it looks at.
    """
    check_sizes(given, latent, vae.upscale_ratio)
    return (
        references_of(given, len(latent)) if isinstance(vae.first_stage_model, ReferenceAutoencoder) else None
    )


def takes_pieces(autoencoder: nn.Module) -> bool:
    """True if an autoencoder gives the same frames however few of them are decoded together."""
    return isinstance(autoencoder, TemporalAutoencoder) or is_image_decoder(autoencoder)


def piece_length(vae: Any, size: Sequence[int], longest: int) -> int:
    """Latents of a size (c h w) that are decoded together where pieces change nothing.

    They are as many as make PIECE bytes of frames, at least one and at most `longest`.
    """
    scale = vae.spacial_compression_decode()
    frame = 3 * 4 * size[-2] * size[-1] * scale**2
    return max(1, min(longest, int(PIECE // frame)))


def is_image_decoder(autoencoder: nn.Module) -> bool:
    """True if an autoencoder of the host decodes every frame for itself; unknown ones may look along time."""
    known = isinstance(autoencoder, IMAGE_AUTOENCODERS)
    return known and not any(isinstance(module, nn.Conv3d) for module in autoencoder.modules())


def _streamed(vae: Any, stream: DecoderStream, latents: LatentReader, length: int) -> Iterator[Tensor]:
    """Frames piece by piece; in smaller pieces from where memory ran out."""
    size = latents.peek(1).shape[1:]
    length = piece_length(vae, size, length)
    while len(piece := latents.peek(length)) or not stream.finished:
        is_whole = not stream.begun and len(latents.peek(length + 1)) <= length
        push = partial(stream.whole if is_whole else stream.push, _on_device(vae, piece))
        step = push if len(piece) else partial(stream.drain, length)
        frames = _attempt(vae, (len(piece) or length, *size), step)
        if frames is None:
            length = _smaller(len(piece) or length)
            continue
        latents.take(len(piece))
        if len(frames):
            yield frames


def _decode_window(vae: Any, window: Tensor, references: Tensor | None = None) -> Tensor:
    """Images (n h w 3) of a window's latents; never fewer at once, which would change them."""
    decode = vae.first_stage_model.decode
    options = {} if references is None else {"references": references}
    frames = _attempt(vae, tuple(window.shape), lambda: decode(_on_device(vae, window), **options))
    if frames is None:
        mm.soft_empty_cache()
        raise _too_many(len(window)) if references is None else _too_long(len(window))
    return frames


def _too_many(frames: int) -> InvalidInputError:
    return InvalidInputError(
        f"There is not enough memory to decode {frames} frames together, and this decoder's frames depend "
        "on how many it gets. Lower chunk_length or overlap, or make the clip smaller."
    )


def _too_long(frames: int) -> InvalidInputError:
    return InvalidInputError(
        f"There is not enough memory to decode all {frames} frames of the clip at once, as ToonCrafter's "
        "decoder must when it is given pictures. Make the clip shorter or smaller, or disconnect "
        "known_images."
    )


def _attempt(vae: Any, shape: tuple[int, ...], decode: Callable[[], Tensor]) -> Tensor | None:
    """Images (n h w 3) of what `decode` makes of latents of a shape (f c h w); None when memory ran out."""
    mm.throw_exception_if_processing_interrupted()
    needed = vae.memory_used_decode(shape, vae.vae_dtype) * (shape[0] + TAIL_FRAMES)

    def images() -> Tensor:
        mm.load_models_gpu([vae.patcher], memory_required=needed)
        with torch.inference_mode():
            frames = vae.process_output(decode().to(vae.output_device).float())
            return rearrange(frames, "n c h w -> n h w c").cpu()

    return unless_out_of_memory(images)


def _on_device(vae: Any, latents: Tensor) -> Tensor:
    return latents.to(vae.vae_dtype).to(vae.device)


def _smaller(length: int) -> int:
    if length == 1:
        raise InvalidInputError(
            "There is not enough memory to decode a frame of this size. Close other programs, or make the "
            "clip smaller."
        )
    mm.soft_empty_cache()
    return length // 2
