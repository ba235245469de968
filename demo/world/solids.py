"""Solids with coloured faces, seen by a camera that goes around them: what an orbit is learned from.

Azimuth and elevation are in degrees; at azimuth 90 the camera stands where the right side was. Light comes
from above and from one side of the world, so a face has one colour in all views. Pictures `(f s s 3)` uint8
RGB on white.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .scene import COLORS

DISTANCE = 4.5  # of the camera, in radii
FOCUS = 1.55  # picture sides that a radius at distance 1 takes, by half
LIGHT = np.array([0.4, 0.8, 0.45])
_SUBPIXEL = 4


def _prism(sides: int, low: float, high: float) -> tuple[np.ndarray, list[list[int]]]:
    turns = np.arange(sides) * 2 * np.pi / sides
    ring = np.stack([np.cos(turns), np.zeros(sides), np.sin(turns)], 1)
    points = np.concatenate([0.8 * ring + [0, low, 0], 0.8 * ring + [0, high, 0]])
    walls = [[n, (n + 1) % sides, (n + 1) % sides + sides, n + sides] for n in range(sides)]
    return points, [*walls, list(range(sides)), list(range(sides, 2 * sides))]


def _pyramid(sides: int) -> tuple[np.ndarray, list[list[int]]]:
    turns = np.arange(sides) * 2 * np.pi / sides
    ring = np.stack([0.9 * np.cos(turns), np.full(sides, -0.55), 0.9 * np.sin(turns)], 1)
    points = np.concatenate([ring, [[0, 0.9, 0]]])
    return points, [*([n, (n + 1) % sides, sides] for n in range(sides)), list(range(sides))]


SOLIDS = {
    "cube": _prism(4, -0.57, 0.57),
    "prism": _prism(3, -0.6, 0.6),
    "pyramid": _pyramid(4),
    "tetrahedron": _pyramid(3),
}


@dataclass(frozen=True)
class Solid:
    """A kind of solid, a colour for each of its faces, and how it is turned before the camera goes around."""

    kind: str
    colours: tuple[str, ...]
    turn: float = 0.0


def sample_solid(rng: np.random.Generator) -> Solid:
    """A solid whose faces have colours one after the other, so that those in sight tell those behind."""
    kind, names = str(rng.choice(list(SOLIDS))), list(COLORS)
    first = int(rng.integers(len(names)))
    faces = len(SOLIDS[kind][1])
    colours = tuple(names[(first + n) % len(names)] for n in range(faces))
    return Solid(kind, colours, float(rng.uniform(0, 360)))


def orbit(count: int, elevation: float) -> list[tuple[float, float]]:
    """Azimuth and elevation of views once around, the last of which is the first one again."""
    return [(360 * n / (count - 1), elevation) for n in range(count)]


def render_views(
    solid: Solid, views: Sequence[tuple[float, float]], side: int = 64, shifts: Sequence[float] | None = None
) -> np.ndarray:
    """A picture of each view; `shifts` move the solid to the right, in pictures."""
    shifts = [0.0] * len(views) if shifts is None else shifts
    return np.stack([_view(solid, *view, side, shift) for view, shift in zip(views, shifts, strict=True)])


def _view(solid: Solid, azimuth: float, elevation: float, side: int, shift: float) -> np.ndarray:
    points, faces = SOLIDS[solid.kind]
    world = points @ _about_y(solid.turn).T
    seen = world @ (_about_x(elevation) @ _about_y(-azimuth)).T
    depth = DISTANCE - seen[:, 2]
    flat = seen[:, :2] / depth[:, None] * FOCUS * side * (1, -1) + (side * (0.5 + shift), side / 2)
    picture = np.full((side, side, 3), 255, np.uint8)
    light = LIGHT / np.linalg.norm(LIGHT)
    for face, colour in zip(faces, solid.colours, strict=True):
        centre = seen[face].mean(axis=0)
        if _outward(seen, face) @ (np.array([0, 0, DISTANCE]) - centre) <= 0:
            continue  # a convex solid hides just the faces that look away
        shade = 0.55 + 0.45 * max(0.0, float(_outward(world, face) @ light))
        corners = np.round((flat[face] - 0.5) * 2**_SUBPIXEL).astype(np.int32)
        paint = tuple(round(shade * value) for value in COLORS[colour])
        cv2.fillPoly(picture, [corners], paint, lineType=cv2.LINE_AA, shift=_SUBPIXEL)
    return picture


def _outward(points: np.ndarray, face: list[int]) -> np.ndarray:
    """Normal of a face, away from the middle of the solid."""
    first, second, third = points[face[:3]]
    normal = np.cross(second - first, third - first)
    normal = normal / np.linalg.norm(normal)
    return normal if normal @ (points[face].mean(axis=0) - points.mean(axis=0)) > 0 else -normal


def _about_y(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _about_x(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
