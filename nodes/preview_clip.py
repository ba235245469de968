"""Preview Clip: a clip as it moves and its contact sheet, before it is decoded."""

from __future__ import annotations

from .host import Node, io
from .host.graph import leading_to
from .host.search import search_aliases
from .host.shown import shown_preview
from .host.speed import speed_of


class PreviewClip(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_PreviewClip",
            display_name="Preview Clip (contact sheet)",
            category="Video LDM/output",
            **search_aliases("preview video, preview latent, animate, look, storyboard, flipbook, no vae"),
            description="Shows a clip as it moves above its numbered frames, without a VAE: to see what was "
            "sampled before time goes into decoding and enlarging it.",
            is_output_node=True,
            hidden=[io.Hidden.dynprompt, io.Hidden.unique_id],
            inputs=[
                io.Latent.Input(
                    "samples",
                    optional=True,
                    tooltip="A clip as latents, in the quick colours of the previews while sampling.",
                ),
                io.Image.Input("images", optional=True, tooltip="Frames, in place of samples."),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="The model that the clip was made with, whose colours are taken; without it "
                    "those of SD 1.x and 2.x.",
                ),
                io.Float.Input(
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=240.0,
                    step=0.1,
                    round=0.001,
                    tooltip="Frames per second to play; 0 takes what the clip or its film says, else 8.",
                ),
            ],
            outputs=[],
        )

    @classmethod
    def execute(
        cls,
        fps: float,
        samples: io.Latent.Type | None = None,
        images: io.Image.Type | None = None,
        model: io.Model.Type | None = None,
    ) -> io.NodeOutput:
        speed = speed_of(fps, samples, leading_to(cls.hidden, "samples", "images"))
        return io.NodeOutput(ui=shown_preview(samples, images, model, speed))
