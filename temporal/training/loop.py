"""Training of temporal layers on a frozen image model (Video LDM, section 3.1).

Shapes: noisy latents, prediction ((b f) c h w); t ((b f),); text (b m e).
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from ..errors import IncompatibleModelError
from ..sampling.clip import Clip
from ..stack.stack import TemporalStack
from .config import TrainingConfig
from .data.ahead import DrawnAhead
from .data.batches import Batch, BatchSource
from .data.conditions import NOTHING, Conditions
from .ema import ExponentialMovingAverage
from .loss import denoising_loss
from .trainer import Trainer, computing_in, parameter_groups


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


class LayersTrainer(Trainer):
    """Holds the stack, its optimiser and its average.

    The image model is only ever called through `denoise`, and the optimiser is built from the stack's
    parameters alone, so nothing else can change.
    """

    def __init__(
        self,
        stack: TemporalStack,
        denoise: Denoise,
        batches: BatchSource,
        device: str = "cpu",
        workers: int = 0,
    ) -> None:
        self.stack, self.denoise, self.batches, self.device = stack, denoise, batches, device
        self.config: TrainingConfig = batches.config
        pieces = self.config.accumulate
        self.draw = DrawnAhead(partial(_piece, batches, pieces), pieces * self.config.steps, workers)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(stack, self.config.weight_decay), self.config.learning_rate, fused=True
        )
        self.average = ExponentialMovingAverage(stack, self.config.ema)
        self.step = 0
        self.losses: list[float] = []

    @property
    def averaged(self) -> TemporalStack:
        """The layers in training."""
        return self.stack

    def backward(self) -> float:
        """Gradients of all batches of a step together, and their loss."""
        pieces, total = self.config.accumulate, 0.0
        for part in range(pieces):
            loss = self.loss(self.draw(self.step * pieces + part)) / pieces
            loss.backward()
            total += loss.item()
        return total

    def loss(self, batch: Batch) -> Tensor:
        """Denoising loss of a batch (scalar)."""
        weight = self.batches.noise_levels.weight(batch.t.to(self.device), self.config.weight_limit)
        return denoising_loss(*self.prediction_and_target(batch), weight)

    def prediction_and_target(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Prediction of the model for the noisy clips of a batch, and the right answer."""
        noise_levels, batch = self.batches.noise_levels, batch.to(self.device)
        x, t, known = batch.latents, batch.t, self.stack.config.known_frames
        clip = Clip(
            num_frames=batch.num_frames,
            fps=batch.fps,
            text=batch.text,
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
            "stack_config": self.stack.config.to_json(),
            "step": self.step,
            "losses": self.losses,
            "stack": self.stack.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved run; raises IncompatibleModelError when it trained other layers."""
        if state.get("stack_config") != self.stack.config.to_json():
            raise IncompatibleModelError(
                "The training state belongs to temporal layers of another shape; resume with the same "
                "checkpoint and options."
            )
        self.stack.load_state_dict(state["stack"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.step, self.losses = state["step"], list(state["losses"])


def _piece(batches: BatchSource, pieces: int, number: int) -> Batch:
    """The batches of all steps, with the pieces of accumulated steps one after the other."""
    return batches.draw(*divmod(number, pieces))
