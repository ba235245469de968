"""LoRA hooks and conditioning with masks, which the host has taken over.

One node for one, by other names of inputs.
"""

from __future__ import annotations

from ..graph import GraphNode, Link
from ..work import Work

PROPERTIES = {"mask": "opt_mask", "hooks": "opt_lora_hook", "timesteps": "opt_timesteps"}
AREA = {"strength": "strength", "set_cond_area": "set_cond_area"}
LETTERS = "ABCDEFGH"
# the host's node, and its inputs by the old ones
RENAMED: dict[str, tuple[str, dict[str, str]]] = {
    "ADE_SetLoraHookKeyframe": ("SetHookKeyframes", {"hooks": "lora_hook", "hook_kf": "hook_kf"}),
    "ADE_LoraHookKeyframe": (
        "CreateHookKeyframe",
        {"strength_mult": "strength_model", "start_percent": "start_percent", "prev_hook_kf": "prev_hook_kf"},
    ),
    "ADE_LoraHookKeyframeInterpolation": (
        "CreateHookKeyframesInterpolated",
        {
            **{name: name for name in ("strength_start", "strength_end", "interpolation", "start_percent")},
            **{name: name for name in ("end_percent", "print_keyframes", "prev_hook_kf")},
            "keyframes_count": "intervals",
        },
    ),
    **{
        f"ADE_CombineLoraHooks{name}": (
            f"CombineHooks{number}",
            {f"hooks_{letter}": f"lora_hook_{letter}" for letter in LETTERS[:number]},
        )
        for name, number in (("", 2), ("Four", 4), ("Eight", 8))
    },
    "ADE_AttachLoraHookToCLIP": ("SetClipHooks", {"clip": "clip", "hooks": "lora_hook"}),
    "ADE_AttachLoraHookToConditioning": (
        "ConditioningSetProperties",
        {"cond_NEW": "conditioning", "hooks": "lora_hook"},
    ),
    "ADE_ConditioningCombine": (
        "ConditioningCombine",
        {"conditioning_1": "cond_A", "conditioning_2": "cond_B"},
    ),
    "ADE_ConditioningSetMask": ("ConditioningSetProperties", {"cond_NEW": "cond_ADD", **AREA, **PROPERTIES}),
    "ADE_ConditioningSetMaskAndCombine": (
        "ConditioningSetPropertiesAndCombine",
        {"cond": "cond", "cond_NEW": "cond_ADD", **AREA, **PROPERTIES},
    ),
    "ADE_ConditioningSetUnmaskedAndCombine": (
        "ConditioningSetDefaultCombine",
        {"cond": "cond", "cond_DEFAULT": "cond_DEFAULT", "hooks": "opt_lora_hook"},
    ),
    "ADE_PairedConditioningCombine": (
        "PairConditioningCombine",
        {name: name for name in ("positive_A", "negative_A", "positive_B", "negative_B")},
    ),
    "ADE_PairedConditioningSetMask": (
        "PairConditioningSetProperties",
        {"positive_NEW": "positive_ADD", "negative_NEW": "negative_ADD", **AREA, **PROPERTIES},
    ),
    "ADE_PairedConditioningSetMaskAndCombine": (
        "PairConditioningSetPropertiesAndCombine",
        {
            **{name: name for name in ("positive", "negative")},
            **{"positive_NEW": "positive_ADD", "negative_NEW": "negative_ADD"},
            **AREA,
            **PROPERTIES,
        },
    ),
    "ADE_PairedConditioningSetUnmaskedAndCombine": (
        "PairConditioningSetDefaultCombine",
        {
            **{name: name for name in ("positive", "negative", "positive_DEFAULT", "negative_DEFAULT")},
            "hooks": "opt_lora_hook",
        },
    ),
    "ADE_TimestepsConditioning": (
        "ConditioningTimestepsRange",
        {"start_percent": "start_percent", "end_percent": "end_percent"},
    ),
}
REGISTERED = {
    "ADE_RegisterLoraHook": ("CreateHookLora", ("lora_name", "strength_model", "strength_clip")),
    "ADE_RegisterLoraHookModelOnly": ("CreateHookLoraModelOnly", ("lora_name", "strength_model")),
    "ADE_RegisterModelAsLoraHook": (
        "CreateHookModelAsLora",
        ("ckpt_name", "strength_model", "strength_clip"),
    ),
    "ADE_RegisterModelAsLoraHookModelOnly": (
        "CreateHookModelAsLoraModelOnly",
        ("ckpt_name", "strength_model"),
    ),
}
PAIRS = ("PairConditioning",)


def renamed(work: Work, node: GraphNode) -> None:
    """The host's node in the place of the old one."""
    target, names = RENAMED[node.type]
    made = work.add(target, node, **{new: work.given(node, old) for new, old in names.items()})
    work.became(node, target)
    work.replace(node, *(Link(made.node, slot) for slot in range(2 if target.startswith(PAIRS) else 1)))


def registered(work: Work, node: GraphNode) -> None:
    """A LoRA as a hook; the model and the text encoder go past it."""
    target, names = REGISTERED[node.type]
    made = work.add(target, node, **{name: work.given(node, name) for name in names})
    work.became(node, target)
    past = [
        node.inputs.get(name)
        for name in ("model", "clip")
        if name in node.inputs or not node.type.endswith("Only")
    ]
    if node.type.endswith("Only"):
        past = past[:1] or [None]
    work.replace(node, *(link if isinstance(link, Link) else None for link in past), made)
