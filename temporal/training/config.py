"""Settings of one training run; they travel as JSON inside its checkpoint."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from ..errors import CheckpointFormatError, InvalidInputError
from .data.patterns import normalised

S = TypeVar("S", bound="Settings")
MOST_WARMUP = 100  # steps


def usual_warmup(steps: int) -> int:
    """Steps of warm-up where none are named: a tenth of all, so that short trainings reach their rate."""
    return min(MOST_WARMUP, max(1, steps // 10))


@dataclass(frozen=True)
class Settings:
    """Settings that go into a training state and out of it again; subclasses are frozen dataclasses."""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls: type[S], text: str) -> S:
        """The inverse of `to_json`; raises CheckpointFormatError for settings this version does not know."""
        values: dict[str, Any] = json.loads(text)
        known = {f.name for f in dataclasses.fields(cls)}
        if set(values) != known:
            different = ", ".join(sorted(set(values) ^ known)[:5])
            raise CheckpointFormatError(
                f"The training state has other settings than this version ({different}); start a new run."
            )
        return cls(**values)

    def _check_at_least_one(self, *names: str) -> None:
        """Raise InvalidInputError for a setting below 1."""
        for name in names:
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{name} is {getattr(self, name)}; give 1 or more.")

    def _check_below_one(self, *names: str) -> None:
        """Raise InvalidInputError for a setting outside 0 to below 1."""
        for name in names:
            if not 0 <= getattr(self, name) < 1:
                raise InvalidInputError(f"{name} is {getattr(self, name)}; give a number from 0 to below 1.")

    def _check_precision(self, precision: str) -> None:
        """Raise InvalidInputError for a precision that no training computes in."""
        if precision not in ("fp32", "bf16"):
            raise InvalidInputError(f"precision is {precision!r}; choose fp32 or bf16.")


@dataclass(frozen=True)
class TrainingConfig(Settings):
    """Everything that decides what a run computes.

    `num_frames`: length of a clip; every batch draws its length among this and `other_lengths`. `strides`: a
    clip keeps every stride-th frame, which lowers its frame rate; each clip draws one, and naming one twice
    doubles its share. `patterns`: known-frame pattern -> probability. `high_noise`: 0 draws diffusion steps
    evenly, larger values prefer high noise, where motion is decided (density (1 + p) t^p). `weight_limit`: 1
    is the plain loss, more weighs high noise up to it (NoiseLevels.weight). `min_snr`: above 0, min-SNR
    weighting with this gamma in its place (NoiseLevels.min_snr_weight). `known_noise`: given frames get noise
    of a step drawn from 0 to this one. `text_dropout`: share of clips with the empty caption.
    `signal_dropout`: share of clips which, at the noisiest steps, are noisier than their step says, half of
    them nothing but noise. Stable Diffusion never hides a clip whole: its last step leaves 7 % of the signal,
    and sampling, which starts from pure noise, then relies on what it should have made (arXiv 2305.08891 sets
    the last step to zero signal for that). In a clip it is worse: what many frames share shows through more
    noise than one picture does (arXiv 2301.11093; Stable Video Diffusion moves its noise up for the same
    reason). Without dropping it, the layers see the motion in every training clip and need no word for it.
    `reversed`: phrases that turn into each other when a clip is played backwards, both ways
    (data/reversal.py); clips that name one are then played backwards half of the time. `check_clips`: the
    last so many of those are never trained on, but kept to ask whether the right word fits better than the
    opposite one (sense.py). `contrast_given`: contrast (loss.py) also for clips of which frames are given,
    where two frames leave open which way a thing turns. `text_first`: for this share of the steps, at the
    start, no frames are given, so that only the text says how things move. `kept_out`: share of the films
    whose clips are never trained on, but tell how well the layers do on what they have not seen
    (watching/held_out.py); none of fewer than ten films.
    """

    num_frames: int = 8
    other_lengths: tuple[int, ...] = ()
    strides: tuple[int, ...] = (1,)
    steps: int = 1000
    batch: int = 4
    accumulate: int = 1
    learning_rate: float = 1e-4
    final_learning_rate: float = 1e-5
    warmup: int = MOST_WARMUP
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    ema: float = 0.999
    patterns: dict[str, float] = field(default_factory=lambda: {"none": 1.0})
    text_dropout: float = 0.1
    known_noise: int = 0
    high_noise: float = 0.0
    signal_dropout: float = 0.0
    reversed: dict[str, str] = field(default_factory=dict)
    contrast: float = 0.0
    contrast_given: bool = False
    check_clips: int = 0
    text_first: float = 0.0
    kept_out: float = 0.0
    weight_limit: float = 1.0
    min_snr: float = 0.0
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_at_least_one("num_frames", "steps", "batch", "accumulate", "weight_limit")
        if any(not 1 <= length < self.num_frames for length in self.other_lengths):
            raise InvalidInputError(
                f"The clip lengths are {self.num_frames} and {self.other_lengths}; name the longest first, "
                "e.g. 8,5."
            )
        if not self.strides or min(self.strides) < 1:
            raise InvalidInputError(f"strides are {self.strides}; give whole numbers of 1 or more, e.g. 1,2.")
        shares = (self.text_dropout, self.signal_dropout, self.text_first, self.kept_out)
        if any(not 0 <= share <= 1 for share in shares):
            raise InvalidInputError("text_dropout, signal_dropout, text_first and kept_out must lie in 0..1.")
        if self.min_snr < 0 or (self.min_snr and self.weight_limit != 1):
            raise InvalidInputError(
                f"min_snr is {self.min_snr:g} and weight_limit {self.weight_limit:g}; give a min_snr above "
                "0, usually 5, or a weight_limit, not both."
            )
        self._check_below_one("ema")
        self._check_words()
        self._check_precision(self.precision)
        object.__setattr__(self, "strides", tuple(self.strides))
        object.__setattr__(self, "other_lengths", tuple(self.other_lengths))
        object.__setattr__(self, "patterns", normalised(self.patterns))

    def _check_words(self) -> None:
        """Raise InvalidInputError where words are to be asked for, and none has an opposite."""
        if self.check_clips and not self.reversed:
            raise InvalidInputError(
                "check_clips needs phrases that have an opposite; give them as reversed, or leave "
                "check_clips at 0."
            )
        if self.contrast < 0 or (self.contrast and not self.reversed):
            raise InvalidInputError(
                f"contrast is {self.contrast:g}; give phrases that have an opposite as reversed, and a "
                "contrast above 0, e.g. 6, or leave it at 0."
            )
        if self.contrast_given and not self.contrast:
            raise InvalidInputError(
                "contrast_given is on, but contrast is 0; give a contrast above 0, e.g. 6, or leave "
                "contrast_given off."
            )
