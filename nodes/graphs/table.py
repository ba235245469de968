"""Every node of AnimateDiff-Evolved, and those of other packs that its graphs need.

What becomes of it, and how well.
"""

from __future__ import annotations

from dataclasses import dataclass

EXACT, CLOSE, REFUSED = "exactly", "approximately", "not carried over"


@dataclass(frozen=True)
class Row:
    """Outcome for an old node.

    How well it is converted, what it is now, and what differs or what to use instead.
    """

    how: str
    becomes: str
    note: str = ""


LAYERS, LORA, STRENGTH = "Load Temporal Layers", "Load Motion LoRA", "Motion Strength"
WINDOWS, NOISE, GUIDANCE = "Video Windows", "Initial Noise", "Guidance Schedule"
PROMPTS, VALUES, FILM = "Prompt Schedule", "Value Schedule", "Render Video"
HOOKS = "the host's own node for the same"
CAMERA = Row(REFUSED, "", "CameraCtrl. Use Load Motion LoRA with a LoRA for zoom, pan, tilt or roll.")
REFERENCE = Row(
    REFUSED,
    "",
    "ContextRef and NaiveReuse. Use repeated_noise of Video Windows, or keyframes and Latent Interpolate.",
)
BLOCKS = Row(
    REFUSED,
    "",
    "Settings of single blocks, which that pack lost on the way. Use alpha_by_level of Load Temporal Layers.",
)
WEIGHTS = Row(REFUSED, "", "Changed weights. Use strength and motion of Motion Strength.")
POSITIONS = Row(REFUSED, "", "Stretched positions. Use longer_clips squeeze of Load Temporal Layers.")
LAYERED = Row(REFUSED, "", "Layers of noise. Use Initial Noise, or noise_type of Video KSampler.")
SIGMAS = Row(REFUSED, "", "Noise schedules made of others. Use schedule of Load Temporal Layers.")
INJECTION = Row(
    REFUSED,
    "",
    "Images put in during the sampling. Use Known Frames, or sample in two parts with KSampler (Advanced).",
)
VIEWS = Row(REFUSED, "", "Windows inside the layers. Use longer_clips convolve of Load Temporal Layers.")
PICTURE = Row(REFUSED, "", "A picture of the windows. Video Windows says in its help where windows lie.")
SETTINGS = Row(
    CLOSE, STRENGTH, "Its mask becomes Motion Strength; changed weights and stretched positions are left out."
)
MULTIVAL = Row(EXACT, "inputs of the node it was connected to")
STEPS = "Guarantee_steps has no equal."

_GROUPS: tuple[tuple[Row, str], ...] = (
    (
        Row(EXACT, LAYERS, "With LoRAs, windows and settings as further nodes."),
        "ADE_AnimateDiffLoaderGen1 ADE_AnimateDiffLoaderWithContext AnimateDiffLoaderV1 "
        "ADE_AnimateDiffLoaderV1Advanced",
    ),
    (
        Row(EXACT, LAYERS),
        "ADE_LoadAnimateDiffModel ADE_LoadAnimateLCMI2VModel ADE_ApplyAnimateDiffModel "
        "ADE_ApplyAnimateDiffModelSimple",
    ),
    (Row(EXACT, "the end of a line of nodes"), "ADE_UseEvolvedSampling"),
    (Row(EXACT, LORA), "ADE_AnimateDiffLoRALoader"),
    (
        Row(
            CLOSE,
            "Load Temporal Layers, Known Frames, Image Motion, Video KSampler",
            "The first frame comes out as given, exactly.",
        ),
        "ADE_ApplyAnimateDiffModelWithPIA ADE_ApplyAnimateLCMI2VModel",
    ),
    (
        Row(CLOSE, "Image Motion", "Values that change from frame to frame are left out."),
        "ADE_InputPIA_Multival",
    ),
    (Row(EXACT, "Image Motion"), "ADE_InputPIA_PaperPresets"),
    (
        Row(CLOSE, "Upscale Image, VAE Encode", "Scaled where the size of the clip is written in its node."),
        "ADE_UpscaleAndVAEEncode",
    ),
    (
        Row(
            REFUSED,
            LAYERS,
            "Parts of one motion model in another. Load the file of PIA or AnimateLCM-I2V itself.",
        ),
        "ADE_InjectI2VIntoAnimateDiffModel ADE_InjectPIAIntoAnimateDiffModel",
    ),
    (
        Row(
            CLOSE, LAYERS, "Without CameraCtrl. Use Load Motion LoRA with a LoRA for zoom, pan, tilt or roll."
        ),
        "ADE_LoadAnimateDiffModelWithCameraCtrl ADE_ApplyAnimateDiffModelWithCameraCtrl",
    ),
    (
        CAMERA,
        "ADE_CameraManualPoseAppend ADE_CameraPoseAdvanced ADE_CameraPoseBasic ADE_CameraPoseCombo "
        "ADE_LoadCameraPoses ADE_LoadCameraPosesFromPath ADE_ReplaceCameraParameters "
        "ADE_ReplaceOriginalPoseAspectRatio",
    ),
    (
        Row(
            REFUSED,
            "",
            "Motion models cannot be taken off. Connect to the model before Load Temporal Layers.",
        ),
        "ADE_AnimateDiffUnload",
    ),
    (MULTIVAL, "ADE_MultivalDynamic ADE_MultivalDynamicFloatInput ADE_MultivalDynamicFloats"),
    (Row(CLOSE, MULTIVAL.becomes, "Scaling relative: the mask is taken as it is."), "ADE_MultivalScaledMask"),
    (Row(REFUSED, "", "Connect the mask itself."), "ADE_MultivalConvertToMask"),
    (Row(EXACT, "nothing; lists need no other type"), "ADE_FloatToFloats"),
    (Row(CLOSE, STRENGTH, STEPS), "ADE_AnimateDiffKeyframe"),
    (
        Row(CLOSE, STRENGTH, f"{STEPS} PIA's motion and CameraCtrl do not change."),
        "ADE_PIA_AnimateDiffKeyframe",
    ),
    (Row(CLOSE, STRENGTH, f"{STEPS} Without CameraCtrl."), "ADE_CameraCtrlAnimateDiffKeyframe"),
    (
        SETTINGS,
        "ADE_AnimateDiffModelSettings ADE_AnimateDiffModelSettingsAdvancedAttnStrengths "
        "ADE_AnimateDiffModelSettingsSimple ADE_AnimateDiffModelSettings_Release",
    ),
    (
        WEIGHTS,
        "ADE_AnimateDiffSettings ADE_AdjustWeightAllAdd ADE_AdjustWeightAllMult ADE_AdjustWeightIndivAdd "
        "ADE_AdjustWeightIndivAttnAdd ADE_AdjustWeightIndivAttnMult ADE_AdjustWeightIndivMult",
    ),
    (POSITIONS, "ADE_AdjustPEFullStretch ADE_AdjustPEManual ADE_AdjustPESweetspotStretch"),
    (
        BLOCKS,
        "ADE_ADBlockCombo ADE_ADBlockIndiv ADE_PerBlockHighLevel ADE_PerBlock_SD15_FromFloats "
        "ADE_PerBlock_SD15_LowLevel ADE_PerBlock_SD15_MidLevel ADE_PerBlock_SDXL_FromFloats "
        "ADE_PerBlock_SDXL_LowLevel ADE_PerBlock_SDXL_MidLevel",
    ),
    (
        Row(
            CLOSE,
            WINDOWS,
            "Experimental fuse methods become pyramid; windows do not change between steps; no views "
            "inside them.",
        ),
        "ADE_AnimateDiffUniformContextOptions ADE_LoopedUniformContextOptions "
        "ADE_StandardUniformContextOptions ADE_StandardStaticContextOptions",
    ),
    (Row(EXACT, WINDOWS), "ADE_BatchedContextOptions"),
    (
        VIEWS,
        "ADE_ViewsOnlyContextOptions ADE_LoopedUniformViewOptions ADE_StandardStaticViewOptions "
        "ADE_StandardUniformViewOptions",
    ),
    (
        REFERENCE,
        "ADE_ContextExtras_Set ADE_ContextExtras_ContextRef ADE_ContextExtras_ContextRef_Keyframe "
        "ADE_ContextExtras_ContextRef_KeyframeFromList ADE_ContextExtras_ContextRef_KeyframeInterpolation "
        "ADE_ContextExtras_ContextRef_ModeFirst ADE_ContextExtras_ContextRef_ModeIndexes "
        "ADE_ContextExtras_ContextRef_ModeSliding ADE_ContextExtras_ContextRef_TuneAttn "
        "ADE_ContextExtras_ContextRef_TuneAttnAdain ADE_ContextExtras_NaiveReuse "
        "ADE_ContextExtras_NaiveReuse_Keyframe ADE_ContextExtras_NaiveReuse_KeyframeFromList "
        "ADE_ContextExtras_NaiveReuse_KeyframeInterpolation",
    ),
    (
        PICTURE,
        "ADE_VisualizeContextOptionsK ADE_VisualizeContextOptionsKAdv ADE_VisualizeContextOptionsSCustom",
    ),
    (
        Row(
            CLOSE,
            f"{NOISE}, {GUIDANCE}",
            "Without noise layers, image injection, ancestral options, seed_override; noise on the CPU.",
        ),
        "ADE_AnimateDiffSamplingSettings",
    ),
    (
        Row(CLOSE, NOISE, "Always from the noisiest step; DinkInit_v1 is FreeInit."),
        "ADE_IterationOptsFreeInit",
    ),
    (
        Row(
            REFUSED,
            "",
            "Sampling again from the result. Chain two samplers, the second with denoise below 1.",
        ),
        "ADE_IterationOptsDefault",
    ),
    (
        LAYERED,
        "ADE_NoiseLayerAdd ADE_NoiseLayerAddWeighted ADE_NoiseLayerNormalizedSum ADE_NoiseLayerReplace",
    ),
    (
        Row(REFUSED, "", "Options of ancestral noise. The sampler's own noise is used."),
        "ADE_AncestralOptions",
    ),
    (INJECTION, "ADE_NoisedImageInjection ADE_NoisedImageInjectOptions"),
    (Row(EXACT, GUIDANCE), "ADE_CustomCFG ADE_CustomCFGSimple"),
    (Row(CLOSE, GUIDANCE, STEPS), "ADE_CustomCFGKeyframe ADE_CustomCFGKeyframeSimple"),
    (Row(CLOSE, GUIDANCE, "Along a straight line."), "ADE_CustomCFGKeyframeInterpolation"),
    (
        Row(REFUSED, "", "Guidance from a list over the steps. Use cfg and cfg_end of Guidance Schedule."),
        "ADE_CustomCFGKeyframeFromList",
    ),
    (
        Row(CLOSE, "RescaleCFG", "One number for all frames and steps."),
        "ADE_CFGExtrasRescaleCFG ADE_CFGExtrasRescaleCFGSimple ADE_RescaleCFGMultival",
    ),
    (
        Row(CLOSE, "PerturbedAttentionGuidance", "One number for all frames and steps."),
        "ADE_CFGExtrasPAG ADE_CFGExtrasPAGSimple ADE_PerturbedAttentionGuidanceMultival",
    ),
    (Row(EXACT, f"schedule of {LAYERS}"), "ADE_SigmaSchedule"),
    (
        SIGMAS,
        "ADE_RawSigmaSchedule ADE_SigmaScheduleSplitAndCombine ADE_SigmaScheduleToSigmas "
        "ADE_SigmaScheduleWeightedAverage ADE_SigmaScheduleWeightedAverageInterp",
    ),
    (
        Row(CLOSE, PROMPTS, "Along a straight line, where that pack's weights ran ahead of it."),
        "ADE_PromptScheduling ADE_PromptSchedulingLatents",
    ),
    (Row(EXACT, f"inputs of {PROMPTS}"), "ADE_ValuesReplace"),
    (Row(EXACT, VALUES), "ADE_ValueScheduling ADE_ValueSchedulingLatents"),
    (
        Row(REFUSED, "", "One frame of a schedule. Write that prompt into CLIP Text Encode."),
        "ADE_ConditionExtraction",
    ),
    (
        Row(
            CLOSE,
            "Load Checkpoint",
            "The noise schedule is that of Load Temporal Layers; no scale factor of one's own.",
        ),
        "CheckpointLoaderSimpleWithNoiseSelect",
    ),
    (Row(EXACT, "Empty Latent Image", "Up to 4096 frames."), "ADE_EmptyLatentImageLarge"),
    (Row(CLOSE, FILM, "Video files play once; the film is always kept."), "ADE_AnimateDiffCombine"),
    (
        Row(EXACT, HOOKS),
        "ADE_RegisterLoraHook ADE_RegisterLoraHookModelOnly ADE_RegisterModelAsLoraHook "
        "ADE_RegisterModelAsLoraHookModelOnly ADE_SetLoraHookKeyframe ADE_LoraHookKeyframeInterpolation "
        "ADE_CombineLoraHooks ADE_CombineLoraHooksFour ADE_CombineLoraHooksEight ADE_AttachLoraHookToCLIP "
        "ADE_AttachLoraHookToConditioning ADE_ConditioningCombine ADE_ConditioningSetMask "
        "ADE_ConditioningSetMaskAndCombine ADE_ConditioningSetUnmaskedAndCombine "
        "ADE_PairedConditioningCombine ADE_PairedConditioningSetMask "
        "ADE_PairedConditioningSetMaskAndCombine ADE_PairedConditioningSetUnmaskedAndCombine "
        "ADE_TimestepsConditioning",
    ),
    (Row(CLOSE, HOOKS, STEPS), "ADE_LoraHookKeyframe"),
    (
        Row(REFUSED, "", "Strengths from a list. Use Create Hook Keyframes Interp. of the host."),
        "ADE_LoraHookKeyframeFromStrengthList",
    ),
)
OLD_NODES: dict[str, Row] = {name: row for row, names in _GROUPS for name in names.split()}

# Nodes of FizzNodes and VideoHelperSuite, converted only where their packs are missing.
NEIGHBOURS: dict[str, Row] = {
    "BatchPromptSchedule": Row(EXACT, PROMPTS),
    "BatchPromptScheduleLatentInput": Row(EXACT, PROMPTS),
    "BatchValueSchedule": Row(EXACT, VALUES),
    "BatchValueScheduleLatentInput": Row(EXACT, VALUES),
    "VHS_VideoCombine": Row(CLOSE, FILM, "Its format, crf, frame rate, prefix, pingpong and sound."),
}


def table_text() -> str:
    """Every node and what becomes of it, as a Markdown table; those alike share a line."""
    lines: dict[Row, list[str]] = {}
    for name, row in {**OLD_NODES, **NEIGHBOURS}.items():
        lines.setdefault(row, []).append(f"`{name}`")
    head = ["| its nodes | how | ours | what differs, or what to use |", "|---|---|---|---|"]
    body = [
        f"| {', '.join(names)} | {row.how} | {row.becomes or '-'} | {row.note} |"
        for row, names in lines.items()
    ]
    return "\n".join([*head, *body])
