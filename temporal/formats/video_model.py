"""A file that brings a whole video model.

An image model and the temporal layers that were trained with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from ..stack.stack import TemporalStack
from .facts import Betas
from .source import Layers, Source, report_text

EXPERIMENT = (
    "Experiment: the image model in this file was trained along with these layers, so on another image "
    "model they may do little or harm; Load Video Model loads both."
)
UNSCALED = " They learnt from clean latents scaled to {scale:g}, which only Load Video Model does."


@dataclass(frozen=True, eq=False)
class VideoModel:
    """Everything that a host needs to build a video model.

    `image` holds the UNet in the layout of the host. Without a stack the host's own UNet has the temporal
    layers, and knows its prediction and noise levels; with one they are those of `stack.config.prediction`
    and `betas`.
    """

    family: str
    image: Mapping[str, Tensor]
    source: Source
    stack: TemporalStack | None = None
    betas: Betas | None = None
    fps: float | None = None  # what the layers are told where nobody says otherwise

    def layers(self) -> Layers | None:
        """The stack for another image model, None without one.

        Its source calls this an experiment.
        """
        if self.stack is None:
            return None
        unused = {**self.source.unused, "of its image model (not used)": len(self.image)}
        used = self.source.used - len(self.image)
        note = EXPERIMENT + self._unscaled()
        return Layers(self.stack, replace(self.source, used=used, unused=unused, note=note))

    def _unscaled(self) -> str:
        if self.betas is None or self.betas.x0_scale == 1:
            return ""
        return UNSCALED.format(scale=self.betas.x0_scale)


def report_model(model: VideoModel) -> str:
    """Report on a whole video model: what it is and how to use it, one fact per line."""
    count = sum(tensor.numel() for tensor in model.image.values())
    frames = 0
    if model.stack is not None:
        count += model.stack.weight_count
        frames = model.stack.config.max_frames
    purpose = ", image model and temporal layers"
    return report_text(model.family, count, purpose, frames, model.betas, model.source)
