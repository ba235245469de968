"""diffusers' MotionAdapter and UNetMotionModel: AnimateDiff under other names.

diffusers takes the statistics of a module's norm over the clip for every version. The originals do so for the
SDXL beta only, and the layers are loaded as the originals compute them.
"""

from .animatediff import BLOCK, ORIGINAL
from .motion_modules import MotionSpelling

DIFFUSERS = MotionSpelling(
    name="diffusers",
    families={**ORIGINAL.families, ("SD 1.x", True, None): "AnimateDiff v2"},
    # official converters leave the tables out, or write them anew in a length of their own
    others={
        **dict.fromkeys([("SD 1.x", True, length) for length in (None, 32, 64)], "AnimateLCM"),
        **dict.fromkeys([("SD 1.x", False, length) for length in (None, 32)], "AnimateDiff v1"),
    },
    module="{block}.motion_modules.{index}",
    attentions=(f"{BLOCK}.attn1", f"{BLOCK}.attn2"),
    norms=(f"{BLOCK}.norm1", f"{BLOCK}.norm2"),
    norm_out=f"{BLOCK}.norm3",
    tables=(f"{BLOCK}.pos_embed.pe",),
)
