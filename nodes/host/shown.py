"""Pictures that a node shows when it is done: a clip that moves, its contact sheet, curves.

Files in the host's temporary folder.

Shapes: frames (f h w 3) float 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import folder_paths
import numpy as np
import torch
from comfy_api.latest import io, ui
from PIL import Image, ImageDraw
from torch import Tensor

from ...temporal.errors import InvalidInputError
from ...temporal.sampling.affinity import MotionAmount
from .preview import MAX_FRAMES, enlarged, latent_format_of, latent_pictures, pictures, thinned_out
from .progress import say
from .speed import Speed

CLIP_SIDE = 512
SHEET_FRAMES, SHEET_COLUMNS, SHEET_SIDE = 16, 8, 64
TAKE_SIDE, TAKES_SIDE, LINE = 192, 1024, 14
CURVE_SIZE, MARGIN = (480, 200), 24
COLOURS = ("#4e9bff", "#ff8a3c", "#57c466", "#d869e0", "#e0c04a", "#ff6470")
BACK, GRID, WORDS = "#1e1e1e", "#4a4a4a", "#d0d0d0"


def shown_report(report: str) -> dict[str, Any]:
    """A node's `ui` for a report, which is said on the node, too: pages draw no text of a `ui`."""
    say(report)
    return {"text": (report,)}


def shown_clip(frames: Tensor, fps: float) -> dict[str, Any]:
    """A node's `ui` for a clip.

    One moving picture, as some pages show no second one: the clip above every so many of its frames, small
    and with their numbers. Where it holds one frame in so many, its file says so, which `web/scrub.js` reads.
    """
    stride = -(-len(frames) // MAX_FRAMES)
    path = _new_file("clip" if stride == 1 else f"clip_every{stride}", ".webp")
    moving = [enlarged(frame, CLIP_SIDE) for frame in pictures(thinned_out(frames[::stride], CLIP_SIDE))]
    _save_moving(path, _above(moving, clip_sheet(frames)), fps / stride)
    return _shown([path], animated=True)


def _above(moving: Sequence[Image.Image], still: Image.Image) -> list[Image.Image]:
    """Frames of a clip, each with the same picture below, as wide as they are."""
    width, height = moving[0].size
    still = still.resize((width, max(1, round(still.height * width / still.width))))
    together = Image.new("RGB", (width, height + still.height))
    together.paste(still, (0, height))
    joined = [together.copy() for _ in moving]
    for picture, frame in zip(joined, moving, strict=True):
        picture.paste(frame)
    return joined


def shown_preview(
    samples: Mapping[str, Any] | None, images: Tensor | None, model: Any, speed: Speed
) -> dict[str, Any]:
    """A node's `ui` for a LATENT in the quick colours of a MODEL, or for frames, as for any clip.

    Raises InvalidInputError for neither or both, and where nobody knows the colours.
    """
    if (samples is None) == (images is None):
        given = "none" if images is None else "samples and images"
        raise InvalidInputError(
            f"Preview Clip shows one clip, but it was given {given}. Connect samples or images."
        )
    frames = images if images is not None else _coloured((samples or {})["samples"], model)
    if speed.said:  # more words would take the place of the picture
        say(speed.said)
    return shown_clip(frames, speed.fps)


def _coloured(latents: Tensor, model: Any) -> Tensor:
    """Frames of latents (f c h w), large enough for a contact sheet."""
    colours = latent_format_of(model)
    if colours.latent_rgb_factors is None or colours.latent_channels != latents.shape[1]:
        raise InvalidInputError(
            f"Preview Clip knows no colours for latents of {latents.shape[1]} channels like these. Connect "
            "the MODEL that the clip was made with, or decode it and connect its images."
        )
    shown = [enlarged(picture, SHEET_SIDE) for picture in latent_pictures(latents, colours)]
    return torch.stack([torch.from_numpy(np.array(picture)) for picture in shown]) / 255


def shown_takes(takes: Mapping[str, Mapping[str, Any]], latent_format: Any, fps: float) -> dict[str, Any]:
    """A node's `ui` for takes of one clip: LATENTs by their names, moving side by side."""
    path, count = _new_file("takes", ".webp"), len(next(iter(takes.values()))["samples"])
    stride = -(-count // MAX_FRAMES)
    films = [latent_pictures(take["samples"][::stride], latent_format) for take in takes.values()]
    columns = min(len(films), math.ceil(math.sqrt(len(films))), TAKES_SIDE // TAKE_SIDE)
    sheets = [_take_sheet(row, list(takes), columns) for row in zip(*films, strict=True)]
    _save_moving(path, sheets, fps / stride)
    return _shown([path], animated=True)


def _take_sheet(frames: Sequence[Image.Image], names: Sequence[str], columns: int) -> Image.Image:
    """One frame of every take, in rows, with the take's name below."""
    small = [enlarged(frame, TAKE_SIDE) for frame in frames]
    for frame in small:
        frame.thumbnail((TAKE_SIDE, TAKE_SIDE))
    width, height = small[0].width, small[0].height + LINE
    sheet = Image.new("RGB", (columns * width, -(-len(small) // columns) * height), BACK)
    draw = ImageDraw.Draw(sheet)
    for place, (name, frame) in enumerate(zip(names, small, strict=True)):
        left, top = place % columns * width, place // columns * height
        sheet.paste(frame, (left, top))
        draw.text((left + 4, top + height - LINE), name, WORDS)
    return sheet


def _save_moving(path: Path, frames: Sequence[Image.Image], fps: float) -> None:
    """Write an animation without key frames: what stands still, such as a sheet, is written once."""
    first, *rest = frames
    options = {"append_images": rest, "duration": round(1000 / fps), "loop": 0, "quality": 85, "method": 0}
    first.save(path, format="WEBP", save_all=True, kmin=0, kmax=0, **options)


def clip_sheet(frames: Tensor) -> Image.Image:
    """At most SHEET_FRAMES frames, evenly from the first to the last, in rows."""
    count = min(len(frames), SHEET_FRAMES)
    numbers = [round(i * (len(frames) - 1) / max(1, count - 1)) for i in range(count)]
    small = pictures(thinned_out(frames[numbers], 2 * SHEET_SIDE))
    for picture in small:
        picture.thumbnail((SHEET_SIDE, SHEET_SIDE))
    width, height = small[0].size
    columns = min(count, SHEET_COLUMNS)
    sheet = Image.new("RGB", (columns * width, -(-count // columns) * height), BACK)
    draw = ImageDraw.Draw(sheet)
    for place, (number, picture) in enumerate(zip(numbers, small, strict=True)):
        corner = (place % columns * width, place // columns * height)
        sheet.paste(picture, corner)
        draw.text((corner[0] + 2, corner[1]), str(number), "white", stroke_width=1, stroke_fill="black")
    return sheet


def shown_curves(curves: Mapping[str, Sequence[float]], across: str) -> dict[str, Any]:
    """A node's `ui` for numbers that change along a clip, by their names.

    `across` says what goes from left to right.
    """
    path = _new_file("curves", ".png")
    draw_curves(curves, across).save(path, compress_level=1)
    return _shown([path], animated=False)


def cfg_curve(first: float, last: float, latent: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A node's `ui` for guidance that changes from the first frame to the last; None where it does not.

    Without a LATENT the length of the clip is unknown: the curve then runs over hundredths of it.
    """
    across, count = ("%", 101) if latent is None else ("frame", len(latent["samples"]))
    if count < 2 or last in (0.0, first):
        return None
    ramp = [first + (last - first) * frame / (count - 1) for frame in range(count)]
    return shown_curves({f"cfg, {first:g} to {last:g}": ramp}, across)


def affinity_curve(motion: MotionAmount) -> dict[str, Any]:
    """A node's `ui` for how alike frames are to their image.

    The curve runs over the distance in frames, or over hundredths of a clip that loops.
    """
    across, count = ("%", 101) if motion.loop else ("frames away", len(motion.affinities) + 1)
    return shown_curves({"affinity to the image": motion.of_frames(torch.arange(count)).tolist()}, across)


def draw_curves(curves: Mapping[str, Sequence[float]], across: str) -> Image.Image:
    """Curves of one length over the same axes, from 0 or the lowest value to the highest."""
    width, height = CURVE_SIZE
    names = list(curves)
    picture = Image.new("RGB", (width, height + 14 * len(names)), BACK)
    draw = ImageDraw.Draw(picture)
    values = [value for curve in curves.values() for value in curve]
    low, high = min(0.0, *values), max(*values, 1e-9)
    box = (2 * MARGIN, MARGIN // 2, width - MARGIN, height - MARGIN)
    for share in (0.0, 0.5, 1.0):
        y = box[3] - share * (box[3] - box[1])
        draw.line((box[0], y, box[2], y), GRID)
        draw.text((4, y - 6), f"{low + share * (high - low):.4g}", WORDS)
    last = max(map(len, curves.values())) - 1
    draw.text((box[0], box[3] + 6), f"{across} 0", WORDS)
    draw.text((box[2] - 8 * len(str(last)), box[3] + 6), str(last), WORDS)
    for number, name in enumerate(names):
        colour = COLOURS[number % len(COLOURS)]
        points = _points(curves[name], box, low, high)
        draw.line(points, colour, width=2)
        if len(points) <= SHEET_FRAMES:
            for x, y in points:
                draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)
        top = height + 14 * number
        draw.rectangle((8, top + 2, 16, top + 10), colour)
        draw.text((24, top), _plain(name), WORDS)
    return picture


def _points(
    curve: Sequence[float], box: tuple[int, int, int, int], low: float, high: float
) -> list[tuple[float, float]]:
    left, top, right, bottom = box
    across, up = max(1, len(curve) - 1), (high - low) or 1.0
    return [
        (left + i * (right - left) / across, bottom - (value - low) / up * (bottom - top))
        for i, value in enumerate(curve)
    ]


def _plain(name: str) -> str:
    """Text as far as the built-in font can write it, on one line."""
    line = " ".join(name.split()).encode("latin-1", "replace").decode("latin-1")
    return line if len(line) <= 70 else f"{line[:67]}..."


def _new_file(kind: str, suffix: str) -> Path:
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    numbers = [int(path.stem.rpartition("_")[2]) for path in folder.glob(f"VideoLDM_{kind}_*{suffix}")]
    number = max(numbers, default=0)
    while True:  # another process may take the same number
        number += 1
        path = folder / f"VideoLDM_{kind}_{number:05}{suffix}"
        with suppress(FileExistsError):
            path.open("xb").close()
            return path


def _shown(paths: Sequence[Path], animated: bool) -> dict[str, Any]:
    files = [ui.SavedResult(path.name, "", io.FolderType.temp) for path in paths]
    return {"images": files, "animated": (animated,)}
