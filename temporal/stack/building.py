"""The layer of each kind of site, new and as the config says."""

from collections.abc import Callable
from typing import Any

from torch import nn

from ..layers.conv import TemporalConv
from ..layers.inside import InsideAttention
from ..layers.lvdm import FrameRateInTime, TemporalConvs, frame_transformer
from ..layers.motion import MotionModule
from ..layers.picture import PictureAttention
from ..layers.transformer import TemporalTransformer
from ..layers.volume import FramesBlock, LevelModule
from .config import StackConfig
from .plan import Site, SiteKind

WITHOUT_WEIGHTS = (
    "norm",
    "keys",
    "image",
    "given",
)  # kinds of sites that change what is there and need no layer


def new_layer(site: Site, config: StackConfig, ops: Any, **kwargs: Any) -> nn.Module:
    """The layer of a site; `kwargs` are dtype and device."""
    return BUILDERS[site.kind](site, config, ops, kwargs)


def num_known_channels(config: StackConfig, level: int) -> int | None:
    """Channels of the known-frame encoder at a resolution level; None: the layers know no frames."""
    return config.unet.channels(level) // 2 if config.known_frames else None


def _conv(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    known = num_known_channels(config, site.level)
    return TemporalConv(site.channels, config.unet.embedding_channels, known, ops, **kwargs)


def _transformer(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    on_tokens, text = config.positions == "tokens", config.unet.context_dim
    return TemporalTransformer(site.channels, site.heads, text, ops, positions_on_tokens=on_tokens, **kwargs)


def _motion(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    motion = config.motion
    return MotionModule(site.channels, motion.clip_norm, ops, attentions=motion.attentions, **kwargs)


def _frames(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    width = site.heads * config.unet.num_head_channels
    return frame_transformer(site.channels, site.heads, width, config.lvdm.reach, ops, **kwargs)


def _rate(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    return FrameRateInTime(config.unet.model_channels, site.channels, ops, **kwargs)


def _convs(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    return TemporalConvs(site.channels, ops, **kwargs)


def _inside(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    return InsideAttention(site.channels, site.heads, config.inside.positions, ops, **kwargs)


def _volume(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    return FramesBlock(site.channels, None, (3, 3), ops, **kwargs)


def _level(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    return LevelModule(site.channels, config.unet.embedding_channels, ops, **kwargs)


def _picture(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    return PictureAttention(site.channels, config.unet.context_dim, site.heads, ops, **kwargs)


BUILDERS: dict[SiteKind, Callable[[Site, StackConfig, Any, dict[str, Any]], nn.Module]] = {
    "conv": _conv,
    "transformer": _transformer,
    "motion": _motion,
    "frames": _frames,
    "rate": _rate,
    "picture": _picture,
    "convs": _convs,
    "inside": _inside,
    "inside_last": _inside,
    "volume": _volume,
    "level_in": _level,
    "level_out": _level,
}
