"""Training of a LoRA: the loop of temporal layers, in which nothing but the factors learns."""

from __future__ import annotations

from torch import nn

from ...stack.stack import TemporalStack
from ..loop import LayersTrainer, Surroundings
from .config import LoraConfig
from .layers import LowRank


class LoraTrainer(LayersTrainer):
    """Holds factors, their optimiser and average. Train and sample inside `with lora.beside(...)`.

    Factors are few, so that they are never halved. With `strength` 0 the temporal layers are left out, and
    single frames teach a LoRA of the image model.
    """

    halves = False

    def __init__(
        self, lora: LowRank, settings: LoraConfig, stack: TemporalStack, around: Surroundings
    ) -> None:
        self.lora, self.settings = lora.to(around.device), settings
        stack.requires_grad_(False)
        super().__init__(stack, around)

    @property
    def averaged(self) -> nn.Module:
        """The factors in training."""
        return self.lora

    @property
    def description(self) -> str:
        """The layers, and what of them changes at which rank."""
        places = ", ".join(f"{place.weight}{list(place.rows or ())}" for place in self.lora.changed)
        return f"LoRA of rank {self.settings.rank} on {places} of {super().description}"

    @property
    def named(self) -> str:
        """Name for a sentence on a state of something else."""
        return f"a LoRA of rank {self.settings.rank}"
