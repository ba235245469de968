"""Settings of a LoRA beside those of its training."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InvalidInputError
from ..config import Settings


@dataclass(frozen=True)
class LoraConfig(Settings):
    """Settings of a LoRA.

    `alpha / rank` scales what the factors add; an alpha of 0 is the rank. `targets`: kinds of layers, or
    parts of their names in files; none: those that are usual for the layers. `trigger` stands before every
    caption. `looks_steps`: for so many steps a LoRA of the image model first learns from single frames what
    the clips look like; the motion is then learned beside it and used without it, so that looks do not go
    into the motion (AnimateDiff's domain adapter; MotionDirector, section 3).
    """

    rank: int = 32
    alpha: float = 0.0
    targets: tuple[str, ...] = ()
    trigger: str = ""
    looks_steps: int = 300

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise InvalidInputError(f"The rank is {self.rank}; give 1 or more, e.g. 32.")
        if self.alpha < 0:
            raise InvalidInputError(f"alpha is {self.alpha:g}; give a number above 0, or 0 for the rank.")
        if self.looks_steps < 0:
            raise InvalidInputError(
                f"looks_steps is {self.looks_steps}; give 0 for no LoRA of the looks, or more."
            )
        object.__setattr__(self, "targets", tuple(self.targets))

    @property
    def scale(self) -> float:
        """Number that the product of the factors is multiplied with."""
        return (self.alpha or self.rank) / self.rank
