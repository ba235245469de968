"""Load Video Model: files that bring an image model and the temporal layers trained with it."""

from __future__ import annotations

from ..temporal.errors import InvalidInputError
from ..temporal.formats import VideoModel
from .host import Node, io
from .host.layers.attached.settings import LayerSettings
from .host.layers.betas import AUTO, NAMES, with_betas
from .host.layers.self_test import check_host, with_host
from .host.layers.video_model import build_video_model, read_video_model, video_model_choices
from .host.search import search_aliases
from .host.shown import shown_report
from .layer_inputs import (
    AS_TRAINED,
    LayerInputs,
    alpha_by_level_input,
    alpha_inputs,
    percent_inputs,
    strength_input,
)
from .rare import rare


class LoadVideoModel(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_LoadVideoModel",
            display_name="Load Video Model (SVD, ModelScope)",
            category="Video LDM/loaders",
            **search_aliases(
                "svd, stable video diffusion, modelscope, zeroscope, videocrafter, lavie, seine"
            ),
            description="Opens a whole video model, whose image model and temporal layers were trained "
            "together: Stable Video Diffusion, ModelScope, ZeroScope, VideoCrafter 1 and 2, LaVie, SEINE.",
            inputs=[
                io.Combo.Input(
                    "file",
                    options=video_model_choices(),
                    tooltip="File in models/checkpoints or models/diffusion_models, in the original or "
                    "diffusers' spelling.",
                ),
                strength_input(
                    optional=True,
                    tooltip="How much the temporal layers do: 1 as trained, 0 the image model alone, above "
                    "1 more than trained. Stable Video Diffusion is always as trained and refuses "
                    "other values.",
                ),
                *rare(_schedule_input(), *percent_inputs(), *alpha_inputs(), alpha_by_level_input()),
            ],
            outputs=[
                io.Model.Output(
                    tooltip="The video model; connect it to Video KSampler or the host's KSampler, with "
                    "the frames of the clip as the batch of the latent."
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="What the file is and how to sample with it: clip length, schedule, sampler, "
                    "licence.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        file: str,
        strength: float = 1.0,
        schedule: str = AUTO,
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        alpha_input: float = AS_TRAINED,
        alpha_middle: float = AS_TRAINED,
        alpha_output: float = AS_TRAINED,
        alpha_by_level: str = "",
    ) -> io.NodeOutput:
        given = LayerInputs(
            strength, alpha_input, alpha_middle, alpha_output, start_percent, end_percent, alpha_by_level
        )
        host = check_host()
        video, report = read_video_model(file)
        model = build_video_model(file, video, _settings(video, given))
        report = with_host(report, host)
        return io.NodeOutput(with_betas(model, schedule, None), report, ui=shown_report(report))


def _schedule_input() -> io.Input:
    return io.Combo.Input(
        "schedule",
        options=list(NAMES),
        default=AUTO,
        optional=True,
        tooltip="Noise schedule: auto and checkpoint are the one that the model was trained "
        "with; the others replace it, the lcm ones also set consistency sampling.",
    )


def _settings(video: VideoModel, given: LayerInputs) -> LayerSettings:
    """Settings of the layers of a video model.

    Raises InvalidInputError where they cannot do it.
    """
    if video.stack is not None:
        return given.settings(video.stack.config.unet)
    changed = given.changed()
    if changed:
        raise InvalidInputError(
            f"{', '.join(changed)} cannot change {video.family}, whose temporal layers ComfyUI runs itself "
            "and always as trained. Set strength back to 1, the alphas to -1, start_percent to 0, "
            "end_percent to 1, and clear alpha_by_level."
        )
    return LayerSettings()
