"""Loaders of motion models and LoRAs, of both generations: Load Temporal Layers and what follows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..graph import GraphNode, Link
from ..work import Work
from .animated import animated, with_image
from .context import context_of, longer_clips, v1_windows, with_windows
from .settings import schedule_of, with_settings
from .strength import with_strength

SCHEDULES = {
    "autoselect": "as AnimateDiff-Evolved",
    "use existing": "checkpoint",
    "sqrt_linear": "sqrt_linear",
    "linear": "linear",
    "linear (AnimateDiff-SDXL)": "linear_sdxl",
    "linear (HotshotXL/default)": "linear",
    "avg(sqrt_linear,linear)": "average",
    "lcm avg(sqrt_linear,linear)": "lcm_average_50",
    "lcm": "lcm_linear_50",
    "lcm[100_ots]": "lcm_linear",
    "lcm[25_ots]": "lcm_linear_25",
    "lcm >> sqrt_linear": "lcm_sqrt_linear_50",
    "sqrt": "sqrt",
    "cosine": "cosine",
    "squaredcos_cap_v2": "squaredcos_cap_v2",
}
OLD_NORMS, ALL_NORMS = "as AnimateDiff-Evolved", "over the clip"
LOADS = ("ADE_LoadAnimateDiffModel", "ADE_LoadAnimateLCMI2VModel", "ADE_LoadAnimateDiffModelWithCameraCtrl")
INJECTIONS = {
    "ADE_InjectI2VIntoAnimateDiffModel": "AnimateLCM-I2V",
    "ADE_InjectPIAIntoAnimateDiffModel": "PIA",
}
CAMERA = (
    "CameraCtrl is not carried over: the motion model moves without it. Use Load Motion LoRA with a "
    "LoRA for zoom, pan, tilt or roll."
)


@dataclass(frozen=True)
class Loading:
    """One motion model of an old graph.

    The old node that loads it, the one that applies it, its file, betas and part of the sampling.
    """

    loader: GraphNode
    apply: GraphNode
    schedule: str
    norms: str = OLD_NORMS
    longer: str = "refuse"
    layers: str = "all"
    scale: Any = None


def schedule_named(work: Work, node: GraphNode) -> str:
    """Our name of the noise schedule that a loader has, or that its sample settings have instead."""
    named = schedule_of(work, work.option(node, "sample_settings"))
    if named is not None:
        work.became(named, "schedule of Load Temporal Layers")
    node = named or node
    name = str(work.fixed(node, "beta_schedule"))
    bare = name.split(" (")[0]
    known = SCHEDULES.get(name, SCHEDULES.get(bare))
    if known is None:
        work.differs(
            node,
            f"the noise schedule {name!r} is not known; the one that the layers were trained with is used.",
        )
    return known or "auto"


def load(work: Work, model: Link | None, part: Loading) -> Link:
    """The MODEL with one motion model, its LoRAs, strength and motion."""
    loaded = work.add(
        "VLDM_LoadTemporalLayers",
        part.loader,
        model=model,
        file=work.given(part.loader, "model_name"),
        schedule=part.schedule,
        start_percent=work.given(part.apply, "start_percent") or 0.0,
        end_percent=_or(work.given(part.apply, "end_percent"), 1.0),
        longer_clips=part.longer,
        norms=part.norms,
    )
    loras = work.chain(work.option(part.apply, "motion_lora"), "prev_motion_lora")
    for lora in loras:
        work.became(lora, "Load Motion LoRA")
        loaded = work.add(
            "VLDM_LoadMotionLoRA",
            lora,
            model=loaded,
            file=work.given(lora, "name"),
            strength=work.given(lora, "strength"),
        )
    if loras and part.layers != "all":
        work.differs(
            part.apply,
            "its motion LoRAs also change the motion models before it in the chain, where they fit.",
        )
    loaded = _with_settings_of_model(work, loaded, part)
    return with_strength(work, loaded, part.apply, part.layers, part.scale)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _with_settings_of_model(work: Work, model: Link, part: Loading) -> Link:
    """Take over that pack's motion model settings, of both generations."""
    settings = work.option(part.loader, "ad_settings")
    if settings is None:
        return model
    for name in ("pe_adjust", "weight_adjust"):
        adjust = work.option(settings, name)
        if adjust is not None:
            work.chain(adjust, f"prev_{name}")
    changed = [
        name
        for name, value in settings.inputs.items()
        if (name.endswith("_strength") and value != 1)
        or (name.startswith(("motion_pe", "cap_", "interpolate_pe")) and value)
    ]
    if changed or settings.type == "ADE_AnimateDiffSettings":
        work.lost(
            settings,
            "changed weights and stretched positions are not carried over. Use strength and motion of "
            "Motion Strength, or longer_clips squeeze of Load Temporal Layers.",
        )
    mask = settings.inputs.get("mask_motion_scale")
    if not isinstance(mask, Link):
        return model
    work.became(settings, "Motion Strength with its mask")
    return work.add(
        "VLDM_MotionStrength",
        settings,
        model=model,
        motion=work.given(settings, "max_motion_scale"),
        motion_outside=work.given(settings, "min_motion_scale"),
        motion_mask=mask,
        layers=part.layers,
    )


def gen1(work: Work, node: GraphNode) -> None:
    """A loader that does everything."""
    context = context_of(work, node)
    norms = ALL_NORMS if work.fixed(node, "apply_v2_models_properly") is False else OLD_NORMS
    part = Loading(
        node,
        node,
        schedule_named(work, node),
        norms,
        longer_clips(context),
        scale=work.given(node, "motion_scale"),
    )
    work.became(node, "Load Temporal Layers")
    model = load(work, _link(node.inputs.get("model")), part)
    model = with_windows(work, model, context)
    work.replace(node, with_settings(work, model, work.option(node, "sample_settings")))


def v1(work: Work, node: GraphNode) -> None:
    """The oldest loaders, which also hand on the latents."""
    work.became(node, "Load Temporal Layers")
    model = load(work, _link(node.inputs.get("model")), Loading(node, node, schedule_named(work, node)))
    if node.type == "ADE_AnimateDiffLoaderV1Advanced" and work.given(node, "context_length"):
        model = v1_windows(work, model, node)
    work.replace(node, model, _link(node.inputs.get("latents")))


def _link(value: Any) -> Link | None:
    return value if isinstance(value, Link) else None


def gen2(work: Work, node: GraphNode) -> None:
    """Use Evolved Sampling: the end of Load and Apply nodes."""
    model, schedule = _link(node.inputs.get("model")), schedule_named(work, node)
    context, image = context_of(work, node), None
    for number, apply in enumerate(work.chain(work.option(node, "m_models"), "prev_m_models")):
        loader = _loader(work, apply)
        if loader is None:
            work.lost(apply, "no motion model is connected to it.")
            continue
        work.became(apply, "Load Temporal Layers")
        layers = "last loaded" if number else "all"
        part = Loading(loader, apply, schedule, longer=longer_clips(context), layers=layers)
        model = load(work, model, part)
        if apply.type.endswith("CameraCtrl"):
            work.option(apply, "cameractrl_poses")
            work.lost(apply, CAMERA)
        found = animated(work, apply)
        if found is not None:
            model, image = found.moved(work, model), found
    model = with_windows(work, model, context)
    settings = work.option(node, "sample_settings")
    model = with_settings(work, model, settings)
    if model is not None and model == _link(node.inputs.get("model")):
        work.became(node, "nothing: there was nothing to add to the model")
    else:
        work.became(node, "the line of nodes that ends here")
    work.replace(node, model)
    if image is not None and model is not None:
        with_image(work, model, image)


def _loader(work: Work, apply: GraphNode) -> GraphNode | None:
    loader = work.option(apply, "motion_model")
    while loader is not None and loader.type in INJECTIONS:
        family = INJECTIONS[loader.type]
        work.lost(
            loader,
            f"parts of {family} cannot be put into another motion model. Load the {family} file itself in "
            "Load Temporal Layers.",
        )
        loader = work.option(loader, "motion_model")
    return loader if loader is not None and loader.type in LOADS else None


def unload(work: Work, node: GraphNode) -> None:
    """A node that took the motion model off: the MODEL that was there before it."""
    source, _ = work.source(node.inputs.get("model"))
    work.lost(
        node,
        "motion models cannot be taken off a MODEL. It is left out; connect what follows to the model "
        f"before Load Temporal Layers{'' if source is None else f', not to {source.title()}'}.",
    )
    work.replace(node, _link(node.inputs.get("model")))


def checkpoint(work: Work, node: GraphNode) -> None:
    """Load Checkpoint with Noise Select: the host's loader.

    The schedule is that of the temporal layers behind it.
    """
    if work.fixed(node, "beta_schedule") != "use existing" and not work.loads_motion:
        work.differs(
            node,
            "the noise schedule is set by Load Temporal Layers, not by the checkpoint; without one the "
            "checkpoint's own is used.",
        )
    if work.fixed(node, "use_custom_scale_factor"):
        work.differs(node, "a scale factor of one's own is not carried over; the checkpoint's is used.")
    work.became(node, "Load Checkpoint")
    made = work.add("CheckpointLoaderSimple", node, ckpt_name=work.given(node, "ckpt_name"))
    work.replace(node, made, Link(made.node, 1), Link(made.node, 2))


def empty_latent(work: Work, node: GraphNode) -> None:
    """A large batch of empty latents."""
    sizes = {name: work.given(node, name) for name in ("width", "height", "batch_size")}
    work.became(node, "Empty Latent Image")
    if isinstance(sizes["batch_size"], int) and sizes["batch_size"] > 4096:
        work.differs(
            node, f"{sizes['batch_size']} frames are more than Empty Latent Image makes; it is 4096 now."
        )
        sizes["batch_size"] = 4096
    work.replace(node, work.add("EmptyLatentImage", node, **sizes))
