"""Films of a disc that goes left or right, and what raw film has among them: stills, cuts and text.

A film is 3 s of 320 x 160 pixels, 10 frames a second. Of what a camera filmed, three kinds spoil a film: it
stands still, it is cut into two takes of 2.3 s, or headlines cover a part of it. All have a caption with the
colour and the way, as the title of a film has, and what reads them sees 4 frames, 0.6 s apart, in a
row of 8 places.

Frames `(f 160 320 3)` uint8, latents `(b f 4 1 8)`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ...temporal.curation.table import ClipRow
from ...temporal.video.reading import frames_of, probe
from ..toy_world.sense_world import FRAMES

WIDTH, HEIGHT, FPS = 320, 160, 10
PLACES = (8, 1)  # across and down, of latents
SECONDS, TAKE = 3.0, 2.3
RADIUS, SPEED = 44.0, (54.0, 72.0)  # pixels; pixels a second
APART = 6  # frames of the film from one frame of a clip that is trained on to the next
COLOURS = {"red": (222, 34, 34), "green": (28, 168, 52), "blue": (38, 66, 226)}
WAYS = ("left", "right")
KINDS = ("good", "still", "cut", "text")
SHARES = (0.5, 1 / 6, 1 / 6, 1 / 6)
WORDS = "breaking news live tonight subscribe now exclusive offer weather sports traffic update".split()


@dataclass(frozen=True)
class Film:
    """Content of a film, and its caption."""

    kind: str
    colour: str
    way: str

    @property
    def caption(self) -> str:
        return f"a {self.colour} disc moving {self.way}"


def take(
    rng: np.random.Generator, film: Film, seconds: float = SECONDS, numbers: Sequence[int] | None = None
) -> np.ndarray:
    """A disc that crosses a plain ground of a grey of its own; all frames, or those of some numbers."""
    numbers = range(round(seconds * FPS)) if numbers is None else numbers
    speed = rng.uniform(*SPEED)
    room = WIDTH - 2 * RADIUS - speed * seconds
    start = RADIUS + rng.uniform(0, max(room, 1.0))
    y, shade = rng.uniform(60, HEIGHT - 60), rng.uniform(60, 190)
    tint = shade + rng.uniform(-14, 14, 3)
    frames = np.empty((len(numbers), HEIGHT, WIDTH, 3), np.uint8)
    for n, frame in zip(numbers, frames, strict=True):
        x = start + (0 if film.kind == "still" else speed * n / FPS)
        x = x if film.way == "right" else WIDTH - x
        frame[:] = tint
        centre = (round(16 * x), round(16 * y))
        cv2.circle(frame, centre, round(16 * RADIUS), COLOURS[film.colour], -1, cv2.LINE_AA, shift=4)
    return frames


def drawn(rng: np.random.Generator) -> tuple[np.ndarray, Film]:
    """A film of a kind that is drawn by its share."""
    film = described(rng, str(rng.choice(KINDS, p=SHARES)))
    if film.kind == "cut":
        return np.concatenate([take(rng, film, TAKE) for _ in range(2)]), film
    frames = take(rng, film)
    return (headlines(rng, frames) if film.kind == "text" else frames), film


def described(rng: np.random.Generator, kind: str) -> Film:
    return Film(kind, str(rng.choice(list(COLOURS))), str(rng.choice(WAYS)))


def headlines(rng: np.random.Generator, frames: np.ndarray) -> np.ndarray:
    """Three lines of words over all frames."""
    for line in range(3):
        said = " ".join(rng.choice(WORDS, 3)).upper()
        place = (int(rng.integers(4, 30)), 34 + 50 * line)
        for frame in frames:
            cv2.putText(frame, said, place, cv2.FONT_HERSHEY_SIMPLEX, 0.8, (250, 250, 250), 2, cv2.LINE_AA)
    return frames


def write_films(folder: Path, count: int, seed: int) -> dict[str, Film]:
    """Films as H.264 files with captions beside them, by the name of the file."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, films = np.random.default_rng(seed), {}
    for number in range(count):
        frames, film = drawn(rng)
        name = f"{number:04d}.mp4"
        writer = imageio_ffmpeg.write_frames(str(folder / name), (WIDTH, HEIGHT), fps=FPS, quality=8)
        writer.send(None)
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
        writer.close()
        (folder / name).with_suffix(".txt").write_text(film.caption, "utf-8")
        films[name] = film
    (folder / "films.json").write_text(json.dumps({name: vars(film) for name, film in films.items()}))
    return films


def as_latents(frames: np.ndarray) -> Tensor:
    """Latents (f 4 1 8) of frames: colours of places in -1..1, and their brightness."""
    cells = np.stack([cv2.resize(frame, PLACES, interpolation=cv2.INTER_AREA) for frame in frames])
    colours = rearrange(torch.from_numpy(cells).float() / 127.5 - 1, "f h w c -> f c h w")
    return torch.cat([colours, colours.mean(dim=1, keepdim=True)], dim=1)


def read_clips(folder: Path, rows: Sequence[ClipRow]) -> list[tuple[Tensor, Film]]:
    """All frames of every clip of a table as latents, and what its film shows."""
    facts = json.loads((folder / "films.json").read_text())
    clips = []
    for row in rows:
        name = Path(row.file).name
        frames = frames_of(probe(folder / name), FPS, (WIDTH, HEIGHT), row.start, row.seconds)
        clips.append((as_latents(np.stack(list(frames))), Film(**facts[name])))
    return clips


def labels(films: Sequence[Film]) -> tuple[Tensor, Tensor]:
    """Numbers of colours and of ways."""
    names = list(COLOURS)
    return (
        torch.tensor([names.index(film.colour) for film in films]),
        torch.tensor([WAYS.index(film.way) for film in films]),
    )


def windows(
    clips: Sequence[tuple[Tensor, Film]], count: int, dice: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Clips `(b f 4 1 8)` from anywhere in films, and the colours and ways of their captions."""
    chosen = [clips[int(n)] for n in torch.randint(len(clips), (count,), generator=dice)]
    found = []
    for latents, _ in chosen:
        last = len(latents) - APART * (FRAMES - 1)
        start = int(torch.randint(max(last, 1), (1,), generator=dice))
        found.append(latents[start : start + APART * (FRAMES - 1) + 1 : APART])
    return torch.stack(found), *labels([film for _, film in chosen])


def clean(count: int, dice: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Clips of good films that no one has written, for the image model and for what is asked."""
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=dice)))
    films = [described(rng, "good") for _ in range(count)]
    clips = []
    for film in films:
        start = int(rng.integers(round(SECONDS * FPS) - APART * (FRAMES - 1)))
        clips.append(as_latents(take(rng, film, numbers=range(start, start + APART * FRAMES, APART))))
    return torch.stack(clips), *labels(films)
