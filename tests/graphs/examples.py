"""Small graphs of AnimateDiff-Evolved in the API format, and as the page saves them.

They were written for these tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from video_ldm.nodes.graphs.old import OLD_WIDGETS, SEEDS

Api = dict[str, dict[str, Any]]

BASE: Api = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "toy_sd.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "a red circle"}},
    "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": ""}},
    "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 8}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["7", 0], "vae": ["1", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "out"}},
}
SAMPLER = {"seed": 3, "steps": 2, "cfg": 7.5, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}


def sampled(model: str, **others: dict[str, Any]) -> Api:
    """A whole graph whose sampler reads its model from a node."""
    links = {"model": [model, 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]}
    return {**BASE, **others, "7": {"class_type": "KSampler", "inputs": {**links, **SAMPLER}}}


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    """A node in the API format."""
    return {"class_type": kind, "inputs": inputs}


def gen1(**inputs: Any) -> dict[str, Any]:
    """The loader of the first generation, on the checkpoint."""
    return node(
        "ADE_AnimateDiffLoaderGen1",
        model=["1", 0],
        model_name="mm.ckpt",
        beta_schedule="autoselect",
        **inputs,
    )


def multival(number: Any = 1.0, **mask: Any) -> dict[str, Any]:
    """A number, and perhaps a mask."""
    return node("ADE_MultivalDynamic", float_val=number, **mask)


LORAS = {
    "20": node("ADE_AnimateDiffLoRALoader", name="zoom.ckpt", strength=0.8),
    "21": node("ADE_AnimateDiffLoRALoader", name="pan.ckpt", strength=0.5, prev_motion_lora=["20", 0]),
}
LOAD = {"30": node("ADE_LoadAnimateDiffModel", model_name="mm.ckpt")}
SETTINGS = "ADE_AnimateDiffSamplingSettings"
LOOPED = "ADE_LoopedUniformContextOptions"
USE = "ADE_UseEvolvedSampling"


def gen2(apply: dict[str, Any], **others: Any) -> Api:
    """A graph of the second generation around one apply node.

    `use`: further inputs of Use Evolved Sampling.
    """
    use = node(USE, model=["1", 0], m_models=["31", 0], beta_schedule="autoselect", **others.pop("use", {}))
    return sampled("32", **LOAD, **{"31": apply, "32": use}, **others)


APPLY = node("ADE_ApplyAnimateDiffModelSimple", motion_model=["30", 0])
MASK = {"40": node("SolidMask", value=1.0, width=64, height=64)}
IMAGE = {"41": node("LoadImage", image="start.png")}
GRAPHS: dict[str, Api] = {
    "gen1": sampled("10", **{"10": gen1()}),
    "gen1_loras": sampled("10", **LORAS, **{"10": gen1(motion_lora=["21", 0])}),
    "gen1_looped": sampled(
        "10",
        **{
            "10": gen1(context_options=["11", 0]),
            "11": node(
                LOOPED,
                context_length=4,
                context_stride=2,
                context_overlap=2,
                closed_loop=True,
                fuse_method="flat",
            ),
        },
    ),
    "gen1_static": sampled(
        "10",
        **{
            "10": gen1(context_options=["11", 0]),
            "11": node(
                "ADE_StandardStaticContextOptions",
                context_length=4,
                context_overlap=1,
                fuse_method="relative",
            ),
        },
    ),
    "gen1_script": sampled(  # as bots write it: inputs that are gone, a schedule without its brackets
        "10",
        **{
            "10": node(
                "ADE_AnimateDiffLoaderGen1",
                model=["1", 0],
                model_name="mm.ckpt",
                beta_schedule="sqrt_linear",
                motion_scale=1.2,
                apply_v2_models_properly=True,
                apply_mm_groupnorm_hack=True,
                context_options=["11", 0],
            ),
            "11": node(
                "ADE_StandardUniformContextOptions",
                context_length=4,
                context_overlap=2,
                context_schedule="uniform",
            ),
        },
    ),
    "legacy": sampled(
        "10",
        **{
            "10": node(
                "ADE_AnimateDiffLoaderWithContext",
                **{"model": ["1", 0], "model_name": "mm.ckpt", "beta_schedule": "lcm", "motion_scale": 0.9},
                apply_v2_models_properly=False,
            )
        },
    ),
    "oldest": {
        **sampled("10"),
        "10": node(
            "ADE_AnimateDiffLoaderV1Advanced",
            model=["1", 0],
            latents=["4", 0],
            model_name="mm.ckpt",
            context_length=4,
            context_overlap=2,
            beta_schedule="sqrt_linear (AnimateDiff)",
        ),
        "7": node(
            "KSampler",
            model=["10", 0],
            positive=["2", 0],
            negative=["3", 0],
            latent_image=["10", 1],
            **SAMPLER,
        ),
    },
    "gen2": gen2(APPLY),
    "gen2_advanced": gen2(
        node(
            "ADE_ApplyAnimateDiffModel",
            motion_model=["30", 0],
            start_percent=0.1,
            end_percent=0.9,
            scale_multival=["50", 0],
            effect_multival=["51", 0],
        ),
        **{"50": multival(1.3), "51": multival(0.7)},
    ),
    "gen2_mask": gen2(
        node("ADE_ApplyAnimateDiffModelSimple", motion_model=["30", 0], effect_multival=["50", 0]),
        **MASK,
        **{"50": node("ADE_MultivalScaledMask", min_float_val=0.2, max_float_val=1.1, mask=["40", 0])},
    ),
    "gen2_keyframes": gen2(
        node("ADE_ApplyAnimateDiffModelSimple", motion_model=["30", 0], ad_keyframes=["53", 0]),
        **{
            "50": multival(1.5),
            "52": node("ADE_AnimateDiffKeyframe", start_percent=0.0, effect_multival=["50", 0]),
            "53": node(
                "ADE_AnimateDiffKeyframe",
                start_percent=0.5,
                scale_multival=["50", 0],
                prev_ad_keyframes=["52", 0],
            ),
        },
    ),
    "gen2_two_models": gen2(
        node(
            "ADE_ApplyAnimateDiffModel",
            motion_model=["30", 0],
            prev_m_models=["34", 0],
            effect_multival=["50", 0],
        ),
        **{
            "50": multival(0.5),
            "33": node("ADE_LoadAnimateDiffModel", model_name="other.ckpt"),
            "34": node("ADE_ApplyAnimateDiffModel", motion_model=["33", 0]),
        },
    ),
    "noise_per_frame": gen2(
        APPLY,
        use={"sample_settings": ["60", 0]},
        **{"60": node(SETTINGS, noise_type="FreeNoise", seed_gen="auto1111", seed_offset=2, batch_offset=1)},
    ),
    "free_init": gen2(
        APPLY,
        use={"sample_settings": ["60", 0]},
        **{
            "60": node(SETTINGS, noise_type="default", seed_gen="comfy", iteration_opts=["61", 0]),
            "61": node("ADE_IterationOptsFreeInit", iterations=3, filter="butterworth", d_s=0.3, d_t=0.2),
        },
    ),
    "custom_cfg": gen2(
        APPLY,
        use={"sample_settings": ["60", 0]},
        **{
            "60": node(SETTINGS, custom_cfg=["62", 0]),
            "61": node("ADE_CustomCFGKeyframeSimple", cfg=9.0, start_percent=0.0),
            "62": node("ADE_CustomCFGKeyframeSimple", cfg=5.0, start_percent=0.6, prev_custom_cfg=["61", 0]),
        },
    ),
    "rescaled_cfg": gen2(
        APPLY,
        use={"sample_settings": ["60", 0]},
        **{
            "60": node(SETTINGS, custom_cfg=["61", 0]),
            "61": node("ADE_CustomCFGSimple", cfg=6.0, cfg_extras=["62", 0]),
            "62": node("ADE_CFGExtrasRescaleCFGSimple", multiplier=0.6),
        },
    ),
    "pia": gen2(
        node(
            "ADE_ApplyAnimateDiffModelWithPIA",
            motion_model=["30", 0],
            image=["41", 0],
            vae=["1", 2],
            pia_input=["50", 0],
        ),
        **IMAGE,
        **{"50": node("ADE_InputPIA_PaperPresets", preset="Loop (Large Motion)", batch_index=0)},
    ),
    "i2v": gen2(
        node("ADE_ApplyAnimateLCMI2VModel", motion_model=["30", 0], ref_latent=["42", 0]),
        **IMAGE,
        **{
            "42": node(
                "ADE_UpscaleAndVAEEncode", image=["41", 0], vae=["1", 2], latent_size=["4", 0], crop="center"
            )
        },
    ),
    "camera": gen2(
        node("ADE_ApplyAnimateDiffModelWithCameraCtrl", motion_model=["30", 0], cameractrl_poses=["50", 0]),
        **{"50": node("ADE_CameraPoseBasic", motion_type="Pan Left", speed=1.0, frame_length=16)},
    ),
    "views_only": gen2(
        APPLY,
        use={"context_options": ["60", 0]},
        **{
            "60": node("ADE_ViewsOnlyContextOptions", view_opts_req=["61", 0]),
            "61": node("ADE_StandardStaticViewOptions", view_length=16, view_overlap=4),
        },
    ),
    "reference": gen2(
        APPLY,
        use={"context_options": ["60", 0]},
        **{
            "60": node("ADE_ContextExtras_Set", context_opts=["61", 0], context_extras=["62", 0]),
            "61": node("ADE_StandardStaticContextOptions", context_length=4, context_overlap=1),
            "62": node("ADE_ContextExtras_ContextRef", contextref_mode=["63", 0]),
            "63": node("ADE_ContextExtras_ContextRef_ModeFirst"),
        },
    ),
    "prompts": {
        **sampled("10", **{"10": gen1()}),
        "2": node(
            "ADE_PromptScheduling",
            prompts='"0": "a red `size` circle", "7": "a blue circle"',
            clip=["1", 1],
            max_length=0,
            tensor_interp="slerp",
            values_replace=["70", 0],
        ),
        "70": node("ADE_ValuesReplace", value_key="size", floats=["71", 1]),
        "71": node("ADE_ValueScheduling", values="0 = 1.0, 7 = 2.0", max_length=8),
    },
    "fizz": {
        **sampled("10", **{"10": gen1()}),
        "2": node(
            "BatchPromptScheduleLatentInput",
            text='"0": "a red circle", "12": "a (blue:`pw_a`) circle --neg dark"',
            clip=["1", 1],
            num_latents=["4", 0],
            pre_text="good",
            pw_a=0.5,
        ),
        "3": node("CLIPTextEncode", clip=["1", 1], text="bad"),
    },
    "film": {
        **sampled("10", **{"10": gen1()}),
        "9": node(
            "ADE_AnimateDiffCombine",
            **{
                "images": ["8", 0],
                "frame_rate": 8,
                "loop_count": 0,
                "filename_prefix": "clip",
                "format": "image/webp",
            },
            **{"pingpong": True, "save_image": True},
        ),
    },
    "vhs": {
        **sampled("10", **{"10": gen1()}),
        "9": node(
            "VHS_VideoCombine",
            **{"images": ["8", 0], "frame_rate": 12, "loop_count": 0, "filename_prefix": "clip", "crf": 20},
            **{"format": "video/h264-mp4", "pingpong": False, "save_output": True},
        ),
    },
    "other_packs": sampled(  # of which nothing is known here
        "12",
        **{
            "10": gen1(),
            "11": node("Some Pack's Node", thing=["10", 0], strength=1.0),
            "12": node("FreeU", model=["11", 0], b1=1.1, b2=1.2, s1=0.9, s2=0.2),
        },
    ),
    "checkpoint": {
        **sampled("10", **{"10": gen1()}),
        "1": node(
            "CheckpointLoaderSimpleWithNoiseSelect",
            ckpt_name="toy_sd.safetensors",
            beta_schedule="use existing",
        ),
        "4": node("ADE_EmptyLatentImageLarge", width=64, height=64, batch_size=8),
    },
    "hooks": {
        **sampled("10", **{"10": gen1()}),
        "2": node("ADE_AttachLoraHookToConditioning", conditioning=["5", 0], lora_hook=["80", 2]),
        "5": node("CLIPTextEncode", clip=["80", 1], text="a red circle"),
        "80": node(
            "ADE_RegisterLoraHook",
            **{"model": ["1", 0], "clip": ["1", 1], "lora_name": "style.safetensors"},
            **{"strength_model": 0.7, "strength_clip": 0.6},
        ),
    },
}


def as_ui(api: Api) -> dict[str, Any]:
    """A graph as the page would save it, with types of sockets by their names."""
    nodes, links = {}, []
    for number, (name, raw) in enumerate(api.items()):
        nodes[name] = _ui_node(int(name), raw, number)
    for name, raw in api.items():
        for slot, part in enumerate(nodes[name]["inputs"]):
            source, output = raw["inputs"][part["name"]]
            links.append([len(links) + 1, int(source), output, int(name), slot, "*"])
            part["link"] = len(links)
            outputs = nodes[source]["outputs"]
            while len(outputs) <= output:
                outputs.append({"name": "*", "type": "*", "links": []})
            outputs[output]["links"].append(len(links))
    group = {"title": "a group", "bounding": [0, 0, 100, 100], "color": "#333"}
    last = max(int(name) for name in api)
    return {
        **{"last_node_id": last, "last_link_id": len(links), "nodes": list(nodes.values()), "links": links},
        **{"groups": [group], "config": {}, "extra": {"ds": {"scale": 1, "offset": [0, 0]}}, "version": 0.4},
    }


def _ui_node(name: int, raw: Mapping[str, Any], number: int) -> dict[str, Any]:
    inputs = raw["inputs"]
    linked = {key for key, value in inputs.items() if isinstance(value, list)}
    known = OLD_WIDGETS.get(raw["class_type"])
    values: Any = [value for key, value in inputs.items() if key not in linked]
    if raw["class_type"].startswith("VHS_"):
        values = {key: value for key, value in inputs.items() if key not in linked}
    elif known is not None:
        values = []
        for key, default in known.items():
            values.append(default if key in linked else inputs.get(key, default))
            values += ["randomize"] if key in SEEDS else []
    widgets = known or {}
    return {
        "id": name,
        "type": raw["class_type"],
        "pos": [number * 300, number * 10],
        "size": [250, 100],
        "flags": {},
        "order": number,
        "mode": 0,
        "inputs": [
            {"name": key, "type": "*", "link": None, **({"widget": {"name": key}} if key in widgets else {})}
            for key in linked
        ],
        "outputs": [{"name": "*", "type": "*", "links": []}],
        "properties": {},
        "widgets_values": values,
    }
