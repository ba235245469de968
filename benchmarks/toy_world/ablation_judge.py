"""Distances of clips that the arms of ablation.py made to drawn ones, and to one another.

One sample of the distance is a clip: the toy classifier's features of its first and its last frame, and the
mean over its frames of those of the change to the next one. Pairs of frames as samples would pay clips that
hold together badly, whose pairs are more different samples.

Clips `(f h w 3)` uint8, features of clips `(n d)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...demo.world.classifier import Classifier, frechet_distance, load_classifier, to_pictures
from ...demo.world.video_distance import Interval, pair_features, shifted
from .common import MODELS, markdown

AXES = 15  # of the distance; 200 clips have thirteen samples for each
DRAWS = 1000

Seeds = dict[int, np.ndarray]  # something of every clip, by the seed of the training


def features(judge: Classifier, clips: Sequence[np.ndarray]) -> np.ndarray:
    """Features of clips, those of the first frame in front."""
    pairs = np.stack([pair_features(judge, to_pictures(clip)) for clip in clips])
    stills, changes = np.split(pairs, 2, axis=-1)
    return np.concatenate([stills[:, 0], stills[:, -1], changes.mean(1)], 1)


@dataclass(frozen=True, eq=False)
class Seen:
    """Features along the axes in which those of drawn clips differ most, each with a variance of 1."""

    middle: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, drawn: np.ndarray) -> Seen:
        """The axes of drawn clips."""
        middle = drawn.mean(0)
        _, spread, directions = np.linalg.svd(drawn - middle, full_matrices=False)
        return cls(middle, directions[:AXES].T / (spread[:AXES] / np.sqrt(len(drawn))))

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        """Numbers of clips along the axes."""
        return (clips - self.middle) @ self.axes


def compared(
    made: Mapping[str, Seeds], number: Callable[[np.ndarray], float], against: str
) -> dict[str, dict[str, Interval]]:
    """A number of every arm's clips, and how much larger it is than that of one arm.

    Means over the seeds that both have. Clips are drawn again with replacement, the same captions for all
    arms.
    """
    count, dice = len(next(iter(made[against].values()))), np.random.default_rng(0)
    drawn_again = dice.integers(count, size=(DRAWS, count))
    each = {
        name: {
            seed: np.array([number(clips[r]) for r in (np.arange(count), *drawn_again)])
            for seed, clips in seeds.items()
        }
        for name, seeds in made.items()
    }
    found = {}
    for name, seeds in each.items():
        own = np.mean([seeds[seed] for seed in seeds], axis=0)
        more = np.mean([seeds[seed] - each[against][seed] for seed in seeds], axis=0)
        found[name] = {"value": shifted(own[0], own[1:]), "more": shifted(more[0], more[1:])}
    return found


def change(clips: np.ndarray) -> np.ndarray:
    """Mean change from frame to frame of clips `(n f h w 3)` in 255ths, of each."""
    return np.abs(np.diff(clips.astype(np.float32), axis=1)).mean((1, 2, 3, 4))


def measured(drawn: np.ndarray, made: dict[str, Seeds], asked: int) -> dict[str, Any]:
    """Numbers of every arm over its seeds and by seed, and of the held-out clips that were asked for."""
    judge, first = load_classifier(MODELS / "toy_classifier.safetensors"), next(iter(made))
    other, own = (features(judge, clips) for clips in (drawn[asked:], drawn[:asked]))
    looks = {
        name: {seed: features(judge, clips) for seed, clips in seeds.items()} for name, seeds in made.items()
    }
    looks["drawn"] = dict.fromkeys(made[first], own)
    still = other.shape[1] // 3
    changes = {name: {seed: change(clips) for seed, clips in seeds.items()} for name, seeds in made.items()}
    changes["drawn"] = dict.fromkeys(made[first], change(drawn[:asked]))

    def apart(theirs: np.ndarray, width: int) -> Callable[[np.ndarray], float]:
        seen = Seen.of(theirs[:, :width])
        there = seen(theirs[:, :width])
        return lambda clips: frechet_distance(seen(clips[:, :width]), there)

    def numbers(kept: Callable[[Mapping[str, Seeds]], Mapping[str, Seeds]]) -> dict[str, Any]:
        return {
            "toy FVD": compared(kept(looks), apart(other, other.shape[1]), first),
            "first frame": compared(kept(looks), apart(other, still), first),
            "change": compared(kept(changes), lambda each: float(each.mean()), first),
        }

    def of_seed(seed: int) -> Callable[[Mapping[str, Seeds]], Mapping[str, Seeds]]:
        return lambda arms: {name: {seed: seeds[seed]} for name, seeds in arms.items() if seed in seeds}

    by_seed = {seed: numbers(of_seed(seed)) for seed in made[first]} if len(made[first]) > 1 else {}
    return {"all": numbers(lambda arms: arms), "by seed": by_seed}


def report(numbers: dict[str, dict[str, dict[str, Interval]]]) -> str:
    """The table in Markdown."""

    def told(number: Interval) -> str:
        return "{:.2f} ({:.2f} to {:.2f})".format(*number)

    header = ["arm", *(cell for name in numbers for cell in (name, "more than the first arm"))]
    rows = [
        [name, *(told(arms[name][key]) for arms in numbers.values() for key in ("value", "more"))]
        for name in next(iter(numbers.values()))
    ]
    return markdown(header, rows)
