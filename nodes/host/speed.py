"""Speed of a clip: as the artist says, as it played before, or as the film that it was loaded from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import folder_paths
from comfy_api.latest import InputImpl

from .latents import FPS_KEY

USUAL = 8.0  # of keyframes, which most temporal layers were trained on
SAME = 0.01  # share by which two rates may differ and count as one
LOADER, FILE = "LoadVideo", "file"  # the host's node, which gives every frame of a film
PART = "VLDM_LoadVideoFrames"  # ours, which gives them at a rate of its own where it is set
AT_RATES = (PART, "VLDM_FrameRate")  # ours with the rate of what comes out in fps
ONWARD = ("samples", "latent", "latent_image", "pixels", "image", "images", "video")
STILLS = {"VLDM_KnownFrames": ("latent",)}  # nodes that also take pictures which are not the clip


@dataclass(frozen=True)
class Speed:
    """Frames per second, and what the node says of them, if anything."""

    fps: float
    said: str = ""


def speed_of(
    chosen: float, latent: Mapping[str, Any] | None, origin: Mapping[str, Any], usual: float = USUAL
) -> Speed:
    """Speed of a clip that is made from another. `chosen` 0 keeps that of the other, if it has one.

    `latent`: the other clip, if it is a LATENT; `origin`: the graph that leads to it, as from `ancestors`.
    """
    before, name = _before(latent or {}, origin)
    if not chosen:
        said = f"{before:g} fps, as {name} has." if before and name else ""
        return Speed(before or usual, said)
    if not before or abs(chosen / before - 1) <= SAME:
        return Speed(chosen)
    factor = max(chosen / before, before / chosen)
    what = f"{factor:.2g} times as {'fast' if chosen > before else 'slow'}"
    return Speed(
        chosen,
        f"fps is {chosen:g}, but {name or 'the given clip'} has {before:g}: it will play {what}; 0 keeps "
        "its speed.",
    )


def carrying(latent: Any, origin: Mapping[str, Any]) -> tuple[Any, str]:
    """A LATENT with the speed of the film that it was loaded from, and what the node says of it.

    One that has a speed keeps it.
    """
    before, name = _before(latent, origin)
    if FPS_KEY in latent or not before:
        return latent, ""
    return {**latent, FPS_KEY: before}, f"{before:g} fps, as {name} has." if name else ""


def _before(latent: Mapping[str, Any], origin: Mapping[str, Any]) -> tuple[float, str]:
    """Frames per second that a clip has already, and the film that says so; 0 where nothing does."""
    if FPS_KEY in latent:
        return float(latent[FPS_KEY]), ""
    sources = set(_sources(origin))
    if len(sources) != 1:
        return 0.0, ""
    (source,) = sources
    if not isinstance(source, str):
        return source, ""
    with suppress(OSError, ValueError):  # it is gone, or no film: its loader says so
        path = folder_paths.get_annotated_filepath(source)
        return float(InputImpl.VideoFromFile(path).get_frame_rate()), Path(path).name
    return 0.0, ""


def _sources(origin: Any) -> Iterator[str | float]:
    """Films in the host's input folder that a clip was loaded from, or rates of nodes of ours.

    The rate is 0 where a node of ours has it from another one.
    """
    if not isinstance(origin, Mapping):
        return
    kind = origin.get("type")
    inputs = origin.get("inputs", {}) if kind else origin
    rate = inputs.get("fps") if kind in AT_RATES else None
    if rate:
        yield float(rate) if isinstance(rate, int | float) else 0.0
        return
    if kind in (LOADER, PART) and isinstance(inputs.get(FILE), str) and not inputs.get("video"):
        yield inputs[FILE]
    for name, value in inputs.items():
        if name in STILLS.get(kind or "", ONWARD):
            yield from _sources(value)
