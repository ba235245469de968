"""Load Video Frames: a part of a film as a clip."""

from __future__ import annotations

from ..temporal.video.fit import CROP, FITS
from .host import Node, io
from .host.sampling.clips.footage import Wishes, changed, film_names, read_footage
from .host.search import search_aliases


class LoadVideoFrames(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_LoadVideoFrames",
            display_name="Load Video Frames (vid2vid, fps)",
            category="Video LDM/latent",
            **search_aliases(
                "vid2vid, video to video, load video, mp4, gif, import video, frame rate, resize video"
            ),
            description="A part of a film as frames and as latents, at the size and frame rate you ask for: "
            "video to video, another frame rate, a first frame to go on from. The rest of the film takes no "
            "memory.",
            inputs=[
                *_part_inputs(),
                *_size_inputs(),
                io.Video.Input(
                    "video", optional=True, tooltip="A film from another node, in place of the file."
                ),
                io.Vae.Input("vae", optional=True, tooltip="The checkpoint's VAE; needed for the latent."),
            ],
            outputs=[
                io.Image.Output(display_name="images", tooltip="The frames."),
                io.Latent.Output(
                    display_name="latent",
                    tooltip="The frames as a clip for Video KSampler, with their frame rate; needs a VAE.",
                ),
                io.Audio.Output(display_name="audio", tooltip="The sound of this part, for Render Video."),
                io.Float.Output(display_name="fps", tooltip="Frames per second of the clip."),
            ],
        )

    @classmethod
    def validate_inputs(cls, file: str) -> bool:
        return True  # files may come after the list was made; the node says what is missing

    @classmethod
    def fingerprint_inputs(cls, file: str, **_settings: object) -> float | str:
        return changed(file)

    @classmethod
    def execute(
        cls,
        file: str,
        start: float,
        frames: int,
        fps: float,
        width: int,
        height: int,
        fit: str,
        video: io.Video.Type | None = None,
        vae: io.Vae.Type | None = None,
    ) -> io.NodeOutput:
        clip = read_footage(file, video, Wishes(start, frames, fps, width, height, fit))
        return io.NodeOutput(clip.frames, clip.latent(vae), clip.audio, clip.fps)


def _part_inputs() -> list[io.Input]:
    """Inputs for the film, the part of it and the frame rate."""
    return [
        io.Combo.Input(
            "file",
            options=film_names(),
            upload=io.UploadType.video,
            tooltip="A film in ComfyUI's input folder.",
        ),
        io.Float.Input(
            "start",
            default=0.0,
            min=0.0,
            max=86400.0,
            step=0.1,
            round=0.001,
            tooltip="Second of the film at which the clip begins.",
        ),
        io.Int.Input(
            "frames",
            default=16,
            min=0,
            max=100000,
            tooltip="Most frames that are taken; 0 takes all to the end of the film.",
        ),
        io.Float.Input(
            "fps",
            default=0.0,
            min=0.0,
            max=240.0,
            step=0.1,
            round=0.001,
            tooltip="Frames per second of the clip: frames are left out or repeated, and it plays "
            "as fast as the film. 0 keeps every frame.",
        ),
    ]


def _size_inputs() -> list[io.Input]:
    """Inputs for the size of the frames."""
    return [
        _length_input("width"),
        _length_input("height"),
        io.Combo.Input(
            "fit",
            options=list(FITS),
            default=CROP,
            tooltip="For a film of another shape. crop: cut what stands over; pad: the whole "
            "picture between black bars; stretch: change its proportions.",
        ),
    ]


def _length_input(name: str) -> io.Input:
    """Input for one length of the frames."""
    return io.Int.Input(
        name,
        default=0,
        min=0,
        max=8192,
        step=8,
        tooltip=f"Pixels of the {name}; 0 keeps the film's, or its proportions. Rounded down to a multiple "
        "of 8.",
    )
