"""Training as a node: a pixel-space video upscaler."""

from __future__ import annotations

from typing import Any

from ..temporal.training.upscaler import UpscalerTrainingConfig, usual_given_steps
from .host import Node, io
from .host.files import VIDEO_UPSCALERS
from .host.search import search_aliases
from .host.shown import shown_report
from .host.training.run import stops
from .host.training.upscaler import PART, PatchSettings, train_upscaler_on_images
from .rare import rare
from .sockets import UpscalerType
from .training_inputs import clips_inputs, number_input, run_inputs

DEFAULTS = UpscalerTrainingConfig()
PATCHES = {
    "side": "patch_size",
    "batch": "batch_size",
    "channels": "channels",
    "max_noise_level": "max_noise",
}


class TrainVideoUpscaler(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_TrainVideoUpscaler",
            display_name="Train Video Upscaler",
            category="Video LDM/training",
            **search_aliases("finetune upscaler, train super resolution"),
            description="Trains a video upscaler on clips in the size that enlarged ones should have: first "
            "to enlarge single frames, then its temporal layers, so that the detail it adds stays still.",
            inputs=[
                *clips_inputs(),
                io.String.Input(
                    "filename",
                    default="my_upscaler",
                    tooltip="Name of the file to write in models/video_upscalers.",
                ),
                *upscaler_settings(),
                *run_inputs(),
                *rare(*_rare_settings()),
                UpscalerType.Input(
                    "upscaler",
                    optional=True,
                    tooltip="An upscaler to start from; it stays as it is. Without one, a new one is "
                    "trained.",
                ),
            ],
            outputs=[
                UpscalerType.Output(
                    display_name="upscaler", tooltip="Connect it to Video Upscale or Render Video."
                ),
                io.String.Output(display_name="file", tooltip="Name of the file, for Load Video Upscaler."),
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, filename: str = "", **_settings: object) -> str:
        return stops(VIDEO_UPSCALERS, filename, PART)

    @classmethod
    def execute(
        cls,
        images: io.Image.Type,
        clip_length: int,
        filename: str,
        resume: bool,
        upscaler: Any = None,
        **values: Any,
    ) -> io.NodeOutput:
        seen = PatchSettings(**{name: values.pop(given) for name, given in PATCHES.items()})
        config = UpscalerTrainingConfig(
            **values,
            given_steps=usual_given_steps(values["spatial_steps"], new=upscaler is None),
            final_learning_rate=values["learning_rate"] / 20,
        )
        *made, line = train_upscaler_on_images(images, clip_length, filename, upscaler, seen, config, resume)
        return io.NodeOutput(*made, ui=shown_report(line))


def upscaler_settings() -> list[io.Input]:
    """Steps of an upscaler in training, and what each of them sees."""
    return [
        number_input(
            "steps",
            DEFAULTS.steps,
            (1, 10**7, 1),
            "Optimiser steps; 100000 and more for real videos.",
        ),
        number_input(
            "spatial_steps",
            DEFAULTS.spatial_steps,
            (0, 10**7, 1),
            "How many of the steps train the upscaler of single frames; the others train its temporal "
            "layers and leave it as it is. Usually half of them, or 0 for an upscaler that is connected.",
        ),
        number_input("num_frames", DEFAULTS.num_frames, (1, 64, 1), "Frames that a step sees together."),
        number_input(
            "patch_size",
            80,
            (8, 1024, 4),
            "Side in given pixels of the square that a step sees, a quarter of the images'; more "
            "needs more memory.",
        ),
        number_input("batch_size", 2, (1, 64, 1), "Squares that a step sees; more needs more memory."),
    ]


def _rare_settings() -> list[io.Input]:
    """Inputs for the speed of learning, the size, and the noise that can be taken away."""
    return [
        number_input(
            "learning_rate", 0.0002, (1e-6, 0.1, 1e-6), "Of each stage; lower it when the loss jumps."
        ),
        number_input(
            "channels",
            128,
            (8, 1024, 8),
            "Size of a new upscaler; time and memory grow with it. An upscaler that is connected "
            "keeps its own.",
        ),
        number_input(
            "max_noise",
            0.5,
            (0.0, 1.0, 0.01),
            "Strongest noise on the given frames in training, the highest noise_augmentation later.",
        ),
    ]
