"""diffusers' MotionAdapter and UNetMotionModel: AnimateDiff under other names.

diffusers takes the statistics of a module's norm over the clip for every version. The originals do so for the SDXL beta
only, and the layers are loaded as the originals compute them.
"""

from .animatediff import BLOCK, ORIGINAL
from .motion_modules import Spelling

DIFFUSERS = Spelling(
    name="diffusers",
    # official converters leave the tables out, so a file without them need not be AnimateLCM
    families={**ORIGINAL.families, ("SD 1.x", True, None): "AnimateDiff v2"},
    module="{block}.motion_modules.{index}",
    attentions=(f"{BLOCK}.attn1", f"{BLOCK}.attn2"),
    norms=(f"{BLOCK}.norm1", f"{BLOCK}.norm2"),
    norm_out=f"{BLOCK}.norm3",
    tables=(f"{BLOCK}.pos_embed.pe",),
    untold={"AnimateLCM": ("SD 1.x", True)},
)
