"""Graphs of AnimateDiff-Evolved in the API format, built up for the comparison with ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Api = dict[str, dict[str, Any]]

CHECKPOINT, SAMPLER = "narrow_sd.safetensors", "7"
WIDTH, HEIGHT = 64, 32
FRAMES, LONG = 6, 14
SAMPLING = {"seed": 3, "steps": 4, "cfg": 7.5, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
SETTINGS = "ADE_AnimateDiffSamplingSettings"
STATIC = "ADE_StandardStaticContextOptions"


@dataclass(frozen=True)
class Case:
    """A graph of that pack, whose sampler is node 7."""

    name: str
    graph: Api
    frames: int = FRAMES


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    """A node in the API format."""
    return {"class_type": kind, "inputs": inputs}


def plain(
    frames: int = FRAMES, model: str = "1", sampling: dict[str, Any] | None = None, **others: Any
) -> Api:
    """A clip of single images, or of what `model` makes of them; `others` take the place of nodes."""
    links = {"model": [model, 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]}
    return {
        "1": node("CheckpointLoaderSimple", ckpt_name=CHECKPOINT),
        "2": node("CLIPTextEncode", clip=["1", 1], text="a red circle moves left"),
        "3": node("CLIPTextEncode", clip=["1", 1], text="a road"),
        "4": node("EmptyLatentImage", width=WIDTH, height=HEIGHT, batch_size=frames),
        SAMPLER: node("KSampler", **links, **{**SAMPLING, **(sampling or {})}),
        "8": node("SaveLatent", samples=[SAMPLER, 0], filename_prefix="out"),
        **others,
    }


def gen1(file: str = "v3", frames: int = FRAMES, loader: Any = (), **others: Any) -> Api:
    """The loader of the first generation, with further inputs and nodes."""
    made = node(
        "ADE_AnimateDiffLoaderGen1",
        model=["1", 0],
        model_name=f"{file}.safetensors",
        beta_schedule="autoselect",
        **dict(loader),
    )
    return plain(frames, "10", **{"10": made}, **others)


def gen2(file: str = "v3", frames: int = FRAMES, apply: Any = (), use: Any = (), **others: Any) -> Api:
    """Load, Apply (Advanced) and Use Evolved Sampling, with further inputs and nodes."""
    made = {
        "30": node("ADE_LoadAnimateDiffModel", model_name=f"{file}.safetensors"),
        "31": node("ADE_ApplyAnimateDiffModel", motion_model=["30", 0], start_percent=0.0, end_percent=1.0),
        "32": node("ADE_UseEvolvedSampling", model=["1", 0], m_models=["31", 0], beta_schedule="autoselect"),
    }
    made["31"]["inputs"] |= dict(apply)
    made["32"]["inputs"] |= dict(use)
    return plain(frames, "32", **made, **others)


def settings(frames: int = FRAMES, others: Any = (), **inputs: Any) -> Api:
    """Sample settings on the second generation."""
    defaults = {"batch_offset": 0, "noise_type": "default", "seed_gen": "comfy", "seed_offset": 0}
    made = node(SETTINGS, **{**defaults, **inputs})
    return gen2("v3", frames, (), {"sample_settings": ["60", 0]}, **{"60": made}, **dict(others))


def windows(kind: str, frames: int = LONG, others: Any = (), **inputs: Any) -> Api:
    """Context options on the second generation."""
    made = node(kind, **{"context_length": 6, "start_percent": 0.0, "guarantee_steps": 1, **inputs})
    return gen2("v3", frames, (), {"context_options": ["70", 0]}, **{"70": made}, **dict(others))


LIST = {"52": node("ADE_ValueScheduling", values="0 = 0.4, 5 = 1.6", print_schedule=False, max_length=FRAMES)}
HALF = {
    "53": node("SolidMask", value=0.0, width=WIDTH, height=HEIGHT),
    "54": node("SolidMask", value=1.0, width=WIDTH // 2, height=HEIGHT),
    "55": node("MaskComposite", destination=["53", 0], source=["54", 0], x=16, y=0, operation="add"),
}
VALUES: dict[str, Api] = {
    "a number": {"50": node("ADE_MultivalDynamic", float_val=0.7)},
    "a list": {"50": node("ADE_MultivalDynamicFloatInput", float_val=["52", 0]), **LIST},
    "a list of FLOATS": {"50": node("ADE_MultivalDynamicFloats", floats=["52", 1]), **LIST},
    "a mask": {"50": node("ADE_MultivalDynamic", float_val=1.3, mask_optional=["55", 0]), **HALF},
    "a list and a mask": {
        "50": node("ADE_MultivalDynamicFloatInput", float_val=["52", 0], mask_optional=["55", 0]),
        **LIST,
        **HALF,
    },
    "a scaled mask": {
        "50": node(
            "ADE_MultivalScaledMask", min_float_val=0.4, max_float_val=1.5, mask=["55", 0], scaling="absolute"
        ),
        **HALF,
    },
}
