"""Windows of drawn clips, and the arms that learn from them. See ablation.py.

Latents `(b f 4 8 8)` at the scale diffusion works in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...demo.train.toy_models import UNET, new_unet
from ...temporal.stack.plan import Site, UNetShape
from ...temporal.stack.stack import StackConfig, TemporalStack

FRAMES, FPS, SIDE = 4, 8.0, 8
TRIED = 4  # windows of a clip, of which the one that changes most is taken
TOY = UNetShape(64, (1, 2), (1, 1), (1, 1), (1, 1, 1, 1), 1, context_dim=48, num_heads=4)
AGAIN = ("input_blocks.1", "middle_block")  # where attention stands in for the weights of all convolutions


@dataclass(frozen=True)
class Arm:
    """One way to build the layers, and where the image model's weights come from."""

    convolutions: bool = True
    image: str = "frozen"  # "frozen", "trained along" or "new": drawn anew and trained along


ARMS = {
    "convolutions and attention": Arm(),
    "attention only": Arm(convolutions=False),
    "end to end": Arm(image="new"),
    "all weights, from the image model": Arm(image="trained along"),
}


@dataclass(frozen=True)
class SecondSite(Site):
    """A place that has a layer already."""

    @property
    def name(self) -> str:
        """Key of the layer in the stack."""
        return f"{super().name}_again"


@dataclass(frozen=True)
class AttentionOnly(StackConfig):
    """Layers without convolutions; two more transformers make up for their weights."""

    @property
    def sites(self) -> tuple[Site, ...]:
        """Places in the UNet at which the stack acts."""
        kept = [site for site in super().sites if site.kind == "transformer"]
        again = [SecondSite(**vars(site)) for site in kept if site.path.startswith(AGAIN)]
        return (*kept, *again)


def new_layers(arm: Arm, seed: int) -> TemporalStack:
    """Fresh layers of an arm."""
    torch.manual_seed(100 + seed)
    kind = StackConfig if arm.convolutions else AttentionOnly
    return TemporalStack(kind(TOY, "ablation", FRAMES, False, False, positions="tokens"))


def image_model(arm: Arm, seed: int, weights: Mapping[str, Tensor]) -> nn.Module:
    """The image model of an arm, with the weights of a toy checkpoint or with new ones."""
    torch.manual_seed(200 + seed)
    # PyTorch's backward pass through a frozen convolution in channels-last ends the process here
    unet = new_unet().to(memory_format=torch.contiguous_format)
    if arm.image != "new":
        inside = {key.removeprefix(UNET): v.float() for key, v in weights.items() if key.startswith(UNET)}
        unet.load_state_dict(inside)
    return unet.requires_grad_(arm.image != "frozen").eval()


class Clips:
    """Clips of folders that demo.train.clips wrote, at 8 frames a second, and what they show in words."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.latents: list[np.ndarray] = []  # of every clip (f c h w)
        self.strides: list[int] = []
        self.captions: list[str] = []
        for folder in folders:
            made = json.loads((folder / "ready.json").read_text("utf-8"))
            captions = json.loads((folder / "captions.json").read_text("utf-8"))
            self.latents += list(np.load(folder / "latents.npy", mmap_mode="r")[: made["clips"]])
            self.strides += [round(made["fps"] / FPS)] * made["clips"]
            self.captions += [moving for moving, _ in captions[: made["clips"]]]

    def window(self, number: int, dice: np.random.Generator) -> np.ndarray:
        """Frames of a clip in a square of 64 x 64 pixels `(f 4 8 8)`: of some, that which changes most."""
        clip, stride = self.latents[number], self.strides[number]
        first = dice.integers(len(clip) - (FRAMES - 1) * stride)
        frames = np.asarray(clip[first::stride][:FRAMES], np.float32)
        corners = dice.integers(0, frames.shape[-1] - SIDE + 1, (TRIED, 2))
        windows = [frames[..., y : y + SIDE, x : x + SIDE] for y, x in corners]
        return max(windows, key=lambda window: float(np.abs(np.diff(window, axis=0)).sum()))

    def draw(self, batch: int, dice: np.random.Generator) -> tuple[Tensor, list[str]]:
        """Windows of random clips and their captions."""
        rows = dice.integers(len(self.latents), size=batch).tolist()
        windows = np.stack([self.window(row, dice) for row in rows])
        return torch.from_numpy(windows), [self.captions[row] for row in rows]
