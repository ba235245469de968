"""HotShot-XL: the same network as AnimateDiff for SDXL, named otherwise."""

from dataclasses import replace

from .animatediff import BLOCK, ORIGINAL

HOTSHOT = replace(
    ORIGINAL,
    name="HotShot",
    families={("SDXL", False, 24): "HotShot-XL", ("SDXL", False, 32): "HotShot-XL"},
    module="{block}.temporal_attentions.{index}",
    tables=tuple(f"{BLOCK}.attention_blocks.{i}.pos_encoder.positional_encoding" for i in range(2)),
)
