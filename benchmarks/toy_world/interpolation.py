"""Measure Latent Interpolate on the toy world.

In-between frames of held-out clips against the frames as they were drawn.

    python -m video_ldm.benchmarks.toy_world.interpolation

Every fourth frame of a clip is encoded and given to the real node, once per method, and what comes back is
decoded and compared with the drawn frames that nobody was given. The outside reference is optical flow by
OpenCV between the decoded keyframes. Prints a Markdown table and writes every number to
benchmarks/results/interpolation.json. Frames `(f h w 3)` uint8.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from einops import rearrange
from PIL import Image
from safetensors.torch import save_file

from ...demo import comfy, world
from ...demo.train.toy_models import LATENT_SCALE, encode, load_autoencoder
from ...demo.world import tracker
from ...demo.world.scene import COLORS, Scene
from .common import add_hold_still, add_layers, markdown, median_interval

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "demo" / "models"
RESULTS = ROOT / "benchmarks" / "results" / "interpolation.json"
STRIDE, KEYFRAMES = 4, 4
NUM_FRAMES = STRIDE * (KEYFRAMES - 1) + 1
NOTICED = 8  # of 255: a pixel that differs by less does not move
BETWEEN = [frame for frame in range(NUM_FRAMES) if frame % STRIDE]
FROM_SLERP = "learned from slerp"  # where --learned-denoise is below 1
METHODS = ("learned", FROM_SLERP, "pinned", "slerp", "linear")
KINDS = {
    "straight": ("left", "right", "up", "down"),
    "turning": ("clockwise", "counterclockwise"),
    "camera": ("camera",),
    "road": ("road",),
}
log = logging.getLogger("benchmarks.interpolation")


def held_out(per_kind: int, kinds: Sequence[str]) -> Iterator[tuple[str, Scene]]:
    """Scenes of the test split, as many of each kind of motion."""
    for kind in kinds:
        motions = KINDS[kind]
        for number in range(per_kind):
            rng = np.random.default_rng((2027, len(kind), number))
            yield kind, world.sample(rng, "test", motions[number % len(motions)])


def graph(prompt: str, latent: str, method: str | None, settings: dict[str, Any]) -> comfy.Graph:
    """Decode a latent file, after Latent Interpolate if there is a method."""
    text = {"class_type": "CLIPTextEncode"}
    nodes = {
        "model": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "toy_sd.safetensors"}},
        "latent": {"class_type": "LoadLatent", "inputs": {"latent": latent}},
        "decode": {
            "class_type": "VLDM_TemporalVAEDecode",
            "inputs": {
                "samples": ["between" if method else "latent", 0],
                "vae": ["model", 2],
                "chunk_length": 32,
                "overlap": 4,
            },
        },
        "show": {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}},
    }
    if method is None:
        return nodes
    learned_denoise = settings["learned_denoise"] if method == FROM_SLERP else 1.0
    method = "learned" if method == FROM_SLERP else method
    nodes["between"] = {
        "class_type": "VLDM_LatentInterpolate",
        "inputs": {
            "samples": ["latent", 0],
            "method": method,
            "passes": 1,
            "loop": False,
            "cut_threshold": 1.0,
            "fps": settings["fps"] / STRIDE,
            "seed": 0,
            "steps": settings["steps"],
            "cfg": settings["cfg"],
            "sampler_name": "euler",
            "scheduler": "normal",
            "pinned_denoise": settings["pinned_denoise"],
        },
    }
    if method in ("learned", "pinned"):
        layers = {
            "model": ["model", 0],
            "file": settings["file"],
            "strength": 1.0,
            "alpha_input": -1.0,
            "alpha_middle": -1.0,
            "alpha_output": -1.0,
        }
        nodes["layers"] = {"class_type": "VLDM_LoadTemporalLayers", "inputs": layers}
        guidance = settings["context_guidance"] if method == "learned" else 1.0
        nodes["between"]["inputs"]["context_guidance"] = guidance
        nodes["between"]["inputs"]["learned_denoise"] = learned_denoise
        nodes["between"]["inputs"]["hold_still"] = settings["hold_still"]
        nodes["positive"] = {**text, "inputs": {"clip": ["model", 1], "text": prompt}}
        nodes["negative"] = {**text, "inputs": {"clip": ["model", 1], "text": ""}}
        nodes["between"]["inputs"] |= {
            name: [source, 0]
            for name, source in (("model", "layers"), ("positive", "positive"), ("negative", "negative"))
        }
    return nodes


def shown(client: comfy.Client, nodes: comfy.Graph) -> np.ndarray:
    """Run a graph and fetch the frames that it shows."""
    files = client.run(nodes)["show"]["images"]
    return np.stack([np.asarray(Image.open(io.BytesIO(client.view(file))).convert("RGB")) for file in files])


def flow_between(keyframes: np.ndarray) -> np.ndarray:
    """All frames from keyframes by optical flow.

    Both neighbours warped halfway to the moment, and mixed by nearness.
    """
    finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    frames = [keyframes[0]]
    for start, end in pairwise(keyframes):
        greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (start, end)]
        ahead, back = finder.calc(*greys, None), finder.calc(*greys[::-1], None)
        for moment in np.arange(1, STRIDE) / STRIDE:
            left, right = _warped(start, -moment * ahead), _warped(end, -(1 - moment) * back)
            frames.append(cv2.addWeighted(left, 1 - moment, right, moment, 0))
        frames.append(end)
    return np.stack(frames)


def _warped(frame: np.ndarray, flow: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    grid = (np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1) + flow).astype(np.float32)
    return cv2.remap(frame, grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def regions(drawn: np.ndarray, scene: Scene) -> dict[str, np.ndarray]:
    """Masks `(f h w)` of the places where frames in between are hard.

    Over motion: what differs from one of the two keyframes around it by more than noise. In the object: the
    pixels of its colour.
    """
    numbers = np.array(BETWEEN)
    before = numbers // STRIDE * STRIDE
    around = drawn[np.stack([before, before + STRIDE])].astype(np.float32)
    moving = (np.abs(around - drawn[numbers]).max(-1) > NOTICED).any(0)
    if scene.cars:
        return {"moving": moving}
    found = tracker.colour_map(drawn[numbers])
    return {"moving": moving, "object": found == list(COLORS).index(scene.color)}


def measure(made: np.ndarray, drawn: np.ndarray, coded: np.ndarray, scene: Scene) -> dict[str, float]:
    """Errors of the in-between frames.

    The mean absolute one of all pixels, in 255ths, how far the object is from its place, in pixels, and the
    squared errors in the regions beyond those of the drawn frames encoded and decoded.
    """
    error = np.abs(made.astype(np.float32) - drawn)[BETWEEN].mean()
    squared, floor = (((x.astype(np.float32) - drawn) ** 2)[BETWEEN].mean(-1) for x in (made, coded))
    found = {"error": float(error), "place": float("nan")}
    for name, region in regions(drawn, scene).items():
        found[name] = float((squared - floor)[region].mean()) if region.any() else float("nan")
    if not scene.cars:
        tracks = [tracker.track(frames, scene.color)[BETWEEN] for frames in (made, drawn)]
        found["place"] = float(np.nanmean(np.hypot(*(tracks[0] - tracks[1]).T)))
    return found


def run(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Every clip by every method."""
    autoencoder = load_autoencoder(MODELS / "toy_sd.safetensors")
    host, found = comfy.Host(), []
    with host as client:
        for number, (kind, scene) in enumerate(held_out(settings["per_kind"], settings["kinds"])):
            drawn = world.render(scene, NUM_FRAMES, settings["fps"])
            pictures = rearrange(torch.from_numpy(drawn), "f h w c -> f c h w").float() / 255
            latents = encode(autoencoder, pictures) / LATENT_SCALE
            name = f"clip_{number}.latent"
            for file, tensor in ((name, latents[::STRIDE]), (f"all_{name}", latents)):
                version = {"latent_format_version_0": torch.tensor([])}
                save_file({"latent_tensor": tensor.contiguous(), **version}, host.base / "input" / file)
            methods = [m for m in METHODS if m != FROM_SLERP or settings["learned_denoise"] < 1]
            made = {
                method: shown(client, graph(world.caption(scene), name, method, settings))
                for method in methods
            }
            made["optical flow"] = flow_between(made["slerp"][::STRIDE])
            made["encoded and decoded"] = shown(client, graph("", f"all_{name}", None, settings))
            found.append(
                {"kind": kind, "prompt": world.caption(scene)}
                | {
                    method: measure(frames, drawn, made["encoded and decoded"], scene)
                    for method, frames in made.items()
                }
            )
            log.info("clip %d, %s", number + 1, world.caption(scene))
            if settings["sheet"] and number == 0:
                rows = [np.concatenate(list(frames), 1) for frames in (drawn, *made.values())]
                Image.fromarray(np.concatenate(rows)).save(settings["sheet"])
    return found


def table(found: list[dict[str, Any]]) -> str:
    """The means as a Markdown table.

    Errors by kind of motion, and the distance of the object from its place.
    """
    methods = [key for key in found[0] if key not in ("kind", "prompt")]
    kinds = list(dict.fromkeys(clip["kind"] for clip in found))
    lines = [
        "| in-between frames | " + " | ".join(kinds) + " | all | object off (px) |",
        "|---" * (len(kinds) + 3) + "|",
    ]
    for method in methods:
        errors = [np.mean([c[method]["error"] for c in found if c["kind"] == kind]) for kind in kinds]
        place = np.nanmean([c[method]["place"] for c in found])
        overall = np.mean([c[method]["error"] for c in found])
        row = " | ".join(f"{value:.2f}" for value in (*errors, overall, place))
        lines.append(f"| {method} | {row} |")
    return "\n".join(lines)


def region_table(found: list[dict[str, Any]]) -> str:
    """Squared errors beyond encoding and decoding as shares of slerp's, over motion and in the object.

    They are medians over clips with their 95 % intervals.
    """
    methods = [key for key in found[0] if key not in ("kind", "prompt", "encoded and decoded")]
    rows = []
    for method in methods:
        cells = []
        for region in ("moving", "object"):
            pairs = [(c[method].get(region), c["slerp"].get(region)) for c in found]
            shares = [mine / slerp for mine, slerp in pairs if mine is not None and slerp]
            cells.append("{:.2f} ({:.2f} to {:.2f})".format(*median_interval(shares)))
        rows.append([method, *cells])
    return markdown(["squared error, times that of slerp", "over motion", "in the object"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_layers(parser)
    parser.add_argument("--per-kind", type=int, default=16, help="held-out clips of each kind of motion")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--fps", type=float, default=16.0, help="of the clips, four times that of keyframes")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--cfg", type=float, default=1.0)
    parser.add_argument("--pinned-denoise", type=float, default=0.6)
    parser.add_argument("--context-guidance", type=float, default=1.0, help="of method learned")
    parser.add_argument("--learned-denoise", type=float, default=1.0, help="below 1 from slerp")
    add_hold_still(parser)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument(
        "--sheet", type=Path, help="also write a contact sheet of the first clip, a method per row"
    )
    settings = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    began = time.monotonic()
    found = run(settings)
    facts = {
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        "device": f"cpu, {os.cpu_count()} cores",
        "seconds": round(time.monotonic() - began),
    }
    kept = {key: value for key, value in settings.items() if key not in ("out", "sheet")}
    settings["out"].write_text(json.dumps({"settings": kept, "run": facts, "clips": found}, indent=1) + "\n")
    sys.stdout.write(table(found) + "\n\n" + region_table(found) + "\n")


if __name__ == "__main__":
    main()
