"""Empty Clip and Frame Rate: how long a clip is, and how many frames a second of it has."""

from __future__ import annotations

from ..temporal.video.retiming import METHODS, NEAREST
from .host import Node, io
from .host.graph import leading_to
from .host.sampling.clips.retiming import Rates, at_rate, empty_clip
from .host.search import search_aliases
from .rare import rare


class EmptyClip(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_EmptyClip",
            display_name="Empty Clip (seconds, fps)",
            category="Video LDM/latent",
            **search_aliases("empty latent video, clip length, duration, seconds, number of frames, fps"),
            description="A clip to make, by its length in seconds: in place of Empty Latent Image with "
            "batch_size = frames. It carries its frame rate on.",
            inputs=[
                _length_input("width"),
                _length_input("height"),
                io.Float.Input(
                    "seconds",
                    default=2.0,
                    min=0.01,
                    max=3600.0,
                    step=0.1,
                    round=0.001,
                    tooltip="Length of the clip; it has the nearest whole number of frames, which the node "
                    "says.",
                ),
                io.Float.Input(
                    "fps",
                    default=8.0,
                    min=0.1,
                    max=240.0,
                    step=0.1,
                    round=0.001,
                    tooltip="Frames per second; 8 is usual for keyframes with temporal layers, 24 to 30 for "
                    "film.",
                ),
            ],
            outputs=[
                io.Latent.Output(tooltip="The clip, for Video KSampler, whose fps 0 keeps this one."),
                io.Int.Output(display_name="frames", tooltip="How many frames it has, for Prompt Schedule."),
                io.Float.Output(display_name="fps", tooltip="Frames per second, for Create Video."),
            ],
        )

    @classmethod
    def execute(cls, width: int, height: int, seconds: float, fps: float) -> io.NodeOutput:
        latent, frames = empty_clip(width, height, seconds, fps)
        return io.NodeOutput(latent, frames, fps)


class FrameRate(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_FrameRate",
            display_name="Frame Rate (resample fps)",
            category="Video LDM/latent",
            **search_aliases("change fps, force rate, convert frame rate, select every nth, frame blending"),
            description="A film or clip at another frame rate, exactly as long and as fast as before: frames "
            "are dropped, repeated or blended.",
            hidden=[io.Hidden.dynprompt, io.Hidden.unique_id],
            inputs=[
                io.Latent.Input("samples", optional=True, tooltip="A clip as latents."),
                io.Image.Input("images", optional=True, tooltip="Frames, in place of samples."),
                io.Video.Input("video", optional=True, tooltip="A film, in place of samples and images."),
                io.Float.Input(
                    "fps",
                    default=24.0,
                    min=0.1,
                    max=240.0,
                    step=0.1,
                    round=0.001,
                    tooltip="Frames per second that come out.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default=NEAREST,
                    tooltip="drop or repeat: whole frames, as sharp as before; blend: neighbours are mixed, "
                    "which moves more softly and blurs. For new frames in between use Latent Interpolate.",
                ),
                *rare(
                    io.Float.Input(
                        "fps_before",
                        default=0.0,
                        min=0.0,
                        max=240.0,
                        step=0.1,
                        round=0.001,
                        optional=True,
                        tooltip="Frames per second that went in; 0 takes what the latent, the video or the "
                        "loaded film says.",
                    )
                ),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The frames, of images or a video."),
                io.Latent.Output(
                    display_name="latent",
                    tooltip="The clip, of samples; frames that were known stay so where they are shown as "
                    "they are.",
                ),
                io.Audio.Output(display_name="audio", tooltip="The sound of the video as it was."),
                io.Float.Output(display_name="fps", tooltip="Frames per second, for Create Video."),
            ],
        )

    @classmethod
    def execute(
        cls,
        fps: float,
        method: str,
        samples: io.Latent.Type | None = None,
        images: io.Image.Type | None = None,
        video: io.Video.Type | None = None,
        fps_before: float = 0.0,
    ) -> io.NodeOutput:
        origin = leading_to(cls.hidden, "samples", "images", "video")
        made = at_rate(samples, images, video, Rates(fps, fps_before, method), origin)
        return io.NodeOutput(made.images, made.latent, made.audio, fps)


def _length_input(name: str) -> io.Input:
    return io.Int.Input(
        name, default=512, min=16, max=16384, step=8, tooltip=f"Pixels of the {name}, a multiple of 8."
    )
