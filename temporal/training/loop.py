"""Training of temporal layers on a frozen image model (Video LDM, section 3.1).

Shapes: noisy latents, prediction ((b f) c h w); t ((b f),); text (b m e).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..errors import IncompatibleModelError
from ..sampling.clip import Clip
from ..stack.stack import TemporalStack
from .config import TrainingConfig
from .data.ahead import DrawnAhead
from .data.batches import Batch
from .data.buckets.source import Batches
from .data.conditions import NOTHING, Conditions
from .engine import Engine
from .loss import contrasted_loss, denoising_loss
from .memory.recompute import Memory
from .trainer import Trainer, computing_in
from .watching.frozen import are_others


class Denoise(Protocol):
    """An image model with temporal layers, as training knows it."""

    def __call__(
        self,
        noisy: Tensor,
        t: Tensor,
        text: Tensor,
        stack: TemporalStack,
        clip: Clip,
        conditions: Conditions = NOTHING,
    ) -> Tensor: ...


@dataclass(frozen=True)
class Surroundings:
    """All that a training works with besides what learns: the frozen image model, clips, machine.

    `frozen`: numbers of the weights that stay as they are (frozen.some_numbers), for the state.
    """

    denoise: Denoise
    batches: Batches
    device: str = "cpu"
    workers: int = 0
    memory: Memory | None = None
    frozen: Tensor | None = None


class LayersTrainer(Trainer):
    """Holds the stack, its optimiser and its average.

    The image model is only ever called through `denoise`, and the optimiser is built from the stack's
    parameters alone, so nothing else can change.
    """

    strength = 1.0  # of the layers in training; 0 is the image model alone

    def __init__(self, stack: TemporalStack, around: Surroundings) -> None:
        self.stack, self.denoise, self.device = stack, around.denoise, around.device
        self.frozen = around.frozen
        self.batches = batches = around.batches
        self.config: TrainingConfig = batches.config
        self.memory = around.memory or Memory()
        pieces, self.engine = self.config.accumulate, self.memory.engine
        self.draw = DrawnAhead(
            partial(_piece, batches, pieces, self.engine), pieces * self.config.steps, around.workers
        )
        self.learn_at(self.memory.level)
        self.step = 0
        self.losses: list[float] = []

    @property
    def averaged(self) -> nn.Module:
        """Module in training: the layers."""
        return self.stack

    @property
    def description(self) -> str:
        """Description that a state must have to be gone on with."""
        return self.stack.config.to_json()

    @property
    def named(self) -> str:
        """Name of what is in training, for a sentence on a state of something else."""
        return "these temporal layers"

    def backward(self) -> float:
        """Gradients of all batches of a step together, and their loss."""
        pieces, engine, total = self.config.accumulate, self.engine, 0.0
        for part in range(pieces):
            with self.memory.kept:
                loss = self.loss(self.draw(self.step * pieces + part)) / (pieces * engine.world)
                loss.backward()
            total += loss.item()
        if engine.world == 1:
            return total
        sums = torch.tensor([total], dtype=torch.float64, device=self.device)
        if self.shares is None:
            gradients = [p.grad for p in self.weights.parameters() if p.grad is not None]
        else:
            gradients = self.shares.take_gradients()
        engine.add_up([sums, *gradients])
        return sums.item()

    def loss(self, batch: Batch) -> Tensor:
        """Denoising loss of a batch, and what its opposed clips say of the words (scalar)."""
        t, levels = batch.t.to(self.device), self.batches.noise_levels
        if self.config.min_snr:
            weight = levels.min_snr_weight(t, self.config.min_snr)
        else:
            weight = levels.weight(t, self.config.weight_limit)
        prediction, target = self.prediction_and_target(batch)
        if not len(batch.opposed):
            return denoising_loss(prediction, target, weight)
        weight = weight[:: batch.num_frames]
        return contrasted_loss(prediction, target, weight, batch.opposed, self.config.contrast)

    def plain_loss(self, batch: Batch) -> Tensor:
        """Denoising loss with every noise level counting alike, for comparing runs."""
        return denoising_loss(*self.prediction_and_target(batch))

    def prediction_and_target(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Prediction of the model for the noisy clips of a batch, and the right answer."""
        noise_levels, batch = self.batches.noise_levels, batch.to(self.device)
        x, t, known = batch.latents, batch.t, self.stack.config.known_frames
        clip = Clip(
            num_frames=batch.num_frames,
            fps=batch.fps,
            text=batch.text,
            strength=self.strength,
            known_latents=batch.known_latents if known else None,
            known_mask=batch.known_mask if known else None,
        )
        with computing_in(self.config.precision, self.device):
            noisy = noise_levels.add_noise(x, batch.noise, t, batch.signal)
            clip = self.stack.prepare(clip)
            prediction = self.denoise(noisy, t, batch.text, self.stack, clip, batch.conditions)
        return prediction, noise_levels.training_target(x, noisy, t)

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs to continue bit for bit (batches follow from seed and step)."""
        return {
            "format": "video_ldm.training_state",
            "config": self.config.to_json(),
            "stack_config": self.description,
            "stack": self.weights.state_dict(),
            "frozen": self.frozen,
            **self.learned(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved run; raises IncompatibleModelError when it trained other layers.

        Or the same ones beside another image model. States of earlier versions do not know theirs.
        """
        if state.get("stack_config") != self.description:
            raise IncompatibleModelError(
                f"The training state is not of {self.named}: its layers are of another shape, or changed in "
                "other places or at another rank; resume with the same checkpoint and options."
            )
        saved = state.get("frozen")
        if saved is not None and self.frozen is not None and are_others(saved, self.frozen):
            raise IncompatibleModelError(
                "The training state was made with another image model, or with other temporal layers under a "
                "LoRA; resume with the files it began with, or start a new run."
            )
        self.weights.load_state_dict(state["stack"])
        self.take_over(state)


def _piece(batches: Batches, pieces: int, engine: Engine, number: int) -> Batch:
    """The batches of all steps, with the pieces of accumulated steps one after the other.

    Several processes take turns: together they draw what one process would that adds up as many pieces.
    """
    step, piece = divmod(number, pieces)
    return batches.draw(step, engine.rank + engine.world * piece)
