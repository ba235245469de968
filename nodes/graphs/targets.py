"""Inputs and outputs of the nodes that old graphs are written with: ours, and a few of the host's.

Sockets have a type alone, widgets a default, in the order of the node.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

TEXT = """
VLDM_LoadTemporalLayers: model:MODEL | file:COMBO="" | strength:FLOAT=1.0 | longer_clips:COMBO="refuse" |
    schedule:COMBO="auto" | start_percent:FLOAT=0.0 | end_percent:FLOAT=1.0 | alpha_input:FLOAT=-1.0 |
    alpha_middle:FLOAT=-1.0 | alpha_output:FLOAT=-1.0 | alpha_by_level:STRING="" | norms:COMBO="as trained"
    -> MODEL STRING
VLDM_LoadMotionLoRA: model:MODEL | file:COMBO="" | strength:FLOAT=1.0 -> MODEL STRING
VLDM_MotionStrength: model:MODEL | strength:FLOAT=1.0 | motion:FLOAT=1.0 | strength_mask:MASK |
    motion_mask:MASK | start_percent:FLOAT=0.0 | end_percent:FLOAT=1.0 | layers:COMBO="all" |
    strength_outside:FLOAT=0.0 | motion_outside:FLOAT=0.0 -> MODEL
VLDM_VideoWindows: model:MODEL | context_length:INT=16 | context_overlap:INT=4 | closed_loop:BOOLEAN=false |
    context_schedule:COMBO="standard_static" | fuse_method:COMBO="pyramid" | repeated_noise:BOOLEAN=false |
    context_stride:INT=1 | on_equal_length:BOOLEAN=false -> MODEL
VLDM_InitialNoise: model:MODEL | noise_type:COMBO="default" | rounds:INT=1 | seed_per_frame:BOOLEAN=false |
    seed_offset:INT=0 | frame_offset:INT=0 | filter:COMBO="gaussian" | keep_space:FLOAT=0.25 |
    keep_time:FLOAT=0.25 | sharpness:INT=4 -> MODEL
VLDM_GuidanceSchedule: model:MODEL | cfg:FLOAT=7.5 | cfg_end:FLOAT=0.0 | start_percent:FLOAT=0.0 |
    end_percent:FLOAT=1.0 -> MODEL
VLDM_ValueSchedule: values:STRING="0: 1" | num_frames:INT=16 | interpolation:COMBO="linear" | latent:LATENT
    -> FLOAT INT
VLDM_PromptSchedule: clip:CLIP | prompts:STRING="" | num_frames:INT=16 | interpolation:COMBO="linear" |
    latent:LATENT | before:STRING="" | after:STRING="" | pw_a:FLOAT=0.0 | pw_b:FLOAT=0.0 | pw_c:FLOAT=0.0 |
    pw_d:FLOAT=0.0 -> CONDITIONING CONDITIONING
VLDM_KnownFrames: latent:LATENT | pattern:COMBO="first" | every:INT=4 | indices:STRING="0, -1" | vae:VAE |
    images:IMAGE | images_2:IMAGE | images_3:IMAGE | images_4:IMAGE | given_latents:LATENT -> LATENT IMAGE
VLDM_ImageMotion: model:MODEL | motion:COMBO="small" | affinities:STRING="1, 0.9, 0.85, 0.85, 0.85, 0.8" |
    frame_weight:FLOAT=0.8 -> MODEL
VLDM_VideoKSampler: model:MODEL | positive:CONDITIONING | negative:CONDITIONING | latent_image:LATENT |
    seed:INT=0 | steps:INT=20 | cfg:FLOAT=7.5 | sampler_name:COMBO="euler" | scheduler:COMBO="normal" |
    denoise:FLOAT=1.0 | fps:FLOAT=0.0 | cfg_last_frame:FLOAT=0.0 | noise_type:COMBO="independent" |
    noise_correlation:FLOAT=0.5 | motion_prompt:VLDM_MOTION_PROMPT | context_guidance:FLOAT=1.0 -> LATENT
VLDM_RenderVideo: format:COMBO="mp4 (H.264)" | quality:INT=80 | fps:FLOAT=0.0 |
    filename_prefix:STRING="video/VideoLDM" | samples:LATENT | vae:VAE | images:IMAGE |
    upscaler:VLDM_UPSCALER | audio:AUDIO | pingpong:BOOLEAN=false | known_images:IMAGE | chunk_length:INT=16
    | overlap:INT=4 -> VIDEO
CheckpointLoaderSimple: ckpt_name:COMBO="" -> MODEL CLIP VAE
EmptyLatentImage: width:INT=512 | height:INT=512 | batch_size:INT=1 -> LATENT
VAEEncode: pixels:IMAGE | vae:VAE -> LATENT
ImageScale: image:IMAGE | upscale_method:COMBO="nearest-exact" | width:INT=512 | height:INT=512 |
    crop:COMBO="disabled"
    -> IMAGE
RescaleCFG: model:MODEL | multiplier:FLOAT=0.7 -> MODEL
PerturbedAttentionGuidance: model:MODEL | scale:FLOAT=3.0 -> MODEL
CreateHookLora: lora_name:COMBO="" | strength_model:FLOAT=1.0 | strength_clip:FLOAT=1.0 |
    prev_hooks:HOOKS -> HOOKS
CreateHookLoraModelOnly: lora_name:COMBO="" | strength_model:FLOAT=1.0 | prev_hooks:HOOKS -> HOOKS
CreateHookModelAsLora: ckpt_name:COMBO="" | strength_model:FLOAT=1.0 | strength_clip:FLOAT=1.0 |
    prev_hooks:HOOKS -> HOOKS
CreateHookModelAsLoraModelOnly: ckpt_name:COMBO="" | strength_model:FLOAT=1.0 | prev_hooks:HOOKS -> HOOKS
SetHookKeyframes: hooks:HOOKS | hook_kf:HOOK_KEYFRAMES -> HOOKS
CreateHookKeyframe: strength_mult:FLOAT=1.0 | start_percent:FLOAT=0.0 |
    prev_hook_kf:HOOK_KEYFRAMES -> HOOK_KEYFRAMES
CreateHookKeyframesInterpolated: strength_start:FLOAT=1.0 | strength_end:FLOAT=1.0 |
    interpolation:COMBO="linear" |
    start_percent:FLOAT=0.0 | end_percent:FLOAT=1.0 | keyframes_count:INT=5 | print_keyframes:BOOLEAN=false |
    prev_hook_kf:HOOK_KEYFRAMES -> HOOK_KEYFRAMES
CombineHooks2: hooks_A:HOOKS | hooks_B:HOOKS -> HOOKS
CombineHooks4: hooks_A:HOOKS | hooks_B:HOOKS | hooks_C:HOOKS | hooks_D:HOOKS -> HOOKS
CombineHooks8: hooks_A:HOOKS | hooks_B:HOOKS | hooks_C:HOOKS | hooks_D:HOOKS | hooks_E:HOOKS | hooks_F:HOOKS |
    hooks_G:HOOKS | hooks_H:HOOKS -> HOOKS
SetClipHooks: clip:CLIP | apply_to_conds:BOOLEAN=true | schedule_clip:BOOLEAN=false | hooks:HOOKS -> CLIP
ConditioningTimestepsRange: start_percent:FLOAT=0.0 |
    end_percent:FLOAT=1.0 -> TIMESTEPS_RANGE TIMESTEPS_RANGE TIMESTEPS_RANGE
ConditioningCombine: conditioning_1:CONDITIONING | conditioning_2:CONDITIONING -> CONDITIONING
ConditioningSetProperties: cond_NEW:CONDITIONING | strength:FLOAT=1.0 | set_cond_area:COMBO="default" |
    mask:MASK |
    hooks:HOOKS | timesteps:TIMESTEPS_RANGE -> CONDITIONING
ConditioningSetPropertiesAndCombine: cond:CONDITIONING | cond_NEW:CONDITIONING | strength:FLOAT=1.0 |
    set_cond_area:COMBO="default" | mask:MASK | hooks:HOOKS | timesteps:TIMESTEPS_RANGE -> CONDITIONING
ConditioningSetDefaultCombine: cond:CONDITIONING | cond_DEFAULT:CONDITIONING | hooks:HOOKS -> CONDITIONING
PairConditioningCombine: positive_A:CONDITIONING | negative_A:CONDITIONING | positive_B:CONDITIONING |
    negative_B:CONDITIONING -> CONDITIONING CONDITIONING
PairConditioningSetProperties: positive_NEW:CONDITIONING | negative_NEW:CONDITIONING | strength:FLOAT=1.0 |
    set_cond_area:COMBO="default" | mask:MASK | hooks:HOOKS |
    timesteps:TIMESTEPS_RANGE -> CONDITIONING CONDITIONING
PairConditioningSetPropertiesAndCombine: positive:CONDITIONING | negative:CONDITIONING |
    positive_NEW:CONDITIONING |
    negative_NEW:CONDITIONING | strength:FLOAT=1.0 | set_cond_area:COMBO="default" | mask:MASK | hooks:HOOKS |
    timesteps:TIMESTEPS_RANGE -> CONDITIONING CONDITIONING
PairConditioningSetDefaultCombine: positive:CONDITIONING | negative:CONDITIONING |
    positive_DEFAULT:CONDITIONING |
    negative_DEFAULT:CONDITIONING | hooks:HOOKS -> CONDITIONING CONDITIONING
MarkdownNote: text:STRING="" -> NONE
"""


@dataclass(frozen=True)
class Input:
    """One input of a node: a socket, or a widget with a default."""

    name: str
    type: str
    widget: bool
    default: Any = None


@dataclass(frozen=True)
class Target:
    """A node that old graphs are written with."""

    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]


def _input(text: str) -> Input:
    described, widget, default = text.partition("=")
    name, _, kind = described.partition(":")
    return Input(name, kind, bool(widget), json.loads(default) if widget else None)


def _parsed(text: str) -> dict[str, Target]:
    table = {}
    for line in text.strip().replace("\n    ", " ").splitlines():
        node, _, rest = line.partition(": ")
        inputs, _, outputs = rest.partition(" -> ")
        names = tuple(name for name in outputs.split() if name != "NONE")
        table[node] = Target(tuple(_input(part) for part in inputs.split(" | ")), names)
    return table


TARGETS = _parsed(TEXT)
