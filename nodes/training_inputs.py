"""Inputs that the nodes for training share."""

from __future__ import annotations

from typing import Any

from ..temporal.training.memory.levels import AUTO, CHOICES
from .host import io


def number_input(name: str, default: float, limits: tuple[float, float, float], text: str) -> io.Input:
    """A number between two limits, in steps of the third; a whole one where its default is."""
    kind: Any = io.Int if isinstance(default, int) else io.Float
    low, high, step = limits
    return kind.Input(name, default=default, min=low, max=high, step=step, tooltip=text)


def clips_inputs() -> list[io.Input]:
    """Frames to train on, and where one clip ends and the next begins."""
    return [
        io.Image.Input(
            "images", tooltip="Frames of clips, one clip after the other; all clips of one length."
        ),
        number_input(
            "clip_length", 0, (0, 100000, 1), "Frames of each clip in images; 0: they are one clip."
        ),
    ]


def memory_input() -> io.Input:
    """The level of memory of a training."""
    return io.Combo.Input(
        "memory",
        options=list(CHOICES),
        default=AUTO,
        tooltip="fast keeps everything, small computes blocks twice, smallest also needs bitsandbytes; "
        "auto is the fastest that fits.",
    )


def run_inputs() -> list[io.Input]:
    """Inputs for the start of a run, and for going on where another stopped."""
    return [
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**63 - 1,
            control_after_generate=False,
            tooltip="Of weights, clips and noise.",
        ),
        io.Boolean.Input(
            "resume",
            default=True,
            tooltip="Go on where an interrupted run of this filename and these settings stopped.",
        ),
    ]
