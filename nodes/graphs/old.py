"""Widgets of the nodes that are converted, in the order in which graphs store their values, with defaults.

A graph names links but not values. Old graphs hold fewer values than here; a widget that became a socket
keeps its place.
"""

from __future__ import annotations

import json
from typing import Any

SEEDS = ("seed", "noise_seed")  # followed by what happens to them after a run

WIDGETS = """
ADE_AnimateDiffLoaderGen1: model_name="" | beta_schedule="autoselect"
ADE_AnimateDiffLoaderWithContext: model_name="" | beta_schedule="autoselect" | motion_scale=1.0 |
    apply_v2_models_properly=true
ADE_AnimateDiffLoaderV1Advanced: model_name="" | unlimited_area_hack=false | context_length=16 |
    context_stride=1 | context_overlap=4 | context_schedule="uniform" | closed_loop=false |
    beta_schedule="sqrt_linear (AnimateDiff)"
AnimateDiffLoaderV1: model_name="" | unlimited_area_hack=false | beta_schedule="sqrt_linear (AnimateDiff)"
ADE_LoadAnimateDiffModel: model_name=""
ADE_LoadAnimateLCMI2VModel: model_name=""
ADE_LoadAnimateDiffModelWithCameraCtrl: model_name="" | camera_ctrl=""
ADE_InjectI2VIntoAnimateDiffModel: model_name=""
ADE_InjectPIAIntoAnimateDiffModel: model_name=""
ADE_ApplyAnimateDiffModel: start_percent=0.0 | end_percent=1.0
ADE_ApplyAnimateDiffModelWithPIA: start_percent=0.0 | end_percent=1.0
ADE_ApplyAnimateLCMI2VModel: ref_drift=0.0 | apply_ref_when_disabled=false | start_percent=0.0 |
    end_percent=1.0
ADE_ApplyAnimateDiffModelWithCameraCtrl: start_percent=0.0 | end_percent=1.0
ADE_UseEvolvedSampling: beta_schedule="autoselect"
ADE_AnimateDiffLoRALoader: name="" | strength=1.0
ADE_AnimateDiffModelSettings_Release: min_motion_scale=1.0 | max_motion_scale=1.0
ADE_AnimateDiffModelSettingsSimple: motion_pe_stretch=0 | min_motion_scale=1.0 | max_motion_scale=1.0
ADE_AnimateDiffModelSettings: pe_strength=1.0 | attn_strength=1.0 | other_strength=1.0 |
    motion_pe_stretch=0 | cap_initial_pe_length=0 | interpolate_pe_to_length=0 | initial_pe_idx_offset=0 |
    final_pe_idx_offset=0 | min_motion_scale=1.0 | max_motion_scale=1.0
ADE_AnimateDiffModelSettingsAdvancedAttnStrengths: pe_strength=1.0 | attn_strength=1.0 |
    attn_q_strength=1.0 | attn_k_strength=1.0 | attn_v_strength=1.0 | attn_out_weight_strength=1.0 |
    attn_out_bias_strength=1.0 | other_strength=1.0 | motion_pe_stretch=0 | cap_initial_pe_length=0 |
    interpolate_pe_to_length=0 | initial_pe_idx_offset=0 | final_pe_idx_offset=0 | min_motion_scale=1.0 |
    max_motion_scale=1.0
ADE_AdjustPEFullStretch: pe_stretch=0 | print_adjustment=false
ADE_AnimateDiffUniformContextOptions: context_length=16 | context_stride=1 | context_overlap=4 |
    context_schedule="uniform" | closed_loop=false | fuse_method="flat" | use_on_equal_length=false |
    start_percent=0.0 | guarantee_steps=1
ADE_LoopedUniformContextOptions: context_length=16 | context_stride=1 | context_overlap=4 |
    closed_loop=false | fuse_method="pyramid" | use_on_equal_length=false | start_percent=0.0 |
    guarantee_steps=1
ADE_StandardUniformContextOptions: context_length=16 | context_stride=1 | context_overlap=4 |
    fuse_method="pyramid" | use_on_equal_length=false | start_percent=0.0 | guarantee_steps=1
ADE_StandardStaticContextOptions: context_length=16 | context_overlap=4 | fuse_method="pyramid" |
    use_on_equal_length=false | start_percent=0.0 | guarantee_steps=1
ADE_BatchedContextOptions: context_length=16 | start_percent=0.0 | guarantee_steps=1
ADE_ViewsOnlyContextOptions: start_percent=0.0 | guarantee_steps=1
ADE_AnimateDiffSamplingSettings: batch_offset=0 | noise_type="default" | seed_gen="comfy" | seed_offset=0 |
    adapt_denoise_steps=false
ADE_IterationOptsDefault: iterations=1 | iter_batch_offset=0 | iter_seed_offset=0
ADE_IterationOptsFreeInit: iterations=2 | filter="gaussian" | d_s=0.25 | d_t=0.25 | n_butterworth=4 |
    sigma_step=999 | apply_to_1st_iter=false | init_type="FreeInit [sampler sigma]" | iter_batch_offset=0 |
    iter_seed_offset=1
ADE_CustomCFGSimple: cfg=8.0
ADE_CustomCFGKeyframe: start_percent=0.0 | guarantee_steps=1
ADE_CustomCFGKeyframeSimple: cfg=8.0 | start_percent=0.0 | guarantee_steps=1
ADE_CustomCFGKeyframeInterpolation: start_percent=0.0 | end_percent=1.0 | cfg_start=8.0 | cfg_end=8.0 |
    interpolation="linear" | intervals=50 | print_keyframes=false
ADE_CustomCFGKeyframeFromList: start_percent=0.0 | end_percent=1.0 | print_keyframes=false
ADE_CFGExtrasPAGSimple: scale=3.0
ADE_CFGExtrasRescaleCFGSimple: multiplier=0.7
ADE_SigmaSchedule: beta_schedule="sqrt_linear (AnimateDiff)"
ADE_MultivalDynamic: float_val=1.0
ADE_MultivalScaledMask: min_float_val=0.0 | max_float_val=1.0 | scaling="absolute"
ADE_AnimateDiffKeyframe: start_percent=0.0 | inherit_missing=true | guarantee_steps=1
ADE_PIA_AnimateDiffKeyframe: start_percent=0.0 | inherit_missing=true | guarantee_steps=1
ADE_CameraCtrlAnimateDiffKeyframe: start_percent=0.0 | inherit_missing=true | guarantee_steps=1
ADE_InputPIA_PaperPresets: preset="Animation (Small Motion)" | batch_index=0 | print_values=false
ADE_PromptScheduling: prompts="" | print_schedule=false | max_length=0 | tensor_interp="lerp"
ADE_PromptSchedulingLatents: prompts="" | print_schedule=false | tensor_interp="lerp"
ADE_ValueScheduling: values="" | print_schedule=false | max_length=0
ADE_ValueSchedulingLatents: values="" | print_schedule=false
ADE_ValuesReplace: value_key=""
ADE_ConditionExtraction: index=0
CheckpointLoaderSimpleWithNoiseSelect: ckpt_name="" | beta_schedule="use existing" |
    use_custom_scale_factor=false | scale_factor=0.18215
ADE_EmptyLatentImageLarge: width=512 | height=512 | batch_size=1
ADE_UpscaleAndVAEEncode: scale_method="nearest-exact" | crop="center"
ADE_AnimateDiffCombine: frame_rate=8 | loop_count=0 | filename_prefix="AnimateDiff" | format="image/gif" |
    pingpong=false | save_image=true
ADE_RegisterLoraHook: lora_name="" | strength_model=1.0 | strength_clip=1.0
ADE_RegisterLoraHookModelOnly: lora_name="" | strength_model=1.0
ADE_RegisterModelAsLoraHook: ckpt_name="" | strength_model=1.0 | strength_clip=1.0
ADE_RegisterModelAsLoraHookModelOnly: ckpt_name="" | strength_model=1.0
ADE_LoraHookKeyframe: strength_model=1.0 | start_percent=0.0 | guarantee_steps=1
ADE_LoraHookKeyframeFromStrengthList: start_percent=0.0 | end_percent=1.0 | print_keyframes=false
ADE_LoraHookKeyframeInterpolation: start_percent=0.0 | end_percent=1.0 | strength_start=1.0 |
    strength_end=1.0 | interpolation="linear" | intervals=5 | print_keyframes=false
ADE_ConditioningSetMask: strength=1.0 | set_cond_area="default"
ADE_ConditioningSetMaskAndCombine: strength=1.0 | set_cond_area="default"
ADE_PairedConditioningSetMask: strength=1.0 | set_cond_area="default"
ADE_PairedConditioningSetMaskAndCombine: strength=1.0 | set_cond_area="default"
ADE_TimestepsConditioning: start_percent=0.0 | end_percent=1.0
BatchPromptSchedule: text="" | max_frames=120
BatchPromptScheduleLatentInput: text=""
BatchValueSchedule: text="" | max_frames=120 | print_output=false
BatchValueScheduleLatentInput: text="" | print_output=false
VHS_VideoCombine: frame_rate=8 | loop_count=0 | filename_prefix="AnimateDiff" | format="image/gif" |
    pingpong=false | save_output=true
KSampler: seed=0 | steps=20 | cfg=8.0 | sampler_name="euler" | scheduler="normal" | denoise=1.0
"""


def _parsed(text: str) -> dict[str, dict[str, Any]]:
    """Name and default of each widget by node."""
    table = {}
    for line in text.strip().replace("|\n    ", "| ").splitlines():
        node, _, widgets = line.partition(": ")
        pairs = (widget.split("=", 1) for widget in widgets.split(" | "))
        table[node] = {name: json.loads(default) for name, default in pairs}
    return table


OLD_WIDGETS = _parsed(WIDGETS)


FIZZ_PROMPTS = ("BatchPromptSchedule", "BatchPromptScheduleLatentInput")
FIZZ_TEXTS, FIZZ_NUMBERS = ("pre_text", "app_text"), ("pw_a", "pw_b", "pw_c", "pw_d")


def _further_of_fizz(values: list[Any]) -> dict[str, Any]:
    """Texts and numbers of FizzNodes' prompts, which were widgets once.

    Two texts, and four numbers at the end.
    """
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    found: dict[str, Any] = (
        dict(zip(FIZZ_TEXTS, texts, strict=False)) if len(texts) >= len(FIZZ_TEXTS) else {}
    )
    if len(numbers) >= len(FIZZ_NUMBERS):
        found |= zip(FIZZ_NUMBERS, numbers[-len(FIZZ_NUMBERS) :], strict=True)
    return found


def named_values(node_type: str, values: Any) -> tuple[dict[str, Any], int]:
    """Values of a node's widgets by name, and how many more there are than the node is known to have."""
    if isinstance(values, dict):
        return dict(values), 0
    if node_type not in OLD_WIDGETS or not isinstance(values, list):
        return {}, 0
    names: list[str | None] = []
    for name in OLD_WIDGETS[node_type]:
        names += [name, None] if name in SEEDS else [name]
    found = {name: value for name, value in zip(names, values, strict=False) if name is not None}
    if node_type in FIZZ_PROMPTS:
        return {**found, **_further_of_fizz(values[len(names) :])}, 0
    return found, max(0, len(values) - len(names))
