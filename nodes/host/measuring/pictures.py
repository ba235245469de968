"""Features of pictures by a CLIP_VISION of the host: CLIP, SigLIP or DINOv2.

Shapes: pictures (n h w 3) float 0..1; features (n d).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_management as mm
import numpy as np
import torch
from torch import Tensor

BATCH = 16  # pictures that a network sees together


@torch.inference_mode()
def features_of(
    network: Any, pictures: Tensor, progress: Callable[[int], object] | None = None
) -> np.ndarray:
    """Features of pictures: what CLIP compares with text, or the first token of a network without text."""
    features = []
    for batch in pictures[..., :3].split(BATCH):
        mm.throw_exception_if_processing_interrupted()
        features.append(_features(network.encode_image(batch.float())).float().cpu().numpy())
        if progress is not None:
            progress(len(batch))
    return np.concatenate(features)


def _features(output: Any) -> Tensor:
    """Of CLIP what is projected beside text, of DINOv2 and SigLIP what they pool."""
    embeds = output["image_embeds"]
    return embeds.mean(dim=1) if embeds.ndim == 3 else embeds
