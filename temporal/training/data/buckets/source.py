"""Batches from clips of several sizes and lengths, and from pictures.

A bucket holds clips that go into one batch; each has a cache of its own. The bucket of a step follows from
seed and step alone, so that a resumed run goes on exactly and several processes have the same one.

Shapes: latents (f c h w).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from ....errors import InvalidInputError
from ...config import TrainingConfig
from ...noise_levels import NoiseLevels
from .. import cache
from ..batches import (
    Batch,
    BatchSource,
    clips_to_check,
    films_of,
    mix_seeds,
    refuse_few_checks,
    unseen_films,
)
from ..cache import ClipCache
from ..conditions import Conditions

CHOICE = (1 << 20) + 1  # tells the choice of a bucket from what is drawn inside it


@dataclass(frozen=True)
class Bucket:
    """Clips of one size that are drawn at some lengths, the longest first. Pictures have the length 1."""

    clips: ClipCache
    lengths: tuple[int, ...]
    pictures: bool = False

    def config(self, config: TrainingConfig, checks: int = 0) -> TrainingConfig:
        """The settings of a run for these clips, of which so many are kept for checks.

        A run of single frames has them of all clips. In a picture nothing moves, and given it would be all.
        """
        longest, *others = sorted({min(length, config.num_frames) for length in self.lengths}, reverse=True)
        made = replace(config, num_frames=longest, other_lengths=tuple(others), check_clips=checks)
        if not self.pictures:
            return made
        return replace(made, patterns={"none": 1.0}, reversed={}, check_clips=0)


@dataclass(frozen=True)
class ClipBuckets:
    """Buckets of one training; `images` is the share of steps that see pictures."""

    buckets: tuple[Bucket, ...]
    images: float = 0.0

    def __len__(self) -> int:
        return sum(len(bucket.clips) for bucket in self.buckets)

    @property
    def captions(self) -> tuple[str, ...]:
        """All captions, once each."""
        return tuple(dict.fromkeys(chain.from_iterable(bucket.clips.captions for bucket in self.buckets)))

    @property
    def num_frames(self) -> int:
        """Frames of all clips together."""
        return sum(bucket.clips.num_frames for bucket in self.buckets)

    @property
    def largest(self) -> tuple[int, ...]:
        """Shape (c h w) of the largest latents."""
        shapes = [bucket.clips.latents.shape[1:] for bucket in self.buckets]
        return max(shapes, key=lambda shape: shape[1] * shape[2])


Clips = ClipCache | ClipBuckets


def clips_hash(clips: Clips) -> str:
    """Short name of what was trained on."""
    if isinstance(clips, ClipCache):
        return cache.data_hash(clips)
    names = " ".join(cache.data_hash(bucket.clips) for bucket in clips.buckets)
    return hashlib.sha256(names.encode()).hexdigest()[:16]


class BucketSource:
    """Draws the batch of a given step from one bucket, as `BatchSource` does from its clips.

    Buckets come as often as they have clips that are trained on, so that every clip comes as often as any
    other; pictures share the steps that are theirs in the same way.
    """

    def __init__(self, clips: ClipBuckets, config: TrainingConfig, noise_levels: NoiseLevels) -> None:
        self.config, self.noise_levels, buckets = config, noise_levels, clips.buckets
        films = [name for bucket in buckets if not bucket.pictures for name in films_of(bucket.clips)]
        away, checks = unseen_films(films, config), checks_by_bucket(buckets, config)
        most = max((b for b in buckets if not b.pictures), key=lambda bucket: len(bucket.clips))

        def source(bucket: Bucket, checks: int) -> BatchSource:
            kept_out: Collection[str] = () if bucket.pictures else away
            made = BatchSource(bucket.clips, bucket.config(config, checks), noise_levels, kept_out)
            if made.count:
                made.check_lengths()
            return made

        self.sources = tuple(map(source, buckets, checks))
        self.main = self.sources[buckets.index(most)]
        self.shares = self._shares([bucket.pictures for bucket in buckets], clips.images)

    def _shares(self, pictures: Sequence[bool], images: float) -> Tensor:
        """Shares of the steps that buckets have; raises InvalidInputError where no film is left."""
        counts = np.array([source.count for source in self.sources], float)
        still = np.array(pictures)
        if not counts[~still].sum():
            raise InvalidInputError(
                "All films are kept out, so that none is trained on; give more films, or keep fewer out."
            )
        share_of = np.where(still, images, 1 - images if still.any() else 1.0)
        totals = np.where(still, counts[still].sum(), counts[~still].sum())
        return torch.from_numpy(share_of * counts / totals)

    def chosen(self, step: int) -> int:
        """Number of the bucket of a step."""
        generator = torch.Generator().manual_seed(mix_seeds(self.config.seed, step, CHOICE))
        return int(torch.multinomial(self.shares, 1, generator=generator))

    def draw(self, step: int, part: int = 0) -> Batch:
        """Batch of an optimiser step; all pieces of an accumulated one are of the same bucket."""
        return self.sources[self.chosen(step)].draw(step, part)

    @property
    def held_out(self) -> np.ndarray:
        """Clips that are kept for checks, of all buckets."""
        return np.concatenate([source.held_out for source in self.sources])

    def checks(self, t: int, signal: float) -> Iterator[tuple[Batch, Tensor]]:
        """Clips that are kept for checks, as `BatchSource.checks` has them."""
        return chain.from_iterable(source.checks(t, signal) for source in self.sources)

    @property
    def unseen(self) -> np.ndarray:
        """Clips of films that are kept out, of all buckets."""
        return np.concatenate([source.unseen for source in self.sources])

    def unseen_clips(self, t: int, most: int) -> Iterator[Batch]:
        """At most so many clips of films that are kept out, as evenly from all buckets as they have them."""
        counts = [0] * len(self.sources)
        while sum(counts) < min(most, len(self.unseen)):
            for number, source in enumerate(self.sources):
                if counts[number] < len(source.unseen) and sum(counts) < most:
                    counts[number] += 1
        for count, source in zip(counts, self.sources, strict=True):
            yield from source.unseen_clips(t, count)

    @property
    def cache(self) -> ClipCache:
        """Clips of the bucket that has most of them."""
        return self.main.cache

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of the latents of a sample clip (f c h w): that of the bucket with most clips."""
        return self.main.sample_shape

    def sample_captions(self, count: int) -> list[str]:
        """Captions for at most so many sample clips."""
        return self.main.sample_captions(count)

    def sample_conditions(self, numbers: Sequence[int]) -> Conditions:
        """Conditions of sample clips with these numbers, beside their text."""
        return self.main.sample_conditions(numbers)


def checks_by_bucket(buckets: Sequence[Bucket], config: TrainingConfig) -> list[int]:
    """Numbers of clips that buckets keep for checks: shares of those asked for, by how many each could keep.

    Raises InvalidInputError where all of them together could not.
    """
    found = [0 if b.pictures else len(clips_to_check(b.clips, b.config(config))) for b in buckets]
    refuse_few_checks(config.check_clips, sum(found))
    ends = config.check_clips * np.cumsum(found) // max(sum(found), 1)
    return np.diff(ends, prepend=0).tolist()


Batches = BatchSource | BucketSource
