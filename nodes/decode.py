"""Temporal VAE Decode: latents of a clip to frames."""

from __future__ import annotations

from .host import Node, io
from .host.film.frame_stream import PREVIEW_FPS, DecodeSettings, collect, latent_stream
from .host.latents import frame_rate
from .host.search import search_aliases
from .host.shown import shown_clip
from .rare import rare


class TemporalVAEDecode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_TemporalVAEDecode",
            display_name="Temporal VAE Decode (contact sheet)",
            category="Video LDM/decode",
            **search_aliases("vae decode, decode video, deflicker, tiled decode"),
            description="Decodes a clip of any length in bounded memory. Temporal decoders see every "
            "neighbour: frames do not flicker, and there are no seams.",
            inputs=[
                io.Latent.Input("samples", tooltip="The clip to decode."),
                io.Vae.Input("vae", tooltip="The checkpoint's VAE, or one with a temporal decoder."),
                io.Image.Input(
                    "known_images",
                    optional=True,
                    tooltip="Images of the known frames, as they went into Known Frames, or of the first, "
                    "or the first and the last frame: they come out exactly. ToonCrafter's decoder "
                    "looks at them too.",
                ),
                io.Image.Input(
                    "keep_colours_of",
                    optional=True,
                    tooltip="The frames that were enlarged, as they went into Video Upscale (SD x4): the "
                    "result gets their colours and brightness and keeps its detail.",
                ),
                *rare(*_chunk_inputs()),
            ],
            outputs=[io.Image.Output(tooltip="The frames; connect them to Create Video.")],
        )

    @classmethod
    def execute(
        cls,
        samples: io.Latent.Type,
        vae: io.Vae.Type,
        chunk_length: int,
        overlap: int,
        known_images: io.Image.Type | None = None,
        keep_colours_of: io.Image.Type | None = None,
    ) -> io.NodeOutput:
        fps = frame_rate(samples, otherwise=PREVIEW_FPS)
        decode = DecodeSettings(chunk_length, overlap, known_images, keep_colours_of)
        frames = collect(latent_stream(samples, vae, fps, decode))
        return io.NodeOutput(frames, ui=shown_clip(frames, fps))


def _chunk_inputs() -> list[io.Input]:
    """Inputs for the frames that are decoded together."""
    return [
        io.Int.Input(
            "chunk_length",
            default=16,
            min=2,
            max=1024,
            tooltip="Frames decoded together; more needs more memory. Video LDM decoders and image "
            "VAEs give the same frames for every length, and halve it when memory runs "
            "out. SVD decoders look at all frames they get: more is steadier.",
        ),
        io.Int.Input(
            "overlap",
            default=4,
            min=0,
            max=64,
            tooltip="For SVD and other decoders that look at all frames they get: neighbours "
            "decoded along with each chunk on either side and faded over. Video LDM "
            "decoders and image VAEs need none and ignore it.",
        ),
    ]
