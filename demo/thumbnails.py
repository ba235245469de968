"""`python -m video_ldm.demo.thumbnails [GRAPH ...]`.

A moving picture for each graph in `workflows/`, which ComfyUI's template browser shows.

Graphs of the toy world show the clips that they made for the help pages (python -m video_ldm.demo.pictures);
those of published weights, which are not here, show a drawn clip of what they are for, and say so. The host
looks for files that end with .jpg: they hold an animated WebP, and move.
"""

from __future__ import annotations

import argparse
import io
from dataclasses import dataclass, replace

from PIL import Image, ImageSequence

from . import environment
from .pictures import FPS, GAP, IMAGES, PAPER, SHOWN, STAR, STAR_CLIP, Panel, captioned, draw
from .world import scene
from .world.solids import Solid, orbit, render_views

WORKFLOWS = environment.REPO / "workflows"
SIDE = 256  # pixels of the shorter side, at least
MAX_BYTES, MAX_FRAMES = 150_000, 32
ALL = tuple(range(8))
SQUARE = scene.Scene("square", "green", texture="plain", motion="right", x=30.0, speed=60.0)
MOVED = replace(STAR, motion="left", x=100.0, speed=60.0)
ANEW = replace(MOVED, color="blue", texture="stripes")
ROAD = scene.Scene(cars=(scene.Car("red", "right", 10.0, 60.0), scene.Car("blue", "left", 110.0, 45.0)))


@dataclass(frozen=True)
class HelpPicture:
    """The picture of a node's help page: all of it, or one of its panels."""

    node: str
    panel: int | None = None


@dataclass(frozen=True)
class Turning:
    """A drawn solid, around which the camera goes once."""

    caption: str
    solid: Solid
    views: int = 21
    elevation: float = 20.0


def _drawn(caption: str, shown: scene.Scene, **options: object) -> Panel:
    return Panel(f"drawn: {caption}", shown, **options)


CARDS: dict[str, HelpPicture | Turning | list[Panel]] = {
    "text_to_video": HelpPicture("VLDM_LoadTemporalLayers"),
    "image_to_video": HelpPicture("VLDM_KnownFrames", 0),
    "seamless_loop": HelpPicture("VLDM_KnownFrames", 1),
    "storyboard": [_drawn("four given", SHOWN, given=(0, 2, 5, 7))],
    "prompt_travel": HelpPicture("VLDM_PromptSchedule"),
    "keyframes_to_113_frames": HelpPicture("VLDM_LatentInterpolate"),
    "whole_cascade": [_drawn("all steps in a row", SHOWN, enlarge=2)],
    "long_video": [_drawn("goes on and on", replace(STAR, camera="pan right", speed=40.0), given=(0, 1))],
    "several_futures": HelpPicture("VLDM_ExtendVideo"),
    "longer_than_trained": HelpPicture("VLDM_VideoWindows"),
    "custom_sampling": HelpPicture("VLDM_VideoGuider"),
    "orbit": Turning("drawn: once around", Solid("cube", tuple(scene.COLORS), 20.0)),
    "personalised_model": HelpPicture("VLDM_MotionPrompt"),
    "textual_inversion": [_drawn("a learned word", MOVED)],
    "video_to_video": [_drawn("a film", MOVED), _drawn("made anew", ANEW)],
    "upscale_clip": HelpPicture("VLDM_VideoUpscale"),
    "upscale_a_video": [
        _drawn("small", STAR_CLIP, shrink=4),
        _drawn("4 times larger", STAR_CLIP),
    ],
    "upscale_lavie": [_drawn("small", MOVED, shrink=4), _drawn("4 times larger", MOVED)],
    "animate_image_animatelcm": [_drawn("a picture moves", STAR_CLIP, given=(0,))],
    "animate_image_pia": [_drawn("a picture moves", MOVED, given=(0,))],
    "animatediff_lightning": [_drawn("4 steps", STAR_CLIP)],
    "animatediff_sdxl": [_drawn("SDXL", SHOWN)],
    "animatediff_svd_decoder": [_drawn("no flicker", STAR_CLIP)],
    "animatediff_v2": [_drawn("zoom in", replace(STAR, camera="zoom in", speed=scene.ZOOM_RANGE / 4))],
    "animatediff_v3": [_drawn("text to video", SHOWN)],
    "animatelcm": [_drawn("8 steps", MOVED)],
    "driving_scene": [_drawn("a road", ROAD)],
    "hotshot_xl": [_drawn("SDXL gif", SQUARE)],
    "lavie": [_drawn("text to video", STAR_CLIP)],
    "lavie_interpolation": [_drawn("4 times as many", SHOWN, given=(0, 4))],
    "motion_director": [_drawn("learned motion", MOVED)],
    "motion_lora": [_drawn("zoom in", replace(STAR, camera="zoom in", speed=scene.ZOOM_RANGE / 4))],
    "seine": [_drawn("from one to next", SHOWN, given=(0, 7))],
    "sparse_control": [_drawn("two given", SHOWN, given=(0, 7))],
    "stable_video_diffusion": [_drawn("image to video", STAR_CLIP, given=(0,))],
    "train_motion_lora": [
        _drawn("clips of a zoom", replace(STAR, camera="zoom in", speed=scene.ZOOM_RANGE / 4))
    ],
    "train_temporal_decoder": [_drawn("no flicker", MOVED)],
    "train_temporal_layers": [_drawn("clips", SQUARE), _drawn("more clips", MOVED)],
    "videocrafter": [_drawn("text to video", SQUARE)],
    "videocrafter_image": [_drawn("picture prompt", SQUARE, given=(0,))],
    "zeroscope": [_drawn("text to video", MOVED)],
}


def main(arguments: list[str] | None = None) -> None:
    """Make the thumbnails of the graphs named on the command line, or all."""
    parser = argparse.ArgumentParser("python -m video_ldm.demo.thumbnails", description=__doc__)
    parser.add_argument("graphs", nargs="*", metavar="GRAPH", help="names in workflows/, without .json")
    names = parser.parse_args(arguments).graphs or list(CARDS)
    if unknown := set(names) - set(CARDS):
        parser.error(f"there is no graph {', '.join(sorted(unknown))}")
    for name in names:
        size = (WORKFLOWS / f"{name}.jpg").write_bytes(encoded(frames_of(CARDS[name])))
        print(f"{name}: {size // 1024} KB", flush=True)


def frames_of(card: HelpPicture | Turning | list[Panel]) -> list[Image.Image]:
    """Frames of a thumbnail."""
    if isinstance(card, HelpPicture):
        return beside_one_another([part_of(card)])
    if isinstance(card, Turning):
        views = render_views(card.solid, orbit(card.views, card.elevation)[:-1], scene.SIDE)
        return beside_one_another([[captioned(Image.fromarray(view), card.caption, False) for view in views]])
    panels = []
    for panel in card:
        frames = enumerate(draw(panel))
        panels.append([captioned(frame, panel.caption, index in panel.given) for index, frame in frames])
    return beside_one_another(panels)


def part_of(card: HelpPicture) -> list[Image.Image]:
    """Frames of a help picture, or of one of its panels, which are as wide as a scene."""
    with Image.open(IMAGES / f"{card.node}.webp") as picture:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(picture)]
    if card.panel is None:
        return frames
    left = card.panel * (scene.SIDE + GAP)
    return [frame.crop((left, 0, left + scene.SIDE, frame.height)) for frame in frames]


def beside_one_another(panels: list[list[Image.Image]]) -> list[Image.Image]:
    """Clips side by side, at least SIDE pixels high, at most MAX_FRAMES long.

    A shorter one holds its last frame.
    """
    width, height = panels[0][0].size
    size = (width * len(panels) + GAP * (len(panels) - 1), height)
    larger = -(-SIDE // min(size))
    frames = []
    for index in range(min(MAX_FRAMES, max(map(len, panels)))):
        frame = Image.new("RGB", size, PAPER)
        for column, panel in enumerate(panels):
            frame.paste(panel[min(index, len(panel) - 1)], (column * (width + GAP), 0))
        frames.append(frame.resize((size[0] * larger, size[1] * larger), Image.Resampling.NEAREST))
    return frames


def encoded(frames: list[Image.Image]) -> bytes:
    """An animated WebP of a quality at which it stays small; it holds its last frame for a second."""
    durations = [1000 // FPS] * (len(frames) - 1) + [1000]
    for quality in (80, 60, 40, 20):
        file = io.BytesIO()
        options = {"append_images": frames[1:], "duration": durations, "loop": 0, "quality": quality}
        frames[0].save(file, "WEBP", save_all=True, **options)
        if file.tell() <= MAX_BYTES:
            break
    return file.getvalue()


if __name__ == "__main__":
    main()
