"""Patterns of known frames that an artist can name, lists of frames, and colours taken over from known ones.

Shapes: f frames, c h w a latent.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from einops import rearrange
from torch import Tensor

from ..errors import InvalidInputError

Pattern = Literal["first", "last", "both", "every N", "loop", "indices"]
PATTERNS: tuple[str, ...] = get_args(Pattern)


def place(
    pattern: str, given: int, num_frames: int, every: int = 4, indices: str = ""
) -> tuple[tuple[int, int], ...]:
    """Assign `given` frames to a clip of `num_frames`: pairs (frame of the clip, number of the given frame).

    `first`: the start of the clip, to continue from. `last`: its end. `both`: one half at the start, the
    other at the end. `every N`: frames 0, N, 2N ... to fill in between. `loop`: one frame, at the start and
    again at the end. `indices`: the frames that a text such as "0, 5, -1" lists.

    Raises:
        InvalidInputError: an unknown pattern, frames that do not fit in the clip or in the pattern, a bad
            list.
    """
    if pattern not in PATTERNS:
        raise InvalidInputError(f"Unknown pattern {pattern!r}; choose from {', '.join(PATTERNS)}.")
    if given < 1:
        raise InvalidInputError("No frames were given; connect images or latents.")
    if pattern == "indices":
        return _listed(parse_indices(indices, num_frames), given)
    if pattern == "loop":
        return _loop(given, num_frames)
    if pattern == "every N":
        return _every(given, num_frames, every)
    if given > num_frames:
        raise InvalidInputError(
            f"{given} frames were given for a clip of {num_frames}; give fewer or make it longer."
        )
    if pattern == "both" and given % 2:
        raise InvalidInputError(
            f"Pattern 'both' needs as many frames for the start as for the end, but {given} were given; "
            "give two."
        )
    at_start = {"first": given, "last": 0, "both": given // 2}[pattern]
    frames = [*range(at_start), *range(num_frames - given + at_start, num_frames)]
    return tuple(zip(frames, range(given), strict=True))


def parse_indices(text: str, num_frames: int) -> tuple[int, ...]:
    """Frames named by a text such as "0, 5, -1"; negative numbers count from the end, -1 is the last frame.

    Raises:
        InvalidInputError: something that is no whole number, a frame outside the clip, or one named twice.
    """
    frames: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            index = int(part)
        except ValueError:
            raise InvalidInputError(
                f"{part!r} is no frame number; write whole numbers with commas between, such as 0, 5, -1."
            ) from None
        frame = index + num_frames if index < 0 else index
        if not 0 <= frame < num_frames:
            raise InvalidInputError(
                f"Frame {index} is not in the clip: it has {num_frames} frames, 0 to {num_frames - 1}. "
                "Change the list or make the clip longer."
            )
        if frame in frames:
            raise InvalidInputError(
                f"Frame {frame} is listed twice in {text!r}; each frame can be given once."
            )
        frames.append(frame)
    if not frames:
        raise InvalidInputError("The list of frames is empty; write frame numbers such as 0, 5, -1.")
    return tuple(frames)


def _listed(frames: tuple[int, ...], given: int) -> tuple[tuple[int, int], ...]:
    if len(frames) != given:
        raise InvalidInputError(
            f"The list names {len(frames)} frames, but {given} were given; it needs one number for each, "
            "in their order."
        )
    return tuple(zip(frames, range(given), strict=True))


def _loop(given: int, num_frames: int) -> tuple[tuple[int, int], ...]:
    if given != 1 or num_frames < 3:
        raise InvalidInputError(
            f"Pattern 'loop' takes one frame and a clip of at least 3, but {given} were given for a clip "
            f"of {num_frames}."
        )
    return ((0, 0), (num_frames - 1, 0))


def _every(given: int, num_frames: int, every: int) -> tuple[tuple[int, int], ...]:
    if every < 1:
        raise InvalidInputError(f"Every N-th frame needs N of 1 or more, but N is {every}.")
    needed = (given - 1) * every + 1
    if needed > num_frames:
        raise InvalidInputError(
            f"{given} frames, one every {every}, need a clip of {needed} frames, but it has {num_frames}. "
            "Make it longer, give fewer or set every lower."
        )
    return tuple((number * every, number) for number in range(given))


def nearest_given(given: Tensor) -> tuple[Tensor, Tensor]:
    """Number (f,) of the given frame nearest to each frame, of two the earlier, and its distance (f,).

    `given` (f,) of bool.
    """
    frames = torch.arange(len(given), device=given.device)
    offset = frames[given][None, :] - frames[:, None]
    which = (2 * offset.abs() + (offset > 0)).argmin(dim=-1)  # a tie goes to the one before
    nearest = frames[given][which]
    return nearest, (nearest - frames).abs()


def with_mean_colours(frames: Tensor, means: Tensor) -> Tensor:
    """Frames (f c h w) with these means of their channels (f c), or the same ones in all (1 c).

    Sampled frames are lighter or darker than the known ones as a whole. Shapes stay: all places change alike.
    """
    return frames + rearrange(means - frames.mean(dim=(2, 3)), "f c -> f c 1 1")
