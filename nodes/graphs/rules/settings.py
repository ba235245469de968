"""Sample settings: Initial Noise and Guidance Schedule."""

from __future__ import annotations

from typing import Any

from ..graph import GraphNode, Link
from ..work import Work
from .values import Value, multival, plain_number

NOISE_LAYERS = (
    "noise layers are not carried over: the sampling begins with the first noise alone, so it makes "
    "another clip of the same prompt. Initial Noise has one kind of noise; noise_type of Video "
    "KSampler relates frames."
)
SIGMAS = (
    "a noise schedule made of others is not carried over: the one of the loader is used, with which the clip "
    "can be paler or busier. Use schedule of Load Temporal Layers, which also has an average."
)
CFG_NODES = {
    "ADE_CustomCFG": ("cfg_multival", None),
    "ADE_CustomCFGSimple": ("cfg", None),
    "ADE_CustomCFGKeyframe": ("cfg_multival", "start_percent"),
    "ADE_CustomCFGKeyframeSimple": ("cfg", "start_percent"),
}
RAMP = "ADE_CustomCFGKeyframeInterpolation"


def with_settings(work: Work, model: Link | None, settings: GraphNode | None) -> Link | None:
    """The MODEL with the noise and guidance of sample settings."""
    if settings is None:
        return model
    if settings.type != "ADE_AnimateDiffSamplingSettings":
        work.lost(settings, "these sample settings are not understood.")
        return model
    work.became(settings, "Initial Noise and Guidance Schedule, as far as it changes anything")
    _left_out(work, settings)
    model = _with_noise(work, model, settings)
    return _with_guidance(work, model, settings)


def schedule_of(work: Work, settings: GraphNode | None) -> GraphNode | None:
    """The node that names a noise schedule which counts more than the loader's, where there is one."""
    found = None if settings is None else work.option(settings, "sigma_schedule")
    if found is None or found.type == "ADE_SigmaSchedule":
        return found
    work.lost(found, SIGMAS)
    return None


def _left_out(work: Work, settings: GraphNode) -> None:
    for name, sentence in (
        ("noise_layers", NOISE_LAYERS),
        (
            "image_inject",
            "image injection is not carried over: the image does not show in the clip. Use Known Frames, or "
            "sample in two parts with KSampler (Advanced) and put the image in between.",
        ),
        (
            "ancestral_opts",
            "options of ancestral noise are not carried over: ancestral and sde samplers add noise that "
            "is another in every frame; other samplers make the same clip. Use a sampler without noise of "
            "its own, such as euler.",
        ),
        (
            "seed_override",
            "seed_override is not carried over: the clip is that of the sampler's seed. Connect the number "
            "to seed of the sampler.",
        ),
    ):
        if work.option(settings, name) is not None:
            work.lost(settings, sentence)
    if work.fixed(settings, "adapt_denoise_steps"):
        work.differs(settings, "adapt_denoise_steps had no effect in that pack and has none here.")


def _with_noise(work: Work, model: Link | None, settings: GraphNode) -> Link | None:
    kind, seeds = work.fixed(settings, "noise_type"), str(work.fixed(settings, "seed_gen"))
    if "gpu" in seeds:
        work.differs(
            settings,
            "noise is made on the CPU, so that every machine makes the same; that of a GPU is another.",
        )
    inputs = {
        "noise_type": kind,
        "seed_per_frame": seeds.startswith("auto1111"),
        "seed_offset": work.given(settings, "seed_offset"),
        "frame_offset": work.given(settings, "batch_offset"),
        **_rounds(work, work.option(settings, "iteration_opts")),
    }
    defaults = {"noise_type": "default", "seed_per_frame": False, "seed_offset": 0, "frame_offset": 0}
    if inputs == defaults:
        return model
    return work.add("VLDM_InitialNoise", settings, model=model, **inputs)


def _rounds(work: Work, options: GraphNode | None) -> dict[str, Any]:
    """FreeInit."""
    if options is None:
        return {}
    if options.type != "ADE_IterationOptsFreeInit":
        if work.fixed(options, "iterations") != 1:
            work.lost(
                options,
                "sampling again from the result is not carried over: the clip is that of the first round. "
                "Chain two samplers, the second with denoise below 1.",
            )
        return {}
    if work.fixed(options, "init_type") == "DinkInit_v1":
        work.differs(options, "DinkInit_v1 has no equal; the rounds are those of FreeInit.")
    if work.fixed(options, "sigma_step") != 999:
        work.differs(options, "sigma_step is always the noisiest.")
    if work.fixed(options, "iter_batch_offset"):
        work.differs(options, "iter_batch_offset is not carried over; each round has another seed.")
    if work.fixed(options, "apply_to_1st_iter"):
        work.differs(options, "the first round begins with plain noise.")
    if work.fixed(options, "iter_seed_offset") != 1:
        work.differs(options, "each round has the seed after that of the last one.")
    work.became(options, "inputs of Initial Noise")
    names = {
        "rounds": "iterations",
        "filter": "filter",
        "keep_space": "d_s",
        "keep_time": "d_t",
        "sharpness": "n_butterworth",
    }
    return {new: work.given(options, old) for new, old in names.items()}


def _with_guidance(work: Work, model: Link | None, settings: GraphNode) -> Link | None:
    frames = work.chain(work.option(settings, "custom_cfg"), "prev_custom_cfg")
    frames.sort(key=lambda frame: _start(work, frame))
    starts = [_start(work, frame) for frame in frames]
    for frame, start, end in zip(frames, starts, [*starts, 1.0][1:], strict=True):
        model = _extras(work, model, frame)
        inputs = _guidance(work, frame)
        if inputs is None or start >= end:
            continue
        work.became(frame, "Guidance Schedule")
        stop = min(end, float(work.fixed(frame, "end_percent"))) if frame.type == RAMP else end
        model = work.add(
            "VLDM_GuidanceSchedule", frame, model=model, **inputs, start_percent=start, end_percent=stop
        )
        if stop < end:
            rest = {"cfg": inputs["cfg_end"], "start_percent": stop, "end_percent": end}
            model = work.add("VLDM_GuidanceSchedule", frame, model=model, **rest)
    return model


def _start(work: Work, frame: GraphNode) -> float:
    return float(work.fixed(frame, "start_percent") or 0)


def _guidance(work: Work, frame: GraphNode) -> dict[str, Any] | None:
    if frame.type == RAMP:
        if work.fixed(frame, "interpolation") != "linear":
            work.differs(frame, "the guidance follows a straight line between its start and its end.")
        return {"cfg": work.given(frame, "cfg_start"), "cfg_end": work.given(frame, "cfg_end")}
    if frame.type not in CFG_NODES:
        work.lost(
            frame,
            "guidance from a list over the steps is not carried over. Use Guidance Schedule with cfg and "
            "cfg_end.",
        )
        return None
    name, _ = CFG_NODES[frame.type]
    value = multival(work, frame, name) if name == "cfg_multival" else Value(work.given(frame, name))
    if value is None:
        return None
    if value.mask is not None:
        work.differs(frame, "its mask is left out: guidance is the same everywhere in a frame.")
    return {"cfg": value.number}


def _extras(work: Work, model: Link | None, frame: GraphNode) -> Link | None:
    """RescaleCFG and perturbed attention, which the host has for all steps."""
    for extra in work.chain(work.option(frame, "cfg_extras"), "prev_extras"):
        if extra.type.startswith("ADE_CFGExtrasRescaleCFG"):
            simple = extra.type.endswith("Simple")
            number = (
                work.given(extra, "multiplier") if simple else plain_number(work, extra, "mult_multival", 0.7)
            )
            model = work.add("RescaleCFG", extra, model=model, multiplier=number)
            work.became(extra, "RescaleCFG")
        elif extra.type.startswith("ADE_CFGExtrasPAG"):
            simple = extra.type.endswith("Simple")
            number = (
                work.given(extra, "scale") if simple else plain_number(work, extra, "scale_multival", 3.0)
            )
            model = work.add("PerturbedAttentionGuidance", extra, model=model, scale=number)
            work.became(extra, "PerturbedAttentionGuidance")
        else:
            work.lost(extra, "this extra of the guidance is not understood.")
    return model


def rescale(work: Work, node: GraphNode) -> None:
    """RescaleCFG on a model."""
    number = plain_number(work, node, "mult_multival", 0.7)
    work.became(node, "RescaleCFG")
    work.replace(node, work.add("RescaleCFG", node, model=node.inputs.get("model"), multiplier=number))


def perturbed(work: Work, node: GraphNode) -> None:
    """Perturbed attention on a model."""
    number = plain_number(work, node, "scale_multival", 3.0)
    work.became(node, "PerturbedAttentionGuidance")
    made = work.add("PerturbedAttentionGuidance", node, model=node.inputs.get("model"), scale=number)
    work.replace(node, made)
