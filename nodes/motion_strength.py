"""Motion Strength: how much temporal layers do, by frame, place and part of the sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..temporal.sampling.schedules.amount import Amount, Change, numbers_of
from .host import Node, io
from .host.door import FloatPerFrame
from .host.layers.attached.strength import ALL, LAYERS, change_layers
from .host.search import search_aliases
from .layer_inputs import percent_inputs
from .rare import rare


class MotionStrength(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_MotionStrength",
            display_name="Motion Strength (multival)",
            category="Video LDM/sampling",
            **search_aliases("multival, motion scale, effect, animatediff keyframe, motion mask"),
            description="Changes how much temporal layers do: everywhere, frame by frame, in a region, or "
            "in a part of the sampling. Several can be chained; they multiply.",
            inputs=[
                io.Model.Input("model", tooltip="The model with temporal layers."),
                _amount(
                    "strength",
                    1.0,
                    "How much the temporal layers do, times what their loader says: 0 leaves the image "
                    "model. A list of numbers from Value Schedule is one for each frame.",
                ),
                _amount(
                    "motion",
                    1.0,
                    "How strongly frames attend to each other: the keys of attention over frames times "
                    "this number; above 1 usually moves more. A list is one for each frame.",
                ),
                _mask("strength_mask", "strength"),
                _mask("motion_mask", "motion"),
                *rare(*percent_inputs(), _layers_input(), _outside("strength"), _outside("motion")),
            ],
            outputs=[io.Model.Output(tooltip="The model with this strength; connect it to Video KSampler.")],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        strength: float | Sequence[float],
        motion: float | Sequence[float],
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        layers: str = ALL,
        **fields: Any,
    ) -> io.NodeOutput:
        amounts = {
            name: Amount(numbers_of(numbers), fields.get(f"{name}_mask"), fields.get(f"{name}_outside", 0.0))
            for name, numbers in (("strength", strength), ("motion", motion))
        }
        change = Change(**amounts, start_percent=start_percent, end_percent=end_percent)
        return io.NodeOutput(change_layers(model, change, layers))


def _amount(name: str, default: float, tooltip: str) -> io.Input:
    return FloatPerFrame(
        name,
        default=default,
        min=0.0,
        max=10.0,
        step=0.01,
        tooltip=tooltip,
    )


def _layers_input() -> io.Input:
    return io.Combo.Input(
        "layers",
        options=list(LAYERS),
        default=ALL,
        optional=True,
        tooltip="Which temporal layers change, where several were loaded: all, or those loaded last.",
    )


def _mask(name: str, what: str) -> io.Input:
    return io.Mask.Input(
        name,
        optional=True,
        tooltip=f"Where {what} is the number above: one mask for all frames, or one for each; where it is "
        "black, the number outside holds.",
    )


def _outside(what: str) -> io.Input:
    return io.Float.Input(
        f"{what}_outside",
        default=0.0,
        min=0.0,
        max=10.0,
        step=0.01,
        optional=True,
        tooltip=f"The {what} where its mask is black.",
    )
