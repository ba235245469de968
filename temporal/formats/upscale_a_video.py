"""Upscale-A-Video's UNet: the network of LaVie's upscaler under other names."""

from dataclasses import replace

from .lavie import UPSCALER as LAVIE
from .signs import Sign

UPSCALER = replace(
    LAVIE,
    family="Upscale-A-Video",
    sign=Sign("", ("down_temp_blocks.",)),
    names=replace(
        LAVIE.names,
        down="down_temp_blocks",
        middle="mid_temp_block",
        up="up_temp_blocks",
        along_frames="resblocks_3d_temporal",
        each_frame="resblocks_3d_spatial",
    ),
)
