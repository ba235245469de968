"""The adversary of a temporal decoder: a patch discriminator of 3D convolutions (Video LDM, section 3.1.1).

It sees clips only, no single images: with an image discriminator beside it the decoder was worse
(appendix I.3).

Shapes: frames (f 3 h w) in 0..1; scores (1 1 f h/8 w/8).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

MOST_WEIGHT = 1e4


class ClipDiscriminator(nn.Module):
    """Scores for patches of space and time, high where a clip looks real.

    Time is never halved, so that short clips will do; norms are per clip, so that a batch of one will do.
    """

    def __init__(self, channels: int = 64, levels: int = 3) -> None:
        super().__init__()
        widths = [3, *(channels * min(2**level, 4) for level in range(levels))]
        layers: list[nn.Module] = []
        for number, (here, there) in enumerate(pairwise(widths)):
            layers.append(nn.Conv3d(here, there, (3, 4, 4), stride=(1, 2, 2), padding=1))
            if number:
                layers.append(nn.GroupNorm(1, there))
            layers.append(nn.LeakyReLU(0.2))
        layers.append(nn.Conv3d(widths[-1], 1, 3, padding=1))
        self.layers = nn.Sequential(*layers)
        for layer in self.layers:
            if isinstance(layer, nn.Conv3d):
                nn.init.normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames of one clip to scores of its patches."""
        return self.layers(2 * rearrange(frames, "f c h w -> 1 c f h w") - 1)


class Adversary:
    """A discriminator in training, against a decoder."""

    def __init__(self, discriminator: nn.Module, learning_rate: float) -> None:
        self.discriminator = discriminator
        self.optimizer = torch.optim.Adam(discriminator.parameters(), learning_rate, betas=(0.5, 0.9))

    def push(self, decoded: Tensor, gradient: Tensor) -> Tensor:
        """Gradient of the decoder's adversarial loss at decoded frames, as long as another gradient there."""
        own = gradient_at(decoded, generator_loss(self.discriminator(decoded)))
        return adaptive_weight(gradient, own) * own

    def train_step(self, decoded: Tensor, frames: Tensor) -> None:
        """Learn to tell decoded frames from real ones."""
        self.optimizer.zero_grad(set_to_none=True)
        discriminator_loss(self.discriminator(frames), self.discriminator(decoded)).backward()
        self.optimizer.step()


def gradient_at(decoded: Tensor, loss: Tensor) -> Tensor:
    """Gradient of a loss at decoded frames; weights on the way must have theirs (`frozen_for_training`)."""
    decoded.grad = None
    loss.backward()
    return torch.zeros_like(decoded) if decoded.grad is None else decoded.grad


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss on scores of any shape (scalar)."""
    return 0.5 * (functional.relu(1 - real).mean() + functional.relu(1 + fake).mean())


def generator_loss(fake: Tensor) -> Tensor:
    """Loss of the decoder on the scores of its own clips (scalar)."""
    return -fake.mean()


def adaptive_weight(reconstruction: Tensor, adversarial: Tensor) -> Tensor:
    """Weight of the adversary with which both losses pull alike (scalar).

    The ratio of their gradients' lengths.

    The gradients are those of the decoded frames. The image decoder's own training takes those of its last
    layer (arXiv 2012.09841, equation 7); at the frames no second pass through the decoder is needed.
    """
    return (reconstruction.norm() / (adversarial.norm() + 1e-8)).clamp(max=MOST_WEIGHT).detach()
