"""LaVie: the base model, the interpolation model and the layers for the x4 upscaler."""

from ..layers.inside import InsideConfig
from ..stack.plan import SD1, X4
from .inside import LayersFamily, Names, WholeFamily
from .signs import Sign

ATTENTION, BIAS = ".attn_temp.to_q.weight", ".attn_temp.time_rel_pos_bias."
CONFIG = InsideConfig(positions=True, last=False, causal=False, volume=False)
BASE = WholeFamily("LaVie", Sign("", (BIAS,), size=("conv_in.weight", 1, 4)), "SD 1.x", SD1, CONFIG)
INTERPOLATION = WholeFamily(
    "LaVie interpolation",
    Sign("", (ATTENTION,), size=("conv_in.weight", 1, 8), without=(BIAS,)),
    "SD 1.x",
    SD1,
    InsideConfig(positions=False, last=True, causal=True, volume=False),
    in_channels=8,
    condition="nearest",
)
UPSCALER = LayersFamily(
    "LaVie VSR",
    Sign("", ("down_temporal_blocks.",)),
    "SD x4 upscaler",
    X4,
    InsideConfig(positions=True, last=False, causal=False, volume=True),
    Names(
        temporal="temporal",
        down="down_temporal_blocks",
        middle="mid_temporal_block",
        up="up_temporal_blocks",
        along_frames="resblocks_3d_t",
        each_frame="resblocks_3d_s",
    ),
    prediction="v",
    labels=True,
)
