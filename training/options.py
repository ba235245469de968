"""Options that every training command has."""

from __future__ import annotations

import argparse
from typing import Any

from ..temporal.errors import InvalidInputError


def number_option(group: argparse._ArgumentGroup, name: str, default: float, text: str) -> None:
    """An option whose kind is that of its default, which its help shows."""
    group.add_argument(name, type=type(default), default=default, help=f"{text} (%(default)s)".strip())


def every_option(group: argparse._ActionsContainer, name: str, default: int, text: str) -> None:
    """An option for every how many steps something is done; 0 is never (`due`)."""
    group.add_argument(
        name, type=_every, default=default, metavar="STEPS", help=f"{text}; 0 for none (%(default)s)"
    )


def due(step: int, every: int) -> bool:
    """True after every `every` steps, and never for 0."""
    return every > 0 and step % every == 0


def _every(text: str) -> int:
    try:
        steps = int(text)
    except ValueError:
        steps = -1
    if steps < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of steps; give 1 or more, or 0 for none")
    return steps


def host_options(group: argparse._ArgumentGroup, custom_nodes: bool = True) -> None:
    """Options that say where ComfyUI is, and what it needs to open a model."""
    group.add_argument(
        "--comfyui", help="ComfyUI's folder (default: COMFYUI_PATH, or where the pack is installed)"
    )
    if custom_nodes:
        group.add_argument(
            "--custom-node",
            action="append",
            default=[],
            metavar="PATH",
            help="custom node to import first, for models that need one; can be repeated",
        )


def computing_options(group: argparse._ArgumentGroup, defaults: Any, seeded: str) -> None:
    """Precision, seed and device of a run; `seeded` is what the seed decides."""
    group.add_argument(
        "--precision", choices=("fp32", "bf16"), default=defaults.precision, help="(%(default)s)"
    )
    number_option(group, "--seed", defaults.seed, seeded)
    group.add_argument("--cpu", action="store_true", help="train on the CPU")
    number_option(group, "--threads", 0, "CPU threads; 0 for all cores")


def state_options(group: argparse._ArgumentGroup, save_every: int, what: str) -> None:
    """Going on after an interruption; `what` is written every so many steps."""
    group.add_argument(
        "--resume", action="store_true", help="continue from OUT's training state, exactly where it was"
    )
    every_option(group, "--save-every", save_every, f"steps between {what}, which the end leaves anyway")


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) from `512x320`; raises InvalidInputError unless both are multiples of 8."""
    width, _, height = text.partition("x")
    if (
        not (width.isdigit() and height.isdigit())
        or int(width) % 8
        or int(height) % 8
        or not int(width) * int(height)
    ):
        raise InvalidInputError(f"--size is {text!r}; give WIDTHxHEIGHT in multiples of 8, e.g. 512x320.")
    return int(width), int(height)
