"""The toy world's scenes: what is in a clip, how it moves, and the one sentence that says so.

Lengths are pixels of a 128 x 128 picture, x to the right and y down; times are seconds; angles are radians.
A scene moves by the clock, not by the frame, so the frame rate decides how far it gets from frame to frame.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

SIDE = 128
COLORS = {
    "red": (222, 34, 34),
    "yellow": (242, 216, 28),
    "green": (28, 168, 52),
    "cyan": (32, 200, 216),
    "blue": (38, 66, 226),
    "purple": (160, 38, 196),
}
GROUNDS = {"grey": (128, 128, 128), "beige": (206, 194, 172), "dark": (52, 50, 56), "pale": (212, 220, 224)}
SHAPES = ("circle", "square", "triangle", "star", "cross")
SIZES = {"small": (11.0, 13.5), "large": (19.0, 22.5)}
TEXTURES = {
    "plain": "plain",
    "stripes": "striped",
    "checker": "checkered",
    "dots": "dotted",
    "noise": "noisy",
}
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
TURNS = {"clockwise": 1, "counterclockwise": -1}
CAMERAS = ("pan left", "pan right", "pan up", "pan down", "zoom in", "zoom out")
ZOOM_RANGE = 1.6
DURATION = 15 / 16

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Car:
    """A car of a road scene.

    Its lane says where it drives, x is its centre at time 0, speed is in pixels per second.
    """

    color: str
    direction: Literal["left", "right"]
    x: float
    speed: float


@dataclass(frozen=True)
class Scene:
    """One shape on a textured ground, or, where cars are given, a road.

    (x, y) is the shape's centre at time 0, or the centre of its orbit, on the screen of a camera that has not
    moved yet.
    """

    shape: str = "circle"
    color: str = "red"
    size: str = "large"
    texture: str = "plain"
    ground: str = "grey"
    motion: str = "still"
    camera: str = "still"
    x: float = 64.0
    y: float = 64.0
    radius: float = 20.0
    speed: float = 0.0
    orbit: float = 0.0
    phase: float = 0.0
    texture_seed: int = 0
    cars: tuple[Car, ...] = ()

    def centre(self, time: float) -> tuple[float, float]:
        """Centre of the shape in the world."""
        if self.motion in TURNS:
            angle = self.phase + TURNS[self.motion] * self.speed / self.orbit * time
            return self.x + self.orbit * math.cos(angle), self.y + self.orbit * math.sin(angle)
        dx, dy = DIRECTIONS.get(self.motion, (0, 0))
        return self.x + dx * self.speed * time, self.y + dy * self.speed * time

    def view(self, time: float) -> tuple[float, float, float]:
        """The camera: how far it has panned (x, y) and its zoom factor."""
        kind, _, way = self.camera.partition(" ")
        if kind == "pan":
            dx, dy = DIRECTIONS[way]
            return dx * self.speed * time, dy * self.speed * time, 1.0
        if kind == "zoom":
            progress = time / DURATION
            return 0.0, 0.0, ZOOM_RANGE ** (progress if way == "in" else 1 - progress)
        return 0.0, 0.0, 1.0

    def on_screen(self, time: float) -> tuple[float, float, float]:
        """The shape's centre (x, y) and radius as the camera sees them."""
        (x, y), (pan_x, pan_y, zoom) = self.centre(time), self.view(time)
        middle = SIDE / 2
        return (x - pan_x - middle) * zoom + middle, (y - pan_y - middle) * zoom + middle, self.radius * zoom


def caption(scene: Scene, with_motion: bool = True) -> str:
    """The sentence that describes a scene, with or without the words that only a clip can show."""
    if scene.cars:
        cars = (f"a {car.color} car" + f" driving {car.direction}" * with_motion for car in scene.cars)
        return "a road with " + " and ".join(cars)
    ground = f"on a {scene.ground} {TEXTURES[scene.texture]} background"
    words = [f"a {scene.size} {scene.color} {scene.shape}", ground]
    if with_motion and scene.camera != "still":
        kind, _, way = scene.camera.partition(" ")
        words.append(f"with the camera {'panning' if kind == 'pan' else 'zooming'} {way}")
    elif with_motion:
        verb = "moving" if scene.motion in DIRECTIONS else "circling" if scene.motion in TURNS else "standing"
        words.insert(1, f"{verb} {scene.motion}")
    return " ".join(words)


def split_of(scene: Scene) -> Split:
    """Split that a scene belongs to.

    One in eight combinations of shape, colour, motion and texture is never trained on.
    """
    cars = "".join(car.color + car.direction for car in scene.cars)
    combination = cars or f"{scene.shape} {scene.color} {scene.motion} {scene.camera} {scene.texture}"
    return "test" if zlib.crc32(combination.encode()) % 8 == 0 else "train"


def sample(rng: np.random.Generator, split: Split = "train", motion: str | None = None) -> Scene:
    """Draw a scene of one split.

    Args:
        motion: a direction, a turn, "still", "camera" or "road"; drawn with linear motion prevailing by
        default.
    """
    kinds = [*DIRECTIONS, *TURNS, "still", "camera", "road"]
    while True:
        kind = motion or rng.choice(kinds, p=[0.155] * 4 + [0.06] * 2 + [0.06, 0.12, 0.08])
        scene = _sample_road(rng) if kind == "road" else _sample_shape(rng, str(kind))
        if split_of(scene) == split:
            return scene


def _pick(rng: np.random.Generator, names: dict | tuple) -> str:
    return str(rng.choice(list(names)))


def _sample_shape(rng: np.random.Generator, kind: str) -> Scene:
    size = _pick(rng, SIZES)
    radius = rng.uniform(*SIZES[size])
    camera = _pick(rng, CAMERAS) if kind == "camera" else "still"
    motion = "still" if kind == "camera" else kind
    room = SIDE - 2 * (radius + 2)
    speed = min(rng.uniform(60, 80), 0.98 * room / DURATION)
    orbit = min(rng.uniform(18, 30), 0.49 * room)
    low = np.full(2, radius + 2)
    high = SIDE - low
    if motion in TURNS:
        low, high = low + orbit, high - orbit
    elif camera.startswith("zoom"):
        low, high = np.full(2, SIDE / 2 - 16), np.full(2, SIDE / 2 + 16)
    else:
        way = np.array(DIRECTIONS.get(motion, (0, 0))) - np.array(
            DIRECTIONS.get(camera.removeprefix("pan "), (0, 0))
        )
        path = way * speed * DURATION
        low, high = low - np.minimum(path, 0), high - np.maximum(path, 0)
    x, y = rng.uniform(low, high)
    return Scene(
        shape=_pick(rng, SHAPES), color=_pick(rng, COLORS), size=size, texture=_pick(rng, TEXTURES),
        ground=_pick(rng, GROUNDS), motion=motion, camera=camera, x=float(x), y=float(y),
        radius=float(radius), speed=float(speed), orbit=float(orbit),
        phase=float(rng.uniform(0, 2 * math.pi)), texture_seed=int(rng.integers(2**31)),
    )  # fmt: skip


def _sample_road(rng: np.random.Generator) -> Scene:
    colors = rng.choice(list(COLORS), size=int(rng.integers(1, 3)), replace=False)
    directions = rng.permutation(["left", "right"])
    cars = []
    for color, direction in zip(colors, directions, strict=False):
        speed = rng.uniform(60, 84)
        start = rng.uniform(14, SIDE - 14 - 0.6 * speed * DURATION)
        cars.append(
            Car(
                str(color),
                str(direction),
                float(start if direction == "right" else SIDE - start),
                float(speed),
            )
        )
    return Scene(motion="still", cars=tuple(cars), texture_seed=int(rng.integers(2**31)))
