"""Our nodes beside those of other packs, on the same files in the same ComfyUI process, in turn.

    python -m video_ldm.benchmarks.cost.peers --animatediff FOLDER --videohelpersuite FOLDER
        --rows step render

FOLDER is a copy of ComfyUI-AnimateDiff-Evolved or of ComfyUI-VideoHelperSuite; rows whose pack is not given
are left out. `step` opens AnimateDiff v2 layers (909 MB, random weights, half precision) and makes sampling
steps of SD 1.5 in its full size with them and without, `render` makes a film of latents through a decoder of
8 channels. Seconds are those of the processor, of the server and the encoders it started, while
the node runs; memory is how far the resident size of the server rises above where it stood. The first round
is not counted. Prints Markdown; `--results` keeps every number as JSON. Linux only.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ...demo.comfy import Client, Graph, Host
from ..toy_world import common
from . import full_size, loading, memory
from .models import SD1, reference, start_host

LAYERS, LATENTS, FPS = "peers_v2.safetensors", "peers_{}.latent", 24.0
PLAIN, OURS, THEIRS, HOST = "host", "video_ldm", "peer", "host's own nodes"


@dataclass
class Cost:
    """Processor seconds of a node, and bytes above where the memory of the server stood."""

    seconds: list[float] = field(default_factory=list)
    rise: list[float] = field(default_factory=list)


class Stopwatch:
    """Listener to a server's events that adds up what each node took."""

    def __init__(self, pid: int) -> None:
        self.process, self.costs = Path(f"/proc/{pid}"), defaultdict(Cost)
        self._running: tuple[str, float, int] | None = None

    def __call__(self, event: str, data: Mapping[str, Any]) -> None:
        if event not in ("executing", "execution_success"):
            return
        if self._running is not None:
            node, seconds, resident = self._running
            self.costs[node].seconds.append(self._seconds() - seconds)
            self.costs[node].rise.append(self._memory("VmHWM") - resident)
        self._running = None
        if event == "executing" and data.get("node"):
            (self.process / "clear_refs").write_text("5")  # forgets the highest size so far
            self._running = data["node"], self._seconds(), self._memory("VmRSS")

    def _seconds(self) -> float:
        """Of the process and of the children that it waited for."""
        fields = (self.process / "stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def _memory(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", (self.process / "status").read_text())
        return 1024 * int(found[1])


def loaders(animatediff: bool) -> Graph:
    """The image model, and layers on it through each pack."""
    graph = {
        "unet": ("UNETLoader", {"unet_name": full_size.UNET, "weight_dtype": "default"}),
        "load ours": ("VLDM_LoadTemporalLayers", {"model": ["unet", 0], "file": LAYERS, "strength": 1.0}),
    }
    if animatediff:
        graph["load theirs"] = ("ADE_LoadAnimateDiffModel", {"model_name": LAYERS})
        graph["apply theirs"] = ("ADE_ApplyAnimateDiffModelSimple", {"motion_model": ["load theirs", 0]})
        evolved = {"model": ["unet", 0], "beta_schedule": "autoselect", "m_models": ["apply theirs", 0]}
        graph["use theirs"] = ("ADE_UseEvolvedSampling", evolved)
    return {name: {"class_type": kind, "inputs": dict(inputs)} for name, (kind, inputs) in graph.items()}


def step_graph(number: int, size: int, frames: int, animatediff: bool) -> Graph:
    """One sampling step of the same clip without layers, with them in ours, and in the other pack."""
    graph = loaders(animatediff)
    latent = {"width": 8 * size, "height": 8 * size, "batch_size": frames}
    graph["clip"] = _node("CLIPLoader", clip_name=full_size.CLIP, type="stable_diffusion", device="default")
    graph["text"] = _node("CLIPTextEncode", clip=["clip", 0], text="a lighthouse on a cliff")
    graph["empty"] = _node("EmptyLatentImage", **latent)
    models = {PLAIN: "unet", OURS: "load ours", **({THEIRS: "use theirs"} if animatediff else {})}
    for name, model in models.items():
        links = {
            "model": [model, 0],
            "positive": ["text", 0],
            "negative": ["text", 0],
            "latent_image": ["empty", 0],
        }
        how = {
            "seed": number,
            "steps": 1,
            "cfg": 1.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
        }
        graph[name] = _node("KSampler", **links, **how)
        graph[f"keep {name}"] = _node("SaveLatent", samples=[name, 0], filename_prefix="step")
    return graph


def render_graph(number: int, videohelpersuite: bool) -> Graph:
    """One film of the same latents through each pack, and through the host's own nodes."""
    graph = {
        "model": _node("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors"),
        "thin": _node("Benchmark_ThinVAE", vae=["model", 2]),
        "clip": _node("LoadLatent", latent=LATENTS.format(number)),
    }
    source, name = {"samples": ["clip", 0], "vae": ["thin", 0]}, f"film_{number}"
    graph[OURS] = _node(
        "VLDM_RenderVideo", **source, format="mp4 (H.264)", quality=80, fps=FPS, filename_prefix=name
    )
    if videohelpersuite:
        graph[THEIRS] = _node(
            "VHS_VideoCombine", images=["clip", 0], vae=["thin", 0], frame_rate=FPS, loop_count=0,
            filename_prefix=name, format="video/h264-mp4", pix_fmt="yuv420p", crf=19, pingpong=False,
            save_output=True, save_metadata=True, trim_to_audio=False,
        )  # fmt: skip
    graph["frames"] = _node("VAEDecode", **source)
    graph["video"] = _node("CreateVideo", images=["frames", 0], fps=FPS)
    graph[HOST] = _node("SaveVideo", video=["video", 0], filename_prefix=name, format="auto", codec="auto")
    return graph


def _node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def write_models(folder: Path, scratch: Path) -> None:
    """An image model, a text encoder and layers of random weights, in half precision."""
    start_host()
    unet = reference(SD1)
    full_size.write_files(folder, unet)
    layers = scratch / "layers.safetensors"
    loading.write(layers, SD1)
    (folder / "animatediff_models").mkdir(parents=True, exist_ok=True)
    save_file(
        {key: weight.clone() for key, weight in load_file(layers).items()},
        folder / "animatediff_models" / LAYERS,
    )
    del unet
    gc.collect()


def steps(client: Client, watch: Stopwatch, options: argparse.Namespace) -> dict[str, Cost]:
    """Loading, the first step and the steady step of each pack, by name."""
    loads, first = {OURS: "load ours", THEIRS: "load theirs"}, Stopwatch(int(watch.process.name))
    for number in range(options.rounds + 1):
        client.post("/free", {"unload_models": True, "free_memory": True})
        first.costs = first.costs if number else defaultdict(Cost)
        for watcher, seed in ((first, 2 * number), (watch, 2 * number + 1)):
            client.run(
                step_graph(seed, options.size, options.frames, options.animatediff is not None), watcher
            )
        if not number:
            first.costs, watch.costs = defaultdict(Cost), defaultdict(Cost)
    return {
        **{f"load: {name}": first.costs[node] for name, node in loads.items() if node in first.costs},
        **{
            f"first step: {name}": cost for name, cost in first.costs.items() if name in (PLAIN, OURS, THEIRS)
        },
        **{f"step: {name}": cost for name, cost in watch.costs.items() if name in (PLAIN, OURS, THEIRS)},
    }


def films(client: Client, watch: Stopwatch, options: argparse.Namespace) -> dict[str, Cost]:
    """A film by each pack, by name; the host's own takes three nodes."""
    for number in range(options.rounds + 1):
        if number == 1:
            watch.costs = defaultdict(Cost)
        client.run(render_graph(number, options.videohelpersuite is not None), watch)
    three = [watch.costs[node] for node in ("frames", "video", HOST)]
    whole = Cost([sum(parts) for parts in zip(*(cost.seconds for cost in three), strict=True)], three[0].rise)
    found = {OURS: watch.costs[OURS], THEIRS: watch.costs.get(THEIRS), HOST: whole}
    return {f"film: {name}": cost for name, cost in found.items() if cost is not None}


def run(options: argparse.Namespace) -> dict[str, Cost]:
    """All rows that were asked for, in one process of the host."""
    packs = {"video-ldm-benchmarks": memory.PACK}
    if options.animatediff is not None:
        packs["animatediff-evolved"] = options.animatediff.resolve()
    if options.videohelpersuite is not None:
        packs["videohelpersuite"] = options.videohelpersuite.resolve()
    host, found = Host(packs=packs), {}
    with host as client:
        watch = Stopwatch(host.process.pid)
        if "render" in options.rows:
            clip = memory.latents(options.film_frames, options.film_side)
            version = {"latent_format_version_0": torch.tensor([])}
            (host.base / "input").mkdir(exist_ok=True)
            for number in range(options.rounds + 1):  # another clip each time: the server keeps frames
                kept = {"latent_tensor": clip * (1 + number / 1000), **version}
                save_file(kept, host.base / "input" / LATENTS.format(number))
            found |= films(client, watch, options)
        if "step" in options.rows:
            write_models(host.base / "models", host.base)
            watch.costs = defaultdict(Cost)
            found |= steps(client, watch, options)
    return found


def table(found: Mapping[str, Cost]) -> str:
    """Medians with their range, as Markdown."""
    rows = [
        [name, f"{median(cost.seconds):.2f} ({min(cost.seconds):.2f} to {max(cost.seconds):.2f})",
         f"{median(cost.rise) / 1e6:.0f}"]
        for name, cost in found.items()
    ]  # fmt: skip
    return common.markdown(["", "processor seconds", "memory above before, MB"], rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        "python -m video_ldm.benchmarks.cost.peers", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--animatediff", type=Path, help="folder of ComfyUI-AnimateDiff-Evolved")
    parser.add_argument("--videohelpersuite", type=Path, help="folder of ComfyUI-VideoHelperSuite")
    parser.add_argument("--rows", nargs="+", choices=("step", "render"), default=("step", "render"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=16, help="side of the latents of a step")
    parser.add_argument("--frames", type=int, default=16, help="frames of a step")
    parser.add_argument("--film-frames", type=int, default=256)
    parser.add_argument("--film-side", type=int, default=512, help="side of a film's frames, in pixels")
    parser.add_argument("--results", type=Path, help="keep every number in this JSON file")
    options = parser.parse_args()
    found = run(options)
    print(table(found))
    if options.results is not None:
        numbers = {name: vars(cost) for name, cost in found.items()}
        options.results.write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
