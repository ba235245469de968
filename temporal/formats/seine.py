"""SEINE: LaVie's base model with given frames as further input channels.

The given frames start a clip, or are the two ends of a transition.
"""

from dataclasses import replace

from .lavie import BASE, BIAS
from .signs import Sign

SEINE = replace(
    BASE,
    family="SEINE",
    sign=Sign("", (BIAS,), size=("conv_in.weight", 1, 9)),
    in_channels=9,
    condition="masked",
)
