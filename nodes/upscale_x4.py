"""Video Upscale (SD x4): Stable Diffusion's x4 upscaler, a checkpoint with prompts, on clips."""

from __future__ import annotations

from typing import Any

from .host import Node, io
from .host.graph import leading_to
from .host.sampling.clip import SamplerSettings
from .host.sampling.upscale_x4 import X4Settings, upscale_latents
from .host.search import search_aliases
from .host.shown import shown_report
from .host.speed import speed_of
from .rare import rare
from .sample import fps_input, sampler_inputs, seed_input

SAMPLER = ("seed", "steps", "cfg", "sampler_name", "scheduler", "fps")


class VideoUpscaleDiffusion(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_VideoUpscaleDiffusion",
            display_name="Video Upscale (SD x4)",
            category="Video LDM/upscale",
            **search_aliases("super resolution, vsr, upscale-a-video, lavie, 4x, stable diffusion upscaler"),
            description="Enlarges a clip four times with Stable Diffusion's x4 upscaler and a prompt. With "
            "temporal layers on the model, frames are enlarged together; decode the latents "
            "with the upscaler's own VAE.",
            hidden=[io.Hidden.dynprompt, io.Hidden.unique_id],
            inputs=[
                *_given_inputs(),
                *sampler_inputs(seed_input(changes=False)),
                *rare(fps_input(), *_size_inputs()),
            ],
            outputs=[
                io.Latent.Output(
                    tooltip="The enlarged clip; connect it to Temporal VAE Decode with the upscaler's VAE."
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="Sizes, the memory that is needed, and whether the model has temporal layers.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        images: io.Image.Type,
        **values: Any,
    ) -> io.NodeOutput:
        origin = leading_to(cls.hidden, "images")
        speed = speed_of(values["fps"], None, origin)
        sampler = SamplerSettings(**{**{name: values[name] for name in SAMPLER}, "fps": speed.fps})
        settings = X4Settings(
            noise_augmentation=values["noise_augmentation"],
            window=values["context_length"],
            overlap=values["context_overlap"],
            tile=values["tile_size"],
            tile_overlap=values["tile_overlap"],
        )
        latent, report = upscale_latents(model, positive, negative, images, sampler, settings)
        report = " ".join(filter(None, [report, speed.said]))
        return io.NodeOutput(latent, report, ui=shown_report(report))


def _given_inputs() -> list[io.Input]:
    return [
        io.Model.Input(
            "model",
            tooltip="Stable Diffusion's x4 upscaler from Load Checkpoint, best with temporal layers made "
            "for it.",
        ),
        io.Conditioning.Input("positive", tooltip="What is seen, encoded with the upscaler's own CLIP."),
        io.Conditioning.Input(
            "negative", tooltip="What should not be seen, for example blur and compression."
        ),
        io.Image.Input("images", tooltip="The frames of one clip, in order; 512 x 320 become 2048 x 1280."),
        io.Float.Input(
            "noise_augmentation",
            default=0.06,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Noise on the given frames, drawn once for the clip: 0.06 (level 20) is usual, more "
            "invents detail and repairs compressed frames, 0 keeps to them.",
        ),
    ]


def _size_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "context_length",
            default=0,
            min=0,
            max=256,
            tooltip="Frames that are denoised together; 0 is what the temporal layers were trained on, 8 "
            "without any.",
        ),
        io.Int.Input(
            "context_overlap",
            default=2,
            min=0,
            max=128,
            tooltip="Frames that neighbouring windows share, blended at every step.",
        ),
        io.Int.Input(
            "tile_size",
            default=256,
            min=0,
            max=8192,
            step=8,
            tooltip="Given pixels a side that are denoised together, 0 for whole frames: smaller needs "
            "less memory.",
        ),
        io.Int.Input(
            "tile_overlap",
            default=64,
            min=0,
            max=1024,
            step=8,
            tooltip="Given pixels that neighbouring tiles share, blended at every step; a quarter of the "
            "tile is usual.",
        ),
    ]
