"""Costs of curation, and errors of flow and text.

Memory of a long film against a short one, clips a second and core by stage, two Ray workers against one.

`python -m video_ldm.benchmarks.films.curation [memory|speed|exact|ray ...]`; each prints rows for RESULTS.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from ...temporal.curation.engine import Job, run_all
from ...temporal.curation.film import STAGES, CurationSettings, look_at
from ...temporal.metrics.flow import flow_between
from ...temporal.metrics.text_area import TextDetector

SIZE, FPS, SHOT = (320, 180), 25, 5.0  # of the films that are drawn; a cut every SHOT seconds
ONE = "--one-film"


def write_film(path: Path, seconds: float, seed: int = 0) -> Path:
    """A film of shots: crops that pan over a picture of blobs, another picture for every shot."""
    writer = imageio_ffmpeg.write_frames(str(path), SIZE, fps=FPS, macro_block_size=2, quality=5)
    writer.send(None)
    for shot in range(max(1, round(seconds / SHOT))):
        wide = texture(1000 * seed + shot)
        for n in range(round(SHOT * FPS)):
            writer.send(np.ascontiguousarray(wide[:, n : n + SIZE[0]]))
    writer.close()
    return path


def texture(seed: int, width: int = SIZE[0] + 130, height: int = SIZE[1]) -> np.ndarray:
    """Blobs of every size (h w 3)."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", (width, height), tuple(rng.integers(20, 236, 3)))
    draw = ImageDraw.Draw(picture)
    for _ in range(150):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(3, 30)
        draw.ellipse((x - r, y - r, x + r, y + r), tuple(rng.integers(0, 256, 3)))
    return np.array(picture)


def memory(folder: Path) -> None:
    """Peak of a process that looks at 10 seconds and at 10 minutes, text left out and with it."""
    films = {seconds: write_film(folder / f"{seconds}.mp4", seconds) for seconds in (10, 600)}
    for skip in (("text",), ()):
        peaks = {}
        for seconds, film in films.items():
            command = [
                sys.executable,
                "-m",
                "video_ldm.benchmarks.films.curation",
                ONE,
                str(film),
                ",".join(skip),
            ]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            peaks[seconds] = int(said[0]) / 1024
            print(f"memory, skip {skip}: {seconds} s, {said[1]} clips, peak {peaks[seconds]:.0f} MiB")
        print(f"memory, skip {skip}: ratio {peaks[600] / peaks[10]:.3f}")


def one_film(film: str, skip: str) -> None:
    """Look at one film and print the peak of this process in KiB and how many clips there were."""
    settings = CurationSettings(skip=tuple(filter(None, skip.split(","))))
    result = look_at(Path(film), Path(film).parent, settings)
    status = Path("/proc/self/status").read_text()  # getrusage would begin with the parent's peak
    print(status.partition("VmHWM:")[2].split()[0], len(result.rows))


def speed(folder: Path) -> None:
    """CPU seconds of each stage on a film of 60 seconds, this process and ffmpeg's together."""
    film = write_film(folder / "speed.mp4", 60)
    for stage in STAGES:
        skip = tuple(name for name in STAGES if name != stage)
        look_at(film, folder, CurationSettings(skip=skip, longest=SHOT))  # libraries and models are loaded
        before, started = _cpu(), time.monotonic()
        clips = len(look_at(film, folder, CurationSettings(skip=skip, longest=SHOT)).rows)
        cpu = _cpu() - before
        wall = time.monotonic() - started
        print(
            f"speed, {stage}: {clips} clips, {cpu:.1f} CPU s, {clips / cpu:.2f} clips a CPU s, "
            f"{wall:.1f} s wall"
        )


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def exact(_folder: Path) -> None:
    """Errors of flow, and then of text, against what was drawn."""
    rng = np.random.default_rng(0)
    flow(rng)
    text(rng)


def flow(rng: np.random.Generator) -> None:
    """Median flow of 40 translations."""
    errors = []
    for seed in range(40):
        dx, dy = rng.integers(-8, 9, 2)
        wide = texture(seed, 300, 220)
        one, other = wide[20:180, 20:260], wide[20 - dy : 180 - dy, 20 - dx : 260 - dx]
        found = np.median(flow_between(one, other)[20:-20, 20:-20], axis=(0, 1))
        errors.append(float(np.hypot(*(found - (dx, dy)))) / max(1.0, float(np.hypot(dx, dy))))
    print(
        f"flow: {len(errors)} translations, error of the median {np.mean(errors):.4f} of the length, "
        f"worst {max(errors):.4f}",
        flush=True,
    )


def text(rng: np.random.Generator) -> None:
    """Text area of 20 drawn subtitles, and of none."""
    detector, gaps, found = TextDetector(), [], 0
    font_path = font_manager.findfont("DejaVu Sans")
    for seed in range(20):
        font = ImageFont.truetype(font_path, int(rng.integers(24, 56)))
        words = "The quick brown fox jumps"[: int(rng.integers(10, 26))].strip()
        picture = Image.fromarray(texture(seed, 1280, 720) // 3)
        draw = ImageDraw.Draw(picture)
        place = (int(rng.integers(40, 200)), int(rng.integers(40, 600)))
        draw.text(place, words, "white", font)
        left, top, right, bottom = draw.textbbox(place, words, font)
        seen = detector.area(np.array(picture))
        found += seen > 0
        gaps.append(seen - (right - left) * (bottom - top) / (1280 * 720))
        print(f"text {seed + 1} of 20: {seen:.4f} of the frame, off by {gaps[-1]:+.4f}", flush=True)
    bare = [detector.area(texture(seed, 1280, 720)) for seed in range(20)]
    print(
        f"text: found {found} of 20, area off by {np.mean(gaps):+.4f} of the frame, at most "
        f"{np.max(np.abs(gaps)):.4f}; without text {np.count_nonzero(bare)} of 20 have boxes, "
        f"of {np.mean(bare):.4f} of the frame"
    )


def ray(folder: Path) -> None:
    """Look at eight films by one process, one Ray worker and two, results compared."""
    paths = [write_film(folder / f"ray{n}.mp4", 20, seed=n + 1) for n in range(8)]
    settings = CurationSettings(skip=("text",))
    results = {}
    for name, workers, address in (("serial", 1, None), ("ray 1", 1, "local"), ("ray 2", 2, "local")):
        started = time.monotonic()
        found = list(run_all(Job(folder / name, settings), paths, workers, address))
        results[name] = sorted([row.key for result in found for row in result.rows])
        print(f"ray, {name}: {len(results[name])} clips, {time.monotonic() - started:.1f} s with start-up")
    print("ray: same clips", results["serial"] == results["ray 1"] == results["ray 2"])


def main() -> None:
    """Run the parts that are named, or all."""
    if sys.argv[1:2] == [ONE]:
        one_film(*sys.argv[2:4])
        return
    parts = {"memory": memory, "speed": speed, "exact": exact, "ray": ray}
    for name in sys.argv[1:] or parts:
        with tempfile.TemporaryDirectory(prefix="video_ldm_") as folder:
            parts[name](Path(folder))


if __name__ == "__main__":
    main()
