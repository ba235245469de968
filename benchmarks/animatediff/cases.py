"""One graph of AnimateDiff-Evolved for each thing that the converter carries over, or says it does not."""

from __future__ import annotations

from collections.abc import Iterator

from .graphs import (
    CHECKPOINT,
    FRAMES,
    HALF,
    HEIGHT,
    LIST,
    LONG,
    SAMPLER,
    STATIC,
    VALUES,
    WIDTH,
    Case,
    gen1,
    gen2,
    node,
    plain,
    settings,
    windows,
)


def modules() -> Iterator[Case]:
    """Motion models, LoRAs, schedules, the part of the sampling."""
    for file in ("v1", "v2", "v3", "lcm"):
        yield Case(f"Gen 1, {file}", gen1(file))
        yield Case(f"Gen 2, {file}", gen2(file))
    chain = {
        "20": node("ADE_AnimateDiffLoRALoader", name="zoom.safetensors", strength=0.8),
        "21": node(
            "ADE_AnimateDiffLoRALoader", name="pan.safetensors", strength=0.5, prev_motion_lora=["20", 0]
        ),
    }
    yield Case("one motion LoRA", gen1("v2", loader={"motion_lora": ["20", 0]}, **{"20": chain["20"]}))
    yield Case("two motion LoRAs", gen2("v2", apply={"motion_lora": ["21", 0]}, **chain))
    yield Case("start and end percent", gen2(apply={"start_percent": 0.2, "end_percent": 0.7}))
    yield Case(
        "two motion models",
        gen2(
            "v3",
            apply={"prev_m_models": ["34", 0]},
            **{
                "33": node("ADE_LoadAnimateDiffModel", model_name="v2.safetensors"),
                "34": node(
                    "ADE_ApplyAnimateDiffModel", motion_model=["33", 0], start_percent=0.0, end_percent=1.0
                ),
            },
        ),
    )


def loaders() -> Iterator[Case]:
    """Noise schedules by name, and loaders that are older still."""
    for schedule in (
        *(
            "use existing",
            "sqrt_linear (AnimateDiff)",
            "linear (AnimateDiff-SDXL)",
            "linear (HotshotXL/default)",
        ),
        *(
            "avg(sqrt_linear,linear)",
            "lcm avg(sqrt_linear,linear)",
            "lcm",
            "lcm[100_ots]",
            "lcm >> sqrt_linear",
        ),
        *("sqrt", "cosine", "squaredcos_cap_v2"),
    ):
        made = gen1()
        made["10"]["inputs"]["beta_schedule"] = schedule
        yield Case(f"beta_schedule {schedule}", made)
    legacy = node(
        "ADE_AnimateDiffLoaderWithContext",
        **{"model": ["1", 0], "model_name": "v2.safetensors", "beta_schedule": "sqrt_linear (AnimateDiff)"},
        **{"motion_scale": 0.8, "apply_v2_models_properly": False},
    )
    yield Case("legacy loader, motion_scale, norms of v2 as v1's", plain(model="10", **{"10": legacy}))
    oldest = node(
        "ADE_AnimateDiffLoaderV1Advanced",
        **{
            "model": ["1", 0],
            "latents": ["4", 0],
            "model_name": "v2.safetensors",
            "unlimited_area_hack": False,
        },
        **{"context_length": 6, "context_stride": 1, "context_overlap": 2, "context_schedule": "uniform"},
        **{"closed_loop": False, "beta_schedule": "sqrt_linear (AnimateDiff)"},
    )
    yield Case("V1 advanced", plain(LONG, "10", **{"10": oldest}), LONG)


def strengths() -> Iterator[Case]:
    """Effect and scale as every kind of value; keyframes."""
    for name, nodes in VALUES.items():
        for kind in ("effect", "scale"):
            yield Case(f"{kind}: {name}", gen2(apply={f"{kind}_multival": ["50", 0]}, **nodes))
    relative = {
        **VALUES["a scaled mask"],
        "50": node("ADE_MultivalScaledMask", min_float_val=0.4, max_float_val=1.5),
    }
    relative["50"]["inputs"] |= {"mask": ["56", 0], "scaling": "relative"}
    relative["56"] = node(
        "MaskComposite", destination=["57", 0], source=["55", 0], x=0, y=0, operation="multiply"
    )
    relative["57"] = node("SolidMask", value=0.5, width=WIDTH, height=HEIGHT)
    yield Case("scale: a relative scaled mask", gen2(apply={"scale_multival": ["50", 0]}, **relative))
    first = node(
        "ADE_AnimateDiffKeyframe", start_percent=0.0, effect_multival=["50", 0], inherit_missing=True
    )
    second = node(
        "ADE_AnimateDiffKeyframe", start_percent=0.5, scale_multival=["51", 0], inherit_missing=True
    )
    values = {
        "50": node("ADE_MultivalDynamic", float_val=1.4),
        "51": node("ADE_MultivalDynamic", float_val=0.6),
    }
    for inherit in (True, False):
        for guarantee in (0, 1, 3):
            frames = {
                "58": first,
                "59": {**second, "inputs": {**second["inputs"], "prev_ad_keyframes": ["58", 0]}},
            }
            for frame in ("58", "59"):
                more = {"guarantee_steps": guarantee, "inherit_missing": inherit}
                frames[frame] = {**frames[frame], "inputs": {**frames[frame]["inputs"], **more}}
            name = f"keyframes, inherit {inherit}, guarantee_steps {guarantee}"
            yield Case(name, gen2(apply={"ad_keyframes": ["59", 0]}, **frames, **values))


def noises() -> Iterator[Case]:
    """Noise types, seeds, offsets, rounds."""
    for kind in ("default", "constant", "empty", "repeated_context", "FreeNoise"):
        for seeds in ("comfy", "auto1111"):
            yield Case(f"noise {kind}, {seeds}", settings(noise_type=kind, seed_gen=seeds))
    for kind in ("repeated_context", "FreeNoise"):
        made = settings(LONG, noise_type=kind)
        made["70"] = node(STATIC, context_length=6, context_overlap=2, fuse_method="pyramid")
        made["32"]["inputs"]["context_options"] = ["70", 0]
        yield Case(f"noise {kind} over windows", made, LONG)
    for seeds in ("comfy", "auto1111"):
        yield Case(
            f"seed_offset 2, batch_offset 3, {seeds}", settings(seed_gen=seeds, seed_offset=2, batch_offset=3)
        )
    for kind in ("gaussian", "butterworth", "ideal", "box"):
        rounds = node(
            "ADE_IterationOptsFreeInit", iterations=2, filter=kind, d_s=0.3, d_t=0.2, n_butterworth=4
        )
        rounds["inputs"] |= {
            "sigma_step": 999,
            "apply_to_1st_iter": False,
            "init_type": "FreeInit [sampler sigma]",
        }
        rounds["inputs"] |= {"iter_batch_offset": 0, "iter_seed_offset": 1}
        yield Case(f"FreeInit, {kind}", settings(iteration_opts=["61", 0], others={"61": rounds}))
        for name, more in (
            ("model sigma", {"init_type": "FreeInit [model sigma]"}),
            ("DinkInit_v1", {"init_type": "DinkInit_v1"}),
            ("sigma_step 600", {"sigma_step": 600}),
            ("first round too", {"apply_to_1st_iter": True}),
            ("seed offset 5, batch offset 2", {"iter_seed_offset": 5, "iter_batch_offset": 2}),
        ):
            if kind == "gaussian":
                changed = node(rounds["class_type"], **{**rounds["inputs"], **more})
                yield Case(f"FreeInit, {name}", settings(iteration_opts=["61", 0], others={"61": changed}))
    again = node("ADE_IterationOptsDefault", iterations=2, iter_batch_offset=0, iter_seed_offset=1)
    yield Case("iterations 2", settings(iteration_opts=["61", 0], others={"61": again}))


def layers() -> Iterator[Case]:
    """Noise layers."""
    common = {
        "batch_offset": 0,
        "noise_type": "default",
        "seed_gen_override": "use existing",
        "seed_offset": 5,
    }
    for kind, more in (
        ("ADE_NoiseLayerAdd", {"noise_weight": 0.4}),
        ("ADE_NoiseLayerAddWeighted", {"noise_weight": 0.4, "balance_multiplier": 1.0}),
        ("ADE_NoiseLayerNormalizedSum", {"noise_weight": 0.4}),
        ("ADE_NoiseLayerReplace", {}),
    ):
        layer = {"62": node(kind, **common, **more)}
        yield Case(kind.removeprefix("ADE_"), settings(noise_layers=["62", 0], others=layer))
        masked = {"62": node(kind, **common, **more, mask_optional=["55", 0]), **HALF}
        yield Case(f"{kind.removeprefix('ADE_')}, mask", settings(noise_layers=["62", 0], others=masked))


def guidance() -> Iterator[Case]:
    """Custom CFG of every kind."""
    simple = {"62": node("ADE_CustomCFGSimple", cfg=4.0)}
    yield Case("custom CFG, simple", settings(custom_cfg=["62", 0], others=simple))
    for name in ("a number", "a list", "a mask", "a list and a mask"):
        nodes = {"62": node("ADE_CustomCFG", cfg_multival=["50", 0]), **VALUES[name]}
        yield Case(f"custom CFG: {name}", settings(custom_cfg=["62", 0], others=nodes))
    for guarantee in (0, 1, 2):
        frames = {
            "62": node("ADE_CustomCFGKeyframeSimple", cfg=9.0, start_percent=0.0, guarantee_steps=guarantee),
            "63": node("ADE_CustomCFGKeyframeSimple", cfg=3.0, start_percent=0.5, guarantee_steps=guarantee),
        }
        frames["63"]["inputs"]["prev_custom_cfg"] = ["62", 0]
        name = f"CFG keyframes, guarantee_steps {guarantee}"
        yield Case(name, settings(custom_cfg=["63", 0], others=frames))
    for curve in ("linear", "ease_in", "ease_out", "ease_in_out"):
        ramp = node("ADE_CustomCFGKeyframeInterpolation", start_percent=0.0, end_percent=1.0, cfg_start=9.0)
        ramp["inputs"] |= {"cfg_end": 3.0, "interpolation": curve, "intervals": 50, "print_keyframes": False}
        yield Case(f"CFG from 9 to 3, {curve}", settings(custom_cfg=["62", 0], others={"62": ramp}))
    listed = node("ADE_CustomCFGKeyframeFromList", cfgs_float=["52", 0], start_percent=0.0, end_percent=1.0)
    listed["inputs"]["print_keyframes"] = False
    yield Case(
        "CFG from a list over the steps", settings(custom_cfg=["62", 0], others={"62": listed, **LIST})
    )
    for kind, more in (("RescaleCFGSimple", {"multiplier": 0.7}), ("PAGSimple", {"scale": 3.0})):
        extra = {"62": node("ADE_CustomCFGSimple", cfg=6.0, cfg_extras=["63", 0])}
        extra["63"] = node(f"ADE_CFGExtras{kind}", **more)
        yield Case(f"CFG extras {kind}", settings(custom_cfg=["62", 0], others=extra))


def contexts() -> Iterator[Case]:
    """Context options of every kind, fuse methods, clips that fit into one window."""
    more = {"context_overlap": 2, "use_on_equal_length": False}
    for fuse in ("pyramid", "relative", "flat", "overlap-linear"):
        yield Case(f"static, {fuse}", windows(STATIC, **more, fuse_method=fuse), LONG)
    for kind in ("StandardUniform", "LoopedUniform"):
        for stride in (1, 2):
            inputs = {**more, "context_stride": stride}
            name = f"ADE_{kind}ContextOptions"
            for fuse in ("pyramid", "flat", "overlap-linear"):
                loops = ((False,), (False, True))[kind == "LoopedUniform"]
                for loop in loops:
                    closed = {"closed_loop": loop} if kind == "LoopedUniform" else {}
                    title = f"{kind}, stride {stride}, {fuse}{', closed loop' if loop else ''}"
                    yield Case(title, windows(name, **inputs, **closed, fuse_method=fuse), LONG)
    legacy = {
        **more,
        "context_stride": 1,
        "context_schedule": "uniform",
        "closed_loop": True,
        "fuse_method": "flat",
    }
    yield Case("legacy uniform", windows("ADE_AnimateDiffUniformContextOptions", **legacy), LONG)
    yield Case("batched", windows("ADE_BatchedContextOptions"), LONG)
    for equal in (False, True):
        inputs = {
            "context_overlap": 2,
            "use_on_equal_length": equal,
            "fuse_method": "pyramid",
            "context_stride": 1,
        }
        name = "ADE_LoopedUniformContextOptions"
        title = f"a clip as long as the window, use_on_equal_length {equal}"
        yield Case(title, windows(name, FRAMES, closed_loop=True, **inputs))
    for fuse in ("\U0001f52cdelayed reverse sawtooth", "\U0001f52cpyramid-sigma", "\U0001f52cgauss-sigma"):
        yield Case(f"static, {fuse}", windows(STATIC, **more, fuse_method=fuse), LONG)
    second = node(STATIC, context_length=8, context_overlap=4, fuse_method="flat", start_percent=0.5)
    second["inputs"]["prev_context"] = ["71", 0]
    first = {
        "71": node(STATIC, context_length=6, context_overlap=2, fuse_method="pyramid", start_percent=0.0)
    }
    yield Case(
        "other windows from half of the steps on",
        gen2(frames=LONG, use={"context_options": ["70", 0]}, **{"70": second}, **first),
        LONG,
    )
    views = {
        "72": node("ADE_StandardStaticViewOptions", view_length=6, view_overlap=2, fuse_method="pyramid")
    }
    only = windows("ADE_ViewsOnlyContextOptions", view_opts_req=["72", 0], others=views)
    del only["70"]["inputs"]["context_length"]
    yield Case("views only", only, LONG)


def prompts() -> Iterator[Case]:
    """Prompt and value schedules."""
    text = '"0": "a red circle", "3": "a blue square", "5": "a road"'
    for curve in ("lerp", "slerp"):
        made = gen1()
        made["2"] = node(
            "ADE_PromptScheduling", prompts=text, clip=["1", 1], print_schedule=False, max_length=FRAMES
        )
        made["2"]["inputs"] |= {"tensor_interp": curve, "prepend_text": "good", "append_text": "slow"}
        yield Case(f"prompt scheduling, {curve}", made)
    latents = gen1()
    latents["2"] = node(
        "ADE_PromptSchedulingLatents", prompts=text, clip=["1", 1], latent=["4", 0], print_schedule=False
    )
    latents["2"]["inputs"]["tensor_interp"] = "lerp"
    yield Case("prompt scheduling by latents", latents)
    held = gen1()
    held["2"] = node(
        "ADE_PromptScheduling",
        prompts='"0:3": "a red circle", "3:": "a road"',
        clip=["1", 1],
        print_schedule=False,
    )
    held["2"]["inputs"] |= {"tensor_interp": "lerp", "max_length": FRAMES}
    yield Case("prompt scheduling, held", held)


def others() -> Iterator[Case]:
    """Nodes on a MODEL and around it."""
    for kind, name in (
        ("ADE_RescaleCFGMultival", "mult"),
        ("ADE_PerturbedAttentionGuidanceMultival", "scale"),
    ):
        made = gen1()
        made["64"] = node(kind, model=["10", 0], **{f"{name}_multival": ["50", 0]})
        made["50"] = node("ADE_MultivalDynamic", float_val=0.6)
        made[SAMPLER]["inputs"]["model"] = ["64", 0]
        yield Case(kind.removeprefix("ADE_"), made)
    big = gen1()
    big["4"] = node("ADE_EmptyLatentImageLarge", width=WIDTH, height=HEIGHT, batch_size=FRAMES)
    yield Case("Empty Latent (big batch)", big)
    selected = gen1()
    selected["1"] = node(
        "CheckpointLoaderSimpleWithNoiseSelect", ckpt_name=CHECKPOINT, beta_schedule="use existing"
    )
    selected["1"]["inputs"] |= {"use_custom_scale_factor": False, "scale_factor": 0.18215}
    yield Case("Load Checkpoint with Noise Select", selected)
    unloaded = gen1()
    unloaded["64"] = node("ADE_AnimateDiffUnload", model=["10", 0])
    unloaded[SAMPLER]["inputs"]["model"] = ["64", 0]
    yield Case("AnimateDiff Unload", unloaded)
    for sampler in ("euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde"):
        yield Case(
            f"sampler {sampler}",
            plain(model="10", sampling={"sampler_name": sampler}, **{"10": gen1()["10"]}),
        )


CASES: dict[str, tuple[Case, ...]] = {
    "motion models": (*modules(), *loaders()),
    "effect, scale, keyframes": tuple(strengths()),
    "noise": tuple(noises()),
    "noise layers": tuple(layers()),
    "guidance": tuple(guidance()),
    "windows": tuple(contexts()),
    "prompts": tuple(prompts()),
    "around it": tuple(others()),
}
