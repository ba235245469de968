"""Training as a node: temporal layers for the decoder of a VAE."""

from __future__ import annotations

from typing import Any

from ..temporal.training.decoder.config import DecoderTrainingConfig
from .host import Node, io
from .host.files import TEMPORAL_DECODERS
from .host.search import search_aliases
from .host.shown import shown_report
from .host.training.decoder import train_decoder_on_images
from .host.training.run import stops
from .rare import rare
from .training_inputs import clips_inputs, number_input, run_inputs

DEFAULTS = DecoderTrainingConfig()


class TrainTemporalDecoder(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_TrainTemporalDecoder",
            display_name="Train Temporal Decoder",
            category="Video LDM/training",
            **search_aliases("finetune vae, train decoder, deflicker"),
            description="Trains temporal layers for the decoder of a VAE on clips, so that decoded frames "
            "do not flicker. The encoder stays, and with it everything that makes latents for the VAE.",
            inputs=[
                io.Vae.Input("vae", tooltip="VAE to train for: that of an SD or SDXL checkpoint, or TAESD."),
                *clips_inputs(),
                io.String.Input(
                    "filename",
                    default="my_decoder",
                    tooltip="Name of the file to write in models/temporal_decoders.",
                ),
                *decoder_settings(),
                *run_inputs(),
                *rare(*_loss_settings()),
            ],
            outputs=[
                io.Vae.Output(tooltip="The VAE with the trained decoder; connect it to Temporal VAE Decode."),
                io.String.Output(display_name="file", tooltip="Name of the file, for Load Temporal Decoder."),
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, filename: str = "", **_settings: object) -> str:
        return stops(TEMPORAL_DECODERS, filename)

    @classmethod
    def execute(
        cls,
        vae: io.Vae.Type,
        images: io.Image.Type,
        clip_length: int,
        filename: str,
        resume: bool,
        **settings: Any,
    ) -> io.NodeOutput:
        config = DecoderTrainingConfig(
            **settings,
            final_learning_rate=settings["learning_rate"] / 20,
            adversary_start=settings["steps"] // 5,
        )
        *made, line = train_decoder_on_images(vae, images, clip_length, filename, config, resume)
        return io.NodeOutput(*made, ui=shown_report(line))


def decoder_settings() -> list[io.Input]:
    """Steps of a decoder in training, and what each of them sees."""
    return [
        number_input(
            "steps", DEFAULTS.steps, (1, 10**6, 1), "Optimiser steps; 1000 to 10000 for real videos."
        ),
        number_input("num_frames", DEFAULTS.num_frames, (1, 64, 1), "Frames that a step sees together."),
        number_input(
            "crop",
            256,
            (32, 2048, 8),
            "Side in pixels of the square that a step sees; more needs more memory.",
        ),
    ]


def _loss_settings() -> list[io.Input]:
    """Inputs for the losses and the speed of learning."""
    return [
        number_input(
            "learning_rate",
            DEFAULTS.learning_rate,
            (1e-6, 0.1, 1e-6),
            "Relative to the size of the decoder's activations, so that one value fits most VAEs; "
            "lower it when the loss jumps.",
        ),
        number_input(
            "latent_noise",
            DEFAULTS.latent_noise,
            (0.0, 1.0, 0.01),
            "Noise on the latents of each frame, in parts of their spread: what the layers learn "
            "to take away.",
        ),
        number_input(
            "adversarial",
            0.0,
            (0.0, 10.0, 0.05),
            "Weight of a discriminator that sees clips, for sharper frames: 0 for none, about 0.5 "
            "for long runs.",
        ),
        number_input(
            "image_learning_rate",
            0.0,
            (0.0, 0.01, 1e-6),
            "0 trains the temporal layers only; above 0 the image decoder trains too, e.g. 0.00001.",
        ),
    ]
