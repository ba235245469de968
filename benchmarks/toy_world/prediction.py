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
from dataclasses import asdict, dataclass
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
from ...demo.world.video_distance import Resolved, pair_features, resolved_distance
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

FPS = 8.0
CONTEXT, LENGTH = 2, 8
NEW = LENGTH - CONTEXT
EARLY = 16  # the frame that a long rollout's end is compared with
REFERENCE = 256  # drawn clips on the other side of every distance
PERCENT, DRAWS = ("drift", "low", "high"), 200
log = logging.getLogger("benchmarks.prediction")

Path2D = NDArray[np.float64]


def is_seam(size: int, width: int) -> NDArray[np.bool_]:
    """For each of `size` runs of `width` neighbouring frames, whether two predicted segments meet inside it.

    Run n starts with frame n. The first segment starts after the given frames, which are no segment.
    """
    segments = (np.arange(size + width - 1) - CONTEXT) // NEW
    return np.array([0 <= segments[n] < segments[n + width - 1] for n in range(size)])


@dataclass(frozen=True)
class Changes:
    """Sizes of changes along a track in pixels, at seams and inside segments."""

    seams: NDArray[np.float64]
    inside: NDArray[np.float64]

    @property
    def ratio(self) -> float:
        """Median at seams over median inside; NaN where either is empty."""
        if not len(self.seams) or not len(self.inside):
            return float("nan")
        return float(np.median(self.seams) / np.median(self.inside))


def changes(paths: list[Path2D], order: int) -> Changes:
    """Changes of position (order 1) or velocity (order 2) between neighbouring predicted frames.

    Tracks are `(f 2)`.

    Runs that hold a given frame or one without the object are left out.
    """
    seams, inside = [], []
    for path in paths:
        sizes = np.hypot(*np.diff(path, n=order, axis=0).T)
        kept = (np.arange(len(sizes)) >= CONTEXT) & ~np.isnan(sizes)
        at_seam = is_seam(len(sizes), order + 1)
        seams.append(sizes[kept & at_seam])
        inside.append(sizes[kept & ~at_seam])
    return Changes(np.concatenate(seams), np.concatenate(inside))


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

    def clip(self, scene: Scene, seed: int, guidance: float, frames: int) -> np.ndarray:
        """The scene's first two frames, encoded, and `frames` predicted ones after them."""
        nodes = self._extended(scene, seed, guidance, frames) | decoded("extend")
        return shown(self.client, nodes)[: CONTEXT + frames]

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


def distance(judge: classifier.Classifier, clips: list[np.ndarray], reference: list[np.ndarray]) -> Resolved:
    """Toy Frechet video distance of predicted frames to pair features of drawn clips.

    It is taken in as few axes as there are samples for.
    """
    return resolved_distance(
        [pair_features(judge, classifier.to_pictures(clip[CONTEXT:])) for clip in clips], reference
    )


def motion(clips: list[np.ndarray], scenes: list[Scene]) -> dict[str, float]:
    """Motion of the object.

    Seen, the right way round, and its changes at seams against those inside segments.
    """
    paths = [tracker.track(clip, scene.color) for clip, scene in zip(clips, scenes, strict=True)]
    turns = [tracker.turn(path[CONTEXT:]) == scene.motion for path, scene in zip(paths, scenes, strict=True)]
    found = {
        "seen": 100 * float(np.mean([~np.isnan(p[:, 0]) for p in paths])),
        "turn": 100 * float(np.mean(turns)),
    }
    for name, order in (("position", 1), ("velocity", 2)):
        sizes = changes(paths, order)
        found[name] = sizes.ratio
        found |= {f"{name}_seams": _median(sizes.seams), f"{name}_inside": _median(sizes.inside)}
    return found


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def guidances(
    predictor: Predictor, judge: classifier.Classifier, settings: dict[str, Any]
) -> dict[str, dict[str, float]]:
    """Every scene at every context guidance; the scenes as they were drawn are the floor."""
    scenes, frames = held_out(settings["clips"], tuple(TURNS)), settings["frames"]
    drawn = [
        world.render(scene, CONTEXT + frames, FPS) for scene in held_out(REFERENCE, tuple(TURNS), seed=1)
    ]
    reference = [pair_features(judge, classifier.to_pictures(clip[CONTEXT:])) for clip in drawn]
    made = {"drawn": [world.render(scene, CONTEXT + frames, FPS) for scene in scenes]}
    with predictor:
        for guidance in settings["guidances"]:
            name, seeded = f"s = {guidance:g}", enumerate(scenes)
            made[name] = [predictor.clip(scene, seed, guidance, frames) for seed, scene in seeded]
            log.info("%s, %d clips", name, len(scenes))
    return {
        name: {**asdict(distance(judge, clips, reference)), **motion(clips, scenes)}
        for name, clips in made.items()
    }


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
    """Mark of the layers and of the settings that a rollout depends on: others make another one."""
    names = ("steps", "cfg", "long", "window", "long_guidance", "hold_colours")
    layers = (MODELS / settings["file"]).read_bytes()
    return digest(layers, json.dumps([settings[name] for name in names]))[:8]


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
    """Both tables as Markdown, and the drift in percent."""
    header = [
        "toy world, prediction",
        "video distance",
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
    keys = ("distance", "seen", "turn", *places)
    rows = [
        [
            f"{name}, {row['low']:.2f} to {row['high']:.2f}, floor {row['floor']:.2f} of {row['axes']} axes",
            *(row[key] for key in keys),
        ]
        for name, row in found["guidances"].items()
    ]
    text = markdown(header, rows)
    if not found["drift"]:
        return text
    header = [
        "toy world, long rollout",
        "Frechet distance of single frames",
        "offset from the own scene, drawn",
        "shape right (%)",
        "colour right (%)",
        "frames with the object (%)",
    ]
    keys = ("distance", "offset", "shape", "color", "seen")
    rows = [[name, *(row[key] for key in keys)] for name, row in found["drift"].items() if name != "percent"]
    drifted = "{drift:.1f} % ({low:.1f} to {high:.1f})".format(**found["drift"]["percent"])
    return f"{text}\n\n{markdown(header, rows)}\n\nDrift of the distance: {drifted}"


def main() -> None:
    parser = options(__doc__, "prediction.json")
    add_layers(parser)
    parser.add_argument("--clips", type=int, default=10, help="held-out scenes at each context guidance")
    parser.add_argument("--frames", type=int, default=24, help="predicted frames of each of them")
    parser.add_argument("--guidances", type=float, nargs="*", default=[1.0, 1.5, 2.5])
    parser.add_argument("--rollouts", type=int, default=8, help="long rollouts, 0 for none")
    parser.add_argument("--long", type=int, default=1000, help="predicted frames of each of them")
    parser.add_argument(
        "--window", type=int, default=28, help="frames about a place of a long rollout that are judged"
    )
    parser.add_argument(
        "--keep", type=Path, help="folder of rollouts that are done, for the next run of the same"
    )
    parser.add_argument("--long-guidance", type=float, default=1.0)
    parser.add_argument("--hold-colours", action="store_true", help="mean colours of the start in all frames")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--cfg", type=float, default=2.0)
    settings, began = vars(parser.parse_args()), time.monotonic()
    judge = classifier.load_classifier(MODELS / "toy_classifier.safetensors")
    with ThreadPoolExecutor() as pool:
        parts = {"guidances": pool.submit(guidances, Predictor(settings), judge, settings)}
        if settings["rollouts"]:
            parts["drift"] = pool.submit(drift, Predictor(settings), judge, settings)
        found: dict[str, Any] = {"drift": {}, **{name: part.result() for name, part in parts.items()}}
    write(settings, found, began)
    sys.stdout.write(report(found) + "\n")


if __name__ == "__main__":
    main()
