"""Films of a camera that goes around a thing, with its angles: what SV3D (arXiv 2403.12008) is trained on.

Angles in degrees: azimuth from the first view on, elevation above the horizon. Shapes: frames (f 3 h w) in
0..1, angles (f,).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ...errors import InvalidInputError
from ..data.frames import FrameStore

METADATA = "metadata.jsonl"
SHOWN = 3  # films that a message names


@dataclass(frozen=True, eq=False)
class Orbit:
    """Angles of the camera in every frame of a film."""

    elevation: np.ndarray
    azimuth: np.ndarray

    @property
    def closed(self) -> bool:
        """True where the last view is the first one again, so that any view can be the first."""
        apart = (self.azimuth[-1] - self.azimuth[0] + 180) % 360 - 180
        return abs(apart) < 1e-3 and abs(self.elevation[-1] - self.elevation[0]) < 1e-3


def whole_turn(count: int, elevation: float = 0.0, azimuth: float = 360.0) -> Orbit:
    """Even steps at one height, from 0 to the azimuth of the last view."""
    return Orbit(np.full(count, elevation), np.linspace(0, azimuth, count))


def check_rates(rates: Mapping[str, float], fps: float) -> None:
    """Refuse films that are read at another rate than their own: what is left of a turn is no whole one.

    `rates` are frames a second by the names of films. Raises InvalidInputError.
    """
    for name, rate in rates.items():
        if abs(rate - fps) > 0.01 * rate:
            raise InvalidInputError(
                f"{name} has {rate:g} frames a second and is read at {fps:g}, so that views of its turn are "
                f"missing; give --fps {rate:g}, and films of one rate."
            )


def read_orbits(
    names: Sequence[str], said: Sequence[Mapping[str, Any]], counts: Sequence[int]
) -> list[Orbit]:
    """The angles of films, of `counts` frames each, from their lines of `metadata.jsonl`.

    A line holds `file_name`, `elevation` and where it is no whole turn `azimuth`, that of the last view; or
    of either a list with a number for each frame.

    Raises InvalidInputError for films without an elevation, and for what are no angles.
    """
    orbits, missing = [], []
    for name, row, count in zip(names, said, counts, strict=True):
        if "elevation" not in row:
            missing.append(name)
            continue
        turn = whole_turn(count)
        elevation = _angles(row["elevation"], count, name)
        azimuth = _angles(row.get("azimuth", 360.0), count, name)
        if azimuth.ndim == 0:
            azimuth = turn.azimuth * (azimuth / 360)
        orbits.append(Orbit(turn.elevation + elevation, azimuth))
    if missing:
        raise InvalidInputError(
            f"{len(missing)} of {len(names)} orbits have no elevation ({', '.join(missing[:SHOWN])}); write "
            f'a line {{"file_name": "{missing[0]}", "elevation": 10}} for each into {METADATA}.'
        )
    return orbits


def draw_orbit(
    store: FrameStore, orbits: Sequence[Orbit], dice: np.random.Generator, num_frames: int
) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Views spread evenly over a random film, with their elevation, and azimuth in 0..360 from the first on.

    Where the film comes back to its first view, it begins at any of them.
    """
    counts = np.diff(store.offsets)
    film = int(dice.choice(np.flatnonzero(counts >= num_frames)))
    orbit, last = orbits[film], int(counts[film]) - 1
    views = np.linspace(0, last, num_frames).round().astype(int)
    if orbit.closed and last:
        views = (views + int(dice.integers(last))) % last
    frames = store.chosen(store.offsets[film] + views)
    return frames, orbit.elevation[views], (orbit.azimuth[views] - orbit.azimuth[views[0]]) % 360


def _angles(given: Any, count: int, name: str) -> np.ndarray:
    """One number, or one for each frame."""
    try:
        angles = np.array(given, np.float64)
    except (TypeError, ValueError):
        angles = np.array(np.nan)
    if angles.shape not in ((), (count,)) or not np.isfinite(angles).all():
        raise InvalidInputError(
            f"elevation and azimuth of {name} in {METADATA} are each a number of degrees, or a list of "
            f"{count}, one for each frame that is read; correct its line."
        )
    return angles
