"""Measure 8 drawn keyframes that become 29 and 113 frames with one model, in two passes.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.toy_world.passes

Held-out scenes that circle, two keyframes a second, through Latent Interpolate. Two questions: how far are
the frames of each pass from those as they were drawn, beside slerp; and does a keyframe jump, which is asked
of the track (its steps and its changes of velocity) and of the pictures (how much they change from frame to
frame), next to keyframes against elsewhere. Prints Markdown tables and writes every number to
benchmarks/results/passes.json. Frames `(f h w 3)` uint8, tracks `(f 2)`.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...demo import comfy, world
from ...demo.train.toy_models import load_autoencoder
from ...demo.world import tracker
from ...demo.world.scene import TURNS, Scene
from .common import (
    MODELS,
    add_hold_still,
    add_layers,
    give_latents,
    held_out,
    markdown,
    median_interval,
    options,
    write,
)
from .interpolation import FROM_SLERP, graph, shown

KEYFRAMES, STRIDE, FPS = 8, 4, 2.0
FRAMES = (KEYFRAMES - 1) * STRIDE**2 + 1
GIVEN = np.arange(0, FRAMES, STRIDE**2)
FIRST_PASS = np.setdiff1d(np.arange(0, FRAMES, STRIDE), GIVEN)
SECOND_PASS = np.setdiff1d(np.arange(FRAMES), np.arange(0, FRAMES, STRIDE))
METHODS = ("learned", "slerp")
NO_CUTS = 2.0  # two keyframes a second are too far apart to tell a cut by
JUMPS = {"steps of the object": 1, "changes of its velocity": 2}
log = logging.getLogger("benchmarks.passes")

Numbers = NDArray[np.float64]


def between(scene: Scene, latent: str, method: str, settings: dict[str, Any]) -> comfy.Graph:
    """Both passes from a file of keyframes, decoded and shown."""
    begun = FROM_SLERP if method == "learned" and settings["learned_denoise"] < 1 else method
    nodes = graph(
        world.caption(scene), latent, begun, {**settings, "pinned_denoise": 0.6, "fps": FPS * STRIDE}
    )
    nodes["between"]["inputs"] |= {"passes": 2, "fps": FPS, "cut_threshold": NO_CUTS}
    return nodes


def next_to(frames: NDArray[np.int64], order: int) -> NDArray[np.bool_]:
    """Differences of this order along a clip, `(FRAMES - order,)`, that one of these frames makes.

    Of order 2 only those in whose middle it lies.
    """
    hit = np.isin(np.arange(FRAMES), frames)
    return hit[:-1] | hit[1:] if order == 1 else hit[1:-1]


def jumps(sizes: Numbers, order: int) -> dict[str, float]:
    """Median size of differences at given keyframes, and at those of the first pass, over that elsewhere."""
    given, first = next_to(GIVEN, order), next_to(FIRST_PASS, order)
    rest = median(sizes[~given & ~first])
    return {"given": median(sizes[given]) / rest, "first": median(sizes[first & ~given]) / rest}


def median(sizes: Numbers) -> float:
    """Median of those that are numbers; NaN where none is, as the object was not seen there."""
    seen = sizes[~np.isnan(sizes)]
    return float(np.median(seen)) if len(seen) else float("nan")


def measure(made: np.ndarray, drawn: np.ndarray, scene: Scene) -> dict[str, Any]:
    """Distance of the object from its place in the frames of each pass, and jumps at keyframes."""
    path, true = (tracker.track(frames, scene.color) for frames in (made, drawn))
    off = np.hypot(*(path - true).T)
    change = np.abs(np.diff(made.astype(np.float64), axis=0)).mean((1, 2, 3))
    found = {
        "first pass": float(np.nanmean(off[FIRST_PASS])),
        "second pass": float(np.nanmean(off[SECOND_PASS])),
        "seen": 100 * float(np.mean(~np.isnan(path[:, 0]))),
        "changes of the picture": jumps(change, 1),
    }
    for name, order in JUMPS.items():
        found[name] = jumps(np.hypot(*np.diff(path, n=order, axis=0).T), order)
    return found


def run(settings: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Every scene by every method, and as it was drawn."""
    autoencoder, host = load_autoencoder(MODELS / "toy_sd.safetensors"), comfy.Host()
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in (*METHODS, "drawn")}
    with host as client:
        for number, scene in enumerate(held_out(settings["clips"], tuple(TURNS))):
            drawn, name = world.render(scene, FRAMES, FPS * STRIDE**2), f"keyframes_{number}.latent"
            give_latents(host, name, autoencoder, drawn[GIVEN])
            for method in METHODS:
                made = shown(client, between(scene, name, method, settings))
                found[method].append(measure(made, drawn, scene))
            found["drawn"].append(measure(drawn, drawn, scene))
            log.info("clip %d, %s", number + 1, world.caption(scene))
    return found


def cell(values: list[float]) -> str:
    """A median with its 95 % interval."""
    return "{:.2f} ({:.2f} to {:.2f})".format(*median_interval(values))


def report(found: dict[str, list[dict[str, Any]]]) -> str:
    """Both tables as Markdown."""
    names = list(found)
    plain = {
        "first pass": "object off, frames of the first pass (px)",
        "second pass": "of the second pass (px)",
        "seen": "frames with the object (%)",
    }
    rows = [[label, *(cell([c[key] for c in found[n]]) for n in names)] for key, label in plain.items()]
    text = markdown(["toy world, 8 to 29 to 113 frames", *names], rows)
    rows = [
        [f"{key}, at {label}", *(cell([c[key][place] for c in found[n]]) for n in names)]
        for key in ("changes of the picture", *JUMPS)
        for place, label in (("given", "given keyframes"), ("first", "frames of the first pass"))
    ]
    return text + "\n\n" + markdown(["times those elsewhere", *names], rows)


def main() -> None:
    parser = options(__doc__, "passes.json")
    add_layers(parser)
    parser.add_argument("--clips", type=int, default=8, help="held-out scenes")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--cfg", type=float, default=2.0)
    parser.add_argument("--context-guidance", type=float, default=1.0)
    parser.add_argument("--learned-denoise", type=float, default=1.0, help="below 1 from slerp")
    add_hold_still(parser)
    settings, began = vars(parser.parse_args()), time.monotonic()
    found = run(settings)
    write(settings, {"clips": found}, began)
    sys.stdout.write(report(found) + "\n")


if __name__ == "__main__":
    main()
