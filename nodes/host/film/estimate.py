"""Memory and disk that a film will take, said before it begins, and refused where it cannot fit."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....temporal.errors import InvalidInputError
from ....temporal.video import Format
from ..memory import CPU, GIB, free_memory, total_memory
from .frame_stream import FrameStream


@dataclass(frozen=True)
class FilmNeeds:
    """Bytes that a film needs and bytes that there are; memory by device."""

    memory: Mapping[Any, float]
    memory_free: Mapping[Any, float]
    shrinks: bool
    disk: float
    disk_free: float

    @property
    def text(self) -> str:
        """The estimate as a sentence."""
        memory = ", ".join(self._on(device) for device in self.memory)
        return f"needs {memory} and about {size_text(self.disk)} on disk ({size_text(self.disk_free)} free)"

    def _on(self, device: Any) -> str:
        needed, free = self.memory[device], self.memory_free[device]
        name = "memory" if device == CPU else f"memory on {device}"
        is_short = needed > free and device != CPU  # no error tells that main memory ran out
        remark = "; if memory runs out, smaller pieces are decoded" if is_short and self.shrinks else ""
        return f"about {size_text(needed)} of {name} ({size_text(free)} free{remark})"


def film_needs(clip: FrameStream, format: Format, quality: int, folder: Path) -> FilmNeeds:
    """Needs of a clip as a film of a format in a folder, which may not exist yet."""
    pixels = clip.num_frames * clip.width * clip.height
    share = 4 / 3 if clip.transparency == "has" and format.holds_transparency else 1.0
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return FilmNeeds(
        memory=clip.memory,
        memory_free={device: free_memory(device) for device in clip.memory},
        shrinks=clip.shrinks,
        disk=share * pixels * format.bits(quality) / 8,
        disk_free=shutil.disk_usage(existing).free,
    )


def check_it_fits(needs: FilmNeeds, clip: FrameStream, format: Format, folder: Path) -> None:
    """Refuse a film that cannot fit. Raises InvalidInputError with what to change."""
    what = f"The film of {clip.num_frames} frames of {clip.width} x {clip.height}"
    for device, least in clip.least.items():
        if least > (total := total_memory(device)):
            raise InvalidInputError(
                f"{what} needs at least {size_text(least)} of memory at once, and {device} has "
                f"{size_text(total)} in all. Make the clip smaller, decode fewer frames together "
                "(chunk_length and overlap; ToonCrafter with known_images takes all of them), or lower the "
                "upscaler's tile_size, context_length or steps, or leave it out."
            )
    if needs.disk > needs.disk_free:
        raise InvalidInputError(
            f"{what} as {format.name} needs about {size_text(needs.disk)} on disk, and {folder} has "
            f"{size_text(needs.disk_free)} free. Free space, choose another format or a lower quality, or "
            "start ComfyUI with --output-directory on another disk."
        )


def size_text(number: float) -> str:
    """Bytes in words."""
    for unit, scale in (("GB", GIB), ("MB", 2**20)):
        if number >= scale:
            return f"{number / scale:.1f} {unit}"
    return f"{number / 1024:.0f} KB"
