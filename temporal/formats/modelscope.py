"""ModelScope's text to video and ZeroScope, which has the same layout.

Both spellings are read: the one published first, and diffusers'.
"""

from ..layers.lvdm import LvdmConfig
from .lvdm import LvdmFamily, LvdmSpelling, diffusers_module, original_image, original_module
from .signs import Sign

NAME = "ModelScope or ZeroScope"
CONFIG = LvdmConfig(convs=True, frame_rate=False)


def _image(host: str, diffusers: str) -> str:
    name = original_image(host, diffusers)
    return name.replace(".0.op.", ".op.") if name.startswith("input_blocks.") else name


ORIGINAL = LvdmFamily(
    NAME,
    LvdmSpelling("original", _image, original_module("input_blocks.0.1"), points=True),
    Sign("", ("temopral_conv", "input_blocks.0.1.proj_in.weight")),
    CONFIG,
)
DIFFUSERS = LvdmFamily(
    NAME,
    LvdmSpelling("diffusers", lambda host, diffusers: diffusers, diffusers_module),
    Sign("", (".temp_convs.", "transformer_in.", "conv_in.weight"), without=("image_latents_proj_in.",)),
    CONFIG,
)
