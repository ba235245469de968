"""Initial Noise: what a clip begins with, whatever sampler denoises it."""

from __future__ import annotations

from typing import Any

from ..temporal.sampling.initial_noise import DEFAULT, FILTERS, GAUSSIAN, KINDS, LowPass, NoiseSettings
from .host import Node, io
from .host.sampling.options.noise import with_noise
from .host.search import search_aliases
from .rare import rare


class InitialNoise(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_InitialNoise",
            display_name="Initial Noise (FreeInit)",
            category="Video LDM/sampling",
            **search_aliases("sample settings, freeinit, free noise, noise type, seed per frame"),
            description="Says which noise a clip begins with, and lets it be made in several rounds that "
            "keep what is common to all frames (FreeInit). Works with every sampler.",
            inputs=[
                io.Model.Input("model", tooltip="The model; connect it after Video Windows."),
                io.Combo.Input(
                    "noise_type",
                    options=list(KINDS),
                    default=DEFAULT,
                    tooltip="default: the sampler's own; constant: the same for every frame; empty: none; "
                    "repeated_context: that of the first window again and again; FreeNoise: the same, "
                    "shuffled.",
                ),
                _rounds_input(),
                *rare(*_seed_inputs(), *_round_inputs()),
            ],
            outputs=[io.Model.Output(tooltip="The model with this noise; connect it to the sampler.")],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        noise_type: str,
        rounds: int = 1,
        seed_per_frame: bool = False,
        seed_offset: int = 0,
        frame_offset: int = 0,
        **kept: Any,
    ) -> io.NodeOutput:
        names = {"filter": "kind", "keep_space": "space", "keep_time": "time", "sharpness": "sharpness"}
        low_pass = LowPass(**{names[name]: value for name, value in kept.items()})
        settings = NoiseSettings(noise_type, seed_per_frame, seed_offset, frame_offset)
        return io.NodeOutput(with_noise(model, settings, rounds, low_pass))


def _rounds_input() -> io.Input:
    return io.Int.Input(
        "rounds",
        default=1,
        min=1,
        max=10,
        optional=True,
        tooltip="How often the clip is made (FreeInit): each round begins with the low frequencies of "
        "the one before; 3 to 5 are steadier and take as many times longer.",
    )


def _seed_inputs() -> list[io.Input]:
    """Noise that goes on from that of another clip."""
    return [
        io.Boolean.Input(
            "seed_per_frame",
            default=False,
            optional=True,
            tooltip="Every frame has a seed of its own, one more than the frame before it.",
        ),
        io.Int.Input(
            "seed_offset",
            default=0,
            min=-(2**31),
            max=2**31,
            optional=True,
            tooltip="Added to the seed of the sampler.",
        ),
        io.Int.Input(
            "frame_offset",
            default=0,
            min=0,
            max=100000,
            optional=True,
            tooltip="Frames whose noise is left out first: 16 continues a clip of 16 frames with "
            "the same seed.",
        ),
    ]


def _round_inputs() -> list[io.Input]:
    """Inputs for the part of a round that the next one keeps."""
    return [
        io.Combo.Input(
            "filter",
            options=list(FILTERS),
            default=GAUSSIAN,
            optional=True,
            tooltip="How low and high frequencies are told apart between rounds.",
        ),
        io.Float.Input(
            "keep_space",
            default=0.25,
            min=0.0,
            max=1.0,
            step=0.01,
            optional=True,
            tooltip="Share of the frequencies in the picture that a round keeps.",
        ),
        io.Float.Input(
            "keep_time",
            default=0.25,
            min=0.0,
            max=1.0,
            step=0.01,
            optional=True,
            tooltip="Share of the frequencies in time that a round keeps; less moves more.",
        ),
        io.Int.Input(
            "sharpness",
            default=4,
            min=1,
            max=100,
            optional=True,
            tooltip="Of the filter butterworth: higher is a sharper edge between low and high.",
        ),
    ]
