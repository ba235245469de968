"""The loaders: from image model to video model, from image decoder to video decoder."""

from __future__ import annotations

from dataclasses import replace

from .host import Node, io
from .host.files import MOTION_LORA, TEMPORAL_DECODERS, TEMPORAL_LAYERS, choices, open_temporal_layers
from .host.film.vae import open_temporal_decoder
from .host.layers.attached.settings import LONGER_CLIPS, NORMS, REFUSE
from .host.layers.betas import AUTO, NAMES, OLD_AUTO, OLD_AUTO_FAMILIES, with_betas
from .host.layers.insertion import add_temporal_layers
from .host.layers.motion_lora import add_motion_lora
from .host.layers.self_test import check_host, with_host
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


class LoadTemporalLayers(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_LoadTemporalLayers",
            display_name="Load Temporal Layers (AnimateDiff)",
            category="Video LDM/loaders",
            **search_aliases("animatediff, ade, motion module, motion model, mm loader, hotshot, animatelcm"),
            description="Adds temporal layers to an image model, so that it makes frames that belong "
            "together. Opens Video LDM files, AnimateDiff (v1, v2, v3, Long, SDXL beta), AnimateLCM and "
            "AnimateLCM-I2V, PIA, AnimateDiff-Lightning, HotShot-XL, diffusers motion adapters, and for "
            "the x4 upscaler LaVie VSR and Upscale-A-Video.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="Image model: an SD 1.x, SD 2.x or SDXL checkpoint or the SD x4 upscaler, LoRA "
                    "included.",
                ),
                io.Combo.Input(
                    "file",
                    options=choices(TEMPORAL_LAYERS),
                    tooltip="File of temporal layers in models/temporal_layers, made for the same base "
                    "model.",
                ),
                strength_input(
                    optional=False,
                    tooltip="How much the temporal layers do: 1 as trained, 0 is exactly the image model, "
                    "above 1 more than trained.",
                ),
                io.Combo.Input(
                    "longer_clips",
                    options=list(LONGER_CLIPS),
                    default=REFUSE,
                    optional=True,
                    tooltip="Clips with more frames than the layers were trained for: refuse them; squeeze "
                    "the positions of their frames into the trained length, for slower motion; or "
                    "convolve, where each frame sees those near it in time, as many as in training.",
                ),
                *rare(
                    _schedule_input(),
                    *percent_inputs(),
                    *alpha_inputs(),
                    alpha_by_level_input(),
                    _norms_input(),
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="The model with temporal layers; connect it to Video KSampler."),
                io.String.Output(
                    display_name="report",
                    tooltip="What the file holds and how to sample with it: schedule, sampler, licence.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        file: str,
        strength: float,
        longer_clips: str = REFUSE,
        schedule: str = AUTO,
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        alpha_input: float = AS_TRAINED,
        alpha_middle: float = AS_TRAINED,
        alpha_output: float = AS_TRAINED,
        alpha_by_level: str = "",
        norms: str = NORMS[0],
    ) -> io.NodeOutput:
        given = LayerInputs(
            strength, alpha_input, alpha_middle, alpha_output, start_percent, end_percent, alpha_by_level
        )
        host = check_host()
        opened = open_temporal_layers(file, model.load_device)
        settings = replace(given.settings(opened.patcher.model.config.unet, longer_clips), norms=norms)
        patched = add_temporal_layers(model, opened.patcher, settings)
        if schedule == OLD_AUTO:
            schedule = OLD_AUTO_FAMILIES.get(opened.patcher.model.config.family, AUTO)
        patched = with_betas(patched, schedule, opened.betas)
        report = with_host(opened.report, host)
        return io.NodeOutput(patched, report, ui=shown_report(report))


def _schedule_input() -> io.Input:
    return io.Combo.Input(
        "schedule",
        options=[*NAMES, OLD_AUTO],
        default=AUTO,
        optional=True,
        tooltip="Noise schedule: auto is the one that the layers were trained with, checkpoint "
        "that of the image model. The lcm ones also set consistency sampling.",
    )


def _norms_input() -> io.Input:
    return io.Combo.Input(
        "norms",
        options=list(NORMS),
        default=NORMS[0],
        optional=True,
        tooltip="Norms of the image model: as trained; as AnimateDiff-Evolved, which takes them over the "
        "whole clip with AnimateDiff v1, SDXL beta, HotShot-XL and PIA, for the picture it made; or over "
        "the clip with any file.",
    )


class LoadMotionLora(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_LoadMotionLoRA",
            display_name="Load Motion LoRA (camera, AnimateDiff)",
            category="Video LDM/loaders",
            **search_aliases("animatediff lora, camera motion, motiondirector, zoom, pan"),
            description="Teaches the temporal layers of an AnimateDiff model a motion: a zoom, a pan, a "
            "dance; those of ModelScope or ZeroScope one of MotionDirector. Several can be chained.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="Model with AnimateDiff layers, from Load Temporal Layers; or ModelScope or "
                    "ZeroScope, from Load Video Model.",
                ),
                io.Combo.Input(
                    "file",
                    options=choices(MOTION_LORA),
                    tooltip="File in models/motion_lora, made for the same version of AnimateDiff, or by "
                    "MotionDirector.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.01,
                    tooltip="How much of the motion: 1 as trained, 0 none, below 0 the other way.",
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="The model with the motion; connect it to Video KSampler."),
                io.String.Output(
                    display_name="report",
                    tooltip="What the file holds and changes: spelling, rank, layers, licence.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model: io.Model.Type, file: str, strength: float) -> io.NodeOutput:
        patched, report = add_motion_lora(model, file, strength)
        return io.NodeOutput(patched, report, ui=shown_report(report))


class LoadTemporalDecoder(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_LoadTemporalDecoder",
            display_name="Load Temporal Decoder (deflicker)",
            category="Video LDM/loaders",
            **search_aliases("svd decoder, tooncrafter decoder, video vae, deflicker"),
            description="Adds temporal layers to a VAE's decoder, so that decoded frames do not flicker. "
            "Opens Video LDM files, the decoder of Stable Video Diffusion, original or diffusers, and that "
            "of ToonCrafter; these two decode the latents of every SD 1.x and 2.x model.",
            inputs=[
                io.Vae.Input("vae", tooltip="The VAE of the checkpoint that makes the latents."),
                io.Combo.Input(
                    "file",
                    options=choices(TEMPORAL_DECODERS),
                    tooltip="File in models/temporal_decoders, made for the latents of this VAE.",
                ),
            ],
            outputs=[
                io.Vae.Output(tooltip="The VAE with a temporal decoder; connect it to Temporal VAE Decode.")
            ],
        )

    @classmethod
    def execute(cls, vae: io.Vae.Type, file: str) -> io.NodeOutput:
        opened = open_temporal_decoder(vae, file)
        return io.NodeOutput(opened, ui=shown_report(opened.report))
