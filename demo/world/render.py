"""Drawing scenes: pictures are `(f, 128, 128, 3)` uint8 RGB, boxes are (label, x0, y0, x1, y1) in pixels.

With a scale the same pictures are drawn `scale` times as large, with sharp edges and, on the ground, a fine
grain that averages out over a pixel of the small picture: what an upscaler has to invent, and to keep still
from frame to frame.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from .scene import COLORS, DIRECTIONS, GROUNDS, SIDE, Car, Scene

CANVAS = 2 * SIDE
LANES = {"left": 52.0, "right": 84.0}
CAR_LENGTH, CAR_HEIGHT = 36.0, 18.0
GRAIN = 14.0
_SUBPIXEL = 4

Box = tuple[str, float, float, float, float]


def render(
    scene: Scene, num_frames: int = 8, fps: float = 8.0, start: float = 0.0, scale: int = 1
) -> np.ndarray:
    """Draw a clip of a scene, `(f, 128 scale, 128 scale, 3)` uint8 RGB.

    Start is the time of its first frame in seconds.
    """
    canvas = _road(scene, scale) if scene.cars else _ground(scene, scale)
    frames = np.empty((num_frames, scale * SIDE, scale * SIDE, 3), np.uint8)
    for index in range(num_frames):
        time = start + index / fps
        frame = _look(canvas, *scene.view(time), scale)
        for car in scene.cars:
            _draw_car(frame, car, time, scale)
        if not scene.cars:
            _fill(frame, _outline(scene.shape, *scene.on_screen(time)), COLORS[scene.color], scale)
        frames[index] = frame
    return frames


def boxes(scene: Scene, frame: int, fps: float = 8.0) -> list[Box]:
    """The box around each object that is in the picture, cut at the picture's edge."""
    time = frame / fps
    found = []
    if scene.cars:
        for car in scene.cars:
            x, y = _car_centre(car, time)
            found.append(
                (
                    f"{car.color} car",
                    x - CAR_LENGTH / 2,
                    y - CAR_HEIGHT / 2,
                    x + CAR_LENGTH / 2,
                    y + CAR_HEIGHT / 2,
                )
            )
    else:
        points = _outline(scene.shape, *scene.on_screen(time))
        found.append((f"{scene.color} {scene.shape}", *points.min(0), *points.max(0)))
    cut = [(label, *(float(min(max(v, 0), SIDE)) for v in edges)) for label, *edges in found]
    return [box for box in cut if box[3] > box[1] and box[4] > box[2]]


def _look(canvas: np.ndarray, pan_x: float, pan_y: float, zoom: float, scale: int) -> np.ndarray:
    """View of the camera on a canvas whose middle is the middle of the picture at rest."""
    shift_x, shift_y = CANVAS / 2 + pan_x - SIDE / 2 / zoom, CANVAS / 2 + pan_y - SIDE / 2 / zoom
    half = (scale - 1) * (0.5 - 0.5 / zoom)  # pixels are squares: their middles move when they get smaller
    matrix = np.array([[1 / zoom, 0, scale * shift_x + half], [0, 1 / zoom, scale * shift_y + half]])
    flags, size = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, (scale * SIDE, scale * SIDE)
    return cv2.warpAffine(canvas, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT)


def _ground(scene: Scene, scale: int) -> np.ndarray:
    """A muted texture, `(256 scale, 256 scale, 3)` uint8, made from the scene's texture seed."""
    rng = np.random.default_rng(scene.texture_seed)
    base = np.array(GROUNDS[scene.ground], np.float32) + rng.uniform(-8, 8)
    canvas = base + 17.0 * _pattern(scene.texture, rng, scale)[..., None]
    return np.clip(canvas + _grain(scene, scale), 0, 255).astype(np.uint8)


def _grain(scene: Scene, scale: int) -> np.ndarray:
    """Grain `(256 scale, 256 scale, 1)` of two specks to a pixel of the small picture.

    Its mean over such a pixel is 0.
    """
    if scale == 1:
        return np.zeros((1, 1, 1), np.float32)
    rng = np.random.default_rng((scene.texture_seed, scale))
    specks = rng.uniform(-GRAIN, GRAIN, (CANVAS, 2, CANVAS, 2)).astype(np.float32)
    specks = (specks - specks.mean((1, 3), keepdims=True)).reshape(2 * CANVAS, 2 * CANVAS)
    side = scale * CANVAS
    return cv2.resize(specks, (side, side), interpolation=cv2.INTER_NEAREST)[..., None]


def _pattern(texture: str, rng: np.random.Generator, scale: int) -> np.ndarray:
    """One texture as values in about -1..1, `(256 scale, 256 scale)`."""
    side = scale * CANVAS
    period = rng.uniform(18, 26)
    line = ((np.arange(side, dtype=np.float32) + 0.5) / scale - 0.5) * (2 * math.pi / period)
    u, v = line[None] + np.float32(rng.uniform(0, 6)), line[:, None] + np.float32(rng.uniform(0, 6))
    if texture == "stripes":
        angle = rng.choice([0, math.pi / 4, math.pi / 2, -math.pi / 4])
        return np.clip(3 * np.sin(u * math.cos(angle) + v * math.sin(angle)), -1, 1)
    if texture == "checker":
        return np.clip(6 * np.sin(u) * np.sin(v), -1, 1)
    if texture == "dots":
        return np.clip(3 * (np.cos(u) + np.cos(v) - 0.9), -0.7, 1.3)
    if texture == "noise":
        grains = rng.standard_normal((CANVAS // 8, CANVAS // 8)).astype(np.float32)
        return np.clip(cv2.resize(grains, (side, side), interpolation=cv2.INTER_CUBIC), -1.6, 1.6)
    return np.zeros((side, side), np.float32)


def _outline(shape: str, x: float, y: float, radius: float) -> np.ndarray:
    """The shape's corners, `(n, 2)`; every shape is given about the same area to fill."""
    if shape == "circle":
        turns = np.linspace(0, 2 * math.pi, 48, endpoint=False)
        return np.stack([x + radius * np.cos(turns), y + radius * np.sin(turns)], 1)
    if shape == "star":
        turns = np.arange(10) * math.pi / 5 - math.pi / 2
        reach = 1.2 * radius * np.where(np.arange(10) % 2, 0.42, 1.0)
        return np.stack([x + reach * np.cos(turns), y + reach * np.sin(turns)], 1)
    corners = {
        "square": [(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)],
        "triangle": [(0, -1.1), (1.1, 0.85), (-1.1, 0.85)],
        "cross": [(-0.36, -1.05), (0.36, -1.05), (0.36, -0.36), (1.05, -0.36), (1.05, 0.36), (0.36, 0.36),
                  (0.36, 1.05), (-0.36, 1.05), (-0.36, 0.36), (-1.05, 0.36), (-1.05, -0.36), (-0.36, -0.36)],
    }[shape]  # fmt: skip
    return np.array([x, y]) + radius * np.array(corners)


def _fill(frame: np.ndarray, points: np.ndarray, color: tuple[int, int, int], scale: int) -> None:
    """Fill a polygon with soft edges, at a sixteenth of a pixel."""
    fixed = np.round((scale * points - 0.5) * 2**_SUBPIXEL).astype(np.int32)
    cv2.fillPoly(frame, [fixed], color, lineType=cv2.LINE_AA, shift=_SUBPIXEL)


def _rectangle(x: float, y: float, width: float, height: float) -> np.ndarray:
    return np.array([x, y]) + np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (width / 2, height / 2)


def _road(scene: Scene, scale: int) -> np.ndarray:
    """A road of two lanes between muted meadows, `(256 scale, 256 scale, 3)` uint8."""
    rng = np.random.default_rng(scene.texture_seed)
    canvas = np.empty((scale * CANVAS, scale * CANVAS, 3), np.float32)
    canvas[:] = np.array((128, 140, 112)) + 8 * _pattern("noise", rng, scale)[..., None]
    middle = CANVAS / 2 - SIDE / 2 + sum(LANES.values()) / 2
    _fill(canvas, _rectangle(CANVAS / 2, middle, CANVAS + 8, 68), (78, 78, 82), scale)
    first = rng.uniform(0, 32)
    for x in np.arange(first - 32, CANVAS + 32, 32):
        _fill(canvas, _rectangle(x, middle, 16, 4), (205, 205, 200), scale)
    return (canvas + _grain(scene, scale)).clip(0, 255).astype(np.uint8)


def _car_centre(car: Car, time: float) -> tuple[float, float]:
    return car.x + DIRECTIONS[car.direction][0] * car.speed * time, LANES[car.direction]


def _draw_car(frame: np.ndarray, car: Car, time: float, scale: int) -> None:
    """A car seen from above: a body, and a windscreen towards the front."""
    x, y = _car_centre(car, time)
    _fill(frame, _rectangle(x, y, CAR_LENGTH, CAR_HEIGHT), COLORS[car.color], scale)
    front = DIRECTIONS[car.direction][0]
    _fill(frame, _rectangle(x + 7 * front, y, 7, 13), (38, 40, 48), scale)
