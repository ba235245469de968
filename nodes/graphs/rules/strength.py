"""Effect, scale and keyframes of motion models: Motion Strength, once for every part of the sampling."""

from __future__ import annotations

from typing import Any

from ..graph import GraphNode, Link
from ..work import Work
from .values import Value, multival

KEYFRAMES = ("ADE_AnimateDiffKeyframe", "ADE_PIA_AnimateDiffKeyframe", "ADE_CameraCtrlAnimateDiffKeyframe")
BLOCKS = (
    "settings of single blocks are not carried over: all blocks do as much as the others (that pack lost "
    "them as soon as another node followed). Use alpha_by_level of Load Temporal Layers."
)


def with_strength(work: Work, model: Link, apply: GraphNode, layers: str, scale: Any = None) -> Link:
    """The MODEL with what an old node says of the strength and motion of its layers."""
    if work.option(apply, "per_block") is not None:
        work.lost(apply, BLOCKS)
    strength, motion = multival(work, apply, "effect_multival"), multival(work, apply, "scale_multival")
    if motion is None and scale not in (None, 1, 1.0):
        motion = Value(scale)
    model = _changed(work, model, apply, (strength, motion), (0.0, 1.0), layers)
    frames = sorted(work.chain(work.option(apply, "ad_keyframes"), "prev_ad_keyframes"), key=_start(work))
    starts = [float(work.fixed(frame, "start_percent")) for frame in frames]
    strength = motion = None
    for frame, start, end in zip(frames, starts, [*starts, 1.0][1:], strict=True):
        inherited = (strength, motion) if work.fixed(frame, "inherit_missing") else (None, None)
        strength = multival(work, frame, "effect_multival") or inherited[0]
        motion = multival(work, frame, "scale_multival") or inherited[1]
        _left_out(work, frame)
        work.became(frame, "Motion Strength from its start to the next one's")
        model = _changed(work, model, frame, (strength, motion), (start, end), layers)
    return model


def _start(work: Work) -> Any:
    return lambda frame: float(work.fixed(frame, "start_percent"))


def _left_out(work: Work, frame: GraphNode) -> None:
    if frame.type not in KEYFRAMES:
        work.lost(frame, "this kind of keyframe is not understood.")
    if work.option(frame, "pia_input") is not None:
        work.lost(frame, "PIA's motion cannot change during the sampling; the first one holds.")
    if work.option(frame, "cameractrl_multival") is not None:
        work.lost(frame, "CameraCtrl is not carried over.")
    if work.option(frame, "per_block_replace") is not None:
        work.lost(frame, BLOCKS)
    if work.fixed(frame, "guarantee_steps") not in (1, None):
        work.differs(
            frame,
            "guarantee_steps has no equal; the keyframe holds exactly from its start to the next one's.",
        )


def _changed(
    work: Work,
    model: Link,
    at: GraphNode,
    values: tuple[Value | None, Value | None],
    span: tuple[float, float],
    layers: str,
) -> Link:
    strength, motion = (value or Value() for value in values)
    if all(value.plain and value.number == 1 for value in (strength, motion)) or span[0] >= span[1]:
        return model
    inputs: dict[str, Any] = {"model": model, "strength": strength.number, "motion": motion.number}
    for name, value in (("strength", strength), ("motion", motion)):
        if value.mask is not None:
            inputs |= {f"{name}_mask": value.mask, f"{name}_outside": value.outside}
    return work.add(
        "VLDM_MotionStrength", at, **inputs, start_percent=span[0], end_percent=span[1], layers=layers
    )
