"""Kept clips as plain folders, as trainers of others read them: a film, and a text file with its caption.

`dataset.jsonl` beside them carries all captions with their weights, so training here reads the same folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import InvalidInputError
from ..weights.whole_file import whole_file
from .shards import cut_out
from .table import ClipRow, write_table, write_text

STYLES = ("musubi", "kohya")
CLIPS = "1_clips"  # kohya's folders begin with how often each file is read
CONFIG = "dataset.toml"
FEWEST_FRAMES = 9  # of musubi-tuner, whose models read 4 n + 1 frames


def write_plain_folder(root: Path, out: Path, rows: Sequence[ClipRow], style: str = STYLES[0]) -> Path:
    """Write every kept clip as KEY.mp4 and its weightiest caption as KEY.txt.

    `style` is a folder with dataset.toml, as musubi-tuner reads it, or kohya's folder of a folder.

    Raises:
        InvalidInputError: no clip is kept, or the folder is the data set's own, whose table would be lost.
        OutputError: a clip cannot be cut out, or the disk does not take it.
    """
    kept = [row for row in rows if row.kept]
    if not kept:
        raise InvalidInputError("No clip is kept, so there is nothing to write; lower the thresholds.")
    if out.resolve() == root.resolve():
        raise InvalidInputError(f"{out} is the folder of the data set; give another one for the plain clips.")
    place = out / CLIPS if style == "kohya" else out
    place.mkdir(parents=True, exist_ok=True)
    written = []
    for row in kept:
        path = place / f"{row.key}.mp4"
        if not path.is_file():
            data = cut_out(root / row.file, row)
            with whole_file(path) as partial:
                partial.write_bytes(data)
        if row.captions:
            best = max(row.captions, key=lambda caption: caption.weight)
            write_text(path.with_suffix(".txt"), " ".join(best.text.split()) + "\n")
        file = path.relative_to(out).as_posix()
        written.append(replace(row, file=file, start=0.0, end=round(row.seconds, 3)))
    write_table(out, written)
    if style == "musubi":
        write_text(out / CONFIG, _config(out, kept))
    return out


def _config(out: Path, rows: Sequence[ClipRow]) -> str:
    """musubi-tuner's description of the folder: every clip from its start, as long as the shortest one."""
    width, height = min((row.width, row.height) for row in rows)
    frames = int(min(row.seconds * row.fps for row in rows))
    frames = max(FEWEST_FRAMES, (frames - 1) // 4 * 4 + 1)
    folder = out.resolve().as_posix()
    return (
        f"[general]\nresolution = [{width // 16 * 16}, {height // 16 * 16}]\n"
        'caption_extension = ".txt"\nbatch_size = 1\nenable_bucket = true\nbucket_no_upscale = true\n\n'
        f'[[datasets]]\nvideo_directory = "{folder}"\ncache_directory = "{folder}/cache"\n'
        f'target_frames = [{frames}]\nframe_extraction = "head"\n'
    )
