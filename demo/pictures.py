"""`python -m video_ldm.demo.pictures [NODE ...]`.

The clips of the help pages, sampled by the real nodes with the toy models.

Every picture is one of the graphs in `workflows/`, run with some inputs changed; its panels stand side by
side. Frames are PIL pictures, 128 x 128 where nothing enlarges them. Run it again when the toy models change.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..temporal.video.retiming import BLEND, METHODS, NEAREST, mixes
from . import environment
from .comfy import Client, Graph, Host
from .graphs import to_api
from .world import scene
from .world.render import render

IMAGES = environment.REPO / "web" / "docs" / "images"
WORKFLOWS = environment.REPO / "workflows"
CAPTION, GAP, FPS = 18, 8, 8
PAPER, INK, GIVEN = "#202020", "#d0d0d0", "#50d050"
DECODER = "toy_decoder.safetensors"
SHOWN = scene.Scene(texture="stripes", motion="left", x=100.0, speed=60.0)
STAR = scene.Scene("star", "yellow", texture="checker")
STAR_CLIP = replace(STAR, motion="right", x=30.0, speed=60.0)

Changes = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Panel:
    """One clip and its caption: a drawn scene, or a graph with inputs changed by node type.

    `given` frames get a border.
    """

    caption: str
    source: str | scene.Scene
    changes: Changes = field(default_factory=dict)
    given: tuple[int, ...] = ()
    take: int = 0  # which of several clips
    shrink: int = 1  # drawn this much smaller, shown in full size
    enlarge: int = 1  # a drawing this much larger, bicubic
    part: tuple[int, int, int, int] | None = None  # of the frame that is shown: left, top, right, bottom
    decoder: bool = False  # through the toy temporal decoder, where it is bundled
    method: str = ""  # a drawing of 24 fps, at 8 by this method of Frame Rate and back


SAME: Changes = {"VLDM_VideoKSampler": {"denoise": 0.0}}  # the given clip, through the autoencoder alone
OFF: Changes = {"VLDM_LoadTemporalLayers": {"strength": 0.0}}
CFG = "VLDM_VideoGuider"
UPSCALED = [Panel("drawn: 32 x 32", STAR_CLIP, shrink=4), Panel("drawn: 128 x 128", STAR_CLIP)]
NEAR = (200, 160, 392, 352)
ENLARGED = [
    Panel("bicubic", SHOWN, enlarge=4, part=NEAR),
    Panel(
        "Video Upscale",
        "upscale_clip",
        {"ImageScale": {"width": scene.SIDE, "height": scene.SIDE}},
        part=NEAR,
    ),
]
PICTURES: dict[str, list[Panel]] = {
    "VLDM_LoadTemporalLayers": [
        Panel("image model alone", "text_to_video", OFF),
        Panel("with temporal layers", "text_to_video"),
    ],
    "VLDM_LoadVideoModel": [Panel("drawn", SHOWN)],
    "VLDM_FrameRate": [
        Panel("drawn: 24 fps", SHOWN, method="none"),
        Panel("8 fps: drop", SHOWN, method=NEAREST),
        Panel("8 fps: blend", SHOWN, method=BLEND),
    ],
    "VLDM_LoadMotionLoRA": [
        Panel("drawn: no motion", STAR),
        Panel("drawn: zoom in", replace(STAR, camera="zoom in", speed=scene.ZOOM_RANGE / 4)),
    ],
    "VLDM_LoadTemporalDecoder": [
        Panel("drawn", SHOWN),
        Panel("image decoder", "video_to_video", SAME),
        Panel("temporal decoder", "video_to_video", SAME, decoder=True),
    ],
    "VLDM_LoadVideoUpscaler": ENLARGED,
    "VLDM_VideoUpscale": ENLARGED,
    "VLDM_VideoUpscaleDiffusion": UPSCALED,
    "VLDM_RenderVideo": [Panel("8 frames, mp4", "text_to_video")],
    "VLDM_LazyVideo": [Panel("8 frames, mp4", "text_to_video")],
    "VLDM_VideoKSampler": [
        Panel("independent noise", "text_to_video"),
        Panel("mixed noise", "text_to_video", {"VLDM_VideoKSampler": {"noise_type": "mixed"}}),
    ],
    "VLDM_VideoGuider": [
        Panel("cfg 2", "custom_sampling", {CFG: {"cfg": 2.0}}),
        Panel("cfg 7.5", "custom_sampling"),
    ],
    "VLDM_PromptSchedule": [Panel("red at 0, blue at 7", "prompt_travel")],
    "VLDM_MotionPrompt": [
        Panel("circle moving left", "personalised_model"),
        Panel(
            "circle moving right",
            "personalised_model",
            {"VLDM_MotionPrompt": {"text": "a large red circle moving right on a grey striped background"}},
        ),
    ],
    "VLDM_KnownFrames": [
        Panel("first frame given", "image_to_video", given=(0,)),
        Panel("first and last given", "seamless_loop", given=(0, 7)),
    ],
    "VLDM_ImageMotion": [
        Panel("drawn: image, small", replace(STAR, motion="left", speed=8.0), given=(0,)),
        Panel("drawn: image, large", replace(STAR, motion="left", speed=50.0), given=(0,)),
    ],
    "VLDM_ImagePrompt": [
        Panel("drawn: picture", STAR, given=(0, 1, 2, 3, 4, 5, 6, 7)),
        Panel("drawn: clip", replace(STAR, x=50.0, motion="right", speed=50.0)),
    ],
    "VLDM_LoadSparseControl": [
        Panel("drawn: two pictures", SHOWN, given=(0, 7)),
    ],
    "VLDM_VideoWindows": [Panel("24 frames, windows of 8", "longer_than_trained")],
    "VLDM_LatentInterpolate": [
        Panel(
            "29 frames, 8 given",
            "keyframes_to_113_frames",
            {"VLDM_LatentInterpolate": {"passes": 1}},
            given=tuple(range(0, 29, 4)),
        )
    ],
    "VLDM_ExtendVideo": [
        Panel("future 1", "several_futures", given=tuple(range(8))),
        Panel("future 2", "several_futures", given=tuple(range(8)), take=1),
        Panel("future 3", "several_futures", given=tuple(range(8)), take=2),
    ],
    "VLDM_TemporalVAEDecode": [
        Panel("chunks of 16 frames", "text_to_video"),
        Panel(
            "chunks of 2 frames",
            "text_to_video",
            {"VLDM_TemporalVAEDecode": {"chunk_length": 2, "overlap": 0}},
        ),
    ],
}


def main(arguments: list[str] | None = None) -> None:
    """Make the pictures of the nodes named on the command line, or all."""
    parser = argparse.ArgumentParser("python -m video_ldm.demo.pictures", description=__doc__)
    parser.add_argument("nodes", nargs="*", metavar="NODE", help=f"one of {', '.join(PICTURES)}")
    names = parser.parse_args(arguments).nodes or list(PICTURES)
    if unknown := set(names) - set(PICTURES):
        parser.error(f"there is no picture of {', '.join(sorted(unknown))}")
    IMAGES.mkdir(parents=True, exist_ok=True)
    draw_icon(environment.REPO / "web" / "icon.png")
    with (host := Host()) as client:
        put_sources(host.base / "input")
        for name in names:
            panels = [panel for panel in PICTURES[name] if not panel.decoder or has_decoder()]
            path = IMAGES / f"{name}.webp"
            save([frames_of(client, panel) for panel in panels], path)
            print(f"{path.name}: {path.stat().st_size // 1024} KB", flush=True)


def has_decoder() -> bool:
    """True if the toy temporal decoder is bundled."""
    return (environment.REPO / "demo" / "models" / DECODER).is_file()


def put_sources(folder: Path) -> None:
    """A drawn picture and a drawn clip, under the names in the graphs."""
    folder.mkdir(exist_ok=True)
    frames = render(SHOWN)
    Image.fromarray(frames[0]).save(folder / "example.png")
    writer = imageio_ffmpeg.write_frames(str(folder / "clip.mp4"), frames.shape[2:0:-1], fps=FPS, quality=9)
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame))
    writer.close()


def frames_of(client: Client, panel: Panel) -> list[Image.Image]:
    """The panel's clip with its caption above and a border around given frames."""
    frames = draw(panel) if isinstance(panel.source, scene.Scene) else shoot(client, panel)
    if panel.part:
        frames = [frame.crop(panel.part) for frame in frames]
    return [captioned(frame, panel.caption, index in panel.given) for index, frame in enumerate(frames)]


def draw(panel: Panel) -> list[Image.Image]:
    """The panel's drawn scene."""
    frames = _at_rate(panel.source, panel.method) if panel.method else render(panel.source)
    small = [Image.fromarray(frame).resize((scene.SIDE // panel.shrink,) * 2) for frame in frames]
    way = Image.Resampling.BICUBIC if panel.enlarge > 1 else Image.Resampling.NEAREST
    return [frame.resize((scene.SIDE * panel.enlarge,) * 2, way) for frame in small]


def _at_rate(shown: scene.Scene, method: str) -> np.ndarray:
    """A second of a scene at 24 fps, of which 8 frames are left by a method."""
    frames = render(shown, 24, 24.0)
    if method in METHODS:
        plan = mixes(24, 24.0, 8.0, method)
        fewer = np.stack([sum(share * frames[number] for number, share in mix) for mix in plan])
        frames = fewer[[mix[0][0] for mix in mixes(8, 8.0, 24.0, NEAREST)]].round().astype(np.uint8)
    return frames


def shoot(client: Client, panel: Panel) -> list[Image.Image]:
    """Run the panel's graph: the frames of the clip it saves."""
    workflow = json.loads((WORKFLOWS / f"{panel.source}.json").read_text("utf-8"))
    graph = to_api(workflow, client.object_info())
    for node in graph.values():
        node["inputs"].update(panel.changes.get(node["class_type"], {}))
    if panel.decoder:
        _add_decoder(graph)
    files = [file for shown in client.run(graph).values() for file in shown.get("images", ())]
    clips = [file for file in files if file["filename"].endswith(".mp4")]
    with tempfile.NamedTemporaryFile(suffix=".mp4") as film:
        film.write(client.view(clips[panel.take]))
        film.flush()
        reader = imageio_ffmpeg.read_frames(film.name, pix_fmt="rgb24")
        size = next(reader)["size"]
        return [Image.frombytes("RGB", size, frame) for frame in reader]


def _add_decoder(graph: Graph) -> None:
    """Put Load Temporal Decoder before the decoding node."""
    decode = next(node for node in graph.values() if node["class_type"] == "VLDM_TemporalVAEDecode")
    inputs = {"vae": decode["inputs"]["vae"], "file": DECODER}
    graph["decoder"] = {"class_type": "VLDM_LoadTemporalDecoder", "inputs": inputs}
    decode["inputs"]["vae"] = ["decoder", 0]


def draw_icon(path: Path, size: int = 400) -> None:
    """The pack's icon: a star that zooms towards the viewer, four moments in one picture."""
    frames = render(replace(STAR, camera="zoom in", speed=0.5), num_frames=4, fps=2)
    half = scene.SIDE // 2
    icon = Image.new("RGB", (scene.SIDE, scene.SIDE))
    for index, frame in enumerate(frames):
        part = Image.fromarray(frame).resize((half, half), Image.Resampling.LANCZOS)
        icon.paste(part, (index % 2 * half, index // 2 * half))
    icon.resize((size, size), Image.Resampling.LANCZOS).quantize(64).save(path, optimize=True)


def captioned(frame: Image.Image, caption: str, given: bool) -> Image.Image:
    """A frame below its caption, with a border where the frame was given."""
    picture = Image.new("RGB", (frame.width, frame.height + CAPTION), PAPER)
    picture.paste(frame, (0, CAPTION))
    draw = ImageDraw.Draw(picture)
    draw.text((1, 2), caption, INK, ImageFont.load_default(11))
    if given:
        draw.rectangle((0, CAPTION, frame.width - 1, picture.height - 1), outline=GIVEN, width=3)
    return picture


def save(panels: list[list[Image.Image]], path: Path) -> None:
    """Write clips side by side as an animated WebP; a shorter one holds its last frame."""
    width, height = panels[0][0].size
    frames = []
    for index in range(max(map(len, panels))):
        frame = Image.new("RGB", (width * len(panels) + GAP * (len(panels) - 1), height), PAPER)
        for column, panel in enumerate(panels):
            frame.paste(panel[min(index, len(panel) - 1)], (column * (width + GAP), 0))
        frames.append(frame)
    durations = [1000 // FPS] * (len(frames) - 1) + [1000]
    frames[0].save(path, append_images=frames[1:], save_all=True, duration=durations, loop=0, quality=70)


if __name__ == "__main__":
    main()
