"""Old graphs and what the converter makes of them, side by side: AnimateDiff-Evolved's latents against ours.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.animatediff.parity --pack FOLDER

FOLDER is a clone of that pack, which stays as it is: a copy of it is told other widths, and loaded beside
ours into one ComfyUI. The image model is SD 1.5 with a tenth of its channels, the motion models are random
files of that size in their authors' layout, so that both packs open the same files. Each case is one graph of
that pack (animatediff_cases.py); it runs as it is, then converted.

Shapes: f frames, c h w a latent.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...demo import environment
from ...demo.comfy import HostError
from ...nodes.graphs.convert import convert
from ...temporal.formats.convert import write
from ...temporal.formats.facts import FACTS
from ...temporal.layers.motion import MotionConfig
from ...temporal.stack.plan import SD1, UNetShape
from ...temporal.stack.stack import StackConfig, TemporalStack
from ...tests.in_process import InProcessHost
from ..toy_world.common import markdown, options
from ..toy_world.common import write as write_results
from .cases import CASES
from .graphs import CHECKPOINT, SAMPLER, Case, plain

CHANNELS = 32
WIDTHS = {"(320, 640, 1280, 1280)": "(32, 64, 128, 128)", "middle_channel = 1280": "middle_channel = 128"}
# name in the graphs: family, module in the middle block, length of its table, how it sees an image
MODULES = {
    "v1.safetensors": ("AnimateDiff v1", False, 24, None),
    "v2.safetensors": ("AnimateDiff v2", True, 32, None),
    "v3.safetensors": ("AnimateDiff v3", False, 32, None),
    "lcm.safetensors": ("AnimateLCM", True, 64, None),
    "pia.safetensors": ("PIA", False, 32, "affinity"),
    "i2v.safetensors": ("AnimateLCM-I2V", True, 64, "encoder"),
}
LORAS = ("zoom.safetensors", "pan.safetensors")
RANK = 4


@dataclass(frozen=True)
class Row:
    """Relative difference of a case's latents, how far its options move the clip, and what is reported."""

    group: str
    case: str
    apart: float
    moved: float
    lines: str


def tell_host(shape: UNetShape) -> None:
    """Let the host open the narrow checkpoint, which has the toy text encoder."""
    import comfy.supported_models as supported

    toy = next(kind for kind in supported.models if kind.__name__ == "ToySD")
    sizes = {**toy.unet_config, "model_channels": CHANNELS}
    extra = {"num_heads": shape.num_heads, "num_head_channels": -1}
    supported.models.append(type("NarrowSD", (toy,), {"unet_config": sizes, "unet_extra_config": extra}))


def write_checkpoint(path: Path, shape: UNetShape) -> None:
    """The narrow image model of random weights, with the toy text encoder and autoencoder."""
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    from ..cost.models import host_config

    config = {name: value for name, value in host_config(shape).items() if name != "adm_in_channels"}
    made = UNetModel(**config, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init)
    toy = load_file(environment.REPO / "demo" / "models" / "toy_sd.safetensors")
    unet = {f"model.diffusion_model.{key}": weight for key, weight in randomised(made).state_dict().items()}
    rest = {key: weight for key, weight in toy.items() if not key.startswith("model.diffusion_model.")}
    save_file({key: weight.contiguous() for key, weight in (unet | rest).items()}, path)


def randomised(module: nn.Module, seed: int = 0, scale: float = 1.0) -> nn.Module:
    """Weights by which signals keep their size; every one of them counts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(scale * drawn / parameter[0].numel() ** 0.5)
            else:
                parameter.copy_(0.1 * drawn + (name.endswith("weight")))
    return module


def write_modules(models: Path, shape: UNetShape) -> None:
    """Motion models and LoRAs where that pack looks for them."""
    folder, loras = models / "animatediff_models", models / "animatediff_motion_lora"
    folder.mkdir(parents=True, exist_ok=True)
    loras.mkdir(parents=True, exist_ok=True)
    for seed, (name, (family, middle, length, image)) in enumerate(MODULES.items()):
        facts = FACTS[family]
        motion = MotionConfig(middle, facts.clip_norm, facts.clip_norm_image)
        config = StackConfig(shape, "SD 1.x", length, False, False, family, motion=motion, image=image)
        write(folder / name, randomised(TemporalStack(config), seed), "original")
    for seed, name in enumerate(LORAS):
        save_file(lora(load_file(folder / "v2.safetensors"), seed), loras / name)


def lora(layers: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """A motion LoRA of every attention, in the layout of AnimateDiff's own."""
    generator = torch.Generator().manual_seed(100 + seed)
    made = {}
    for key, weight in layers.items():
        place, _, leaf = key.rpartition(".to_")
        if not place or not leaf.endswith("weight"):
            continue
        part = leaf.split(".")[0]
        for way, shape in (("down", (RANK, weight.shape[1])), ("up", (weight.shape[0], RANK))):
            made[f"{place}.processor.to_{part}_lora.{way}.weight"] = (
                torch.randn(shape, generator=generator) / shape[1] ** 0.5
            )
    return made


def load_pack(source: Path, scratch: Path) -> None:
    """That pack at the widths of the narrow model."""
    import nodes

    copied = scratch / "ComfyUI-AnimateDiff-Evolved"
    shutil.copytree(source, copied, ignore=shutil.ignore_patterns(".git"))
    file = copied / "animatediff" / "motion_module_ad.py"
    text = file.read_text("utf-8")
    for wide, narrow in WIDTHS.items():
        if wide not in text:
            sys.exit(f"error: {file.name} of that pack has no {wide!r}; this is another version of it.")
        text = text.replace(wide, narrow)
    file.write_text(text, "utf-8")
    if not asyncio.run(nodes.load_custom_node(str(copied))):
        sys.exit("error: that pack was not loaded; the log above says why.")


def measured(host: InProcessHost, group: str, case: Case, baseline: Tensor) -> Row:
    """Run a case twice."""
    converted = convert(case.graph)
    lines = [line for kind in ("differs", "lost") for line in converted.report.lines[kind]]
    try:
        theirs = latents(host, case.graph)
    except HostError as error:
        return Row(group, case.name, float("inf"), float("inf"), f"theirs: {error}")
    try:
        ours = latents(host, converted.graph)
    except HostError as error:
        return Row(group, case.name, float("inf"), distance(theirs, baseline), f"ours: {error}")
    return Row(group, case.name, distance(ours, theirs), distance(theirs, baseline), " ".join(lines))


def latents(host: InProcessHost, graph: Any) -> Tensor:
    """Latents that the sampler of a graph made (f c h w)."""
    return host.run(graph).outputs[SAMPLER][0]["samples"].float()


def distance(ours: Tensor, theirs: Tensor) -> float:
    """Relative to the size of theirs; infinite where they have other shapes or are not numbers."""
    if ours.shape != theirs.shape or not bool(ours.isfinite().all() and theirs.isfinite().all()):
        return float("inf")
    return float((ours - theirs).double().norm() / theirs.double().norm())


def main() -> None:
    """Every case, or those whose names contain one of the words."""
    parser = options(__doc__, "animatediff.json")
    parser.add_argument("--pack", type=Path, required=True, help="a clone of ComfyUI-AnimateDiff-Evolved")
    parser.add_argument("--only", nargs="*", default=[], help="cases or groups")
    args, began = parser.parse_args(), time.monotonic()
    shape = replace(SD1, model_channels=CHANNELS, context_dim=48)
    with tempfile.TemporaryDirectory() as scratch:
        host = InProcessHost(Path(scratch) / "comfyui")
        try:
            rows = run(host, shape, args, Path(scratch))
        finally:
            host.close()
    write_results(vars(args) | {"only": args.only}, {"rows": [vars(row) for row in rows]}, began)
    cells = [(row.group, row.case, f"{row.apart:.1e}", f"{row.moved:.2f}", row.lines) for row in rows]
    print(markdown(("", "graph", "apart", "moves the clip", "what the report says"), cells))


def run(host: InProcessHost, shape: UNetShape, args: argparse.Namespace, scratch: Path) -> list[Row]:
    """Prepare the host and measure the cases."""
    tell_host(shape)
    write_checkpoint(host.base / "models" / "checkpoints" / CHECKPOINT, shape)
    shapes = host.pack("nodes.host.layers.shapes")
    shape = shapes.unet_shape(host.call("CheckpointLoaderSimple", ckpt_name=CHECKPOINT)[0])
    host.pack("temporal.formats.motion_modules").BASES[4] = ("SD 1.x", shape)
    shapes.BASE_BY_CONTEXT[shape.context_dim] = "SD 1.x"
    write_modules(host.base / "models", shape)
    load_pack(args.pack, scratch)
    baseline = {}
    rows = []
    wanted = [(group, case) for group, cases in CASES.items() for case in cases]
    for group, case in wanted:
        if args.only and not any(word in (group, case.name) for word in args.only):
            continue
        if case.frames not in baseline:
            baseline[case.frames] = latents(host, plain(case.frames))
        rows.append(measured(host, group, case, baseline[case.frames]))
        print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    main()
