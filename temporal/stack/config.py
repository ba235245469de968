"""Description of a stack of temporal layers, and thereby of their places.

The names of the fields are part of a file's description: they do not change.
"""

from dataclasses import dataclass
from typing import Literal

from ..layers.image import ImageKind
from ..layers.inside import InsideConfig
from ..layers.lvdm import LvdmConfig
from ..layers.motion import MotionConfig
from ..layers.picture import PictureConfig
from ..sampling.known_channels import Condition
from ..weights import description
from .family_plans import given_plan, image_plan, inside_plan, lvdm_plan, motion_plan, norm_plan, volume_plan
from .plan import Placement, Site, UNetShape, plan

MOST_FRAMES = 10**5  # that a description may name


@dataclass(frozen=True)
class StackConfig:
    """Description of a stack of temporal layers.

    Everything that is needed to build it and to check it against a model.
    """

    unet: UNetShape
    base: str  # "SD 1.x", "SD 2.x", "SDXL" or another image model's name
    max_frames: int  # longest clip in training; 0: of any length, the layers have no positions that end
    known_frames: bool  # trained to continue, interpolate and repair
    frame_rate: bool  # knows the frame rate
    family: str = "video_ldm"
    prediction: str = "eps"  # what the image model predicts: "eps" or "v"
    transformers: Placement = "all"  # follow all blocks of a spatial transformer, or only its last
    motion: MotionConfig | None = None  # motion modules, in the place of our own layers
    image: ImageKind | None = None  # how motion modules see an image that they animate
    lvdm: LvdmConfig | None = None  # layers of the LVDM line, in the place of our own
    inside: InsideConfig | None = None  # layers inside its transformers, in the place of our own
    condition: Condition | None = None  # known frames as further input channels of the image model
    # all parts of our transformers see them; None: only the attention
    positions: Literal["tokens"] | None = None
    # trained along: known frames at its input, and the file holds what changed in its weights
    image_model: Literal["changed"] | None = None

    @property
    def sites(self) -> tuple[Site, ...]:
        """Places in the UNet at which the stack acts."""
        if self.inside is not None:
            volume = volume_plan(self.unet) if self.inside.volume else ()
            return (
                *inside_plan(self.unet, self.inside.last, self.inside.causal),
                *volume,
                *norm_plan(self.unet),
            )
        lvdm = self.lvdm
        if lvdm is not None:
            return lvdm_plan(self.unet, lvdm.convs, lvdm.frame_rate, self.picture is not None)
        if self.motion is None:
            return (*given_plan(self.unet, self.image_model is not None), *plan(self.unet, self.transformers))
        norms = norm_plan(self.unet) if self.motion.clip_norm_image else ()
        image = image_plan(self.unet, self.image == "affinity") if self.image else ()
        modules = motion_plan(self.unet, self.motion.middle)
        if self.motion.control:
            modules = tuple(site for site in modules if site.section == "input")
        return (*image, *modules, *norms)

    @property
    def picture(self) -> PictureConfig | None:
        """True if the layers are prompted with a picture beside the text."""
        return None if self.lvdm is None else self.lvdm.picture

    def to_json(self) -> str:
        """Write as one line of JSON, the description in a file."""
        return description.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "StackConfig":
        """The reverse of `to_json`.

        `CheckpointFormatError` where a field is unknown, missing, or cannot be right.
        """
        config = description.from_json(cls, text)
        config.unet.check()
        reach = config.lvdm.reach if config.lvdm is not None else None
        description.check_described(
            {
                "max_frames is from 0 to 100000": 0 <= config.max_frames <= MOST_FRAMES,
                "reach is from 1 to 100000": reach is None or 0 < reach <= MOST_FRAMES,
                "layers whose image model was trained along know frames": config.image_model is None
                or config.known_frames,
            }
        )
        return config
