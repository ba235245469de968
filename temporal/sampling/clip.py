"""The state of one call, handed to every temporal layer; the layers themselves remember nothing.

Shapes: b clips of one batch (a host's cond and uncond chunks are separate clips), f frames, (b f) frames
fastest, n tokens, m text tokens, e features, c h w a latent, p patches and g features of an image encoder.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from ..errors import InvalidInputError

AttentionFunction = Callable[..., Tensor]
SECTIONS = ("input", "middle", "output")


def sdpa(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """PyTorch's attention on q (b n (heads d)), k and v (b m (heads d)).

    Mask (n m) is added to the logits.
    """
    q, k, v = (rearrange(x, "b n (heads d) -> b heads n d", heads=heads) for x in (q, k, v))
    if q.is_cpu and q.dtype in (torch.bfloat16, torch.float16):  # where PyTorch's kernel takes twice as long
        logits = q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)
        out = torch.softmax(logits if mask is None else logits + mask, dim=-1).to(v.dtype) @ v
    else:
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return rearrange(out, "b heads n d -> b n (heads d)")


@dataclass(frozen=True, eq=False)
class Clip:
    """State of the clip in one call of the layers.

    `TemporalStack.prepare` fills `features`, `embedding` and `picture_tokens`.

    Raises:
        InvalidInputError: no frames, a frame rate of 0, known frames without mask, alpha of an unknown
            section.
    """

    num_frames: int
    fps: float | Tensor = 8.0  # frames per second, of all clips or of each (b,)
    strength: float | Tensor = 1.0  # 0 is the image model, 1 as trained; or ((b f) h w) by frame and place
    key_scale: float | Tensor = 1.0  # of the keys of attention over frames; or ((b f) h w)
    alphas: Mapping[str, float] = field(default_factory=dict)  # overrides, by "output" or "output.0" (level)
    text: Tensor | None = None  # motion text (b m e), instead of the image's
    texts_differ: bool = False  # the image's, from frame to frame of a clip
    known_latents: Tensor | None = None  # ((b f) c h w)
    known_mask: Tensor | None = None  # ((b f),), 1 = given
    # ((b f) c+1 h w): of each frame the image it is made from, and how alike the two are
    image: Tensor | None = None
    picture: Tensor | None = None  # what an image encoder says of every patch of a picture (b p g)
    frame_weight: float = 0.8  # of a frame's number beside that image, for layers that are told it
    positions: Tensor | None = None  # (f,) in frames, fractions allowed; default 0 .. f-1
    # a longer clip attends within runs of so many frames, each with positions of its own
    window: int | None = None
    attention: AttentionFunction = sdpa
    features: Mapping[int, Tensor] = field(default_factory=dict)  # of what is given, by UNet resolution level
    embedding: Tensor | None = None  # of the frame rate, (b e) or (1 e)
    picture_tokens: Tensor | None = None  # of the picture, (b m e)

    def __post_init__(self) -> None:
        if self.num_frames < 1:
            raise InvalidInputError(f"A clip needs at least one frame, but num_frames is {self.num_frames}.")
        if not bool((torch.as_tensor(self.fps) > 0).all()):
            raise InvalidInputError(f"A frame rate must be above 0 frames per second, but fps is {self.fps}.")
        if (self.known_latents is None) != (self.known_mask is None):
            raise InvalidInputError("Known frames need both: latents, and a mask that says which are given.")
        for place in self.alphas:
            if place.partition(".")[0] not in SECTIONS:
                raise InvalidInputError(
                    f'alpha is set for "{place}", but the sections are {", ".join(SECTIONS)}.'
                )

    @property
    def off(self) -> bool:
        """True if the temporal layers do nothing anywhere."""
        return not isinstance(self.strength, Tensor) and self.strength == 0

    def alpha(self, section: str, level: int) -> float | None:
        """The override of alpha at this place of the UNet, the more specific key first."""
        return self.alphas.get(f"{section}.{level}", self.alphas.get(section))

    def centred_positions(self, device: torch.device) -> Tensor:
        """Positions of the frames (f,) relative to the centre of the window, in frames."""
        if self.positions is None:
            return torch.arange(self.num_frames, device=device) - (self.num_frames - 1) / 2
        positions = self.positions.to(device, torch.float32)
        return positions - (positions.min() + positions.max()) / 2
