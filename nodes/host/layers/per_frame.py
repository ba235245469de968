"""Texts, ControlNet hints and noise masks, one for each frame of a clip.

Where they are fewer than the frames, the last one goes on; the host without us begins again with the first.

Shapes: n texts, hints or masks, f frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from .controls import FrameControls

TEXT_COND = "video_ldm_text"
KNOWN_COND = "video_ldm_known"  # per frame (f c+1 h w): mask * latent in the sampler's scale, and the mask
# per frame (f c+1 h w): latent of the image it is made from; how alike they are
IMAGE_COND = "video_ldm_image"
PICTURE_COND = "video_ldm_picture"  # what an image encoder says of every patch of a picture (1 p g)
TEXTS = ("cross_attn", "pooled_output")  # of a condition inside a guider


def for_frames(conds: Mapping[str, Sequence[Mapping[str, Any]]], frames: int) -> dict[str, list[dict]]:
    """A guider's conditions by name for a clip of so many frames; the given ones stay as they were."""
    controls = FrameControls(range(frames), frames)
    return {name: [_for_frames(cond, frames, controls) for cond in group] for name, group in conds.items()}


def _for_frames(cond: Mapping[str, Any], frames: int, controls: FrameControls) -> dict[str, Any]:
    own = dict(cond)
    for key in TEXTS:
        if isinstance(own.get(key), Tensor) and len(own[key]) not in (1, frames):
            own[key] = rows(own[key], range(frames))
    if own.get("control") is not None and set(hints(own["control"])) - {1, frames}:
        own["control"] = controls.of(own["control"])
    return own


def rows(tensor: Tensor, frames: Sequence[int]) -> Tensor:
    """Rows (f ...) of a tensor (n ...) for some frames of a clip.

    One row is for all, of several the last one goes on.
    """
    if len(tensor) == 1:
        return tensor
    return tensor[[min(frame, len(tensor) - 1) for frame in frames]]


def masks(noise_mask: Tensor, frames: int) -> Tensor:
    """A noise mask ((n) (1) h w) for a clip of so many frames (f 1 h w), or one for all of them."""
    return rows(noise_mask.reshape(-1, 1, *noise_mask.shape[-2:]), range(frames))


def hints(control: Any) -> Iterator[int]:
    """Number of hints of a ControlNet and those chained before it.

    One that places its images itself counts for none.
    """
    while control is not None:
        given = getattr(control, "cond_hint_original", None)
        if given is not None and not hasattr(control, "for_window"):
            yield len(given)
        control = control.previous_controlnet


def odd_counts(
    texts: Iterable[int],
    hint_counts: Iterable[int],
    frames: int,
    what: str = "frames",
    mask_counts: Iterable[int] = (),
) -> list[str]:
    """Remarks on texts, hints and masks that are neither one for all nor one for each frame."""
    said = []
    given = (("texts", texts), ("ControlNet hints", hint_counts), ("noise masks", mask_counts))
    for name, counts in given:
        for count in sorted(set(counts) - {0, 1, frames}):
            rest = "the last one goes on." if count < frames else f"the last {count - frames} are not used."
            said.append(f"{count} {name} are given for {frames} {what}: {rest}")
    return said


def with_model_conds(conditioning: list, conds: Mapping[str, Any], **options: Any) -> list:
    """CONDITIONING with `conds` (of `comfy.conds`, by name) and further options on every text.

    The input stays as it was.
    """
    return [
        [text, {**own, **options, "model_conds": {**own.get("model_conds", {}), **conds}}]
        for text, own in conditioning
    ]
