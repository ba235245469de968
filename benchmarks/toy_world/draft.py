"""Measure how much of a clip a draft of it shows, on the toy world.

A draft takes the first steps as they are and few from there to the end; beside it stand as many even steps.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.toy_world.draft

Held-out prompts, a seed each, Euler's method, whose steps can be taken again from any of them: the draft of a
clip begins in its own sampling. Prints a Markdown table and writes every number to
benchmarks/results/draft.json after each prompt.

Frames `(f h w 3)` uint8, latents `(f 4 16 16)`, tracks `(f 2)` pixels.
"""

from __future__ import annotations

import logging
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...demo import world
from ...demo.world import classifier, tracker
from ...demo.world.scene import Scene
from ...nodes import host_boot as boot
from ...temporal.sampling.schedules.hurry import hurried
from .common import MODELS, ROOT, held_out, markdown, median_interval, options, share_interval, write

FRAMES, SIDE, FPS = 5, 128, 8.0
NEAR = SIDE / 16  # pixels that an object may be away and still be at its place
POOL = 8  # pixels whose colours are taken together
MOTIONS = ("left", "right", "up", "down", "circle clockwise", "still")
ROWS = {
    "apart": "object away from its place (px, median)",
    "near": "clips with the object at its place (%)",
    "colours": "coarse colours apart (of 255, median)",
    "color": "same colour (%)",
    "shape": "same shape (%)",
    "way": "same direction (%)",
}
log = logging.getLogger("benchmarks.draft")


# steps that are taken as they are, and from there to the end; 0: so many even steps
WAYS = {"draft: 7 of 20 steps, then 5": (7, 5), "12 even steps": (0, 12)}


class Studio:
    """The toy models in a host of this process."""

    def __init__(self) -> None:
        boot.start_host(None, [str(ROOT / "demo" / "host_pack")], cpu=True)
        torch.set_num_threads(1)
        import comfy.sd
        import folder_paths

        from ...nodes.host.files import TEMPORAL_LAYERS, open_temporal_layers, register_folders
        from ...nodes.host.layers.attached.settings import LayerSettings
        from ...nodes.host.layers.insertion import add_temporal_layers

        register_folders()
        folder_paths.add_model_folder_path(TEMPORAL_LAYERS, str(MODELS))
        checkpoint = str(MODELS / "toy_sd.safetensors")
        model, self.clip, self.vae, *_ = comfy.sd.load_checkpoint_guess_config(checkpoint)
        layers = open_temporal_layers("toy_temporal.safetensors", model.load_device).patcher
        self.model = add_temporal_layers(model, layers, LayerSettings())

    def films(self, prompt: str, seed: int, settings: dict[str, Any]) -> dict[str, np.ndarray]:
        """Frames of a clip, named "whole", and of its ways by their names."""
        import comfy.sample
        import comfy.samplers

        from ...nodes.host.sampling.clip import make_guider

        texts = [self.clip.encode_from_tokens_scheduled(self.clip.tokenize(text)) for text in (prompt, "")]
        latent, cfg = torch.zeros(FRAMES, 4, SIDE // 8, SIDE // 8), settings["cfg"]
        guider = make_guider(self.model, *texts, (cfg, cfg, 1.0), FPS, {"samples": latent}, None)

        def sigmas_of(steps: int) -> Tensor:
            patcher, device = guider.model_patcher, torch.device("cpu")
            return comfy.samplers.KSampler(patcher, steps, device, "euler", "normal").sigmas

        drafts: dict[str, Tensor] = {}

        def every_way(model: Any, x: Tensor, sigmas: Tensor, **given: Any) -> Tensor:
            whole = euler(model, x, sigmas, given["extra_args"])
            for name, (kept, end) in WAYS.items():
                levels = hurried(sigmas, kept, end) if kept else sigmas_of(end)
                drafts[name] = euler(model, whole[kept], levels[kept:], given["extra_args"])[-1]
            return whole[-1]

        noise, sampler = comfy.sample.prepare_noise(latent, seed), comfy.samplers.KSAMPLER(every_way)
        sigmas = sigmas_of(settings["steps"])
        made = guider.sample(noise, latent, sampler, sigmas, disable_pbar=True, seed=seed)
        unscaled = guider.model_patcher.model.process_latent_out
        return {"whole": self.frames(made)} | {
            name: self.frames(unscaled(drafted.float())) for name, drafted in drafts.items()
        }

    def frames(self, latents: Tensor) -> np.ndarray:
        """Frames of latents through the toy autoencoder."""
        return (255 * self.vae.decode(latents)).round().to(torch.uint8).numpy()


def euler(model: Any, x: Tensor, sigmas: Tensor, given: dict[str, Any]) -> list[Tensor]:
    """The noisy latents of every step of Euler's method, from the first to the last."""
    found = [x]
    for now, after in pairwise(sigmas):
        x = found[-1]
        clean = model(x, now * x.new_ones([len(x)]), **given)
        found.append(clean if after == 0 else x + (x - clean) / now * (after - now))
    return found


def coarse(clip: np.ndarray) -> np.ndarray:
    """Mean colours of blocks of POOL x POOL pixels."""
    f, h, w, c = clip.shape
    return clip.reshape(f, h // POOL, POOL, w // POOL, POOL, c).mean((2, 4))


def between(
    judge: classifier.Classifier, scene: Scene, final: np.ndarray, other: np.ndarray
) -> dict[str, Any]:
    """Distances of a clip from the final one, and what both have in common."""
    paths = [tracker.track(clip, scene.color) for clip in (final, other)]
    gaps = np.linalg.norm(paths[0] - paths[1], axis=-1)
    apart = float(np.nanmean(gaps)) if np.isfinite(gaps).any() else float("nan")
    shapes = [classifier.name(judge, clip)["shape"] for clip in (final, other)]
    return {
        "apart": apart,
        "near": apart <= NEAR,
        "colours": float(np.sqrt(np.mean((coarse(final) - coarse(other)) ** 2))),
        "color": tracker.main_colour(final) == tracker.main_colour(other),
        "shape": shapes[0] == shapes[1],
        "way": tracker.direction(paths[0]) == tracker.direction(paths[1]),
    }


def measure(studio: Studio, settings: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Measure what every way makes of every prompt, beside the clip itself."""
    judge = classifier.load_classifier(MODELS / "toy_classifier.safetensors")
    found: dict[str, list[dict[str, Any]]] = {}
    began = time.monotonic()
    for seed, scene in enumerate(held_out(settings["prompts"], MOTIONS)):
        prompt = world.caption(scene)
        films = studio.films(prompt, seed, settings)
        whole = films.pop("whole")
        for name, film in films.items():
            found.setdefault(name, []).append(between(judge, scene, whole, film))
        results = {name: summary(rows) for name, rows in found.items()}
        write({**settings, "prompts": seed + 1}, {"clips": results, "rows": found}, began)
        log.info("%d of %d", seed + 1, settings["prompts"])
    return found


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians with their interval, and shares in percent with theirs."""
    made: dict[str, Any] = {}
    for name in ROWS:
        values = [row[name] for row in rows]
        if isinstance(values[0], bool | np.bool_):
            made[name] = [100 * part for part in share_interval(sum(map(bool, values)), len(values))]
        else:
            made[name] = list(median_interval(values))
    return made


def main() -> None:
    parser = options(__doc__, "draft.json")
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cfg", type=float, default=7.5)
    settings = vars(parser.parse_args())
    with torch.inference_mode():
        found = measure(Studio(), settings)
    results = {name: summary(rows) for name, rows in found.items()}
    table = [
        [ROWS[row], *("{:.1f} ({:.1f} to {:.1f})".format(*made[row]) for made in results.values())]
        for row in ROWS
    ]
    sys.stdout.write(markdown(["toy world", *results], table) + "\n")


if __name__ == "__main__":
    main()
