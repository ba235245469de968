"""Load Video Upscaler and Video Upscale: frames of a clip to frames four times as large."""

from __future__ import annotations

from typing import Any

from ..temporal.upscaler import UpscaleSettings
from .host import Node, io
from .host.files import VIDEO_UPSCALERS, choices
from .host.film.upscaler import PREVIEW_FPS, open_upscaler, upscale_clip
from .host.search import search_aliases
from .host.shown import shown_clip, shown_report
from .rare import rare
from .sockets import UpscalerType


class LoadVideoUpscaler(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_LoadVideoUpscaler",
            display_name="Load Video Upscaler",
            category="Video LDM/loaders",
            **search_aliases("upscale model loader, super resolution, vsr"),
            description="Opens a pixel-space video upscaler and says how it is to be used. It enlarges the "
            "frames of a clip together, so that the detail it adds stays still.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=choices(VIDEO_UPSCALERS),
                    tooltip="File in models/video_upscalers, made by the training of this pack.",
                ),
                *_quality_inputs(),
                *rare(_strength_input(), *_size_inputs()),
            ],
            outputs=[
                UpscalerType.Output(
                    display_name="upscaler", tooltip="Connect it to Video Upscale or Render Video."
                )
            ],
        )

    @classmethod
    def execute(cls, file: str, **values: Any) -> io.NodeOutput:
        settings = UpscaleSettings(
            steps=values["steps"],
            noise_level=values["noise_augmentation"],
            seed=values["seed"],
            strength=values["temporal_strength"],
            window=values["context_length"],
            overlap=values["context_overlap"],
            tile=values["tile_size"],
        )
        opened = open_upscaler(file, settings)
        return io.NodeOutput(opened, ui=shown_report(opened.report))


class VideoUpscale(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_VideoUpscale",
            display_name="Video Upscale",
            category="Video LDM/upscale",
            **search_aliases("super resolution, vsr, enlarge, upscale image, 4x"),
            description="Enlarges the frames of a clip with a video upscaler. Colours and brightness stay "
            "as they are; the same seed gives the same detail, however long the clip is.",
            inputs=[
                io.Image.Input("images", tooltip="The frames of one clip, in order, of any size."),
                UpscalerType.Input(
                    "upscaler", tooltip="From Load Video Upscaler, which also has the settings."
                ),
            ],
            outputs=[
                io.Image.Output(tooltip="The enlarged frames; connect them to Create Video."),
                io.String.Output(display_name="report", tooltip="Sizes, and the memory that enlarging took."),
            ],
        )

    @classmethod
    def execute(cls, images: io.Image.Type, upscaler: Any) -> io.NodeOutput:
        made, report = upscale_clip(upscaler, images)
        return io.NodeOutput(made, report, ui={**shown_clip(made, PREVIEW_FPS), **shown_report(report)})


def _quality_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "steps",
            default=4,
            min=1,
            max=100,
            tooltip="Denoising steps: 1 is soft and faithful, 4 to 10 are usual; time grows with them.",
        ),
        io.Float.Input(
            "noise_augmentation",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Noise on the given frames, drawn once for the clip: 0 keeps to them, 0.1 to 0.3 repairs "
            "soft or blocky ones, more invents. Up to what the upscaler was trained on, usually 0.5.",
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=0xFFFFFFFFFFFFFFFF,
            control_after_generate=False,
            tooltip="Decides the detail that is added.",
        ),
    ]


def _strength_input() -> io.Input:
    return io.Float.Input(
        "temporal_strength",
        default=1.0,
        min=0.0,
        max=1.0,
        step=0.01,
        tooltip="How much the temporal layers do: 1 as trained, 0 enlarges frame by frame, which flickers.",
    )


def _size_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "context_length",
            default=0,
            min=0,
            max=256,
            tooltip="Frames that are enlarged together; 0 is what the upscaler was trained on, usually 8.",
        ),
        io.Int.Input(
            "context_overlap",
            default=2,
            min=0,
            max=128,
            tooltip="Frames that neighbouring windows share, blended at every step; more is smoother and "
            "slower.",
        ),
        io.Int.Input(
            "tile_size",
            default=256,
            min=0,
            max=8192,
            step=8,
            tooltip="Frames are enlarged in tiles of this many given pixels a side, 0 for whole frames. It "
            "decides memory and time, not what is seen.",
        ),
    ]
