"""Origin of a stack, for the report: the spelling of its file and the use of every key."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..stack.stack import TemporalStack
from .facts import FACTS, Betas

OWN = "video_ldm"


@dataclass(frozen=True)
class Source:
    """Spelling of a file's weights, the number of keys that were used, and what the others are."""

    spelling: str
    used: int
    unused: Mapping[str, int] = field(default_factory=dict)  # how many keys, by what they are
    note: str = ""  # a warning for the report


class Layers(NamedTuple):
    """Temporal layers that were read, and where they came from."""

    stack: TemporalStack
    source: Source

    def layers(self) -> "Layers":
        """The layers themselves, as a whole video model gives its own."""
        return self


def trained_betas(stack: TemporalStack) -> Betas | None:
    """The noise schedule for the layers on any image model; None: that of the image model.

    It is the one they were trained with, without a scale of clean latents, which belongs to the image model
    trained along.
    """
    facts = FACTS.get(stack.config.family)
    known = None if facts is None else facts.betas
    return None if known is None else replace(known, x0_scale=1.0)


def trained_frames(stack: TemporalStack) -> int:
    """Frames of the clips that the layers saw most in training; they may know more."""
    facts = FACTS.get(stack.config.family)
    return stack.config.max_frames if facts is None else facts.trained_frames


def report(stack: TemporalStack, source: Source) -> str:
    """Report on a file of temporal layers: what it holds and how to use it, one fact per line."""
    config = stack.config
    purpose = f", for {config.base}"
    return report_text(
        config.family, stack.weight_count, purpose, config.max_frames, trained_betas(stack), source
    )


def report_text(
    family: str, weights: int, purpose: str, max_frames: int, betas: Betas | None, source: Source
) -> str:
    """The lines of a report; `weights` by number, `max_frames` 0 for any length."""
    facts = FACTS.get(family)
    frames = f"at most {max_frames} frames" if max_frames else "any length"
    if facts is not None:
        variants = f" ({facts.variants})" if facts.variants else ""
        frames = f"{facts.trained_frames} frames in training{variants}, {frames}"
    name = "Video LDM" if family == OWN else family
    lines = [
        f"{name} ({source.spelling} file), {weights / 1e6:.1f} M weights{purpose}",
        f"Clip: {frames}",
        f"Noise schedule: {_betas_text(betas)}",
    ]
    if facts is not None:
        lines += [f"Sampling: {facts.advice}", f"Licence: {facts.licence}"]
    lines.append(keys_line(source.used, source.unused))
    return "\n".join([*lines, source.note] if source.note else lines)


def keys_line(used: int, unused: Mapping[str, int]) -> str:
    """Say how many keys of a file were used; `unused` names the others by kind."""
    others = "".join(f", {count} {what}" for what, count in unused.items() if count)
    return f"Keys: {used} used{others}"


def _betas_text(betas: Betas | None) -> str:
    if betas is None:
        return "that of the image model"
    lcm = f", consistency sampling from {betas.lcm_steps} steps" if betas.lcm_steps else ""
    scale = f", clean latents scaled to {betas.x0_scale:g}" if betas.x0_scale != 1 else ""
    return f"{betas.curve}, {betas.start:g} to {betas.end:g}{scale}{lcm}"
