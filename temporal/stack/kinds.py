"""Table of the kinds of sites: the layer of each, what the layer is given, and where a host puts it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from torch import nn

from ..layers.conv import TemporalConv
from ..layers.inside import InsideAttention, InsideConfig
from ..layers.lvdm import FrameRateInTime, LvdmConfig, TemporalConvs, frame_transformer
from ..layers.motion import MotionConfig, MotionModule
from ..layers.picture import PictureAttention
from ..layers.transformer import TemporalTransformer
from ..layers.volume import FramesBlock, LevelModule
from .config import StackConfig
from .plan import Site, SiteKind

Builder = Callable[[Site, StackConfig, Any, dict[str, Any]], nn.Module]
Given = Literal["emb", "context", "known"]  # time embedding, text, features of known frames
Place = Literal[
    "after",  # on the output of the module at the site
    "before",  # on the input of that module
    "after_level",  # on its output, with the time embedding that the module at the head of its block received
    "before_feed_forward",  # of a transformer block, before its last norm
    "in_attention",  # between the queries and the output projection of an attention
    "norm",  # in the place of a norm
    "keys",  # on keys or values
]


@dataclass(frozen=True)
class Kind:
    """Needs of one kind of site. `given`: what its layer takes beside the activations and the clip.

    Without `build` it has no layer and no weights: it changes what is there.
    """

    build: Builder | None
    place: Place = "after"
    given: tuple[Given, ...] = ()
    at_input: bool = False  # sees the features of known frames for the first convolution


def new_layer(site: Site, config: StackConfig, ops: Any, **kwargs: Any) -> nn.Module | None:
    """The layer of a site; `kwargs` are dtype and device. None for kinds without weights."""
    build = KINDS[site.kind].build
    return None if build is None else build(site, config, ops, kwargs)


def num_known_channels(config: StackConfig, level: int) -> int:
    """Channels of the known-frame encoder at a resolution level."""
    return config.unet.channels(level) // 2


# Sites that need `motion`, `lvdm` or `inside` are only in the plan of a description that has it
# (StackConfig.sites); a type checker cannot know.


def _conv(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    known = num_known_channels(config, site.level) if config.known_frames else None
    return TemporalConv(site.channels, config.unet.embedding_channels, known, ops, **kwargs)


def _transformer(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    on_tokens, text = config.positions == "tokens", config.unet.context_dim
    return TemporalTransformer(site.channels, site.heads, text, ops, positions_on_tokens=on_tokens, **kwargs)


def _motion(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    motion = cast(MotionConfig, config.motion)
    return MotionModule(site.channels, motion.clip_norm, ops, attentions=motion.attentions, **kwargs)


def _frames(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    width, reach = site.heads * config.unet.num_head_channels, cast(LvdmConfig, config.lvdm).reach
    return frame_transformer(site.channels, site.heads, width, reach, ops, **kwargs)


def _rate(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    return FrameRateInTime(config.unet.model_channels, site.channels, ops, **kwargs)


def _convs(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    return TemporalConvs(site.channels, ops, **kwargs)


def _inside(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    positions = cast(InsideConfig, config.inside).positions
    return InsideAttention(site.channels, site.heads, positions, ops, **kwargs)


def _volume(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    return FramesBlock(site.channels, None, (3, 3), ops, **kwargs)


def _level(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    return LevelModule(site.channels, config.unet.embedding_channels, ops, **kwargs)


def _picture(site: Site, config: StackConfig, ops: Any, kwargs: dict[str, Any]) -> nn.Module:
    return PictureAttention(site.channels, config.unet.context_dim, site.heads, ops, **kwargs)


KINDS: Mapping[SiteKind, Kind] = {
    "conv": Kind(_conv, given=("emb", "known")),
    "transformer": Kind(_transformer, given=("context",)),
    "motion": Kind(_motion),
    "norm": Kind(None, "norm"),
    "image": Kind(None),
    "given": Kind(None, at_input=True),
    "inside": Kind(_inside, "before_feed_forward"),
    "inside_last": Kind(_inside),
    "keys": Kind(None, "keys"),
    "volume": Kind(_volume),
    "level_in": Kind(_level, "before", given=("emb",)),
    "level_out": Kind(_level, "after_level", given=("emb",)),
    "convs": Kind(_convs),
    "frames": Kind(_frames),
    "rate": Kind(_rate),
    "picture": Kind(_picture, "in_attention"),
}
