"""All that a LATENT of ours carries beside `samples`: its frame rate, and which of its frames are given.

`video_ldm_fps`: frames per second. `video_ldm_known` (f,): 1 = the frame is given. `video_ldm_given` (f 2):
which of the given frames each one is, counted in the order of giving, -1 = none; and 1 = it was an image.
Beside these the clip as it was then: `video_ldm_index`, the host's `batch_index` of its frames, and
`video_ldm_size`, height and width of its latents.

Other nodes cut, join and enlarge a LATENT and carry all this along as it is, so it is never read but through
`record_of`.

Shapes: f frames, r frames of the clip when they were given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...temporal.errors import InvalidInputError

FPS_KEY = "video_ldm_fps"
KNOWN_KEY = "video_ldm_known"
GIVEN_KEY = "video_ldm_given"
INDEX_KEY = "video_ldm_index"
SIZE_KEY = "video_ldm_size"


def frame_rate(latent: Mapping[str, Any], otherwise: float) -> float:
    """Frames per second that a LATENT carries, or another number when it carries none.

    Raises InvalidInputError for 0.
    """
    fps = float(latent.get(FPS_KEY, otherwise))
    if not fps > 0:
        raise InvalidInputError(f"A frame rate must be above 0 frames per second, but fps is {fps}.")
    return fps


def film_rate(latent: Mapping[str, Any], fps: float) -> float:
    """Frames per second of a film: `fps`, or where it is 0 those that the LATENT carries.

    Raises InvalidInputError when neither says.
    """
    found = fps or latent.get(FPS_KEY, 0.0)
    if not found > 0:
        raise InvalidInputError(
            "The clip carries no frame rate, as it was not made by Video KSampler or Latent Interpolate. Set "
            "fps to its frames per second; 8 is usual for keyframes with temporal layers, 24 to 30 for film."
        )
    return float(found)


@dataclass(frozen=True, eq=False)
class Record:
    """Record of the given frames in a LATENT.

    `numbers` (r 2) as they were given, and for each frame its row there, if any.

    `scaled`: its latents have another size since, so those of given frames are no longer what was given.
    """

    known: Tensor  # (f,) of bool
    numbers: Tensor
    rows: tuple[int | None, ...]
    scaled: bool

    @property
    def given(self) -> Tensor:
        """The numbers of the frames there are now (f 2)."""
        none = torch.tensor([[-1, 0]])
        return torch.cat([none if row is None else self.numbers[row : row + 1] for row in self.rows])


def record_of(latent: Mapping[str, Any]) -> Record | None:
    """Record of given frames in a LATENT, followed through what other nodes did with it.

    None when none was ever given.

    Raises InvalidInputError when its frames are others now and nothing says which.
    """
    if KNOWN_KEY not in latent:
        return None
    known = latent[KNOWN_KEY].cpu().bool()
    # in their order, where no record is left
    counted = torch.stack([known.cumsum(0) * known - 1, known.long()], dim=1)
    numbers = latent[GIVEN_KEY].cpu().long() if GIVEN_KEY in latent else counted
    rows = _rows(latent, len(known))
    size = tuple(latent["samples"].shape[2:])
    now = torch.tensor([row is not None and bool(known[row]) for row in rows], dtype=torch.bool)
    return Record(now, numbers, rows, tuple(latent.get(SIZE_KEY, size)) != size)


def _rows(latent: Mapping[str, Any], count: int) -> tuple[int | None, ...]:
    """For each frame which one it was of the `count` that a clip had, by the host's `batch_index`."""
    frames, now = len(latent["samples"]), latent.get("batch_index")
    then = list(latent.get(INDEX_KEY, range(count)))
    if now is not None and len(now) == frames and is_distinct(now) and is_distinct(then):
        places = {index: row for row, index in enumerate(then)}
        return tuple(places.get(index) for index in now)
    one_seed = now is not None and len(set(now)) == 1  # Latent Batch Seed Behavior gives all frames one index
    if frames == count and (now is None or list(now) == then or one_seed):
        return tuple(range(count))
    raise InvalidInputError(
        f"The clip has {frames} frames, but its known frames were given for one of {count}, and nothing says "
        "which of them it has. Put the node that changes the number of frames before Known Frames, or forget "
        "them with given_before of another one."
    )


def is_distinct(index: list[int]) -> bool:
    """True if no two frames have the same number."""
    return len(set(index)) == len(index)


def index_of(latent: Mapping[str, Any]) -> list[int]:
    """The host's `batch_index` of a LATENT; its frames as counted, where it has none for each of them."""
    frames, index = len(latent["samples"]), latent.get("batch_index")
    return list(range(frames)) if index is None or len(index) != frames else list(index)


def with_way_back(clip: Any) -> Any:
    """Frames (f ...), or a LATENT without its record of given frames, to the end and back to the start.

    None stays None.
    """
    if isinstance(clip, Tensor):
        return torch.cat([clip, clip[1:-1].flip(0)])
    if isinstance(clip, Mapping):
        kept = {name: clip[name] for name in (FPS_KEY,) if name in clip}
        return {**kept, "samples": with_way_back(clip["samples"])}
    return clip
