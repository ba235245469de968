"""Where a stack came from, for the report: the spelling of its file and what became of every key."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..stack import TemporalStack
from .facts import FACTS, Schedule

OWN = "video_ldm"


@dataclass(frozen=True)
class Source:
    """How a file spells its weights, how many keys were used, and what the others are."""

    spelling: str
    used: int
    unused: Mapping[str, int] = field(default_factory=dict)  # how many keys, by what they are


def schedule_of(stack: TemporalStack) -> Schedule | None:
    """The noise schedule that the layers were trained with; None: that of the image model."""
    facts = FACTS.get(stack.config.family)
    return None if facts is None else facts.schedule


def trained_frames(stack: TemporalStack) -> int:
    """Frames of the clips that the layers saw most in training; they may know more."""
    facts = FACTS.get(stack.config.family)
    return stack.config.max_frames if facts is None else facts.trained_frames


def report(stack: TemporalStack, source: Source) -> str:
    """What a file holds and how to use it, one fact per line."""
    config = stack.config
    name = "Video LDM" if config.family == OWN else config.family
    facts = FACTS.get(config.family)
    millions = sum(parameter.numel() for parameter in stack.parameters()) / 1e6
    frames = f"at most {config.max_frames} frames"
    lines = [f"{name} ({source.spelling} file), {millions:.1f} M weights, for {config.base}"]
    if facts is None:
        schedule = "that of the image model"
    else:
        frames = f"{facts.trained_frames} frames in training, {frames}"
        schedule = _describe(facts.schedule)
    lines += [f"Clip: {frames}", f"Noise schedule: {schedule}"]
    if facts is not None:
        lines += [f"Sampling: {facts.advice}", f"Licence: {facts.licence}"]
    unused = "".join(f", {count} {what}" for what, count in source.unused.items() if count)
    lines.append(f"Keys: {source.used} used{unused}")
    return "\n".join(lines)


def _describe(schedule: Schedule) -> str:
    lcm = f", consistency sampling from {schedule.lcm_steps} steps" if schedule.lcm_steps else ""
    return f"{schedule.betas}, {schedule.start:g} to {schedule.end:g}{lcm}"
