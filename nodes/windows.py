"""Video Windows: clips longer than the temporal layers were trained on."""

from __future__ import annotations

from .host import Node, io
from .host.sampling.windows import FUSE_METHODS, LOOPED, SCHEDULES, FurtherWindows, add_windows
from .host.search import search_aliases
from .rare import rare


class VideoWindows(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_VideoWindows",
            display_name="Video Windows (context, loop)",
            category="Video LDM/sampling",
            **search_aliases("context options, context windows, sliding window, freenoise, infinite length"),
            description="Denoises long clips in windows that overlap and are blended at every step; "
            "prompts, known frames and ControlNet hints of each frame go along.",
            inputs=[
                io.Model.Input("model", tooltip="The model with temporal layers."),
                io.Int.Input(
                    "context_length",
                    default=0,
                    min=0,
                    max=1024,
                    tooltip="Frames of a window; 0 is the length the temporal layers were trained on, "
                    "usually 8 or 16.",
                ),
                io.Int.Input(
                    "context_overlap",
                    default=4,
                    min=0,
                    max=512,
                    tooltip="Frames that neighbouring windows share; more is smoother and slower, a "
                    "quarter to a half is usual.",
                ),
                io.Boolean.Input(
                    "closed_loop",
                    default=False,
                    tooltip="The end of the clip leads back to its start: windows go round, as "
                    "looped_uniform, which this sets.",
                ),
                *rare(*_further_inputs()),
            ],
            outputs=[io.Model.Output(tooltip="The model for long clips; connect it to Video KSampler.")],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        context_length: int,
        context_overlap: int,
        closed_loop: bool,
        context_schedule: str,
        fuse_method: str,
        repeated_noise: bool,
        context_stride: int = 1,
        on_equal_length: bool = False,
    ) -> io.NodeOutput:
        if closed_loop and context_schedule != LOOPED:  # one switch for the wish
            context_schedule, on_equal_length = LOOPED, True
        return io.NodeOutput(
            add_windows(
                model,
                context_length,
                context_overlap,
                context_schedule,
                fuse_method,
                closed_loop,
                repeated_noise,
                FurtherWindows(context_stride, on_equal_length),
            )
        )


def _further_inputs() -> list[io.Input]:
    """Inputs that most leave as they are."""
    return [
        io.Combo.Input(
            "context_schedule",
            options=list(SCHEDULES),
            default="standard_static",
            tooltip="Where windows lie: standard_static the same at every step, standard_uniform "
            "moving, looped_uniform moving past the end to the start, batched without overlap.",
        ),
        io.Combo.Input(
            "fuse_method",
            options=list(FUSE_METHODS),
            default="pyramid",
            tooltip="How windows are blended: pyramid trusts their middle most, flat all frames alike.",
        ),
        io.Boolean.Input(
            "repeated_noise",
            default=False,
            tooltip="All windows start from the noise of the first, shuffled (FreeNoise): long "
            "clips hold together better and vary less.",
        ),
        io.Int.Input(
            "context_stride",
            default=1,
            min=1,
            max=32,
            optional=True,
            tooltip="With the uniform schedules: there are also windows of every 2nd, 4th ... frame, "
            "doubling this many times less one; 1 for none.",
        ),
        io.Boolean.Input(
            "on_equal_length",
            default=False,
            optional=True,
            tooltip="Windows also for a clip that is exactly as long as one: for looped_uniform, which then "
            "leads round.",
        ),
    ]
