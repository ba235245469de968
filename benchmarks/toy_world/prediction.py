"""Measure Extend Video on the toy world: clips gone on from two drawn frames of held-out scenes.

    python -m video_ldm.benchmarks.toy_world.prediction

The scenes circle, so that they stay in the picture for ever. Three questions, asked of the real nodes: how
far predicted clips are from drawn ones (the toy Frechet video distance of demo/world/video_distance.py) at
several context guidances; whether the object's motion changes more where segments meet than inside them; and
whether single frames about the end of a long rollout are worse than those about frame 16. The short clips and
the long rollout are made at the same time, each by a host of its own. Prints Markdown tables and writes every
number to benchmarks/results/prediction.json. Frames `(f h w 3)` uint8.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn

from ...demo import comfy, world
from ...demo.train.toy_models import load_autoencoder
from ...demo.world import classifier, tracker
from ...demo.world.scene import TURNS, Scene
from ...demo.world.video_distance import pair_features, paired_difference, resolved_distance
from ...temporal.sampling.noise import seed_of_part
from ...temporal.sampling.rollout import digest
from .common import (
    MODELS,
    add_layers,
    decoded,
    features,
    give_latents,
    held_out,
    kept,
    markdown,
    models,
    options,
    write,
)
from .interpolation import shown
from .seams import CONTEXT, LENGTH, NEW, motion

FPS = 8.0
EARLY = 16  # the frame that a long rollout's end is compared with
REFERENCE = 256  # drawn clips on the other side of every distance
PERCENT, DRAWS = ("drift", "low", "high"), 200
log = logging.getLogger("benchmarks.prediction")


def about(frame: int, width: int, num_frames: int) -> slice:
    """A window of frames about one of them, moved to lie after the given frames and inside the clip."""
    start = max(min(frame - width // 2, num_frames - width), CONTEXT)
    return slice(start, start + width)


def extended(
    scene: Scene, latent: str, seed: int, guidance: float, frames: int, settings: dict[str, Any]
) -> comfy.Graph:
    """Extend Video from a latent file until there are `frames` predicted frames."""
    extend = {
        "model": ["layers", 0],
        "positive": ["positive", 0],
        "negative": ["negative", 0],
        "samples": ["latent", 0],
        "segments": -(-frames // NEW),
        "seconds": 0.0,
        "segment_length": LENGTH,
        "context_frames": CONTEXT,
        "seeds": str(seed),
        "steps": settings["steps"],
        "cfg": settings["cfg"],
        "sampler_name": "euler",
        "scheduler": "normal",
        "fps": FPS,
        "folder": f"benchmark/{latent}",
        "context_guidance": guidance,
        "hold_colours": settings["hold_colours"],
    }
    return {
        **models(world.caption(scene), file=settings["file"]),
        "latent": {"class_type": "LoadLatent", "inputs": {"latent": latent}},
        "extend": {"class_type": "VLDM_ExtendVideo", "inputs": extend},
    }


class Predictor:
    """A running host that goes on from drawn frames; `with` starts and ends it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings, self.host = settings, comfy.Host()
        self.autoencoder: nn.Module = load_autoencoder(MODELS / "toy_sd.safetensors")

    def __enter__(self) -> Predictor:
        self.client = self.host.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.host.__exit__(*error)

    def clips(self, scene: Scene, seed: int, guidance: float, frames: int) -> list[np.ndarray]:
        """One clip: the scene's first two frames, encoded, and `frames` predicted ones after them."""
        nodes = self._extended(scene, seed, guidance, frames) | decoded("extend")
        return [shown(self.client, nodes)[: CONTEXT + frames]]

    def parts(
        self, scene: Scene, seed: int, guidance: float, frames: int, places: list[slice]
    ) -> list[np.ndarray]:
        """Some parts of such a clip; nothing else of it is decoded."""
        save = {"samples": ["extend", 0], "filename_prefix": f"rollout_{seed}"}
        nodes = self._extended(scene, seed, guidance, frames)
        nodes["save"] = {"class_type": "SaveLatent", "inputs": save}
        self.client.run(nodes)
        whole = load_file(next((self.host.base / "output").glob(f"rollout_{seed}_*.latent")))
        found = []
        for number, place in enumerate(places):
            name = f"part_{seed}_{number}.latent"
            part = {**whole, "latent_tensor": whole["latent_tensor"][place].contiguous()}
            save_file(part, self.host.base / "input" / name)
            load = {"class_type": "LoadLatent", "inputs": {"latent": name}}
            found.append(shown(self.client, {**models(""), "part": load, **decoded("part")}))
        return found

    def _extended(self, scene: Scene, seed: int, guidance: float, frames: int) -> comfy.Graph:
        name = f"scene_{seed}.latent"
        give_latents(self.host, name, self.autoencoder, world.render(scene, CONTEXT, FPS))
        return extended(scene, name, seed, guidance, frames, self.settings)


def guidances(
    predictor: Predictor, judge: classifier.Classifier, settings: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Every scene at every context guidance; the scenes as they were drawn are the floor.

    `nearer` is by how much a guidance is nearer to drawn clips than the first one.
    """
    scenes, frames = held_out(settings["clips"], tuple(TURNS)), settings["frames"]
    drawn = [
        world.render(scene, CONTEXT + frames, FPS) for scene in held_out(REFERENCE, tuple(TURNS), seed=1)
    ]
    made = {"drawn": [world.render(scene, CONTEXT + frames, FPS) for scene in scenes]}
    with predictor:
        for guidance in settings["guidances"]:
            name, clips = f"s = {guidance:g}", made.setdefault(f"s = {guidance:g}", [])
            for seed, scene in enumerate(scenes):
                make = partial(predictor.clips, scene, seed, guidance, frames)
                clips += kept(settings["keep"], f"clip_{seed}_{guidance:g}_{mark(settings)}", make)
            log.info("%s, %d clips", name, len(scenes))
    return compared(judge, made, scenes, drawn)


def compared(
    judge: classifier.Classifier,
    made: dict[str, list[np.ndarray]],
    scenes: list[Scene],
    drawn: list[np.ndarray],
) -> dict[str, dict[str, Any]]:
    """Distances of predicted frames to those of drawn clips, differences of the distances, and motion.

    The first guidance, against which the others are held, comes after the scenes as they were drawn.
    """
    reference = pairs(judge, drawn)
    seen = {name: pairs(judge, clips) for name, clips in made.items()}
    first = list(made)[1]
    return {
        name: {
            **asdict(resolved_distance(seen[name], reference)),
            "nearer": paired_difference(seen[first], seen[name], reference),
            **motion(clips, scenes),
        }
        for name, clips in made.items()
    }


def pairs(judge: classifier.Classifier, clips: list[np.ndarray]) -> list[np.ndarray]:
    """Pair features of the predicted frames of clips."""
    return [pair_features(judge, classifier.to_pictures(clip[CONTEXT:])) for clip in clips]


def drift(
    predictor: Predictor, judge: classifier.Classifier, settings: dict[str, Any]
) -> dict[str, dict[str, float]]:
    """Long rollouts: single frames about frame 16 and about the end against drawn frames.

    They are pooled over the rollouts.
    """
    scenes, length, width = held_out(settings["rollouts"], tuple(TURNS)), settings["long"], settings["window"]
    drawn = [world.render(scene, 8, FPS) for scene in held_out(REFERENCE, tuple(TURNS), seed=1)]
    reference, made, total = features(judge, drawn), [], CONTEXT + length
    places = {
        f"frames about {EARLY}": about(EARLY, width, total),
        f"frames about {length}": about(length, width, total),
    }
    with predictor:
        for number, scene in enumerate(scenes):
            wanted, seed = list(places.values()), 1000 + number
            make = partial(predictor.parts, scene, seed, settings["long_guidance"], length, wanted)
            made.append(kept(settings["keep"], f"rollout_{number}_{mark(settings)}", make))
            log.info("rollout %d of %d", number + 1, len(scenes))
    truth = [world.render(scene, width, FPS) for scene in scenes]
    again = [world.render(scene, width, FPS, start=0.5 / FPS) for scene in scenes]
    windows = {"drawn": again, **{name: [parts[n] for parts in made] for n, name in enumerate(places)}}
    found = {name: _still(judge, clips, scenes, truth, reference) for name, clips in windows.items()}
    early, late = ([features(judge, [clip]) for clip in windows[name]] for name in places)
    return found | {"percent": dict(zip(PERCENT, drift_percent(early, late, reference), strict=True))}


def mark(settings: dict[str, Any]) -> str:
    """Mark of the layers, the settings and the noise that a kept clip depends on: others make another one."""
    names = ("steps", "cfg", "frames", "long", "window", "long_guidance", "hold_colours")
    layers = (MODELS / settings["file"]).read_bytes()
    return digest(layers, json.dumps([seed_of_part(0, 1), *(settings[name] for name in names)]))[:8]


def drift_percent(
    early: list[NDArray[np.float64]], late: list[NDArray[np.float64]], reference: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Percent by which late frames are farther from the reference than early ones, with the 95 % interval.

    Whole rollouts are drawn again (bootstrap); one rollout has no interval. Features of a rollout `(n
    d)`.
    """

    def percent(chosen: NDArray[np.int64]) -> float:
        ends = [np.concatenate([side[i] for i in chosen]) for side in (early, late)]
        near, far = (classifier.frechet_distance(end, reference) for end in ends)
        return 100 * (far / near - 1)

    count, rng = len(early), np.random.default_rng(0)
    if count < 2:
        return percent(np.arange(count)), float("-inf"), float("inf")
    low, high = np.percentile([percent(rng.integers(count, size=count)) for _ in range(DRAWS)], (2.5, 97.5))
    return percent(np.arange(count)), float(low), float(high)


def offset(ours: NDArray[np.float64], theirs: NDArray[np.float64], spread: NDArray[np.float64]) -> float:
    """Distance of the means of two sets of features `(n d)`.

    Root mean square in units of the spread `(d)`.
    """
    used = spread > 1e-3
    gaps = (ours.mean(0) - theirs.mean(0))[used] / spread[used]
    return float(np.sqrt((gaps**2).mean()))


def _still(
    judge: classifier.Classifier,
    clips: list[np.ndarray],
    scenes: list[Scene],
    truth: list[np.ndarray],
    reference: NDArray[np.float64],
) -> dict[str, float]:
    """Compare single frames with the world, with their scenes as drawn, and by the judge."""
    names = [classifier.name(judge, clip) for clip in clips]
    spread = reference.std(0)
    offsets = [
        offset(features(judge, [c]), features(judge, [t]), spread) for c, t in zip(clips, truth, strict=True)
    ]
    pairs = list(zip(clips, scenes, strict=True))
    return {
        "distance": classifier.frechet_distance(features(judge, clips), reference),
        "offset": float(np.mean(offsets)),
        "shape": 100 * float(np.mean([n["shape"] == s.shape for n, s in zip(names, scenes, strict=True)])),
        "color": 100 * float(np.mean([tracker.main_colour(clip) == scene.color for clip, scene in pairs])),
        "seen": 100 * float(np.mean([~np.isnan(tracker.track(clip, s.color)[:, 0]) for clip, s in pairs])),
    }


def report(found: dict[str, Any]) -> str:
    """The tables of what was measured as Markdown, and the drift in percent."""
    parts = []
    if found["guidances"]:
        parts.append(guidance_table(found["guidances"]))
    if found["drift"]:
        drifted = "{drift:.1f} % ({low:.1f} to {high:.1f})".format(**found["drift"]["percent"])
        parts += [drift_table(found["drift"]), f"Drift of the distance: {drifted}"]
    return "\n\n".join(parts)


def guidance_table(rows: dict[str, dict[str, Any]]) -> str:
    """Context guidances as Markdown, a row each."""
    header = [
        "toy world, prediction",
        "video distance",
        "nearer than the first",
        "frames with the object (%)",
        "turn right (%)",
        "steps at seams (px)",
        "inside (px)",
        "ratio",
        "velocity changes at seams (px)",
        "inside (px)",
        "ratio",
    ]
    places = [f"{kind}{place}" for kind in ("position", "velocity") for place in ("_seams", "_inside", "")]
    cells = [
        [
            f"{name}, {row['low']:.2f} to {row['high']:.2f}, floor {row['floor']:.2f} of {row['axes']} axes",
            row["distance"],
            "{:.2f} ({:.2f} to {:.2f})".format(*row["nearer"]),
            *(row[key] for key in ("seen", "turn", *places)),
        ]
        for name, row in rows.items()
    ]
    return markdown(header, cells)


def drift_table(rows: dict[str, dict[str, float]]) -> str:
    """Single frames of long rollouts as Markdown, a row for each place in them."""
    header = [
        "toy world, long rollout",
        "Frechet distance of single frames",
        "offset from the own scene, drawn",
        "shape right (%)",
        "colour right (%)",
        "frames with the object (%)",
    ]
    keys = ("distance", "offset", "shape", "color", "seen")
    return markdown(
        header, [[name, *(row[key] for key in keys)] for name, row in rows.items() if name != "percent"]
    )


def main() -> None:
    parser = options(__doc__, "prediction.json")
    add_layers(parser)
    parser.add_argument("--clips", type=int, default=24, help="held-out scenes at each context guidance")
    parser.add_argument("--frames", type=int, default=24, help="predicted frames of each of them")
    parser.add_argument("--guidances", type=float, nargs="*", default=[1.0, 1.5, 2.5, 4.0])
    parser.add_argument("--rollouts", type=int, default=8, help="long rollouts, 0 for none")
    parser.add_argument("--long", type=int, default=1000, help="predicted frames of each of them")
    parser.add_argument(
        "--window", type=int, default=28, help="frames about a place of a long rollout that are judged"
    )
    parser.add_argument(
        "--keep", type=Path, help="folder of clips that are done, for the next run of the same"
    )
    parser.add_argument("--long-guidance", type=float, default=1.0)
    parser.add_argument("--hold-colours", action="store_true", help="mean colours of the start in all frames")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--cfg", type=float, default=2.0)
    settings, began = vars(parser.parse_args()), time.monotonic()
    judge = classifier.load_classifier(MODELS / "toy_classifier.safetensors")
    with ThreadPoolExecutor() as pool:
        asked = {"guidances": (guidances, settings["guidances"]), "drift": (drift, settings["rollouts"])}
        parts = {
            name: pool.submit(measure, Predictor(settings), judge, settings)
            for name, (measure, wanted) in asked.items()
            if wanted
        }
        found: dict[str, Any] = {"guidances": {}, "drift": {}}
        found |= {name: part.result() for name, part in parts.items()}
    write(settings, found, began)
    sys.stdout.write(report(found) + "\n")


if __name__ == "__main__":
    main()
