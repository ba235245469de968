"""Images beside a clip.

Known images, which a decode gives back exactly, references, and colours to keep.

Shapes: f frames of the clip, k images, c h w a latent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ....temporal.errors import InvalidInputError
from ..latents import Record, record_of


def given_frames(latent: Mapping[str, Any], images: Tensor | None) -> dict[int, Tensor]:
    """Images (k h w 3) by the number of the frame that each one is; one image may be several frames.

    They are the given frames of the LATENT in the order of giving, those that were cut away since included:
    those that were images, or all of them; or one for each frame that holds one. Where nothing is given, one
    image is the first frame, and two are the first and the last. Raises InvalidInputError for another number
    of images.
    """
    if images is None:
        return {}
    record = record_of(latent)
    choices = {len(set(numbers.values())): numbers for numbers in reversed(_choices(latent, record))}
    if len(images) not in choices:
        expected = " or ".join(str(count) for count in sorted(choices) if count) or "none"
        if record is None:
            expected = "1 (the first frame) or 2 (the first and the last)"
        raise InvalidInputError(
            f"{len(images)} known images were given, but this clip wants {expected}. Connect the images that "
            "went into Known Frames."
        )
    numbers = choices[len(images)]
    order = sorted(set(numbers.values()))
    rows = range(len(latent["samples"])) if record is None else record.rows
    return {
        frame: images[order.index(numbers[row]), ..., :3] for frame, row in enumerate(rows) if row in numbers
    }


def _choices(latent: Mapping[str, Any], record: Record | None) -> list[dict[int, int]]:
    """Meanings that the images can have: numbers of given frames by frame of the clip."""
    if record is None:
        return [{0: 0}, {0: 0, len(latent["samples"]) - 1: 1}]
    given = [(frame, *numbers) for frame, numbers in enumerate(record.numbers.tolist()) if numbers[0] >= 0]
    return [
        {frame: number for frame, number, was_image in given if was_image},
        {frame: number for frame, number, _ in given},
        {frame: place for place, (frame, _, _) in enumerate(given)},
    ]


def exact(pieces: Iterable[Tensor], given: Mapping[int, Tensor]) -> Iterator[Tensor]:
    """Pieces of a clip (n h w 3), in order, in which the given frames (h w 3) are exactly as they are."""
    done = 0
    for piece in pieces:
        with torch.inference_mode():  # they were made in it, and cannot be changed outside
            for frame in given.keys() & range(done, done + len(piece)):
                piece[frame - done] = given[frame].to(piece)
        done += len(piece)
        yield piece


def check_sizes(given: Mapping[int, Tensor], latent: Tensor, ratio: int) -> None:
    """Refuse known images that are not of the size that latents (f c h w) are decoded to."""
    for image in given.values():
        height, width = (ratio * size for size in latent.shape[-2:])
        if image.shape[:2] != (height, width):
            raise InvalidInputError(
                f"The known images are {image.shape[1]} x {image.shape[0]}, but the frames will be {width} x "
                f"{height}. Scale the images to that size."
            )


def check_colours(images: Tensor, latent: Tensor, ratio: int) -> None:
    """Refuse images (f h w 3) that are not the clip of latents (f c h w), enlarged or in its own size."""
    height, width = (ratio * size for size in latent.shape[-2:])
    count, h, w = images.shape[:3]
    if count != len(latent) or (height % h, width % w) != (0, 0) or height // h != width // w:
        raise InvalidInputError(
            f"keep_colours_of was given {count} frames of {w} x {h}, but the clip has {len(latent)} frames "
            f"of {width} x {height}. Connect the images that were enlarged: as many, and the size of the "
            "clip a whole number of times theirs."
        )


def references_of(given: Mapping[int, Tensor], num_frames: int) -> Tensor | None:
    """The first and the last frame of the clip as images (2 h w 3), None when nothing is given.

    Raises InvalidInputError when only one of them is given.
    """
    if not given:
        return None
    last = num_frames - 1
    if 0 not in given or last not in given:
        raise InvalidInputError(
            "ToonCrafter's decoder looks at the first and the last frame of the clip; connect both as "
            "known_images, or neither."
        )
    return torch.stack([given[0], given[last]])
