"""`python -m video_ldm.benchmarks.artist.tasks`: what eleven tasks of artists take from an empty page.

Every task is wired from an empty graph of the API, with the fewest nodes that do it, and handed to the
server, which checks types, choices and ranges of all of it and refuses what does not fit; it is not run. A
node is one search, a wire one drag, and a value whatever is chosen or typed: a file, a prompt, a number that
is not the default. Their sum is what the hand does. What others take is from their nodes, counted by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...demo import pictures
from ...demo.comfy import Client, Graph, Host

RESULTS = Path(__file__).parents[1] / "results" / "tasks.json"
# names to choose; nothing opens them
STAND_INS = ("controlnet/control.safetensors", "loras/look.safetensors")
LAYERS, DECODER, UPSCALER = "toy_temporal.safetensors", "toy_decoder.safetensors", "toy_upscaler.safetensors"
Link = list[Any]


@dataclass
class Page:
    """A graph that grows by nodes."""

    graph: Graph = field(default_factory=dict)

    def add(self, kind: str, **inputs: Any) -> Callable[[int], Link]:
        """A node with links and the values that are set by hand; what it gives is a link to an output."""
        key = str(len(self.graph) + 1)
        self.graph[key] = {"class_type": kind, "inputs": inputs}
        return lambda output=0: [key, output]

    def model(self) -> tuple[Link, Link, Link]:
        """An image model with temporal layers: MODEL, CLIP and VAE."""
        checkpoint = self.add("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors")
        layers = self.add("VLDM_LoadTemporalLayers", model=checkpoint(0), file=LAYERS)
        return layers(0), checkpoint(1), checkpoint(2)

    def prompts(self, clip: Link) -> dict[str, Link]:
        """Both texts from one node: nothing stands behind --neg, so that the negative one is empty."""
        texts = self.add("VLDM_PromptSchedule", clip=clip, prompts="0: a red circle moving left")
        return {"positive": texts(0), "negative": texts(1)}

    def film(self, samples: Link, vae: Link, **more: Any) -> None:
        """The end: a file."""
        self.add("VLDM_RenderVideo", samples=samples, vae=vae, **more)


def _text_to_video(page: Page, **sampler: Any) -> None:
    model, clip, vae = page.model()
    empty = page.add("VLDM_EmptyClip", seconds=1.0)
    made = page.add("VLDM_VideoKSampler", model=model, latent_image=empty(0), **page.prompts(clip), **sampler)
    page.film(made(0), vae)


def photo(page: Page) -> None:
    """A photo, an image model with layers, three seconds."""
    model, clip, vae = page.model()
    empty = page.add("VLDM_EmptyClip", seconds=3.0)
    image = page.add("LoadImage", image="example.png")
    known = page.add("VLDM_KnownFrames", latent=empty(0), vae=vae, images=image(0))
    made = page.add("VLDM_VideoKSampler", model=model, latent_image=known(0), **page.prompts(clip))
    page.film(made(0), vae)


def photo_svd(page: Page) -> None:
    """A photo and Stable Video Diffusion."""
    loaded = page.add("ImageOnlyCheckpointLoader", ckpt_name="toy_sd.safetensors")
    image = page.add("LoadImage", image="example.png")
    parts = {"clip_vision": loaded(1), "init_image": image(0), "vae": loaded(2)}
    given = page.add("SVD_img2vid_Conditioning", **parts, video_frames=25)
    texts = {"positive": given(0), "negative": given(1)}
    made = page.add(
        "VLDM_VideoKSampler", model=loaded(0), **texts, latent_image=given(2), cfg=1.0, cfg_last_frame=2.5
    )
    page.film(made(0), loaded(2))


def tween(page: Page) -> None:
    """Two pictures, the frames between them, a gif."""
    model, clip, vae = page.model()
    ends = {
        "images": page.add("LoadImage", image="example.png")(0),
        "images_2": page.add("LoadImage", image="example.png")(0),
    }
    between = page.add("VLDM_LatentInterpolate", **ends, vae=vae, model=model, passes=2, **page.prompts(clip))
    page.film(between(0), vae, format="gif")


def minute(page: Page) -> None:
    """Sixty seconds with three prompts."""
    model, clip, vae = page.model()
    empty, texts = page.add("VLDM_EmptyClip", seconds=1.0), page.prompts(clip)
    first = page.add("VLDM_VideoKSampler", model=model, latent_image=empty(0), **texts)
    prompts = "0s: a red circle\n20s: a blue circle\n40s: a green circle"
    film = page.add(
        "VLDM_ExtendVideo", model=model, samples=first(0), **texts, clip=clip, seconds=60.0, prompts=prompts
    )
    page.film(film(0), vae)


def controlled(page: Page) -> None:
    """AnimateDiff, a ControlNet that follows a film, a LoRA."""
    checkpoint = page.add("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors")
    look = page.add("LoraLoader", model=checkpoint(0), clip=checkpoint(1), lora_name="look.safetensors")
    layers = page.add("VLDM_LoadTemporalLayers", model=look(0), file=LAYERS)
    film = page.add("VLDM_LoadVideoFrames", file="clip.mp4", vae=checkpoint(2))
    lines = page.add("Canny", image=film(0), low_threshold=0.4, high_threshold=0.8)
    control = page.add("ControlNetLoader", control_net_name="control.safetensors")
    texts = page.add(
        "ControlNetApplyAdvanced", **page.prompts(look(1)), control_net=control(0), image=lines(0)
    )
    sides = {"positive": texts(0), "negative": texts(1)}
    made = page.add("VLDM_VideoKSampler", model=layers(0), **sides, latent_image=film(1))
    page.film(made(0), checkpoint(2))


def loop(page: Page) -> None:
    """A clip without a seam."""
    model, clip, vae = page.model()
    empty = page.add("VLDM_EmptyClip")
    windows = page.add("VLDM_VideoWindows", model=model, closed_loop=True)
    made = page.add("VLDM_VideoKSampler", model=windows(0), latent_image=empty(0), **page.prompts(clip))
    page.film(made(0), vae)


def upscale(page: Page) -> None:
    """An mp4 four times as large, with its sound."""
    upscaler = page.add("VLDM_LoadVideoUpscaler", file=UPSCALER)
    film = page.add("VLDM_LoadVideoFrames", file="clip.mp4", frames=0)
    page.add("VLDM_RenderVideo", images=film(0), audio=film(2), fps=film(3), upscaler=upscaler(0))


def decoder(page: Page) -> None:
    """A clip from text through a temporal decoder."""
    model, clip, vae = page.model()
    empty = page.add("VLDM_EmptyClip", seconds=1.0)
    made = page.add("VLDM_VideoKSampler", model=model, latent_image=empty(0), **page.prompts(clip))
    page.film(made(0), page.add("VLDM_LoadTemporalDecoder", vae=vae, file=DECODER)(0))


def video_to_video(page: Page) -> None:
    """A film made anew, at its speed."""
    model, clip, vae = page.model()
    film = page.add("VLDM_LoadVideoFrames", file="clip.mp4", vae=vae)
    made = page.add(
        "VLDM_VideoKSampler", model=model, latent_image=film(1), denoise=0.6, **page.prompts(clip)
    )
    page.film(made(0), vae)


def frame_rate(page: Page) -> None:
    """A film at another frame rate, as long as before."""
    film = page.add("VLDM_LoadVideoFrames", file="clip.mp4", frames=0, fps=24.0)
    page.add("VLDM_RenderVideo", images=film(0), audio=film(2), fps=film(3))


def draft(page: Page) -> None:
    """A quick look first: one switch."""
    _text_to_video(page, draft=True)


def takes(page: Page) -> None:
    """Four seeds."""
    _text_to_video(page, seeds="1, 2, 3, 4")


# What it is, how it is wired, nodes before, the fewest elsewhere.
TASKS: dict[str, tuple[Callable[[Page], None], str, str]] = {
    "photo to a clip of 3 s": (photo, "11", "8 (core, SVD)"),
    "the same with SVD": (photo_svd, "not counted", "8 (core)"),
    "two pictures, tween, gif": (tween, "10", "5 (RIFE, pixels only)"),
    "60 s, three prompts": (minute, "8", "12"),
    "AnimateDiff, ControlNet, LoRA": (controlled, "14", "12"),
    "loop": (loop, "8", "9"),
    "upscale an mp4 with sound": (upscale, "4", "4 (frame by frame)"),
    "temporal decoder": (decoder, "8", "none"),
    "video to video": (video_to_video, "9", "9"),
    "change the frame rate": (frame_rate, "impossible", "2"),
    "preview, then final": (draft, "by muting", "by muting"),
    "four seeds": (takes, "8", "Run four times"),
}


def main() -> None:
    """Wire all tasks, have them checked, and write and print the table."""
    rows = {}
    with (host := Host()) as client:
        pictures.put_sources(host.base / "input")
        for name in STAND_INS:
            (host.base / "models" / name).parent.mkdir(exist_ok=True)
            (host.base / "models" / name).touch()
        known = client.object_info()
        for task, (wire, before, others) in TASKS.items():
            page = Page()
            wire(page)
            check(client, page.graph, known)
            rows[task] = {**counted(page.graph), "before": before, "others": others}
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    print("| task | nodes | wires | values | all by hand | nodes before | elsewhere |\n" + "|---" * 7 + "|")
    for task, row in rows.items():
        print(f"| {task} | " + " | ".join(map(str, row.values())) + " |")


def check(client: Client, graph: Graph, known: dict[str, Any]) -> None:
    """Have the server check a graph whole, with defaults where nothing was set; raises HostError."""
    whole = {
        key: {**node, "inputs": {**defaults(known, node), **node["inputs"]}} for key, node in graph.items()
    }
    client.queue(whole)
    client.interrupt()
    client.post("/queue", {"clear": True})


def defaults(known: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Values of a node's required widgets that nobody touched."""
    found = {}
    for name, (kind, *options) in known[node["class_type"]]["input"].get("required", {}).items():
        choices = kind if isinstance(kind, list) else (options or [{}])[0].get("options", [])
        default = (options or [{}])[0].get("default", choices[0] if choices else None)
        found |= {} if default is None else {name: default}
    return found


def counted(graph: Graph) -> dict[str, int]:
    """Nodes, wires and values of a graph, and all of them: searches, drags, and what is chosen or typed."""
    given = [value for node in graph.values() for value in node["inputs"].values()]
    wires = sum(isinstance(value, list) for value in given)
    found = {"nodes": len(graph), "wires": wires, "values": len(given) - wires}
    return {**found, "by_hand": sum(found.values())}


if __name__ == "__main__":
    main()
