"""The inputs that say how much temporal layers do, of every node that loads some."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..temporal.stack.alphas import EXAMPLE, parse_alphas
from ..temporal.stack.plan import UNetShape
from .host import io
from .host.layers.attached.settings import REFUSE, LayerSettings

AS_TRAINED = -1.0
MOST = 2.0  # times what was trained


@dataclass(frozen=True)
class LayerInputs:
    """An artist's settings; the defaults are the layers as trained."""

    strength: float = 1.0
    alpha_input: float = AS_TRAINED
    alpha_middle: float = AS_TRAINED
    alpha_output: float = AS_TRAINED
    start_percent: float = 0.0
    end_percent: float = 1.0
    alpha_by_level: str = ""

    def settings(self, unet: UNetShape, longer_clips: str = REFUSE) -> LayerSettings:
        """Settings of layers in a UNet."""
        given = {"input": self.alpha_input, "middle": self.alpha_middle, "output": self.alpha_output}
        alphas = {section: alpha for section, alpha in given.items() if alpha >= 0}
        alphas |= parse_alphas(self.alpha_by_level, len(unet.channel_mult))
        return LayerSettings(self.strength, alphas, self.start_percent, self.end_percent, longer_clips)

    def changed(self) -> list[str]:
        """Names of the inputs that are not at their defaults."""
        return [field.name for field in fields(self) if getattr(self, field.name) != field.default]


def strength_input(optional: bool, tooltip: str) -> io.Input:
    """Input for the strength of the layers, everywhere."""
    return io.Float.Input(
        "strength", default=1.0, min=0.0, max=MOST, step=0.01, optional=optional, tooltip=tooltip
    )


def alpha_inputs() -> list[io.Input]:
    """Weight of the image model in each section of the UNet."""
    return [
        _alpha_input("input", "the downward half of the UNet"),
        _alpha_input("middle", "the middle of the UNet"),
        _alpha_input("output", "the upward half of the UNet"),
    ]


def _alpha_input(section: str, where: str) -> io.Input:
    return io.Float.Input(
        f"alpha_{section}",
        default=AS_TRAINED,
        min=AS_TRAINED,
        max=1.0,
        step=0.01,
        optional=True,
        tooltip=f"Weight of the image model in {where}: 1 switches the temporal layers there off, 0 uses "
        "only them, -1 keeps what was trained.",
    )


def percent_inputs() -> list[io.Input]:
    """The part of the sampling in which the layers act."""
    return [
        percent_input("start_percent", 0.0, "the temporal layers begin to act"),
        percent_input("end_percent", 1.0, "the temporal layers act no more"),
    ]


def percent_input(name: str, default: float, happens: str) -> io.Input:
    """A point of the sampling, after which something `happens`."""
    return io.Float.Input(
        name,
        default=default,
        min=0.0,
        max=1.0,
        step=0.001,
        optional=True,
        tooltip=f"Part of the sampling after which {happens}; 0 is the first step, 1 the end.",
    )


def alpha_by_level_input() -> io.Input:
    """Weight of the image model at single resolutions."""
    return io.String.Input(
        "alpha_by_level",
        default="",
        optional=True,
        tooltip=f"Alpha for single resolutions of the UNet, 0 is the finest, such as {EXAMPLE}; counts "
        "more than the alphas above. A number alone means all parts: 0: 1 switches the layers off "
        "at the finest resolution.",
    )
