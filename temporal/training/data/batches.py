"""Random training batches from a clip cache.

Shapes: latents, noise, known_latents ((b f) c h w); t, signal, known_mask ((b f),); text (b m e); fps (b,);
opposed (o,), numbers of clips.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import cast

import numpy as np
import torch
from einops import rearrange, reduce, repeat
from torch import Tensor

from ...errors import InvalidInputError
from ..config import TrainingConfig
from ..noise_levels import NoiseLevels
from . import patterns
from .cache import ClipCache
from .conditions import NOTHING, Conditions
from .reversal import opposites

CHECKS = 1 << 20  # tells the noise of checks from that of the pieces of a step
FEWEST_FILMS = 10  # of which some are kept out
NOISIEST = 0.85  # from this share of the diffusion steps on, signal_dropout acts
MOTION = 0.7  # from this share on motion is decided; below, the clip itself shows it


@dataclass(frozen=True)
class Batch:
    """Clips with everything random about them already drawn.

    After them come those numbered in `opposed` once more, with the opposite caption.
    """

    latents: Tensor
    noise: Tensor
    t: Tensor
    signal: Tensor
    text: Tensor
    conditions: Conditions
    known_latents: Tensor
    known_mask: Tensor
    fps: Tensor
    num_frames: int
    opposed: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))

    def to(self, device: torch.device | str) -> Batch:
        """Move to a device; frame rates stay on the CPU, where `Clip` checks their values."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        moved = {
            name: value.to(device)
            for name, value in given.items()
            if isinstance(value, Tensor | Conditions) and name != "fps"
        }
        return replace(self, **moved)


class BatchSource:
    """Draws the batch of a given step.

    The same seed and step always give the same batch, which is what makes a resumed run continue bit for bit.
    """

    def __init__(
        self,
        cache: ClipCache,
        config: TrainingConfig,
        noise_levels: NoiseLevels,
        kept_out: Collection[str] | None = None,
    ) -> None:
        """Take clips; `kept_out` names films that are not trained on, as others have chosen them.

        Then they answer for the clips that are checked, too, and there may be none left to train on. Raises
        InvalidInputError where none is long enough.
        """
        self.cache, self.config, self.noise_levels = cache, config, noise_levels
        self.lengths = cache.lengths()
        lengths = (config.num_frames, *config.other_lengths)
        self.opposites = opposites(cache.captions, config.reversed)
        checkable = clips_to_check(cache, config)
        if kept_out is None:
            refuse_few_checks(config.check_clips, len(checkable))
        self.held_out = checkable[len(checkable) - config.check_clips :]
        films = films_of(cache)
        away = unseen_films(films, config) if kept_out is None else kept_out
        self.unseen = np.flatnonzero([name in away for name in films])
        apart = np.union1d(self.held_out, self.unseen)
        self.clips = {length: _long_enough(cache, config, length, apart) for length in lengths}
        if kept_out is None:
            self.check_lengths()
        self.unseen = self.unseen[self.lengths[self.unseen] >= _needed(config)]

    def check_lengths(self) -> None:
        """Raise InvalidInputError for a length that no clip in training has."""
        for num_frames, groups in self.clips.items():
            if not groups:
                raise InvalidInputError(
                    f"The longest clip has {self.lengths.max()} frames, but {num_frames} frames are asked "
                    "for; give longer clips, or fewer frames or smaller strides."
                )

    @property
    def count(self) -> int:
        """Number of clips that are trained on."""
        groups = [clips for group in self.clips.values() for _, clips in group]
        return len(np.unique(np.concatenate(groups))) if groups else 0

    def draw(self, step: int, part: int = 0) -> Batch:
        """Batch of an optimiser step; `part` counts the pieces of an accumulated one."""
        config = self.config
        generator = torch.Generator().manual_seed(mix_seeds(config.seed, step, part))
        num_frames = self._length(generator)
        latents, text, known, mask, rates = [], [], [], [], []
        for index, stride in self._clips(num_frames, generator):
            name = patterns.draw(config.patterns, generator)
            if step < config.text_first * config.steps:
                name = "none"
            clip, caption = self._clip(index, stride, num_frames, name, generator)
            latents.append(clip)
            mask.append(patterns.known_mask(name, num_frames, generator))
            known.append(self._augmented(clip, generator))
            rates.append(float(self.cache.fps[index]) / stride)
            dropped = torch.rand((), generator=generator).item() < config.text_dropout
            text.append(0 if dropped else caption)
        x, mask = torch.cat(latents), torch.cat(mask)
        noise, t = torch.randn(x.shape, generator=generator), self._diffusion_steps(generator)
        batch = Batch(
            latents=x,
            noise=noise,
            t=repeat(t, "b -> (b f)", f=num_frames),
            signal=repeat(self._signal(t, generator), "b -> (b f)", f=num_frames),
            text=self.cache.embedding(text),
            conditions=Conditions(pooled=self.cache.pooled_embedding(text)),
            known_latents=torch.cat(known) * rearrange(mask, "n -> n 1 1 1"),
            known_mask=mask,
            fps=torch.tensor(rates),
            num_frames=num_frames,
        )
        batch = self._with_opposites(batch, text) if config.contrast else batch
        return self._conditioned(batch, generator)

    def _with_opposites(self, batch: Batch, captions: Sequence[int]) -> Batch:
        """Show clips with the opposite caption, too, where the caption is to tell how they move."""
        rows, f = self.opposites[np.array(captions)], batch.num_frames
        given = reduce(batch.known_mask, "(b f) -> b", "max", f=f).numpy() > 0
        given &= not self.config.contrast_given
        decided = batch.t[::f].numpy() >= MOTION * self.noise_levels.num_steps
        opposed = np.flatnonzero((rows >= 0) & ~given & decided)
        clips = torch.from_numpy(opposed)
        frames = rearrange(f * clips[:, None] + torch.arange(f), "o f -> (o f)")
        names = ("latents", "noise", "t", "signal", "known_latents", "known_mask")
        again = {name: getattr(batch, name)[frames] for name in names}
        pooled, words = batch.conditions.pooled, rows[opposed]
        if pooled is not None:
            pooled = torch.cat([pooled, cast(Tensor, self.cache.pooled_embedding(words))])
        return replace(
            batch,
            **{name: torch.cat([getattr(batch, name), values]) for name, values in again.items()},
            text=torch.cat([batch.text, self.cache.embedding(words)]),
            fps=torch.cat([batch.fps, batch.fps[clips]]),
            conditions=Conditions(pooled=pooled),
            opposed=clips,
        )

    def checks(self, t: int, signal: float) -> Iterator[tuple[Batch, Tensor]]:
        """Held-out clips at step t, with the same noise in every call, and the text of their opposites."""
        for chosen, batch in self._fixed(self.held_out, t, signal):
            rows = self.cache.caption_ids[chosen]
            yield batch, self.cache.embedding(self.opposites[rows])

    def unseen_clips(self, t: int, most: int) -> Iterator[Batch]:
        """At most so many clips of films that are kept out, each with the same noise in every call."""
        return (batch for _, batch in self._fixed(self.unseen[:most], t, 1.0))

    def _fixed(self, clips: np.ndarray, t: int, signal: float) -> Iterator[tuple[np.ndarray, Batch]]:
        """Beginnings of clips in batches, with no frames given."""
        num_frames, stride = self.config.num_frames, min(self.config.strides)
        for start in range(0, len(clips), self.config.batch):
            chosen = clips[start : start + self.config.batch]
            x = torch.cat([self._start(i, stride * np.arange(num_frames)) for i in chosen])
            rows = self.cache.caption_ids[chosen]
            generator = torch.Generator().manual_seed(mix_seeds(self.config.seed, start, CHECKS))
            batch = Batch(
                latents=x,
                noise=torch.randn(x.shape, generator=generator),
                t=torch.full((len(x),), t),
                signal=torch.full((len(x),), signal),
                text=self.cache.embedding(rows),
                conditions=Conditions(pooled=self.cache.pooled_embedding(rows)),
                known_latents=torch.zeros_like(x),
                known_mask=torch.zeros(len(x)),
                fps=torch.from_numpy(self.cache.fps[chosen] / stride).float(),
                num_frames=num_frames,
            )
            yield chosen, self._conditioned(batch, generator)

    def _start(self, index: int, frames: np.ndarray) -> Tensor:
        """The part of a clip that is looked at, the same in every call."""
        return self._cut(self.cache.clip(index, frames), torch.Generator().manual_seed(int(index)))

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of the latents of a sample clip (f c h w)."""
        return self.config.num_frames, *self.cache.latents.shape[1:]

    def sample_captions(self, count: int) -> list[str]:
        """Captions for at most so many sample clips."""
        return list(self.cache.captions[1 : 1 + count])

    def sample_conditions(self, numbers: Sequence[int]) -> Conditions:
        """Conditions of sample clips with these numbers, beside their text."""
        return NOTHING

    def _conditioned(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A batch as the image model is given it."""
        return batch

    def _length(self, generator: torch.Generator) -> int:
        """Frames of the clips of one batch, which all have the same number."""
        lengths = list(self.clips)
        if len(lengths) == 1:
            return lengths[0]
        return lengths[int(torch.randint(len(lengths), (1,), generator=generator))]

    def _clips(self, num_frames: int, generator: torch.Generator) -> list[tuple[int, int]]:
        """Clip and stride of each place of the batch: a stride, then a clip that is long enough for it."""
        chosen, groups = [], self.clips[num_frames]
        for group in torch.randint(len(groups), (self.config.batch,), generator=generator).tolist():
            stride, clips = groups[group]
            pick = torch.randint(len(clips), (1,), generator=generator).item()
            chosen.append((int(clips[pick]), stride))
        return chosen

    def _clip(
        self, index: int, stride: int, f: int, pattern: str, generator: torch.Generator
    ) -> tuple[Tensor, int]:
        """Frames of a clip, forwards or backwards, and the row of the caption that tells them."""
        spare = int(self.lengths[index]) - ((f - 1) * stride + 1)
        start = int(torch.randint(spare + 1, (1,), generator=generator))
        frames, caption = start + stride * np.arange(f), self._caption(index, generator)
        if (
            self.config.reversed
            and torch.rand((), generator=generator) < 0.5
            and self.opposites[caption] >= 0
        ):
            frames, caption = frames[::-1].copy(), int(self.opposites[caption])
        if pattern == "loop":  # it moves both ways, which its caption does not say
            frames, caption = frames[patterns.there_and_back(f).numpy()], 0
        return self._cut(self.cache.clip(index, frames), generator), caption

    def _caption(self, index: int, generator: torch.Generator) -> int:
        """Row of a caption of a clip; where it has several, one drawn by their shares."""
        choices = self.cache.choices[index] if self.cache.choices else ()
        if len(choices) < 2:
            return int(self.cache.caption_ids[index])
        shares = torch.tensor([share for _, share in choices])
        return choices[int(torch.multinomial(shares, 1, generator=generator))][0]

    def _cut(self, clip: Tensor, generator: torch.Generator) -> Tensor:
        """The part of a clip's frames that is trained on."""
        return clip

    def _augmented(self, clip: Tensor, generator: torch.Generator) -> Tensor:
        """Given latents with noise of a random small step, the same for all frames of the clip.

        Video LDM, section 3.3.
        """
        noise = torch.randn(clip.shape, generator=generator)
        level = torch.randint(self.config.known_noise + 1, (1,), generator=generator)
        if self.config.known_noise == 0:
            return clip
        return self.noise_levels.add_noise(clip, noise, level.expand(len(clip)))

    def _diffusion_steps(self, generator: torch.Generator) -> Tensor:
        """One step per clip (b,), spread evenly over the batch, with density (1 + p) t^p."""
        b = self.config.batch
        even = (torch.rand(b, generator=generator) + torch.arange(b)) / b
        u = even[torch.randperm(b, generator=generator)] ** (1 / (1 + self.config.high_noise))
        return (u * self.noise_levels.num_steps).long().clamp(max=self.noise_levels.num_steps - 1)

    def _signal(self, t: Tensor, generator: torch.Generator) -> Tensor:
        """Share of the clip in its noisy latents (b,).

        All that the step says, or at the noisiest steps less.
        """
        if self.config.signal_dropout == 0:
            return torch.ones(len(t))
        share = (2 * torch.rand(len(t), generator=generator) - 1).clamp(min=0)  # half of them: nothing
        dropped = torch.rand(len(t), generator=generator) < self.config.signal_dropout
        return torch.where(dropped & (t >= NOISIEST * self.noise_levels.num_steps), share, torch.ones(len(t)))


def _needed(config: TrainingConfig) -> int:
    """Frames of the shortest clip that has all frames of the longest length."""
    return (config.num_frames - 1) * min(config.strides) + 1


def clips_to_check(cache: ClipCache, config: TrainingConfig) -> np.ndarray:
    """Clips that have an opposite, and all frames of the longest length."""
    rows = opposites(cache.captions, config.reversed)[cache.caption_ids]
    return np.flatnonzero((rows >= 0) & (cache.lengths() >= _needed(config)))


def refuse_few_checks(asked: int, found: int) -> None:
    """Raise InvalidInputError unless clips that can be checked are more than those that are asked for."""
    if asked >= max(found, 1):
        raise InvalidInputError(
            f"{asked} clips are to be kept for checks, but only {found} have a caption with one of the "
            "phrases; keep fewer, or give more clips or other phrases."
        )


def films_of(cache: ClipCache) -> list[str]:
    """The film of each clip; without names each is of its own."""
    return list(cache.sources) or [str(index) for index in range(len(cache))]


def unseen_films(films: Sequence[str], config: TrainingConfig) -> set[str]:
    """Films that are not trained on: the same for the same films and seed, whatever else changes."""
    names = np.unique(films)
    count = round(config.kept_out * len(names)) if len(names) >= FEWEST_FILMS else 0
    count = max(count, 1) if config.kept_out and len(names) >= FEWEST_FILMS else count
    order = np.random.default_rng(config.seed).permutation(len(names))
    return set(names[order[:count]].tolist())


def _long_enough(
    cache: ClipCache, config: TrainingConfig, num_frames: int, held_out: np.ndarray
) -> list[tuple[int, np.ndarray]]:
    """For each stride of the settings, the clips with enough frames; strides without any are left out."""
    lengths, needed = cache.lengths(), [(s, (num_frames - 1) * s + 1) for s in config.strides]
    clips = [(s, np.setdiff1d(np.flatnonzero(lengths >= length), held_out)) for s, length in needed]
    return [(stride, indices) for stride, indices in clips if len(indices)]


def mix_seeds(seed: int, step: int, part: int) -> int:
    """Distinct generator seeds for neighbouring steps (numpy's SeedSequence)."""
    return int(np.random.SeedSequence([seed, step, part]).generate_state(1, np.uint64)[0] >> 1)
