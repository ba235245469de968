"""`python -m video_ldm.demo.hero`: the moving comparison at the top of the README.

The clips of the help pages (python -m video_ldm.demo.pictures), larger, side by side: the image model alone,
the same with temporal layers, and 8 keyframes that became 29 frames.
"""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont, ImageSequence

from . import environment
from .pictures import CAPTION, FPS, GAP, IMAGES, INK, PAPER
from .world import scene

HERO = environment.REPO / "web" / "docs" / "images" / "hero.webp"
SIDE, WORDS, PAUSE = 320, 28, 8
SHOWN = (
    ("VLDM_LoadTemporalLayers", 0, 4, "image model alone"),
    ("VLDM_LoadTemporalLayers", 1, 4, "with temporal layers"),
    ("VLDM_LatentInterpolate", 0, 1, "8 keyframes to 29 frames"),
)


def main() -> None:
    """Write the picture."""
    panels = [panel(*shown) for shown in SHOWN]
    count = max(map(len, panels)) + PAUSE
    frames = [_side_by_side([clip[min(index, len(clip) - 1)] for clip in panels]) for index in range(count)]
    options = {"append_images": frames[1:], "duration": 1000 // (2 * FPS), "loop": 0, "quality": 80}
    frames[0].save(HERO, save_all=True, **options)
    print(f"{HERO.name}: {HERO.stat().st_size // 1024} KB")


def panel(node: str, column: int, held: int, words: str) -> list[Image.Image]:
    """Frames of one clip of a help picture, enlarged below its caption; each is shown for so many frames."""
    left = column * (scene.SIDE + GAP)
    with Image.open(IMAGES / f"{node}.webp") as picture:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(picture)]
    made = []
    for frame in frames:
        clip = frame.crop((left, CAPTION, left + scene.SIDE, CAPTION + scene.SIDE))
        below = Image.new("RGB", (SIDE, SIDE + WORDS), PAPER)
        below.paste(clip.resize((SIDE, SIDE), Image.Resampling.BICUBIC), (0, WORDS))
        ImageDraw.Draw(below).text((4, 4), words, INK, ImageFont.load_default(17))
        made += [below] * held
    return made


def _side_by_side(pictures: list[Image.Image]) -> Image.Image:
    width = len(pictures) * SIDE + (len(pictures) - 1) * GAP
    frame = Image.new("RGB", (width, SIDE + WORDS), PAPER)
    for column, picture in enumerate(pictures):
        frame.paste(picture, (column * (SIDE + GAP), 0))
    return frame


if __name__ == "__main__":
    main()
