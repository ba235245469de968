"""The demo itself: a workflow in a real ComfyUI, an mp4 and a contact sheet out."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
from pathlib import Path
from typing import Any

import imageio_ffmpeg
from PIL import Image

from . import environment
from .comfy import DEMO, Client, Graph, Host, HostError
from .graphs import GraphError, node_of_type, node_titled, set_length, to_api, without_node

WORKFLOW = environment.REPO / "workflows" / "text_to_video.json"
CASCADE = environment.REPO / "workflows" / "whole_cascade.json"
SAMPLER = "VLDM_VideoKSampler"
SAMPLERS = (SAMPLER, "VLDM_LatentInterpolate")
OPTIONAL = ("VLDM_LoadTemporalDecoder", "VLDM_LoadVideoUpscaler")  # the film is poorer without, but a film
SHEET_COLUMNS = 4
SHEET_FRAMES = 32  # at most, evenly spread
SHEET_SIDE = 256  # pixels of a frame, at most


def main(arguments: list[str]) -> None:
    """Command line of `python demo`."""
    options = parse(arguments)
    try:
        film = shoot(options)
    except (HostError, GraphError, environment.SetupError) as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted.")
    sheet = contact_sheet(film)
    print(f"clip           {film}\ncontact sheet  {sheet}")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Options; what is not given stays as the workflow has it."""
    parser = argparse.ArgumentParser("python demo", description=__doc__)
    parser.add_argument(
        "--cascade",
        action="store_true",
        help="the whole of it: keyframes, two passes of interpolation, decoding and enlarging (113 frames "
        "of 512 x 512)",
    )
    parser.add_argument("--prompt", help="what to film; the toy model knows the words of its toy world")
    parser.add_argument("--seed", type=int, help="the same seed gives the same clip")
    parser.add_argument(
        "--frames", type=int, help="length of the clip; with --cascade the number of keyframes"
    )
    parser.add_argument("--steps", type=int, help="sampling steps")
    parser.add_argument("--out", type=Path, default=Path("out"), help="a folder, or the name of an .mp4 file")
    return parser.parse_args(arguments)


def shoot(options: argparse.Namespace) -> Path:
    """Run the workflow with the given options: path of the mp4. Raises HostError, GraphError."""
    print("Starting ComfyUI (headless, CPU)", flush=True)
    started = time.monotonic()
    with Host() as client:
        print(f"ComfyUI is up after {time.monotonic() - started:.0f} s", flush=True)
        workflow = json.loads((CASCADE if options.cascade else WORKFLOW).read_text("utf-8"))
        graph = adapt(with_bundled_models(to_api(workflow, client.object_info())), options)
        prompt, seed = node_titled(graph, "Prompt")["text"], node_of_type(graph, SAMPLER)["seed"]
        print(f"Filming {prompt!r}, seed {seed}", flush=True)
        content = client.view(run(client, graph))
    path = film_path(options.out, prompt, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path.resolve()


def with_bundled_models(graph: Graph) -> Graph:
    """The graph without the loaders whose toy model is not in demo/models, as in a copy that left it out."""
    for key, node in list(graph.items()):
        if node["class_type"] in OPTIONAL and not (DEMO / "models" / node["inputs"]["file"]).is_file():
            print(
                f"demo/models holds no {node['inputs']['file']}; going on without {node['_meta']['title']}."
            )
            graph = without_node(graph, key)
    return graph


def adapt(graph: Graph, options: argparse.Namespace) -> Graph:
    """The graph with the options put in. Raises GraphError when a node they belong to is missing."""
    if options.prompt is not None:
        node_titled(graph, "Prompt")["text"] = options.prompt
    if options.frames is not None:
        set_length(graph, options.frames)
    if options.seed is not None:
        node_of_type(graph, SAMPLER)["seed"] = options.seed
    if options.steps is not None:
        for node in graph.values():
            if node["class_type"] in SAMPLERS:
                node["inputs"]["steps"] = options.steps
    return graph


def run(client: Client, graph: Graph) -> dict[str, str]:
    """Run a graph under a progress bar: the video file it reports. Raises HostError."""
    shown = client.run(graph, ProgressBar(graph))
    for output in shown.values():
        for file in output.get("images", ()):
            if file["filename"].endswith(".mp4"):
                return file
    raise HostError("The workflow ended without a video; does it end in Save Video or Render Video?")


def film_path(out: Path, prompt: str, seed: int) -> Path:
    """Path of the clip: the named file, or a name made of prompt and seed in the named folder."""
    if out.suffix == ".mp4":
        return out
    words = re.sub(r"\W+", "_", prompt.lower()).strip("_")[:60]
    return out / f"{words or 'clip'}_{seed}.mp4"


def contact_sheet(film: Path) -> Path:
    """Frames of a clip side by side in one PNG beside it, all of them or SHEET_FRAMES evenly spread.

    Its path.
    """
    count, _ = imageio_ffmpeg.count_frames_and_secs(str(film))
    shown = min(count, SHEET_FRAMES)
    wanted = {index * (count - 1) // max(shown - 1, 1) for index in range(shown)}
    reader = imageio_ffmpeg.read_frames(str(film), pix_fmt="rgb24")
    size = next(reader)["size"]
    frames = [Image.frombytes("RGB", size, data) for index, data in enumerate(reader) if index in wanted]
    for frame in frames:
        frame.thumbnail((SHEET_SIDE, SHEET_SIDE))
    width, height = frames[0].size
    rows = math.ceil(len(frames) / SHEET_COLUMNS)
    sheet = Image.new("RGB", (width * min(len(frames), SHEET_COLUMNS), height * rows))
    for index, frame in enumerate(frames):
        sheet.paste(frame, (width * (index % SHEET_COLUMNS), height * (index // SHEET_COLUMNS)))
    path = film.with_suffix(".png")
    sheet.save(path)
    return path


class ProgressBar:
    """Listens to the server: redraws one line on a terminal, prints a line per node elsewhere."""

    WIDTH = 30

    def __init__(self, graph: Graph) -> None:
        self.titles = {key: node["_meta"]["title"] for key, node in graph.items()}
        self.live = sys.stdout.isatty()

    def __call__(self, event: str, data: dict[str, Any]) -> None:
        title = self.titles.get(str(data.get("node")))
        if event == "executing" and title and not self.live:
            print(f"  {title}", flush=True)
        if event == "progress" and title and self.live:
            self._draw(title, data["value"], data["max"])
        if event == "execution_success" and self.live:
            print("\r\033[K", end="", flush=True)

    def _draw(self, title: str, value: int, total: int) -> None:
        filled = self.WIDTH * value // max(total, 1)
        bar = "#" * filled + "." * (self.WIDTH - filled)
        print(f"\r\033[K  [{bar}] {value}/{total} {title}", end="", flush=True)
