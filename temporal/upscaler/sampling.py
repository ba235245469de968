"""Enlarging a stream of frames: windows in time and tiles in space, blended at every denoising step.

Each step is a stage that takes frames from the stage before and hands them on, so a clip of any length passes
through while each stage holds one window of it.

Shapes: f frames, h w size of the given frames, H W size of the enlarged ones.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from ..errors import InvalidInputError
from ..sampling.clip import Clip
from .colour import hold_colours
from .config import UpscalerConfig
from .model import enlarge
from .noise import add_noise, frame_noise, mixed_noise, signal_and_noise, split
from .tiles import in_tiles
from .windows import check_windows, fused

MADE, GIVEN, SHARED = 0, 1, 2  # streams of noise
# (noisy (f 3 H W), given (f 3 h w), time (f,), level (f,), clip) -> v (f 3 H W): `VideoUpscaler.forward`
Predict = Callable[[Tensor, Tensor, Tensor, Tensor, Clip], Tensor]


@dataclass(frozen=True)
class UpscaleSettings:
    """Settings with which a clip is enlarged.

    `noise_level`: noise on the given frames, 0..1; more lets the upscaler depart from them. `window` and
    `overlap` in frames (window 0: what the upscaler was trained on), `tile` in given pixels (0: whole
    frames). `strength` of the temporal layers: 0 is frame by frame. `shared_noise`: share of the variance
    that all frames start from together, 0..1 (None: what the upscaler was trained with).
    """

    steps: int = 4
    noise_level: float = 0.0
    seed: int = 0
    strength: float = 1.0
    window: int = 0
    overlap: int = 2
    tile: int = 0
    shared_noise: float | None = None

    def checked(self, config: UpscalerConfig) -> "UpscaleSettings":
        """Settings with window and shared noise filled in.

        Raises InvalidInputError for values that an upscaler cannot use.
        """
        shared = (config.shared_noise if self.shared_noise is None else self.shared_noise) or 0.0
        filled = replace(self, window=self.window or config.max_frames, shared_noise=shared)
        if not 0 <= shared <= 1:
            raise InvalidInputError(
                f"The share of noise that frames have in common is {shared:g}; choose 0 to 1."
            )
        if self.steps < 1:
            raise InvalidInputError(f"Enlarging needs at least 1 step, but steps is {self.steps}.")
        if not 0 <= self.noise_level <= config.max_noise_level:
            raise InvalidInputError(
                f"The noise level is {self.noise_level:g}, but this upscaler was trained on 0 to "
                f"{config.max_noise_level:g}; choose a level in that range."
            )
        check_windows(filled.window, filled.overlap)
        return filled


@dataclass(frozen=True)
class Frame:
    """One frame on its way.

    It holds the frame as given (3 h w), padded and noised (3 h' w'), and the residual so far (3 H' W').
    """

    given: Tensor
    seen: Tensor
    residual: Tensor


def upscale(
    predict: Predict, config: UpscalerConfig, chunks: Iterable[Tensor], settings: UpscaleSettings
) -> Iterator[Tensor]:
    """Enlarged frames (1 H W 3) in 0..1, one by one, of given chunks (n h w 3) in 0..1.

    How frames are split into chunks makes no difference, and `tile` makes none beyond rounding (1e-4).
    Raises InvalidInputError for frames that are not RGB, or change their size, and unusable settings.
    """
    settings = settings.checked(config)
    frames = (_begin(frame, number, config, settings) for number, frame in enumerate(_frames(chunks)))
    for now, after in pairwise(times(settings.steps)):
        frames = _stage(predict, config, frames, now, after, settings)
    for frame in frames:
        yield _finish(frame, config)


def times(steps: int) -> list[float]:
    """Times from pure noise to clean, evenly spaced."""
    return [1 - step / steps for step in range(steps + 1)]


def _frames(chunks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Single frames (3 h w) in -1..1."""
    size = None
    for chunk in chunks:
        if chunk.ndim != 4 or chunk.shape[-1] != 3:
            raise InvalidInputError(
                f"The frames have shape {tuple(chunk.shape)}; the upscaler takes RGB frames (frames, "
                "height, width, 3). Remove an alpha channel, or connect decoded images."
            )
        if size is not None and chunk.shape[1:] != size:
            raise InvalidInputError(
                f"Frames of {chunk.shape[2]} x {chunk.shape[1]} follow frames of {size[1]} x {size[0]}; "
                "all frames of a clip need one size."
            )
        size = chunk.shape[1:]
        yield from rearrange(chunk.float(), "n h w c -> n c h w") * 2 - 1


def _begin(frame: Tensor, number: int, config: UpscalerConfig, settings: UpscaleSettings) -> Frame:
    """A frame with its noise, which is the same whatever comes before or after."""
    h, w = frame.shape[1:]
    bottom, right = -h % config.multiple, -w % config.multiple
    seen = functional.pad(frame[None], (0, right, 0, bottom), mode="replicate")
    shape = (3, config.scale * seen.shape[2], config.scale * seen.shape[3])
    if settings.noise_level:
        noise = frame_noise(seen.shape[1:], settings.seed, GIVEN, number)[None]
        seen = add_noise(seen, noise, torch.tensor([settings.noise_level]))
    made = frame_noise(shape, settings.seed, MADE, number)
    if settings.shared_noise:
        made = mixed_noise(made, frame_noise(shape, settings.seed, SHARED, 0), settings.shared_noise)
    return Frame(frame, seen[0], made)


def _stage(
    predict: Predict,
    config: UpscalerConfig,
    frames: Iterable[Frame],
    now: float,
    after: float,
    settings: UpscaleSettings,
) -> Iterator[Frame]:
    """One step of DDIM (eta 0) from time `now` to time `after`, over a stream."""

    def clean(window: Sequence[Frame]) -> Tensor:
        noisy, seen = (torch.stack([getattr(f, name) for f in window]) for name in ("residual", "seen"))
        count = len(window)
        time, level = torch.full((count,), now), torch.full((count,), settings.noise_level)
        clip = Clip(num_frames=count, strength=settings.strength)
        v = in_tiles(
            lambda x, given: predict(x, given, time, level, clip), noisy, seen, settings.tile, config
        )
        return hold_colours(split(noisy, v, time)[0], config.scale)

    for frame, residual in fused(frames, settings.window, settings.overlap, clean):
        yield Frame(frame.given, frame.seen, _step(frame.residual, residual, now, after))


def _step(noisy: Tensor, clean: Tensor, now: float, after: float) -> Tensor:
    """The residual (3 H W) at time `after`, from the one at `now` and what it is predicted to end in."""
    if after == 0:
        return clean
    noisy, clean = noisy[None], clean[None]
    alpha, sigma = signal_and_noise(torch.tensor([now]), noisy)
    return add_noise(clean, (noisy - alpha * clean) / sigma, torch.tensor([after]))[0]


def _finish(frame: Frame, config: UpscalerConfig) -> Tensor:
    """The enlarged frame (1 H W 3): bicubic, and the residual."""
    base = enlarge(frame.given[None], config.scale) / 2 + 0.5
    residual = frame.residual[None, :, : base.shape[2], : base.shape[3]]
    return rearrange((base + config.residual_std * residual).clamp(0, 1), "n c h w -> n h w c")
