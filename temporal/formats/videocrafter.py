"""VideoCrafter 1 and 2.

ModelScope's network with another first transformer, frame rate, scale of x0, a picture as prompt.
"""

from ..layers.lvdm import LvdmConfig
from ..layers.picture import PictureConfig
from .lvdm import LvdmFamily, LvdmSpelling, original_image, original_module
from .signs import Sign

SPELLING = LvdmSpelling("original", original_image, original_module("init_attn.0"))
REACH = 16  # of VideoCrafter 1's tables of relative positions
PICTURE = PictureConfig(features=1280, tokens=16, width=1024, heads=12, depth=4)
TEXT_ONLY = ("attn2.to_k_ip",)  # what the models for images have
FRAMES_IN = ("input_blocks.0.0.weight", 1, 4)  # others take in a picture beside the noise
VIDEOCRAFTER2 = LvdmFamily(
    "VideoCrafter2",
    SPELLING,
    Sign("", ("init_attn.0.", "temopral_conv"), size=FRAMES_IN, without=TEXT_ONLY),
    LvdmConfig(convs=True, frame_rate=True),
    fps=28.0,
)
VIDEOCRAFTER1_1024 = LvdmFamily(
    "VideoCrafter1 for 1024 x 576",
    SPELLING,
    Sign(
        "",
        ("init_attn.0.", "fps_embedding", "relative_position_k"),
        size=FRAMES_IN,
        without=(*TEXT_ONLY, "temopral_conv"),
    ),
    LvdmConfig(convs=False, frame_rate=True, reach=REACH),
    fps=28.0,
)
VIDEOCRAFTER1_512 = LvdmFamily(
    "VideoCrafter1 for 512 x 320",
    SPELLING,
    Sign(
        "",
        ("init_attn.0.", "relative_position_k"),
        size=FRAMES_IN,
        without=(*TEXT_ONLY, "temopral_conv", "fps_embedding"),
    ),
    LvdmConfig(convs=False, frame_rate=False, reach=REACH),
)
VIDEOCRAFTER1_I2V = LvdmFamily(
    "VideoCrafter1 for image to video",
    SPELLING,
    Sign("", ("init_attn.0.", "temopral_conv", *TEXT_ONLY), size=FRAMES_IN),
    LvdmConfig(convs=True, frame_rate=True, picture=PICTURE),
    fps=8.0,
)
