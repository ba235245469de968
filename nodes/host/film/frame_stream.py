"""A clip as something that can be asked for its frames, again and again, without ever being held as a whole.

Shapes: latents (f c h w), chunks of frames (n h w 3) float 0..1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, cast

import torch
from torch import Tensor

from ....temporal.errors import InvalidInputError
from ....temporal.upscaler.colour import keep_colours
from ..latents import film_rate
from ..memory import CPU
from ..progress import FrameProgress
from .decode import CHUNK_LENGTH, OVERLAP, check_latents, references_for, stream_frames
from .decode_memory import decode_needs
from .given import check_colours, exact, given_frames

CLEAR = 4  # numbers of a pixel that is more or less transparent

PREVIEW_FPS = 8.0  # where nothing says how fast a clip is


class Needs(Protocol):
    """Bytes that enlarging takes while frames pass through.

    Main memory, and that of the device that computes.
    """

    work: int
    device: int


class Upscaler(Protocol):
    """Anything that makes frames larger, `scale` times a side, on a device."""

    scale: int
    load_device: Any

    def estimate(self, frames: int, height: int, width: int) -> Needs:
        """Bytes for a clip of given frames."""
        ...

    def stream(self, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """Larger frames, each exactly once and in order."""
        ...


@dataclass(frozen=True)
class FrameStream:
    """A clip of frames that are made when they are asked for; its size is known before.

    `memory`, `least`: estimated and minimum bytes by device. `shrinks`: where memory runs out, the frames are
    made with less of it. `transparency`: frames have a fourth number (n h w 4), or had one that is lost by
    now.
    """

    stream: Callable[[], Iterator[Tensor]]
    num_frames: int
    width: int
    height: int
    fps: float
    memory: Mapping[Any, float]
    least: Mapping[Any, float]
    shrinks: bool = False
    transparency: Literal["none", "has", "lost"] = "none"


@dataclass(frozen=True)
class DecodeSettings:
    """Settings with which latents become frames.

    `chunk_length` frames are decoded together, `overlap` neighbours beside them. `known_images` (k h w 3)
    come out exactly; `colours` (f h w 3) is the clip before it was enlarged, whose colours and brightness the
    frames get.
    """

    chunk_length: int = CHUNK_LENGTH
    overlap: int = OVERLAP
    known_images: Tensor | None = None
    colours: Tensor | None = None


def frame_stream(
    samples: Mapping[str, Any] | None,
    vae: Any,
    images: Tensor | None,
    upscaler: Upscaler | None,
    fps: float,
    decode: DecodeSettings,
) -> FrameStream:
    """The clip of a LATENT and its VAE, or of IMAGE frames; `fps` 0 stands for what the latent carries.

    Raises InvalidInputError when there are neither or both, and when no frame rate is known.
    """
    if (samples is None) == (images is None):
        given = "neither samples nor images is" if samples is None else "both samples and images are"
        raise InvalidInputError(
            f"Exactly one clip can be rendered, but {given} connected. Connect samples with a VAE, or images."
        )
    if samples is not None:
        clip = latent_stream(samples, vae, fps, decode)
    else:
        clip = _image_stream(cast(Tensor, images), fps, decode)
    return clip if upscaler is None else _enlarged(clip, upscaler)


def latent_stream(samples: Mapping[str, Any], vae: Any, fps: float, decode: DecodeSettings) -> FrameStream:
    """The clip that a VAE decodes; see `frame_stream`."""
    if vae is None:
        raise InvalidInputError("Latents were given without a VAE; connect the VAE of the checkpoint.")
    latents = samples["samples"]
    check_latents(vae, latents)
    scale = vae.spacial_compression_decode()
    num_frames, height, width = latents.shape[0], latents.shape[2] * scale, latents.shape[3] * scale
    given = given_frames(samples, decode.known_images)
    references = references_for(vae, latents, given)
    if decode.colours is not None:
        check_colours(decode.colours, latents, scale)

    def frames() -> Iterator[Tensor]:
        decoded = stream_frames(vae, latents, decode.chunk_length, decode.overlap, references)
        if decode.colours is not None:
            decoded = keep_colours(decoded, decode.colours[..., :3])
        return exact(decoded, given)

    needs = decode_needs(vae, latents, decode.chunk_length, decode.overlap, at_once=references is not None)
    return FrameStream(
        stream=frames,
        num_frames=num_frames,
        width=width,
        height=height,
        fps=film_rate(samples, fps),
        memory=Counter({vae.device: needs.memory}) + Counter({CPU: held(needs.together, width, height)}),
        least={vae.device: needs.least},
        shrinks=needs.shrinks,
    )


def part_of(clip: FrameStream, first: int, stop: int) -> FrameStream:
    """Frames `first` to before `stop` of a clip, as they are in the whole.

    Those before are made and left out, those after not made.
    """
    return replace(clip, stream=lambda: _between(clip.stream(), first, stop), num_frames=stop - first)


def _between(chunks: Iterator[Tensor], first: int, stop: int) -> Iterator[Tensor]:
    done = 0
    for chunk in chunks:
        wanted = chunk[max(first - done, 0) : stop - done]
        done += len(chunk)
        if len(wanted):
            yield wanted
        if done >= stop:
            return


def collect(clip: FrameStream) -> Tensor:
    """All frames of a clip (f h w 3) at once, with a moving preview while they come."""
    progress, images, done = FrameProgress(clip.num_frames, clip.fps), torch.empty(0), 0
    for piece in clip.stream():
        if not done:
            images = piece.new_empty(clip.num_frames, *piece.shape[1:])
        images[done : done + len(piece)] = piece
        done += len(piece)
        progress(piece)
    return images


def held(num_frames: int, width: int, height: int) -> float:
    """Bytes of frames on their way into a file: as float, as whole numbers, and inside the encoder."""
    return 30.0 * num_frames * width * height


def _image_stream(images: Tensor, fps: float, decode: DecodeSettings) -> FrameStream:
    if decode.known_images is not None:
        raise InvalidInputError(
            "known_images are for a clip that is decoded, but images are connected, which are written as "
            "they are. Disconnect known_images, or connect samples and a VAE in place of images."
        )
    num_frames, height, width = images.shape[:3]
    return FrameStream(
        stream=lambda: iter(images.split(decode.chunk_length)),
        num_frames=num_frames,
        width=width,
        height=height,
        fps=film_rate({}, fps),
        memory={CPU: held(min(decode.chunk_length, num_frames), width, height)},
        least={CPU: held(1, width, height)},
        transparency="has" if images.shape[-1] == CLEAR else "none",
    )


def _enlarged(clip: FrameStream, upscaler: Upscaler) -> FrameStream:
    width, height = clip.width * upscaler.scale, clip.height * upscaler.scale
    needs = upscaler.estimate(clip.num_frames, clip.height, clip.width)
    here = Counter({CPU: needs.work + held(1, width, height)}) + Counter({upscaler.load_device: needs.device})
    return replace(
        clip,
        stream=lambda: upscaler.stream(piece[..., :3] for piece in clip.stream()),
        width=width,
        height=height,
        transparency="none" if clip.transparency == "none" else "lost",
        memory=Counter(clip.memory) + here,
        least=Counter(clip.least) | here,  # decoding and enlarging take turns
    )
