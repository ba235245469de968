"""Training as a node: a motion LoRA."""

from __future__ import annotations

from typing import Any

from ..temporal.training.lora.config import LoraConfig
from .host import Node, io
from .host.files import MOTION_LORA
from .host.search import search_aliases
from .host.shown import shown_report
from .host.training.lesson import Wanted
from .host.training.models import Checkpoint
from .host.training.motion_lora import PART, train_motion_lora
from .host.training.run import stops
from .training_inputs import config_of, lesson_inputs, memory_input, number_input, run_inputs, step_inputs

LORA = LoraConfig()


class TrainMotionLora(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_TrainMotionLoRA",
            display_name="Train Motion LoRA",
            category="Video LDM/training",
            **search_aliases("train lora, camera lora, motion director, animatediff training"),
            description="Teaches the temporal layers of a model the motion of a folder of clips, as a small "
            "file for Load Motion LoRA. What the clips look like is learned apart and left out.",
            inputs=[
                *lesson_inputs(
                    "Model with layers from Load Temporal Layers; it stays as it is.",
                    "my_motion",
                    "motion_lora",
                ),
                *lora_settings(),
                *run_inputs(),
            ],
            outputs=[
                io.Model.Output(tooltip="The model with the motion, for Video KSampler."),
                io.String.Output(display_name="file", tooltip="Name of the file, for Load Motion LoRA."),
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, filename: str = "", **_settings: object) -> str:
        return stops(MOTION_LORA, filename, PART)

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        clip: io.Clip.Type,
        vae: io.Vae.Type,
        dataset: Any,
        filename: str,
        memory: str,
        resume: bool,
        **values: Any,
    ) -> io.NodeOutput:
        settings = LoraConfig(rank=values["rank"], trigger=dataset.trigger, looks_steps=values["looks_steps"])
        config = config_of(values)
        models, wanted = Checkpoint(model, clip, vae), Wanted(config, memory, resume)
        *made, line = train_motion_lora(models, dataset, filename, settings, wanted)
        return io.NodeOutput(*made, ui=shown_report(line))


def lora_settings() -> list[io.Input]:
    """Size and steps of a LoRA in training."""
    return [
        number_input(
            "rank",
            LORA.rank,
            (1, 512, 1),
            "Size of the file; 8 for a camera move, 64 for much motion.",
        ),
        *step_inputs(
            "Optimiser steps; 500 to 3000 for 20 to 50 real clips.",
            0.0001,
            "Lower it when the loss jumps or clips become noise.",
        ),
        number_input(
            "looks_steps",
            LORA.looks_steps,
            (0, 10**6, 1),
            "Steps in which the looks of single frames are learned first, to be left out of the motion; "
            "0 for none.",
        ),
        memory_input(),
    ]
