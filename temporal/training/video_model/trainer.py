"""Train a video model on clips whose first frame, or one view, is given.

Stable Video Diffusion and its kin for views (SV3D): the given picture stands beside every noisy frame, its
embedding is what the attention reads, and a vector of numbers stands beside the noise level: frame rate,
motion, or where the camera is.

Shapes: b clips, f frames, latents ((b f) c h w), picture ((b f) m e), label ((b f) d).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from ...errors import IncompatibleModelError
from ..memory.levels import FAST, Level
from ..trainer import Trainer, computing_in
from .config import VideoModelConfig
from .edm import EdmLevels, Predict


@dataclass(frozen=True, eq=False)
class GivenClips:
    """Clips of `frames` frames with what is known of them; every part is repeated for each frame.

    `given` are latents of the picture, `picture` its embedding, `label` numbers such as the frame rate.
    """

    latents: Tensor
    given: Tensor
    picture: Tensor
    label: Tensor
    frames: int

    @property
    def count(self) -> int:
        """Clips."""
        return len(self.latents) // self.frames


class VideoNetwork(Protocol):
    """A network of scaled latents and their noise level ((b f),), and of what is known of the clips."""

    def __call__(self, x: Tensor, level: Tensor, clips: GivenClips) -> Tensor: ...


class VideoModelTrainer(Trainer):
    """Trains the weights of `model` that ask for gradients; `network` calls it, `draw` gives a step's clips.

    Noise, and which clips are given nothing, follow from seed and step alone.
    """

    def __init__(
        self,
        model: nn.Module,
        network: VideoNetwork,
        draw: Callable[[int], GivenClips],
        config: VideoModelConfig,
        level: Level = FAST,
    ) -> None:
        self.model, self.network, self.draw, self.config = model, network, draw, config
        self.levels = EdmLevels(config.noise_mean, config.noise_spread)
        self.learn_at(level)
        self.step = 0
        self.losses: list[float] = []

    @property
    def averaged(self) -> nn.Module:
        """The model."""
        return self.model

    @property
    def trained(self) -> dict[str, Tensor]:
        """The weights in training, by name."""
        return {
            name: p.detach() for name, p in self.weights.named_parameters() if name in self.average.average
        }

    def backward(self) -> float:
        """Gradients of a step, and its loss."""
        dice = torch.Generator().manual_seed(self.config.seed * 1000003 + self.step)
        clips = partly_without(self.draw(self.step), self.config.without, dice)
        with computing_in(self.config.precision, clips.latents.device.type):
            loss = self.loss(clips, dice)
        loss.backward()
        return float(loss.detach())

    def loss(self, clips: GivenClips, dice: torch.Generator) -> Tensor:
        """Loss of clips in noise that is drawn (scalar)."""
        sigma = self.levels.draw(clips.count, clips.frames, dice).to(clips.latents)
        noise = torch.randn(clips.latents.shape, generator=dice).to(clips.latents)
        return self.levels.loss(predictor(self.network, clips), clips.latents, noise, sigma)

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs to continue bit for bit (draws follow from the step)."""
        return {
            "format": "video_ldm.video_model_training_state",
            "config": self.config.to_json(),
            "trained": self.trained,
            **self.learned(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved run; raises IncompatibleModelError when it trained other weights."""
        mine, other = self.trained, state.get("trained", {})
        if {n: w.shape for n, w in mine.items()} != {n: w.shape for n, w in other.items()}:
            raise IncompatibleModelError(
                "The training state is of another video model, or of other parts of it; resume with the same "
                "checkpoint and options."
            )
        with torch.no_grad():
            for name, weight in mine.items():
                weight.copy_(other[name])
        if self.copies is not None:
            self.copies.to_module()
        self.take_over(state)


def predictor(network: VideoNetwork, clips: GivenClips) -> Predict:
    """The network as a function of noisy latents and of their level, for what is known of these clips."""
    return lambda x, level: network(torch.cat([x, clips.given], dim=1), level, clips)


def partly_without(clips: GivenClips, share: float, dice: torch.Generator) -> GivenClips:
    """The clips, of which a share is given zeros for the picture, as Stable Video Diffusion is."""
    kept = (torch.rand(clips.count, generator=dice) >= share).to(clips.given)
    kept = repeat(kept, "b -> (b f)", f=clips.frames)
    return replace(
        clips,
        given=clips.given * rearrange(kept, "n -> n 1 1 1"),
        picture=clips.picture * rearrange(kept, "n -> n 1 1"),
    )
