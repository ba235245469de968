"""Render Video and Video From Latents: the end of the graph, a film."""

from __future__ import annotations

from typing import Any

from ..temporal.video import FORMATS
from .host import Node, io
from .host.film.frame_stream import DecodeSettings, frame_stream
from .host.film.lazy_video import LazyVideo
from .host.film.render import FilmSettings, as_video, render, saved_notes
from .host.graph import leading_to
from .host.latents import with_way_back
from .host.names import filled_in
from .host.search import search_aliases
from .host.speed import speed_of
from .rare import rare
from .sockets import UpscalerType

OUTPUT = "Video LDM/output"


class RenderVideo(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_RenderVideo",
            display_name="Render Video (mp4, gif, save frames)",
            category=OUTPUT,
            **search_aliases("video combine, vhs, save video, export, mp4, webm, prores, gif, exr, ffmpeg"),
            description="Decodes a clip, enlarges it if asked, and writes it to one file as it goes: "
            "memory does not grow with the length of the film.",
            is_output_node=True,
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo, io.Hidden.dynprompt, io.Hidden.unique_id],
            inputs=[
                io.Latent.Input(
                    "samples", optional=True, tooltip="The clip to decode and write; needs a VAE."
                ),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="Decodes samples: the checkpoint's VAE, or one with a temporal decoder.",
                ),
                io.Image.Input(
                    "images", optional=True, tooltip="Frames to write, in place of samples and vae."
                ),
                UpscalerType.Input(
                    "upscaler", optional=True, tooltip="Makes the frames larger on their way to the file."
                ),
                io.Audio.Input(
                    "audio",
                    optional=True,
                    tooltip="Sound of the film, cut to its length. Sequences get a sound.wav; gif and webp "
                    "hold none.",
                ),
                io.Combo.Input(
                    "format",
                    options=list(FORMATS),
                    default=next(iter(FORMATS)),
                    tooltip="The kind of file. mp4 H.264 plays everywhere; ProRes, FFV1, 16-bit png and "
                    "exr are for editing.",
                ),
                io.Int.Input(
                    "quality",
                    default=80,
                    min=0,
                    max=100,
                    tooltip="From 0 (smallest file) to 100 (best); 80 is usual. ProRes, FFV1, gif and "
                    "sequences ignore it; webp is lossless at 100.",
                ),
                fps_of_film_input(),
                io.String.Input(
                    "filename_prefix",
                    default="video/VideoLDM",
                    tooltip="Name of the file in ComfyUI's output folder; may hold folders and variables "
                    "such as %date:yyyy-MM-dd%, %width% or %year%.",
                ),
                _pingpong_input(),
                *decode_inputs(),
            ],
            outputs=[io.Video.Output(tooltip="The film, for nodes that take a VIDEO.")],
        )

    @classmethod
    def execute(
        cls,
        format: str,
        quality: int,
        fps: float,
        filename_prefix: str,
        samples: io.Latent.Type | None = None,
        vae: io.Vae.Type | None = None,
        images: io.Image.Type | None = None,
        upscaler: Any = None,
        audio: io.Audio.Type | None = None,
        pingpong: bool = False,
        known_images: io.Image.Type | None = None,
        chunk_length: int = 16,
        overlap: int = 4,
    ) -> io.NodeOutput:
        origin = leading_to(cls.hidden, "samples", "images")
        speed = speed_of(fps, samples, origin, usual=0.0)
        if pingpong:
            samples, images = with_way_back(samples), with_way_back(images)
        clip = frame_stream(
            samples, vae, images, upscaler, speed.fps, DecodeSettings(chunk_length, overlap, known_images)
        )
        notes = saved_notes(cls.hidden.prompt, cls.hidden.extra_pnginfo)
        film = render(
            clip,
            FilmSettings(format, quality, filled_in(filename_prefix, cls.hidden.prompt)),
            notes,
            audio,
            speed.said,
        )
        return io.NodeOutput(as_video(film, clip, audio), ui=film.shown)


def _pingpong_input() -> io.Input:
    return io.Boolean.Input(
        "pingpong",
        default=False,
        optional=True,
        tooltip="The film runs to its end and back to its start, without showing either frame twice.",
    )


class VideoFromLatents(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_LazyVideo",
            display_name="Video From Latents",
            category=OUTPUT,
            **search_aliases("create video, latent to video, stream video"),
            description="A VIDEO that is decoded while it is saved: connect it to Save Video, which then "
            "needs no memory for the whole film.",
            inputs=[
                io.Latent.Input("samples", tooltip="The clip to save, as latents."),
                io.Vae.Input("vae", tooltip="The checkpoint's VAE, or one with a temporal decoder."),
                UpscalerType.Input(
                    "upscaler", optional=True, tooltip="Makes the frames larger as they are saved."
                ),
                io.Audio.Input("audio", optional=True, tooltip="Sound of the film, cut to its length."),
                fps_of_film_input(),
                *decode_inputs(),
            ],
            outputs=[io.Video.Output(tooltip="The film; nothing is decoded before it is saved.")],
        )

    @classmethod
    def execute(
        cls,
        samples: io.Latent.Type,
        vae: io.Vae.Type,
        fps: float,
        upscaler: Any = None,
        audio: io.Audio.Type | None = None,
        known_images: io.Image.Type | None = None,
        chunk_length: int = 16,
        overlap: int = 4,
    ) -> io.NodeOutput:
        clip = frame_stream(
            samples, vae, None, upscaler, fps, DecodeSettings(chunk_length, overlap, known_images)
        )
        return io.NodeOutput(LazyVideo(clip, audio))


def fps_of_film_input() -> io.Input:
    """Frame rate of the film."""
    return io.Float.Input(
        "fps",
        default=0.0,
        min=0.0,
        max=240.0,
        step=0.1,
        round=0.001,
        tooltip="Frames per second of the film. 0 takes what the latent carries from Video KSampler or "
        "Latent Interpolate.",
    )


def decode_inputs() -> list[io.Input]:
    """Inputs for decoding the clip, as in Temporal VAE Decode."""
    return [
        io.Image.Input(
            "known_images",
            optional=True,
            tooltip="Images of the known frames of samples, which come out exactly; as in Temporal VAE "
            "Decode. With them, ToonCrafter's decoder takes the whole clip at once.",
        ),
        *rare(*_chunk_inputs()),
    ]


def _chunk_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "chunk_length",
            default=16,
            min=2,
            max=1024,
            optional=True,
            tooltip="Frames decoded together; more needs more memory. As in Temporal VAE Decode.",
        ),
        io.Int.Input(
            "overlap",
            default=4,
            min=0,
            max=64,
            optional=True,
            tooltip="For SVD decoders: neighbours decoded along with each chunk and faded over. As in "
            "Temporal VAE Decode.",
        ),
    ]
