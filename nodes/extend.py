"""Extend Video: a clip of any length by prediction."""

from __future__ import annotations

from typing import Any

from .host import Node, io
from .host.graph import contents, leading_to, written
from .host.latents import frame_rate
from .host.names import folder_of_segments
from .host.sampling.clip import SamplerSettings
from .host.sampling.extend import Extension, as_trained, extend, film_of, lasting, parse_seeds
from .host.sampling.interpolate import PromptedModel
from .host.sampling.prompts import MotionPrompt, segment_prompts
from .host.search import search_aliases
from .host.speed import carrying
from .rare import rare
from .sample import carried_fps_input, context_guidance_input, motion_prompt_input, sampler_inputs


class ExtendVideo(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_ExtendVideo",
            display_name="Extend Video (long video)",
            category="Video LDM/sampling",
            **search_aliases("long video, prediction, autoregressive, continue video, looping sampler"),
            description="Goes on from the last frames of a clip, segment by segment, for as long as you "
            "like. Every finished segment is kept on disk: after a stop the same graph continues where it "
            "was.",
            inputs=[
                io.Model.Input(
                    "model", tooltip="The model with temporal layers, best with ones trained on known frames."
                ),
                io.Conditioning.Input("positive", tooltip="What should be seen."),
                io.Conditioning.Input("negative", tooltip="What should not be seen."),
                io.Latent.Input("samples", tooltip="The clip to go on from; one frame is enough."),
                *_segment_inputs(),
                carried_fps_input(8.0),
                *sampler_inputs(),
                _folder_input(),
                io.Clip.Input("clip", optional=True, tooltip="Text encoder for prompts."),
                _prompts_input(),
                motion_prompt_input(),
                *rare(*_step_inputs(), context_guidance_input(), _colours_input()),
            ],
            outputs=[
                io.Latent.Output(
                    is_output_list=True,
                    tooltip="The whole clip, start included; one for each seed, and what follows runs for "
                    "each.",
                )
            ],
            hidden=[io.Hidden.dynprompt, io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        samples: io.Latent.Type,
        segments: int,
        seconds: float,
        seeds: str,
        folder: str,
        clip: io.Clip.Type | None = None,
        prompts: str = "",
        segment_length: int = 0,
        context_frames: int = 2,
        hold_colours: bool = False,
        motion_prompt: MotionPrompt | None = None,
        **sampler: Any,
    ) -> io.NodeOutput:
        choice = Extension(
            segments,
            segment_length or as_trained(model),
            context_frames,
            parse_seeds(seeds),
            folder_of_segments(folder),
            hold_colours=hold_colours,
        )
        origin = leading_to(cls.hidden, "model", "positive", "negative")
        leading = leading_to(cls.hidden, "samples")
        carried, said = carrying(samples, leading)
        rate = frame_rate(carried, sampler["fps"])
        choice = lasting(choice, len(carried["samples"]), seconds, rate)
        film = film_of(len(carried["samples"]), choice, rate)
        remarks = [said, film.described] if seconds else [said]
        texts = segment_prompts(clip, positive, prompts, film, remarks.append)
        clips = extend(
            carried,
            choice,
            PromptedModel(model, positive, negative, motion_prompt),
            SamplerSettings(seed=0, **sampler),
            texts,
            written(origin),
            written(contents(origin)),
            " ".join(filter(None, remarks)),
        )
        return io.NodeOutput(clips)


def _segment_inputs() -> list[io.Input]:
    """Inputs for the length of the film and the number of futures."""
    return [
        io.Int.Input(
            "segments",
            default=4,
            min=1,
            max=100000,
            tooltip="How many segments to add; more can be added later.",
        ),
        io.Float.Input(
            "seconds",
            default=0.0,
            min=0.0,
            max=36000.0,
            step=0.1,
            round=0.001,
            tooltip="Length of the whole film in seconds, start included, cut to the frame; 0 adds as many "
            "segments as segments says.",
        ),
        io.String.Input(
            "seeds",
            default="0",
            tooltip="Seed of the noise; several with commas between, such as 1, 2, 3, make as many futures "
            "of one start.",
        ),
    ]


def _prompts_input() -> io.Input:
    return io.String.Input(
        "prompts",
        multiline=True,
        default="",
        optional=True,
        tooltip="Prompts at frames or seconds of the film, one line each, such as 0: a cat and 20s: a dog; "
        "each begins with the next segment. Lines without places are one for each segment. Before the first "
        "prompt, positive holds.",
    )


def _step_inputs() -> list[io.Input]:
    """Inputs for the frames that a segment sees and makes."""
    return [
        io.Int.Input(
            "segment_length",
            default=0,
            min=0,
            max=1024,
            optional=True,
            tooltip="Frames sampled together, those of the context included; 0 is the length the layers were "
            "trained on.",
        ),
        io.Int.Input(
            "context_frames",
            default=2,
            min=1,
            max=64,
            optional=True,
            tooltip="How many last frames each segment goes on from; two carry the direction of motion.",
        ),
    ]


def _colours_input() -> io.Input:
    return io.Boolean.Input(
        "hold_colours",
        default=False,
        optional=True,
        tooltip="Every frame keeps the mean colour of the start, so that a long film does not drift lighter, "
        "darker or redder. Leave it off where the place or the light should change.",
    )


def _folder_input() -> io.Input:
    return io.String.Input(
        "folder",
        default="video_ldm/segments",
        tooltip="Where finished segments are kept: a folder below ComfyUI's output; elsewhere only where "
        "extra_model_paths.yaml allows it.",
    )
