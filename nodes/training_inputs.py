"""Inputs that the nodes for training share."""

from __future__ import annotations

from typing import Any

from ..temporal.training.config import TrainingConfig, usual_warmup
from ..temporal.training.memory.levels import AUTO, CHOICES
from .host import io
from .sockets import VideoDatasetType

DEFAULTS = TrainingConfig()


def number_input(name: str, default: float, limits: tuple[float, float, float], text: str) -> io.Input:
    """A number between two limits, in steps of the third; a whole one where its default is."""
    kind: Any = io.Int if isinstance(default, int) else io.Float
    low, high, step = limits
    return kind.Input(name, default=default, min=low, max=high, step=step, tooltip=text)


def clips_inputs() -> list[io.Input]:
    """Frames to train on, and where one clip ends and the next begins."""
    return [
        io.Image.Input(
            "images", tooltip="Frames of clips, one clip after the other; all clips of one length."
        ),
        number_input(
            "clip_length", 0, (0, 100000, 1), "Frames of each clip in images; 0: they are one clip."
        ),
    ]


def lesson_inputs(model: str, filename: str, folder: str) -> list[io.Input]:
    """Model, its text encoder and VAE, clips, and the file to write in a folder of `models`.

    `model` is the tooltip of the model, `filename` the name that the file has at first.
    """
    return [
        io.Model.Input("model", tooltip=model),
        io.Clip.Input("clip", tooltip="Text encoder of the checkpoint, for the captions."),
        io.Vae.Input("vae", tooltip="VAE of the checkpoint, for the clips."),
        VideoDatasetType.Input("dataset", tooltip="Clips to learn from, from Video Dataset."),
        io.String.Input(
            "filename", default=filename, tooltip=f"Name of the file to write in models/{folder}."
        ),
    ]


def step_inputs(steps: str, rate: float, rate_text: str) -> list[io.Input]:
    """Number and learning rate of steps, and the clips of one; `steps` and `rate_text` are tooltips."""
    return [
        number_input("steps", DEFAULTS.steps, (1, 10**7, 1), steps),
        number_input("learning_rate", rate, (1e-6, 0.1, 1e-6), rate_text),
        number_input(
            "num_frames", 16, (2, 256, 1), "Frames that a step sees together; shorter clips are left out."
        ),
        number_input("batch_size", 1, (1, 64, 1), "Clips that a step sees; more needs more memory."),
    ]


def config_of(values: dict[str, Any], **more: Any) -> TrainingConfig:
    """The settings that `step_inputs` and a seed stand for, and others by name.

    The learning rate warms up in a tenth of the steps at most, and falls to a tenth.
    """
    steps, rate = values["steps"], values["learning_rate"]
    return TrainingConfig(
        num_frames=values["num_frames"],
        steps=steps,
        batch=values["batch_size"],
        learning_rate=rate,
        final_learning_rate=rate / 10,
        warmup=usual_warmup(steps),
        seed=values["seed"],
        **more,
    )


def memory_input() -> io.Input:
    """The level of memory of a training."""
    return io.Combo.Input(
        "memory",
        options=list(CHOICES),
        default=AUTO,
        tooltip="fast keeps everything, small computes blocks twice, smaller also needs bitsandbytes, "
        "smallest has the optimiser in main memory; auto is the fastest that fits.",
    )


def run_inputs() -> list[io.Input]:
    """Inputs for the start of a run, and for going on where another stopped."""
    return [
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**63 - 1,
            control_after_generate=False,
            tooltip="Of weights, clips and noise.",
        ),
        io.Boolean.Input(
            "resume",
            default=True,
            tooltip="Go on where an interrupted run of this filename and these settings stopped.",
        ),
    ]
