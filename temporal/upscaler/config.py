"""Description of a pixel-space video upscaler: sizes of its UNet and what it was trained for."""

from dataclasses import dataclass

from ..errors import CheckpointFormatError
from ..weights import description
from ..weights.description import check_described


@dataclass(frozen=True)
class UpscalerConfig:
    """Everything that is needed to build an upscaler.

    The UNet sees squares of `patch` enlarged pixels as one place.
    """

    scale: int  # sides of the enlarged frames over those of the given ones
    patch: int  # divides the scale; 1 is a UNet on pixels, as Video LDM's, the scale itself the fastest
    channels: int  # at the first level of the UNet
    channel_mult: tuple[int, ...]  # per level; each level after the first halves the sides
    num_res_blocks: int  # per level, downwards and upwards
    heads: int  # of the attention over frames, at the last level
    max_frames: int  # of a window in training
    residual_std: float  # what the enlarged frames have beyond bicubic ones, colours in 0..1
    max_noise_level: float  # strongest noise on the given frames in training, 0..1
    family: str = "video_ldm"
    # of the variance that a clip starts from, in every frame; None: nothing
    shared_noise: float | None = None

    def __post_init__(self) -> None:
        self._check_sizes()
        sizes = (self.scale, self.patch, self.channels, self.num_res_blocks, self.heads, self.max_frames)
        fits = min((*sizes, *self.channel_mult, 0 if not self.channel_mult else 1)) >= 1
        shared = 0 if self.shared_noise is None else self.shared_noise
        fits = fits and isinstance(shared, int | float) and 0 <= shared <= 1
        if not fits or self.scale % self.patch or self.widths[-1] % self.heads or not self.residual_std > 0:
            raise CheckpointFormatError(
                f"The file describes an upscaler that cannot be built: {self.to_json()}. It may be "
                "damaged; download or train it again."
            )

    def _check_sizes(self) -> None:
        """Refuse sizes that no upscaler has, before anything is built of them."""
        mults = self.channel_mult
        check_described(
            {
                "scale is at most 64": self.scale <= 64,
                "channels is at most 8192": self.channels <= 8192,
                "channel_mult has at most 8 levels of up to 64": len(mults) <= 8
                and max(mults, default=1) <= 64,
                "a level has at most 32 blocks": self.num_res_blocks <= 32,
                "max_frames is at most 100000": self.max_frames <= 10**5,
                "residual_std and max_noise_level are at most 1000": _is_small(self.residual_std)
                and _is_small(self.max_noise_level),
            }
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the UNet by level."""
        return tuple(self.channels * mult for mult in self.channel_mult)

    @property
    def embedding(self) -> int:
        """Width of the embedding of the noise levels."""
        return 4 * self.channels

    @property
    def multiple(self) -> int:
        """The sides of given frames are padded to a multiple of this, and tiles start at one."""
        places, grid = 2 ** (len(self.channel_mult) - 1), self.scale // self.patch
        return max(1, places // grid)

    @property
    def reach(self) -> int:
        """Given pixels around a place that its result can depend on: beyond it, a tile is the whole frame."""
        last = len(self.channel_mult) - 1
        blocks = sum(4 * self.num_res_blocks * 2**level for level in range(last + 1))
        changes = sum(2**level + 2 ** (level + 1) for level in range(last))
        bicubic = 2 if self.patch < self.scale else 0
        return -(-(2 + blocks + changes) * self.patch // self.scale) + bicubic

    def to_json(self) -> str:
        """Write as one line of JSON, the description in a file."""
        return description.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "UpscalerConfig":
        """The reverse of `to_json`.

        `CheckpointFormatError` where a field is unknown, missing or of another type.
        """
        return description.from_json(cls, text)


def _is_small(number: object) -> bool:
    return isinstance(number, int | float) and abs(number) <= 1000
