"""Buckets and pictures by command: films of two shapes and lengths, pictures, and what is left out."""

from __future__ import annotations

import csv
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image
from video_ldm.temporal.errors import CheckpointFormatError, InvalidInputError
from video_ldm.temporal.formats import load_stack
from video_ldm.tests.host.training.test_command import encoded, run

OPTIONS = ("--buckets", "--images", "0.4", "--frames", "4,2", "--steps", "3")


def write_film(path: Path, size: tuple[int, int], frames: int) -> None:
    """A film of some size with a caption."""
    writer = imageio_ffmpeg.write_frames(str(path), size, fps=8, macro_block_size=1, quality=8)
    writer.send(None)
    for index in range(frames):
        writer.send(np.full((size[1], size[0], 3), 40 + 15 * index, np.uint8).tobytes())
    writer.close()
    path.with_suffix(".txt").write_text(f"a square {path.stem}")


@pytest.fixture
def films(tmp_path):
    """A square film and a wide one, a short one, one that is too short, one too wide, one that is none."""
    folder = tmp_path / "clips"
    folder.mkdir()
    shapes = {"square": ((96, 96), 5), "wide": ((128, 64), 6), "brief": ((96, 96), 3), "one": ((96, 96), 1)}
    for name, (size, frames) in {**shapes, "strip": ((256, 32), 5)}.items():
        write_film(folder / f"{name}.mp4", size, frames)
    (folder / "broken.mp4").write_bytes(b"no film")
    (folder / "broken.txt").write_text("nothing")
    Image.new("RGB", (80, 80), "teal").save(folder / "picture.png")
    (folder / "picture.txt").write_text("a teal square")
    Image.new("RGB", (80, 80), "teal").save(folder / "bare.jpg")
    return folder


def table(films: Path) -> dict[str, dict[str, str]]:
    text = (films / "video_ldm_cache" / "clips.csv").read_text("utf-8")
    return {row["file"]: row for row in csv.DictReader(text.splitlines())}


def test_every_clip_goes_to_its_bucket_or_is_listed(host, films, tmp_path, caplog):
    with caplog.at_level("INFO", "video_ldm"):
        run(films, tmp_path / "made.safetensors", *OPTIONS, "--validate-every", "3")
    rows = table(films)
    wide = rows["wide.mp4"]["bucket"]
    assert wide.endswith(", 4 frames") and wide.split(",")[0] not in ("", "64x64")
    assert rows["square.mp4"]["bucket"] == "64x64, 4 frames"
    assert rows["brief.mp4"]["bucket"] == "64x64, 2 frames"
    assert rows["picture.png"]["bucket"] == "64x64, pictures"
    why = {name: row["why not"] for name, row in rows.items() if row["trained on"] == "no"}
    assert why.keys() == {"one.mp4", "strip.mp4", "broken.mp4", "bare.jpg"}
    assert "has 1 frames" in why["one.mp4"] and "would show" in why["strip.mp4"]
    assert "cannot be read" in why["broken.mp4"] and why["bare.jpg"] == "has no caption"
    assert "bucket 64x64, 2 frames: 1 clips, fewer than the 2 of a batch" in caplog.text
    assert "3 of 6 clips are trained on" in caplog.text and "1 of 2 pictures are" in caplog.text
    assert load_stack(tmp_path / "made.safetensors").config.max_frames == 4
    made = encoded(films)
    (films / "square.txt").write_text("something else")
    run(films, tmp_path / "again.safetensors", *OPTIONS)
    assert encoded(films) == made


def test_what_does_not_go_with_buckets_and_pictures_is_told_in_one_sentence(host, films, tmp_path):
    out = tmp_path / "made.safetensors"
    with pytest.raises(InvalidInputError, match=r"The size is 72x64, but .* multiples of"):
        run(films, out, "--buckets", "--size", "72x64")
    with pytest.raises(InvalidInputError, match=r"images is 1; give a share"):
        run(films, out, "--images", "1")
    with pytest.raises(InvalidInputError, match="clips of 1 frame are asked for"):
        run(films, out, "--images", "0.5", "--frames", "4,1")
    with pytest.raises(InvalidInputError, match="a picture has none to give"):
        run(films, out, "--images", "0.5", "--patterns", "first=1")
    (films / "picture.txt").unlink()
    with pytest.raises(
        InvalidInputError, match=r"None of 2 pictures can be .*has no caption.*set images to 0"
    ):
        run(films, out, "--images", "0.5")
    for path in [*films.glob("*.mp4"), *films.rglob("*.npy")]:
        path.unlink()
    with pytest.raises(InvalidInputError, match="holds pictures and no videos"):
        run(films, out, "--images", "0.5")
    for path in films.glob("*.[pj]*g"):
        path.unlink()
    with pytest.raises(InvalidInputError, match="holds no pictures"):
        run(films, out, "--images", "0.5")
    assert not list(films.rglob("*.npy"))  # before anything is encoded
    (films / "index.json").write_text("{}")
    with pytest.raises(InvalidInputError, match="is a prepared cache, whose clips have one size"):
        run(films, out, "--buckets")
    with pytest.raises(CheckpointFormatError, match="no complete clip cache"):
        run(films, out)
