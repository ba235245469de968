"""Training as a node: temporal layers."""

from __future__ import annotations

from typing import Any

from ..temporal.training.data.patterns import parse_patterns
from .host import Node, io
from .host.files import TEMPORAL_LAYERS
from .host.search import search_aliases
from .host.shown import shown_report
from .host.training.layers import PART, train_layers
from .host.training.lesson import Wanted
from .host.training.models import Checkpoint
from .host.training.run import stops
from .training_inputs import DEFAULTS, config_of, lesson_inputs, memory_input, run_inputs, step_inputs

PATTERNS = "none=0.5, first=0.25, first_two=0.25"


class TrainTemporalLayers(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_TrainTemporalLayers",
            display_name="Train Temporal Layers",
            category="Video LDM/training",
            **search_aliases("train motion module, finetune animatediff, train video model"),
            description="Trains temporal layers for an image model on a folder of clips: new ones, or those "
            "of the model go on. The image model stays as it is.",
            inputs=[
                *lesson_inputs(
                    "Image model for new layers, or a model with layers that go on learning; it stays as it "
                    "is.",
                    "my_layers",
                    "temporal_layers",
                ),
                *layers_settings(),
                *run_inputs(),
            ],
            outputs=[
                io.Model.Output(tooltip="The model with the trained layers, for Video KSampler."),
                io.String.Output(display_name="file", tooltip="Name of the file, for Load Temporal Layers."),
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, filename: str = "", **_settings: object) -> str:
        return stops(TEMPORAL_LAYERS, filename, PART)

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        clip: io.Clip.Type,
        vae: io.Vae.Type,
        dataset: Any,
        filename: str,
        known_frames: str,
        memory: str,
        resume: bool,
        **values: Any,
    ) -> io.NodeOutput:
        config = config_of(values, patterns=parse_patterns(known_frames))
        models, wanted = Checkpoint(model, clip, vae), Wanted(config, memory, resume)
        *made, line = train_layers(models, dataset, filename, wanted)
        return io.NodeOutput(*made, ui=shown_report(line))


def layers_settings() -> list[io.Input]:
    """Steps, size and kinds of the clips of layers in training."""
    return [
        *step_inputs(
            "Optimiser steps; 20000 and more for new layers, 1000 for layers that go on.",
            DEFAULTS.learning_rate,
            "Lower it when the loss jumps.",
        ),
        io.String.Input(
            "known_frames",
            default=PATTERNS,
            tooltip="Which frames are given, and how often: none, first, first_two, ends, every_fourth, "
            "loop, random. Layers that see no known frames learn with none.",
        ),
        memory_input(),
    ]
