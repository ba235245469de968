"""Places of temporal layers in a UNet of the Stable Diffusion shape: data only, nothing is changed.

A `TemporalConv` follows every ResBlock, a `TemporalTransformer` follows every BasicTransformerBlock (on its
tokens, so it needs no projections of its own). In SD 1.x and 2.x each spatial transformer holds one such
block, as Video LDM counts them (appendix D); in SDXL they hold two or ten, and `transformers="last"` keeps
only the one after the last.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..weights.description import check_described

Section = Literal["input", "middle", "output"]
Placement = Literal["all", "last"]
SiteKind = Literal[
    "conv",  # after a ResBlock
    "transformer",  # after a transformer block, on its tokens
    "motion",  # after a whole block
    "norm",  # in the place of a norm
    "image",  # where an image enters
    "given",  # where known frames enter an image model that was trained along
    "inside",  # in a transformer block, before its feed-forward
    "inside_last",  # in a transformer block, after its feed-forward
    "keys",  # on the keys or values of a transformer block's self-attention
    "volume",  # after a ResBlock, before its transformer
    "level_in",  # before the ResBlock that follows a level, on what does not go into the skip connection
    "level_out",  # after the last module of a level
    "convs",  # of the LVDM line: after a ResBlock
    "frames",  # of the LVDM line: after a spatial transformer or the first convolution
    "rate",  # of the LVDM line: on the time embedding
    "picture",  # in a transformer block's attention to the text
]


@dataclass(frozen=True)
class UNetShape:
    """The sizes of a UNet that decide where layers go and how wide they are.

    Names as in the host's `unet_config`.
    """

    model_channels: int
    channel_mult: tuple[int, ...]
    num_res_blocks: tuple[int, ...]  # per level
    transformer_depth: tuple[int, ...]  # per input ResBlock, in order of execution
    transformer_depth_output: tuple[int, ...]  # per output ResBlock, in the host's order: last executed first
    transformer_depth_middle: int  # -1: a ResBlock only, -2: no middle block at all
    context_dim: int
    num_heads: int = -1
    num_head_channels: int = -1
    in_channels: int = 4  # of the latent

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "UNetShape":
        """Read from the host's `unet_config`. Inpainting models take in more channels than a latent has."""
        listed = ("channel_mult", "num_res_blocks", "transformer_depth", "transformer_depth_output")
        single = ("model_channels", "transformer_depth_middle", "context_dim")
        return cls(
            **{name: tuple(config[name]) for name in listed},
            **{name: config[name] for name in single},
            num_heads=config.get("num_heads", -1),
            num_head_channels=config.get("num_head_channels", -1),
            in_channels=config.get("out_channels", 4),
        )

    def check(self) -> None:
        """Refuse sizes that no UNet has.

        Raises:
            CheckpointFormatError: the first thing that is wrong with them.
        """
        levels, blocks = len(self.channel_mult), self.num_res_blocks
        depths = (*self.transformer_depth, *self.transformer_depth_output)
        check_described(
            {
                "model_channels is a multiple of 32": 0 < self.model_channels <= 4096
                and self.model_channels % 32 == 0,
                "channel_mult has 1 to 8 levels": 1 <= levels <= 8 and _within(self.channel_mult, 1, 16),
                "num_res_blocks has a number for each level": len(blocks) == levels
                and _within(blocks, 1, 16),
                "transformer_depth has a number for each block": len(self.transformer_depth) == sum(blocks),
                "transformer_depth_output has a number for each block": len(self.transformer_depth_output)
                == sum(blocks) + levels,
                "a spatial transformer has at most 32 blocks": _within(depths, 0, 32)
                and _within([self.transformer_depth_middle], -2, 32),
                "context_dim and in_channels are sizes": _within(
                    (self.context_dim, self.in_channels), 1, 2**16
                ),
            }
        )
        heads = [self.heads(level) if self.num_head_channels else 0 for level in range(levels)]
        check_described(
            {
                "heads divide the channels": all(
                    heads[level] > 0 and self.channels(level) % heads[level] == 0 for level in range(levels)
                )
            }
        )

    @property
    def embedding_channels(self) -> int:
        """Width of the UNet's time embedding."""
        return 4 * self.model_channels

    def channels(self, level: int) -> int:
        """Width of the UNet at a resolution level."""
        return self.model_channels * self.channel_mult[level]

    def heads(self, level: int) -> int:
        """Attention heads at a resolution level."""
        return (
            self.num_heads if self.num_head_channels == -1 else self.channels(level) // self.num_head_channels
        )


SD1 = UNetShape(
    model_channels=320,
    channel_mult=(1, 2, 4, 4),
    num_res_blocks=(2, 2, 2, 2),
    transformer_depth=(1, 1, 1, 1, 1, 1, 0, 0),
    transformer_depth_output=(1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0),
    transformer_depth_middle=1,
    context_dim=768,
    num_heads=8,
)
SD2 = UNetShape(
    model_channels=320,
    channel_mult=(1, 2, 4, 4),
    num_res_blocks=(2, 2, 2, 2),
    transformer_depth=(1, 1, 1, 1, 1, 1, 0, 0),
    transformer_depth_output=(1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0),
    transformer_depth_middle=1,
    context_dim=1024,
    num_head_channels=64,
)
X4 = UNetShape(  # the x4 upscaler
    model_channels=256,
    channel_mult=(1, 2, 2, 4),
    num_res_blocks=(2, 2, 2, 2),
    transformer_depth=(0, 0, 1, 1, 1, 1, 1, 1),
    transformer_depth_output=(0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1),
    transformer_depth_middle=1,
    context_dim=1024,
    num_heads=8,
)
SDXL = UNetShape(
    model_channels=320,
    channel_mult=(1, 2, 4),
    num_res_blocks=(2, 2, 2),
    transformer_depth=(0, 0, 2, 2, 10, 10),
    transformer_depth_output=(0, 0, 0, 2, 2, 2, 10, 10, 10),
    transformer_depth_middle=10,
    context_dim=2048,
    num_head_channels=64,
)


@dataclass(frozen=True)
class Site:
    """One place for a temporal layer: at the host module at `path`, below its `diffusion_model`."""

    path: str
    kind: SiteKind
    section: Section
    level: int
    channels: int
    heads: int

    @property
    def name(self) -> str:
        """Key of the layer in the stack, and thereby in files."""
        place = self.path.replace(".", "_")
        return f"level_{place}" if self.kind in ("level_in", "level_out") else place


def plan(shape: UNetShape, transformers: Placement = "all") -> tuple[Site, ...]:
    """All sites of a UNet in order of execution."""
    sites = (*_input_sites(shape), *_middle_sites(shape), *_output_sites(shape))
    if transformers == "all":
        return sites
    last = {site.path.rpartition(".")[0]: site for site in sites if site.kind == "transformer"}
    return tuple(site for site in sites if site.kind == "conv" or site in last.values())


def _within(values: Iterable[int], least: int, most: int) -> bool:
    return all(least <= value <= most for value in values)


def _input_sites(shape: UNetShape) -> Iterator[Site]:
    depths = iter(shape.transformer_depth)
    block = 1  # block 0 is the first convolution
    for level, count in enumerate(shape.num_res_blocks):
        for _ in range(count):
            yield from _block_sites(shape, f"input_blocks.{block}", "input", level, next(depths))
            block += 1
        block += 1  # the downsampling


def _middle_sites(shape: UNetShape) -> Iterator[Site]:
    level, depth = len(shape.channel_mult) - 1, shape.transformer_depth_middle
    if depth >= -1:
        yield from _block_sites(shape, "middle_block", "middle", level, depth)
    if depth >= 0:
        yield Site("middle_block.2", "conv", "middle", level, shape.channels(level), 0)


def _output_sites(shape: UNetShape) -> Iterator[Site]:
    depths = reversed(shape.transformer_depth_output)
    block = 0
    for level, count in reversed(list(enumerate(shape.num_res_blocks))):
        for _ in range(count + 1):
            yield from _block_sites(shape, f"output_blocks.{block}", "output", level, next(depths))
            block += 1


def _block_sites(shape: UNetShape, path: str, section: Section, level: int, depth: int) -> Iterator[Site]:
    channels, heads = shape.channels(level), shape.heads(level)
    yield Site(f"{path}.0", "conv", section, level, channels, 0)
    for index in range(depth):
        yield Site(f"{path}.1.transformer_blocks.{index}", "transformer", section, level, channels, heads)
