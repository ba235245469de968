"""Films of solids that move, orbits around others, and how well orbits that were made fit. See orbit.py.

Pictures `(b f 3 32 32)` in 0..1, latents `(b f 16 4 4)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from einops import rearrange, reduce
from torch import Tensor

from ...demo.world.scene import COLORS
from ...demo.world.solids import SOLIDS, Solid, orbit, render_views

VIEWS, SIDE, PATCH, CHANNELS = 7, 32, 8, 16
HEIGHTS = (-5.0, 30.0)  # degrees of elevation, as in Stable Video Diffusion, section 4.5
ASKED_HEIGHTS = (0.0, 12.0, 25.0)
TURNS = tuple(range(0, 360, 15))  # degrees, of solids that are asked for and that explain what was made
Pose = tuple[int, int, float]  # number of the kind, number of the first colour, turn
NAMES = list(COLORS)
KINDS = list(SOLIDS)
PAIRS = [(kind, first) for kind in range(len(KINDS)) for first in range(len(NAMES))]
KEPT_OUT = [(kind, first) for kind, first in PAIRS if (kind + first) % 4 == 0]


@dataclass(frozen=True, eq=False)
class Views:
    """Clips, and the camera's height and angle in each view `(b f)`, in degrees, or nan where untold."""

    pictures: Tensor
    elevation: Tensor
    azimuth: Tensor


@dataclass(frozen=True, eq=False)
class Code:
    """Latents of pictures: the strongest parts of patches of 8 x 8 pixels, each of deviation 1."""

    middle: Tensor
    parts: Tensor

    @classmethod
    def of(cls, pictures: Tensor) -> Code:
        """The code that loses least of these pictures."""
        patches = _patches(pictures).flatten(0, -2)
        middle = patches.mean(0)
        _, strengths, parts = torch.linalg.svd(patches - middle, full_matrices=False)
        strengths = strengths[:CHANNELS] / len(patches) ** 0.5
        return cls(middle, parts[:CHANNELS] * rearrange(strengths, "c -> c 1"))

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents of pictures."""
        parts = self.parts / self.parts.square().sum(1, keepdim=True)
        return rearrange((_patches(pictures) - self.middle) @ parts.T, "b f h w c -> b f c h w")

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures of latents."""
        patches = rearrange(latents, "b f c h w -> b f h w c") @ self.parts + self.middle
        made = rearrange(patches, "b f h w (c y x) -> b f c (h y) (w x)", y=PATCH, x=PATCH)
        return made.clamp(0, 1)


def films(count: int, seed: int) -> Views:
    """Solids in any colours that turn either way, lift and slide, and never come around."""
    dice, clips, along = np.random.default_rng((seed, 1)), [], np.linspace(0, 1, VIEWS)
    for _ in range(count):
        kind = str(dice.choice(KINDS))
        solid = Solid(kind, tuple(dice.permutation(NAMES)[: len(SOLIDS[kind][1])]), dice.uniform(0, 360))
        turned = dice.uniform(60, 200) * dice.choice([-1, 1]) * along
        height = dice.uniform(*HEIGHTS) + dice.uniform(-20, 20) * along
        slid = dice.uniform(-0.08, 0.08) + dice.uniform(-0.12, 0.12) * along
        views = list(zip(turned.tolist(), height.tolist(), strict=True))
        clips.append(render_views(solid, views, SIDE, slid.tolist()))
    untold = torch.full((count, VIEWS), torch.nan)
    return Views(_pictures(clips), untold, untold)


def orbits(count: int, seed: int) -> Views:
    """Orbits around solids that may be learned from."""
    dice = np.random.default_rng((seed, 2))
    learned = [pair for pair in PAIRS if pair not in KEPT_OUT]
    pairs = [learned[number] for number in dice.integers(len(learned), size=count)]
    turns, heights = dice.uniform(0, 360, count).tolist(), dice.uniform(*HEIGHTS, count).tolist()
    return around([(*pair, turn) for pair, turn in zip(pairs, turns, strict=True)], heights)


def asked(count: int) -> list[tuple[Pose, float]]:
    """Solids that were kept out, each with a height of the camera."""
    turns = np.random.default_rng(2029).choice(TURNS, count).tolist()
    each = len(KEPT_OUT)
    return [
        ((*KEPT_OUT[number % each], turn), ASKED_HEIGHTS[number // each % len(ASKED_HEIGHTS)])
        for number, turn in enumerate(turns)
    ]


def around(poses: Sequence[Pose], heights: Sequence[float]) -> Views:
    """Orbits around solids, each at a height of the camera."""
    clips, told = [], []
    for (kind, first, turn), height in zip(poses, heights, strict=True):
        colours = [NAMES[(first + n) % len(NAMES)] for n in range(len(SOLIDS[KINDS[kind]][1]))]
        told.append(orbit(VIEWS, height))
        clips.append(render_views(Solid(KINDS[kind], tuple(colours), turn), told[-1], SIDE))
    angles = torch.tensor(told)
    return Views(_pictures(clips), angles[..., 1], angles[..., 0])


def labels(views: Views) -> Tensor:
    """Numbers that tell a network of the camera `(b f 8)`: sines, cosines of its angles and of twice these.

    Films tell nothing: all are 0.
    """
    angles = torch.stack([views.elevation, views.azimuth], dim=-1).deg2rad()
    told = torch.cat([angles.sin(), angles.cos(), (2 * angles).sin(), (2 * angles).cos()], dim=-1)
    return told.nan_to_num(0.0)


def decibels(made: Tensor, drawn: Tensor) -> Tensor:
    """Peak signal to noise ratio of clips `(b,)`, over all their views."""
    return -10 * reduce((made - drawn).square(), "b ... -> b", "mean").clamp(min=1e-6).log10()


@cache
def every_solid(height: float) -> tuple[list[Pose], Tensor]:
    """All solids that might have been made, in all turns, and their orbits at a height of the camera."""
    tried: list[Pose] = [(*pair, turn) for pair in PAIRS for turn in TURNS]
    return tried, around(tried, [height] * len(tried)).pictures


def fitted(made: Tensor, heights: Sequence[float]) -> tuple[Tensor, list[Pose]]:
    """The one solid that explains each orbit that was made best, and how well: PSNR `(b,)`."""
    scores, found = [], []
    for orbit_made, height in zip(made, heights, strict=True):
        tried, drawn = every_solid(height)
        each = decibels(orbit_made, drawn)
        best = int(each.argmax())
        scores.append(each[best])
        found.append(tried[best])
    return torch.stack(scores), found


def _patches(pictures: Tensor) -> Tensor:
    return rearrange(pictures, "b f c (h y) (w x) -> b f h w (c y x)", y=PATCH, x=PATCH)


def _pictures(clips: Sequence[np.ndarray]) -> Tensor:
    return rearrange(torch.from_numpy(np.stack(clips)), "b f h w c -> b f c h w").float() / 255
