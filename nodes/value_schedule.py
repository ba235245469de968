"""Value Schedule: numbers that change along a clip."""

from __future__ import annotations

from ..temporal.sampling.schedules.value_schedule import INTERPOLATIONS, LINEAR, parse_values
from .host import Node, io
from .host.search import search_aliases
from .host.shown import shown_curves


class ValueSchedule(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_ValueSchedule",
            display_name="Value Schedule",
            category="Video LDM/conditioning",
            **search_aliases("value scheduling, batch value schedule, keyframes, animate numbers"),
            description="A number for every frame of a clip: written for some frames, a straight line in "
            "between. For Motion Strength, Guidance Schedule and the numbers in Prompt Schedule.",
            inputs=[
                io.String.Input(
                    "values",
                    multiline=True,
                    default="0: 1\n7: 1.5",
                    tooltip="A number for each keyframe: its frame, a colon and the number, as 0: 1, 8: "
                    "1.5; or a sum with t, the frame, as 0: 1 + 0.2 * sin(t).",
                ),
                io.Int.Input(
                    "num_frames",
                    default=8,
                    min=1,
                    max=100000,
                    tooltip="Frames of the clip, as in the empty latent.",
                ),
                io.Combo.Input(
                    "interpolation",
                    options=list(INTERPOLATIONS),
                    default=LINEAR,
                    tooltip="Between keyframes: linear follows a straight line, hold keeps each number "
                    "until the next.",
                ),
                length_input(),
            ],
            outputs=[
                io.Float.Output(
                    tooltip="One number for each frame; connect it where a number may change along the clip."
                ),
                io.Int.Output(tooltip="The same, rounded to whole numbers."),
            ],
        )

    @classmethod
    def execute(
        cls, values: str, num_frames: int, interpolation: str, latent: io.Latent.Type | None = None
    ) -> io.NodeOutput:
        numbers = parse_values(values, length_of(latent, num_frames), interpolation)
        return io.NodeOutput(
            numbers, [round(number) for number in numbers], ui=shown_curves({"value": numbers}, "frame")
        )


def length_input() -> io.Input:
    """The clip that tells how many frames there are."""
    return io.Latent.Input(
        "latent", optional=True, tooltip="The clip, whose number of frames counts in place of num_frames."
    )


def length_of(latent: io.Latent.Type | None, num_frames: int) -> int:
    """Number of frames of a clip, or the number that was set."""
    return num_frames if latent is None else len(latent["samples"])
