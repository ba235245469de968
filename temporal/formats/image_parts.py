"""Parts of PIA's and AnimateLCM-I2V's files beside motion modules.

They let the modules see the image that they animate.

Shapes: e channels of the UNet.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..layers.image import ImageKind

OWN = "image."  # before every weight of a stack's image part
ENCODER, CONV = "img_encoder.", "conv_in."
# of PIA's convolution: the clip's latent, an affinity, the image's latent
LATENT_CHANNELS, CONV_CHANNELS = 4, 9


@dataclass(frozen=True)
class ImagePart:
    """One way to see an image.

    `families` as in `Spelling`; `spellings` of motion modules that it is published with.
    """

    kind: ImageKind
    families: Mapping[tuple[str | None, bool, int | None], str]
    spellings: tuple[str, ...]

    def keys(self, tensors: Mapping[str, Tensor]) -> set[str]:
        """The keys in a file that are of this part."""
        if self.kind == "affinity":
            return {f"{CONV}weight", f"{CONV}bias"}
        return {key for key in tensors if key.startswith(ENCODER)}

    def weights(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our weights, as far as they are in a file."""
        if self.kind == "encoder":
            return {OWN + key.removeprefix(ENCODER): tensors[key] for key in self.keys(tensors)}
        conv = tensors[f"{CONV}weight"]  # (e 9 3 3)
        bias = {f"{OWN}latent.bias": tensors[f"{CONV}bias"]} if f"{CONV}bias" in tensors else {}
        parts = {"latent": conv[:, :LATENT_CHANNELS], "image": conv[:, LATENT_CHANNELS:]}
        return bias | {f"{OWN}{name}.weight": part for name, part in parts.items()}

    def spelled(self, weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        """The reverse of `weights`: names and tensors for a file."""
        if self.kind == "encoder":
            own = {key: weight for key, weight in weights.items() if key.startswith(OWN)}
            yield from ((ENCODER + key.removeprefix(OWN), weight) for key, weight in own.items())
            return
        parts = [weights[f"{OWN}{name}.weight"] for name in ("latent", "image")]
        yield f"{CONV}weight", torch.cat(parts, dim=1)
        yield f"{CONV}bias", weights[f"{OWN}latent.bias"]


PIA = ImagePart("affinity", {("SD 1.x", False, 32): "PIA"}, ("original", "diffusers"))
ANIMATELCM_I2V = ImagePart("encoder", {("SD 1.x", True, None): "AnimateLCM-I2V"}, ("original",))
PARTS: Mapping[ImageKind | None, ImagePart] = {part.kind: part for part in (PIA, ANIMATELCM_I2V)}


def image_part(tensors: Mapping[str, Tensor]) -> ImagePart | None:
    """The image part that a file of motion modules has, if it has one."""
    if f"{ENCODER}conv_in.weight" in tensors:
        return ANIMATELCM_I2V
    conv = tensors.get(f"{CONV}weight")
    return PIA if conv is not None and conv.ndim == 4 and conv.shape[1] == CONV_CHANNELS else None
