"""All temporal layers of one file, and what they were made for.

Shapes: b clips, f frames, c channels, h w size, n tokens, m text tokens, e features.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from . import description
from .clip import Clip
from .errors import IncompatibleModelError
from .known_channels import Condition
from .layers.conv import TemporalConv
from .layers.image import IMAGE_PARTS, ImageKind
from .layers.inside import InsideAttention, InsideConfig, first_and_previous
from .layers.known import KnownFrameEncoder
from .layers.lvdm import FrameRateInTime, LvdmConfig, TemporalConvs, frame_transformer
from .layers.mixing import blend, effective_alpha
from .layers.motion import MotionConfig, MotionModule, over_clip
from .layers.position import FrameRateEmbedding
from .layers.transformer import TemporalTransformer
from .layers.volume import FramesBlock, LevelModule
from .plan import (
    Placement,
    Site,
    UNetShape,
    image_plan,
    inside_plan,
    lvdm_plan,
    motion_plan,
    norm_plan,
    plan,
    volume_plan,
)

NEEDS_IMAGE = (
    "{family} layers animate a given image, but none was given. Connect Known Frames with an image to latent_image of Video "
    "KSampler, or to known_frames of Video Guider."
)


@dataclass(frozen=True)
class StackConfig:
    """What a stack of temporal layers is: everything that is needed to build it and to check it against a model."""

    unet: UNetShape
    base: str  # "SD 1.x", "SD 2.x", "SDXL" or another image model's name
    max_frames: int  # longest clip in training; 0: of any length, the layers have no positions that end
    known_frames: bool  # trained to continue, interpolate and repair
    frame_rate: bool  # knows the frame rate
    family: str = "video_ldm"
    prediction: str = "eps"  # what the image model predicts: "eps" or "v"
    transformers: Placement = "all"  # follow all blocks of a spatial transformer, or only its last
    motion: MotionConfig | None = None  # motion modules, in the place of our own layers
    image: ImageKind | None = None  # how motion modules see an image that they animate
    lvdm: LvdmConfig | None = None  # layers of the LVDM line, in the place of our own
    inside: InsideConfig | None = None  # layers inside its transformers, in the place of our own
    condition: Condition | None = None  # known frames as further input channels of the image model

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where in the UNet the stack acts."""
        if self.inside is not None:
            volume = volume_plan(self.unet) if self.inside.volume else ()
            return (
                *inside_plan(self.unet, self.inside.last, self.inside.causal),
                *volume,
                *norm_plan(self.unet),
            )
        if self.lvdm is not None:
            return lvdm_plan(self.unet, self.lvdm.convs, self.lvdm.frame_rate)
        if self.motion is None:
            return plan(self.unet, self.transformers)
        norms = norm_plan(self.unet) if self.motion.clip_norm_image else ()
        image = image_plan(self.unet, self.image == "affinity") if self.image else ()
        modules = motion_plan(self.unet, self.motion.middle)
        if self.motion.control:
            modules = tuple(site for site in modules if site.section == "input")
        return (*image, *modules, *norms)

    def to_json(self) -> str:
        """As one line of JSON, the description in a file."""
        return description.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "StackConfig":
        """The reverse of `to_json`; `CheckpointFormatError` where a field is unknown, missing, or cannot be right."""
        config = description.from_json(cls, text)
        config.unet.check()
        description.check_described({"max_frames is at least 0": config.max_frames >= 0})
        return config


class TemporalStack(nn.Module):
    """A temporal layer for every site of a UNet. A new stack changes nothing: it is the image model.

    `ops` has Linear, Conv2d, Embedding, GroupNorm and LayerNorm; a host passes its own to cast and offload weights.
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
        channels = [unet.channels(level) for level in range(len(unet.channel_mult))]
        known_channels = [width // 2 for width in channels]

        def layer(site: Site) -> nn.Module:
            if site.kind == "transformer":
                return TemporalTransformer(site.channels, site.heads, unet.context_dim, ops, **kwargs)
            if site.kind == "motion":
                motion = config.motion
                return MotionModule(
                    site.channels, motion.clip_norm, ops, attentions=motion.attentions, **kwargs
                )
            if config.lvdm is not None:
                return _lvdm_layer(site, config, ops, **kwargs)
            if config.inside is not None:
                return _inside_layer(site, config, ops, **kwargs)
            known = known_channels[site.level] if config.known_frames else None
            return TemporalConv(site.channels, unet.embedding_channels, known, ops, **kwargs)

        weighty = [site for site in self.sites if site.kind not in ("norm", "keys", "image")]
        self.layers = nn.ModuleDict({site.name: layer(site) for site in weighty})
        self.known_frames = self.frame_rate = self.image = None
        if config.image:
            self.image = IMAGE_PARTS[config.image](unet.in_channels, channels, ops, **kwargs)
        if config.known_frames:
            self.known_frames = KnownFrameEncoder(unet.in_channels, known_channels, ops, **kwargs)
        if config.frame_rate:
            self.frame_rate = FrameRateEmbedding(unet.model_channels, unet.embedding_channels, ops, **kwargs)

    def prepare(self, clip: Clip, like: Tensor | None = None) -> Clip:
        """Encode what is the same for all layers, once per call: known frames or a given image, and frame rate.

        `like` has the device and dtype to compute in; without it, those of the known latents or of the weights.

        Raises:
            IncompatibleModelError: known frames for layers that were not trained on them, no image for layers that need one.
        """
        if like is None:
            like = next(self.parameters()) if clip.known_latents is None else clip.known_latents
        if clip.known_latents is not None:
            if self.known_frames is None:
                raise IncompatibleModelError(
                    "Known frames were given, but these temporal layers were not trained on known frames. "
                    "Pin the frames instead, or load layers that were."
                )
            clip = replace(clip, features=self.known_frames(clip.known_latents.to(like), clip.known_mask))
        if self.image is not None:
            if clip.image is None:
                raise IncompatibleModelError(NEEDS_IMAGE.format(family=self.config.family))
            clip = replace(clip, features=self.image(clip.image.to(like), clip))
        if self.frame_rate is not None:
            fps = torch.as_tensor(clip.fps, device=like.device).reshape(-1)
            clip = replace(clip, embedding=self.frame_rate(fps, like.dtype))
        return clip

    def forward(
        self, site: Site, hidden: Tensor, clip: Clip, emb: Tensor | None = None, context: Tensor | None = None
    ) -> Tensor:
        """alpha * spatial + (1 - alpha) * temporal at one site, for a clip that went through `prepare`.

        After a ResBlock, around a level: hidden ((b f) c h w) and time embedding ((b f) e).
        After a transformer block: hidden ((b f) n c) and text ((b f) m e); inside one: hidden alone.
        After a whole block, before a transformer: hidden ((b f) c h w). On the time embedding: hidden ((b f) e).
        """
        override = clip.alpha(site.section, site.level)
        if clip.strength == 0 or override == 1:
            return hidden
        if site.kind == "image":
            return blend(
                hidden, hidden + clip.features[site.level], effective_alpha(None, override, clip.strength)
            )
        layer = self.layers[site.name]
        if site.kind == "conv":
            temporal = layer(hidden, emb, clip, clip.features.get(site.level))
        elif site.kind == "transformer":
            temporal = layer(hidden, context, clip)
        elif site.kind in ("level_in", "level_out"):
            temporal = layer(hidden, emb, clip)
        else:
            temporal = layer(hidden, clip)
        return blend(hidden, temporal, effective_alpha(layer.mix_factor, override, clip.strength))

    def norm(
        self, site: Site, norm: Callable[[Tensor], Tensor], hidden: Tensor, normed: Tensor, clip: Clip
    ) -> Tensor:
        """At the site of a norm of the image model: hidden to normed, both ((b f) c h w), with the clip as one sample."""
        override = clip.alpha(site.section, site.level)
        if clip.strength == 0 or override == 1:
            return normed
        temporal = over_clip(norm, hidden, clip.num_frames)
        return blend(normed, temporal, effective_alpha(None, override, clip.strength))

    def keys(self, site: Site, tokens: Tensor, clip: Clip) -> Tensor:
        """Keys or values of self-attention ((b f) n c) to those that each frame attends to ((b f) 2n c).

        They cannot be mixed, so a strength between 0 and 1 has them whole.
        """
        if clip.strength == 0 or clip.alpha(site.section, site.level) == 1:
            return tokens
        return first_and_previous(tokens, clip.num_frames)


def _lvdm_layer(site: Site, config: StackConfig, ops: Any, **kwargs: Any) -> nn.Module:
    if site.kind == "rate":
        return FrameRateInTime(config.unet.model_channels, site.channels, ops, **kwargs)
    if site.kind == "convs":
        return TemporalConvs(site.channels, ops, **kwargs)
    width = site.heads * config.unet.num_head_channels
    return frame_transformer(site.channels, site.heads, width, config.lvdm.reach, ops, **kwargs)


def _inside_layer(site: Site, config: StackConfig, ops: Any, **kwargs: Any) -> nn.Module:
    if site.kind == "volume":
        return FramesBlock(site.channels, None, (3, 3), ops, **kwargs)
    if site.kind in ("level_in", "level_out"):
        return LevelModule(site.channels, config.unet.embedding_channels, ops, **kwargs)
    return InsideAttention(site.channels, site.heads, config.inside.positions, ops, **kwargs)
