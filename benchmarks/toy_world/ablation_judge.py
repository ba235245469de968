"""Distances of clips that the arms of ablation.py made to drawn ones, and to one another.

Clips `(f h w 3)` uint8, pair features of a clip `(f-1 d)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ...demo.world.classifier import load_classifier, to_pictures
from ...demo.world.video_distance import pair_features, video_distance
from .common import MODELS, markdown

AXES = 30  # of the distance; 200 clips have twenty pairs for each


@dataclass(frozen=True, eq=False)
class Seen:
    """Pair features along the axes in which those of drawn clips differ most, each with a variance of 1."""

    middle: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, drawn: Sequence[np.ndarray]) -> Seen:
        """The axes of drawn clips."""
        pairs = np.concatenate(drawn)
        middle = pairs.mean(0)
        _, spread, directions = np.linalg.svd(pairs - middle, full_matrices=False)
        return cls(middle, directions[:AXES].T / (spread[:AXES] / np.sqrt(len(pairs))))

    def __call__(self, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Numbers of each clip's pairs along the axes."""
        return [(clip - self.middle) @ self.axes for clip in clips]


Interval = tuple[float, float, float]  # a number, and the ends of its 95 % interval


def shifted(value: float, again: Sequence[float]) -> Interval:
    """The interval of a bootstrap, shifted by how far drawing again moves the middle (video_distance.py)."""
    low, middle, high = np.percentile(again, (2.5, 50, 97.5))
    return value, float(low) + value - float(middle), float(high) + value - float(middle)


def compared(
    made: Mapping[str, Sequence[Sequence[np.ndarray]]],
    drawn: Sequence[np.ndarray],
    against: str,
    draws: int = 400,
) -> dict[str, dict[str, Interval]]:
    """Distance of every arm to drawn clips, and how much larger it is than that of one arm.

    Means over seeds. Clips are drawn again with replacement, the same captions for all arms.
    """
    seen = Seen.of(drawn)
    there, here = seen(drawn), {name: [seen(clips) for clips in seeds] for name, seeds in made.items()}
    count, dice = len(next(iter(here.values()))[0]), np.random.default_rng(0)

    def distances(rows: np.ndarray) -> dict[str, float]:
        apart = partial(video_distance, theirs=there)
        return {
            name: float(np.mean([apart([clips[row] for row in rows]) for clips in seeds]))
            for name, seeds in here.items()
        }

    whole = distances(np.arange(count))
    again = [distances(dice.integers(count, size=count)) for _ in range(draws)]
    found: dict[str, dict[str, Any]] = {}
    for name, value in whole.items():
        gaps = [each[name] - each[against] for each in again]
        found[name] = {
            "distance": shifted(value, [each[name] for each in again]),
            "more": shifted(value - whole[against], gaps),
        }
    return found


def unrest(clips: Sequence[np.ndarray]) -> dict[str, float]:
    """Change of pictures from frame to frame (255ths), and its unevenness.

    Unevenness is the change of the change over the change.
    """
    steps = np.concatenate([np.diff(clip.astype(np.float32), axis=0)[:-1] for clip in clips])
    turns = np.concatenate([np.diff(clip.astype(np.float32), n=2, axis=0) for clip in clips])
    return {
        "change": float(np.abs(steps).mean()),
        "uneven": float(np.abs(turns).mean() / np.abs(steps).mean()),
    }


def measured(
    drawn: list[np.ndarray], made: dict[str, dict[int, list[np.ndarray]]], asked: int
) -> dict[str, Any]:
    """Numbers of every arm over its seeds and by seed, and of the held-out clips that were asked for."""
    judge, first = load_classifier(MODELS / "toy_classifier.safetensors"), next(iter(made))

    def pairs(clips: list[np.ndarray]) -> list[np.ndarray]:
        return [pair_features(judge, to_pictures(clip)) for clip in clips]

    other, own = pairs(drawn[asked:]), pairs(drawn[:asked])
    made = {"drawn": dict.fromkeys(made[first], drawn[:asked]), **made}
    features = {
        name: {seed: own if name == "drawn" else pairs(clips) for seed, clips in seeds.items()}
        for name, seeds in made.items()
    }
    half = other[0].shape[1] // 2  # the first half is what single frames show, the second what changes
    whole = compared({name: list(seeds.values()) for name, seeds in features.items()}, other, first)
    single = compared(
        {
            name: [[clip[:, :half] for clip in clips] for clips in seeds.values()]
            for name, seeds in features.items()
        },
        [clip[:, :half] for clip in other],
        first,
    )
    by_seed = {
        seed: compared(
            {name: [seeds[seed]] for name, seeds in features.items() if seed in seeds}, other, first
        )
        for seed in made[first]
    }
    rows = {
        name: {
            "toy FVD": whole[name],
            "single frames": single[name],
            **unrest([clip for clips in seeds.values() for clip in clips]),
        }
        for name, seeds in made.items()
    }
    return {"arms": rows, "by seed": by_seed}


def report(rows: dict[str, dict[str, Any]]) -> str:
    """The table in Markdown."""

    def told(number: Interval) -> str:
        return "{:.1f} ({:.1f} to {:.1f})".format(*number)

    header = ["layers", "toy FVD", "more than the first", "single frames", "change (255ths)", "unevenness"]
    return markdown(
        header,
        [
            [
                name,
                told(row["toy FVD"]["distance"]),
                told(row["toy FVD"]["more"]),
                told(row["single frames"]["distance"]),
                row["change"],
                row["uneven"],
            ]
            for name, row in rows.items()
        ],
    )
