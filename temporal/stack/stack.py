"""All temporal layers of one file, and how a clip goes through them.

Shapes: b clips, f frames, c channels, h w size, n tokens, m text tokens, e features.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import IncompatibleModelError
from ..layers.image import IMAGE_PARTS
from ..layers.inside import first_and_previous
from ..layers.known import KnownFrameEncoder, KnownInput
from ..layers.mixing import blend, effective_alpha
from ..layers.motion import over_clip
from ..layers.picture import PictureProjector
from ..layers.position import FrameRateEmbedding
from ..sampling.clip import Clip
from ..sampling.places import at_layer
from ..weights.shapes import weight_shapes
from .config import StackConfig
from .image_changes import ImageChanges
from .kinds import KINDS, new_layer, num_known_channels
from .plan import Site

__all__ = ["NEEDS_IMAGE", "NEEDS_PICTURE", "StackConfig", "TemporalStack"]

INPUT = -1  # among the levels of features: what enters at the first convolution
NEEDS_IMAGE = (
    "{family} layers animate a given image, but none was given. Connect Known Frames with an image to "
    "latent_image of Video KSampler, or to known_frames of Video Guider."
)
NEEDS_PICTURE = (
    "{family} animates a picture that comes with the prompt, but none was given. Put Image Prompt between "
    "both texts and the sampler."
)


class TemporalStack(nn.Module):
    """A temporal layer for every site of a UNet. A new stack changes nothing: it is the image model.

    `ops` has Linear, Conv2d, Embedding, GroupNorm and LayerNorm; a host passes its own to cast and offload
    weights.
    """

    def __init__(
        self,
        config: StackConfig,
        ops: Any = nn,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.sites = config.sites
        unet, kwargs = config.unet, {"dtype": dtype, "device": device}
        levels = range(len(unet.channel_mult))
        layers = {site.name: new_layer(site, config, ops, **kwargs) for site in self.sites}
        self.layers = nn.ModuleDict({name: layer for name, layer in layers.items() if layer is not None})
        self.known_frames = self.frame_rate = self.image = self.picture = self.known_input = None
        self.image_changes: ImageChanges | None = None  # while the image model is trained along
        self.changed_image: Mapping[str, Tensor] = {}  # of a file: no weights of the layers
        if config.image:
            channels = [unet.channels(level) for level in levels]
            self.image = IMAGE_PARTS[config.image](unet.in_channels, channels, ops, **kwargs)
        if config.picture is not None:
            self.picture = PictureProjector(config.picture, unet.context_dim, ops, **kwargs)
        if config.known_frames:
            known = [num_known_channels(config, level) for level in levels]
            self.known_frames = KnownFrameEncoder(unet.in_channels, known, ops, **kwargs)
        if config.image_model is not None:
            self.known_input = KnownInput(unet.in_channels, unet.model_channels, ops, **kwargs)
        if config.frame_rate:
            self.frame_rate = FrameRateEmbedding(unet.model_channels, unet.embedding_channels, ops, **kwargs)

    def train_image(self, shapes: Mapping[str, Sequence[int]]) -> None:
        """Train an image model with weights of these names and shapes along.

        Its changes become weights of the stack, those of a file or new ones of zero.
        """
        like = next(self.parameters())
        changes = ImageChanges(shapes, dtype=like.dtype, device=like.device)
        if self.changed_image:
            changes.load_state_dict({key: value.to(like) for key, value in self.changed_image.items()})
        self.image_changes = changes

    @property
    def shapes(self) -> Mapping[str, torch.Size]:
        """Names and shapes of all weights, from the description.

        A host's layers may have none before they are loaded.
        """
        return weight_shapes(TemporalStack, self.config)

    @property
    def weight_count(self) -> int:
        """Numbers in all weights together."""
        return sum(shape.numel() for shape in self.shapes.values())

    def names_below(self, prefix: str) -> list[str]:
        """Names of the weights that begin with a prefix, without it."""
        return [name.removeprefix(prefix) for name in self.shapes if name.startswith(prefix)]

    def prepare(self, clip: Clip, like: Tensor | None = None) -> Clip:
        """Encode what is the same for all layers, once per call.

        Known frames, a given image or picture, and frame rate.

        `like` has the device and dtype to compute in; without it, those of the known latents or of the
        weights.

        Raises:
            IncompatibleModelError: known frames for layers that were not trained on them, no image or
                picture for layers that need one.
        """
        if like is None:
            like = next(self.parameters()) if clip.known_latents is None else clip.known_latents
        if clip.known_latents is not None:
            if self.known_frames is None:
                raise IncompatibleModelError(
                    "Known frames were given, but these temporal layers were not trained on known frames. "
                    "Pin the frames instead, or load layers that were."
                )
            given = clip.known_latents.to(like), clip.known_mask
            features = self.known_frames(*given)
            if self.known_input is not None:
                features[INPUT] = self.known_input(*given)
            clip = replace(clip, features=features)
        if self.image is not None:
            if clip.image is None:
                raise IncompatibleModelError(NEEDS_IMAGE.format(family=self.config.family))
            clip = replace(clip, features=self.image(clip.image.to(like), clip))
        if self.picture is not None:
            if clip.picture is None:
                raise IncompatibleModelError(NEEDS_PICTURE.format(family=self.config.family))
            clip = replace(clip, picture_tokens=self.picture(clip.picture.to(like), clip))
        if self.frame_rate is not None:
            fps = torch.as_tensor(clip.fps, device=like.device).reshape(-1)
            clip = replace(clip, embedding=self.frame_rate(fps, like.dtype))
        return clip

    def forward(
        self, site: Site, hidden: Tensor, clip: Clip, emb: Tensor | None = None, context: Tensor | None = None
    ) -> Tensor:
        """alpha * spatial + (1 - alpha) * temporal at one site, for a clip that went through `prepare`.

        After a ResBlock, around a level: hidden ((b f) c h w) and time embedding ((b f) e). After a
        transformer block: hidden ((b f) n c) and text ((b f) m e); inside one: hidden alone. After a whole
        block, before a transformer: hidden ((b f) c h w). On the time embedding: hidden ((b f) e).
        """
        override = clip.alpha(site.section, site.level)
        if clip.off or override == 1:
            return hidden
        kind = KINDS[site.kind]
        takes_known = kind.build is None or "known" in kind.given  # tokens have no size to fit it to
        level = INPUT if kind.at_input else site.level
        known = _features(level, hidden, clip) if takes_known else None
        if kind.build is None:  # what is known is added as it is
            if known is None:
                return hidden
            temporal, mix_factor = hidden + known, None
        else:
            layer, given = self.layers[site.name], {"emb": emb, "context": context, "known": known}
            temporal = layer(hidden, clip=clip, **{name: given[name] for name in kind.given})
            mix_factor = cast(Tensor | None, layer.mix_factor)
        alpha = effective_alpha(mix_factor, override, at_layer(clip.strength, hidden))
        return blend(hidden, temporal, alpha)

    def picture_prompt(self, site: Site, attended: Tensor, queries: Tensor, clip: Clip) -> Tensor:
        """At an attention to the text.

        What it gave and its queries, both ((b f) n c), to the same with the picture added.
        """
        override = clip.alpha(site.section, site.level)
        if clip.off or override == 1:
            return attended
        both = self.layers[site.name](attended, queries, clip)
        return blend(attended, both, effective_alpha(None, override, at_layer(clip.strength, attended)))

    def norm(
        self, site: Site, norm: Callable[[Tensor], Tensor], hidden: Tensor, normed: Tensor, clip: Clip
    ) -> Tensor:
        """At the site of a norm of the image model.

        Hidden to normed, both ((b f) c h w), with the clip as one sample.
        """
        override = clip.alpha(site.section, site.level)
        if clip.off or override == 1:
            return normed
        temporal = over_clip(norm, hidden, clip.num_frames)
        return blend(normed, temporal, effective_alpha(None, override, at_layer(clip.strength, hidden)))

    def keys(self, site: Site, tokens: Tensor, clip: Clip) -> Tensor:
        """Keys or values of self-attention ((b f) n c) to those that each frame attends to ((b f) 2n c).

        They cannot be mixed, so every strength above 0 has them whole.
        """
        if clip.off or clip.alpha(site.section, site.level) == 1:
            return tokens
        return first_and_previous(tokens, clip.num_frames)


def _features(level: int, hidden: Tensor, clip: Clip) -> Tensor | None:
    """Features ((b f) k h w) of what is given at a level, in the size of hidden ((b f) c h w).

    Deep Shrink makes the image model's tensors smaller for a part of the sampling.
    """
    features = clip.features.get(level)
    if features is None or features.shape[-2:] == hidden.shape[-2:]:
        return features
    return functional.interpolate(features, hidden.shape[-2:], mode="area")
