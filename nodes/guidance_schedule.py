"""Guidance Schedule: guidance that changes during the sampling, or from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence

from ..temporal.sampling.schedules.amount import numbers_of
from .host import Node, io
from .host.door import FloatPerFrame
from .host.sampling.options.guidance import Guidance, with_guidance
from .host.search import search_aliases
from .layer_inputs import percent_input


class GuidanceSchedule(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_GuidanceSchedule",
            display_name="Guidance Schedule (cfg)",
            category="Video LDM/sampling",
            **search_aliases("custom cfg, dynamic cfg, cfg keyframe, cfg schedule"),
            description="Guidance towards the prompt in a part of the sampling, in place of the sampler's "
            "cfg. Several can be chained, for several parts.",
            inputs=[
                io.Model.Input("model", tooltip="The model; any sampler reads its guidance from it."),
                FloatPerFrame(
                    "cfg",
                    default=7.5,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    round=0.01,
                    tooltip="Guidance at the start of this part. A list of numbers from Value Schedule is "
                    "one for each frame.",
                ),
                io.Float.Input(
                    "cfg_end",
                    default=0.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    round=0.01,
                    tooltip="Guidance at the end of this part, along a straight line; 0 keeps cfg.",
                ),
                percent_input("start_percent", 0.0, "this guidance begins"),
                percent_input("end_percent", 1.0, "this guidance ends"),
            ],
            outputs=[io.Model.Output(tooltip="The model with this guidance; connect it to the sampler.")],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        cfg: float | Sequence[float],
        cfg_end: float,
        start_percent: float = 0.0,
        end_percent: float = 1.0,
    ) -> io.NodeOutput:
        first = numbers_of(cfg)
        last = numbers_of(cfg_end) if cfg_end else first
        return io.NodeOutput(with_guidance(model, Guidance(first, last, start_percent, end_percent)))
