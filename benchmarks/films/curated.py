"""Temporal layers trained on films as they came, against layers trained on what curation kept of them.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.films.curated --folder FOLDER

Films of a disc (curated_world.py), half of them good and a sixth each still, cut or covered with text, go
through `python -m video_ldm.curation` at its defaults. Both arms begin with the same new layers on the same
frozen image model of good frames, and see as many clips in the same noise: one of all films, the other of
the clips that were kept. Asked of good clips drawn anew: the error, whether the right word for the way has
the smaller one, and of sampled clips whether the disc goes the right way, evenly. Rows for RESULTS.md are
printed; every number is in benchmarks/results/curated.json. A run that was stopped goes on with the seeds
that are missing.

Latents `(b f 4 1 8)`, text `(b m 48)`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ...curation.__main__ import main as curate
from ...demo.train.common import set_rate, use_host
from ...nodes.host_boot import keep_freed_memory
from ...temporal.curation.table import ClipRow, read_table
from ...temporal.sampling.clip import Clip
from ...temporal.stack.plan import UNetShape
from ...temporal.training.loop import Denoise
from ...temporal.training.sampling import SampledModel, ddim
from ...temporal.video.reading import probe
from ..toy_world.sense import ARMS, Trained, check, errors, levels, new_layers
from ..toy_world.sense_world import FRAMES, NOISE, descend, image_model, text
from .curated_world import (
    APART,
    COLOURS,
    FPS,
    PLACES,
    SPEED,
    WIDTH,
    Film,
    clean,
    labels,
    read_clips,
    windows,
    write_films,
)

RESULTS = Path(__file__).resolve().parents[1] / "results" / "curated.json"
ARM = ARMS["tokens"]
STEP = np.mean(SPEED) * APART / FPS * PLACES[0] / WIDTH  # places from frame to frame
UNET = UNetShape(32, (1,), (1,), (1,), (1, 1), 1, context_dim=48, num_heads=2)
SAMPLING_STEPS, GUIDANCE = 12, 3.0
Clips = Sequence[tuple[Tensor, Film]]


def data(folder: Path, count: int, seed: int) -> tuple[dict[str, Clips], dict[str, Any]]:
    """The clips of both arms, and what curation did with each kind of film."""
    films, out = folder / "films", folder / "dataset"
    if not (films / "films.json").exists():
        write_films(films, count, seed)
    if curate([str(films), "--out", str(out)]):
        raise SystemExit("curation failed")
    rows = read_table(out)
    kept = [row for row in rows if row.kept]
    raw = [
        ClipRow(path.stem, path.name, 0.0, info.seconds, info.fps, info.width, info.height)
        for path in sorted(films.glob("*.mp4"))
        for info in [probe(path)]
    ]
    arms = {"as they came": read_clips(films, raw), "curated": read_clips(films, kept)}
    counts = {name: Counter(film.kind for _, film in clips) for name, clips in arms.items()}
    return arms, {"films": len(raw), "clips": len(rows), "kept": len(kept), "kinds": counts}


def train(trained: Trained, denoise: Denoise, clips: Clips, args: argparse.Namespace, seed: int) -> None:
    """Train the layers of one arm; noise and words that are left out follow from seed and step alone."""
    for step in range(args.steps):
        dice = torch.Generator().manual_seed(seed * 1000003 + step)
        latents, colour, way = windows(clips, args.batch, torch.Generator().manual_seed(seed * 7919 + step))
        said = text(colour, way, torch.rand(args.batch, generator=dice) < 0.1)
        noise = torch.randn(args.batch * FRAMES, *latents.shape[2:], generator=dice)
        t, left = levels(True, args.batch, dice)
        set_rate(trained.optimizer, 2e-3 * min(1, (step + 1) / 40))
        each = errors(trained.arm, trained.stack, denoise, latents, said, t, left, noise)
        descend((NOISE.weight(t, 20.0) * each).mean(), trained.optimizer, trained.stack)
        trained.average.update(trained.stack)


@torch.no_grad()
def asked(trained: Trained, denoise: Denoise, args: argparse.Namespace) -> dict[str, float]:
    """Numbers of one arm and seed on good clips drawn anew."""
    layers = trained.average.module
    words = list(check(ARM, layers, denoise, args.clips, clean))
    dice, count = torch.Generator().manual_seed(77), args.clips
    latents, colour, way = clean(count, dice)
    t = torch.linspace(0, NOISE.num_steps - 1, count).long()
    noise = torch.randn(count * FRAMES, *latents.shape[2:], generator=dice)
    each = errors(ARM, layers, denoise, latents, text(colour, way), t, torch.ones(count), noise)
    return {
        "error": float(each.mean()),
        "word": float(np.mean([level["known"] for level in words])),
        **sampled(trained, denoise, args.samples),
    }


def sampled(trained: Trained, denoise: Denoise, count: int) -> dict[str, float]:
    """Share of sampled clips in which the disc goes the right way, and in which each of its steps is even."""
    films = [
        Film("good", colour, way) for _ in range(count) for colour in COLOURS for way in ("left", "right")
    ]
    films = films[:count]
    said = text(*labels(films))
    noise = torch.randn(count * FRAMES, 4, 1, 8, generator=torch.Generator().manual_seed(5))
    model = SampledModel(denoise, trained.average.module, NOISE)
    empty = text(*labels(films), torch.ones(count, dtype=torch.bool))
    made = ddim(model, noise, said, empty, Clip(num_frames=FRAMES), SAMPLING_STEPS, GUIDANCE)
    places = np.stack(
        [centres(clip, film.colour) for clip, film in zip(made.split(FRAMES), films, strict=True)]
    )
    ways = np.array([1 if film.way == "right" else -1 for film in films])
    steps = np.diff(places, axis=1) * ways[:, None]
    even = ((steps > 0.5 * STEP) & (steps < 1.6 * STEP)).all(axis=1)
    return {"way": float((steps.sum(axis=1) > STEP).mean()), "even": float(even.mean())}


def centres(clip: Tensor, colour: str) -> np.ndarray:
    """Middle of what has a colour, in cells, of every frame of a clip (f 4 h w)."""
    target = torch.tensor(COLOURS[colour]) / 127.5 - 1
    near = torch.exp(-(clip[:, :3] - rearrange(target, "c -> c 1 1")).square().sum(1) / 0.3)
    across = torch.arange(clip.shape[-1]) + 0.5
    return ((near * across).sum((1, 2)) / near.sum((1, 2)).clamp(min=1e-6)).numpy()


def main() -> None:
    """Train both arms of every seed and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="for films, data set and image model")
    parser.add_argument("--films", type=int, default=120)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--clips", type=int, default=128, help="that words are asked of")
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    use_host()
    keep_freed_memory()
    torch.set_num_threads(1)
    args.folder.mkdir(parents=True, exist_ok=True)
    arms, facts = data(args.folder, args.films, 0)
    print(facts, flush=True)
    unet = image_model(args.folder / "image.pt", 200, 48, clean, UNET)
    from ...nodes.host.training.unet import denoiser

    denoise = denoiser(unet)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
    settings = {key: value for key, value in vars(args).items() if isinstance(value, int) and key != "seeds"}
    if args.out.exists():
        kept = json.loads(args.out.read_text())
        if kept["settings"] != settings:
            raise SystemExit(
                f"{args.out} holds numbers of other settings; move it away, or give another --out."
            )
        found = kept["found"]
    for seed in range(args.seeds):
        for name, clips in arms.items():
            if len(found[name]) > seed:
                continue
            began, trained = time.process_time(), new_layers(ARM, seed, UNET)
            train(trained, denoise, clips, args, seed)
            found[name].append(asked(trained, denoise, args))
            print(seed, name, found[name][-1], f"{time.process_time() - began:.0f} CPU s", flush=True)
            args.out.write_text(json.dumps({"settings": settings, **facts, "found": found}, indent=1) + "\n")
    print(table(found))


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Means over seeds, and the difference of both arms on the same seeds with its 95 % interval (t)."""
    from scipy.stats import t

    raw, curated = found["as they came"], found["curated"]
    lines = ["| number | as they came | curated | difference |", "|---|---|---|---|"]
    for name in raw[0]:
        one, other = (np.array([row[name] for row in rows]) for rows in (raw, curated))
        gaps = other - one
        half = t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / len(gaps) ** 0.5
        lines.append(
            f"| {name} | {one.mean():.4f} | {other.mean():.4f} | {gaps.mean():+.4f} "
            f"({gaps.mean() - half:+.4f} to {gaps.mean() + half:+.4f}) |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
