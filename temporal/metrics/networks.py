"""Networks whose features distances are made of, as TorchScript files that the user has.

I3D for FVD, Inception for FID.

The files are those that the field shares; nothing is downloaded. The hash of the file stands beside every
number, as another export of the same network gives other distances.

Shapes: clips (n f h w 3) uint8, RGB; pictures (n h w 3) uint8; features (n d).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ..errors import CheckpointFormatError, InvalidInputError
from ..weights.files import digest_of

I3D, INCEPTION = "i3d_torchscript.pt", "inception-2015-12-05.pt"
VIDEOMAE = "videomae_torchscript.pt"
ORIGINS = {  # of the files, as the sentence that misses one says
    I3D: "the TorchScript file that StyleGAN-V shares",
    INCEPTION: "the TorchScript file that StyleGAN3 shares",
    VIDEOMAE: "VideoMAE as a TorchScript file, from clips (n 3 16 224 224) in -1..1 to features (n d)",
}
FVD_FRAMES = 16  # of a clip, as papers publish it
FVD_SIDE = 224  # pixels that I3D sees
BATCH = 8


@dataclass(frozen=True)
class Network:
    """A TorchScript network, its file's name and the first characters of its hash."""

    name: str
    digest: str
    module: Any


def load_network(folder: Path, name: str, measure: str) -> Network:
    """Open a network of `models/metrics`.

    Raises:
        InvalidInputError: the file is not there; the sentence says where it belongs.
        CheckpointFormatError: it is no TorchScript file.
    """
    path = folder / name
    if not path.is_file():
        raise InvalidInputError(
            f"{measure} needs {name}, which is not in {folder}; put it there: {ORIGINS[name]}."
        )
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError:
        raise CheckpointFormatError(f"{path} is no TorchScript file; download it again.") from None
    return Network(name, digest_of(path), module)


@torch.inference_mode()
def video_features(network: Network, clips: np.ndarray) -> np.ndarray:
    """I3D's features of clips, resized to 224 x 224, pixels -1..1 (FVD, arXiv 1812.01717)."""
    features = [
        network.module(video, rescale=False, resize=False, return_features=True) for video in _videos(clips)
    ]
    return torch.cat(features).double().numpy()


@torch.inference_mode()
def masked_features(network: Network, clips: np.ndarray) -> np.ndarray:
    """VideoMAE's features of clips (CD-FVD, arXiv 2404.12391), which looks less at single frames than I3D."""
    return np.concatenate([network.module(video).double().numpy() for video in _videos(clips)])


@torch.inference_mode()
def probabilities(network: Network, pictures: np.ndarray) -> np.ndarray:
    """Inception's probabilities (n k) of kinds, without the bias of its output (arXiv 1606.03498)."""
    found = [
        network.module(rearrange(batch, "n h w c -> n c h w"), no_output_bias=True)
        for batch in _batches(pictures)
    ]
    return torch.cat(found).double().numpy()


@torch.inference_mode()
def picture_features(network: Network, pictures: np.ndarray) -> np.ndarray:
    """Inception's features of pictures, which it resizes itself (FID, arXiv 1706.08500)."""
    features = [
        network.module(rearrange(batch, "n h w c -> n c h w"), return_features=True)
        for batch in _batches(pictures)
    ]
    return torch.cat(features).double().numpy()


def _videos(clips: np.ndarray) -> Iterator[Tensor]:
    """Batches of clips (n c f h w), resized to 224 x 224, pixels -1..1."""
    for batch in _batches(clips):
        pixels = rearrange(batch, "n f h w c -> (n f) c h w").float()
        small = torch.nn.functional.interpolate(
            pixels, (FVD_SIDE, FVD_SIDE), mode="bilinear", align_corners=False
        )
        yield rearrange(small / 127.5 - 1, "(n f) c h w -> n c f h w", f=batch.shape[1])


def _batches(values: np.ndarray) -> Iterator[Tensor]:
    return iter(torch.from_numpy(np.ascontiguousarray(values)).split(BATCH))
