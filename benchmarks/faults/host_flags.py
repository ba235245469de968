"""`COMFYUI_PATH=... python -m video_ldm.benchmarks.faults.host_flags [--out FILE]`.

What the flags of a ComfyUI change in a clip.

The graph text_to_video with the toy models, 4 frames of 64 x 64, 5 steps, seed 7, once in a ComfyUI process
for each flag; differences are those of the frames (f h w 3), of 255, to the run without a flag. Two hosts are
compared by the frames that `--out` keeps and `--reference` reads. "offload" is no flag of ComfyUI: it forces
what --novram does, which cannot be had on a CPU.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from video_ldm.demo import environment
from video_ldm.demo.comfy import Graph, Host
from video_ldm.demo.graphs import node_of_type, set_length, to_api

WORKFLOW = environment.REPO / "workflows" / "text_to_video.json"
OFFLOAD = "offload"
OFFLOAD_PACK = {"benchmark-offload": Path(__file__).resolve().parent / "offload_pack"}
FLAGS = ",--fast,--force-fp16,offload,--bf16-unet,--cache-none,--disable-smart-memory"


def main() -> None:
    """Print a row for each flag."""
    parser = argparse.ArgumentParser("python -m video_ldm.benchmarks.faults.host_flags", description=__doc__)
    parser.add_argument(
        "--flags", default=FLAGS, help="separated by commas, the first one the default (--flags=,--fast)"
    )
    parser.add_argument("--out", type=Path, help="keep the frames without a flag in this .npy file")
    parser.add_argument(
        "--reference", type=Path, help="compare with the frames in this file, of another host"
    )
    options = parser.parse_args()
    default = None if options.reference is None else np.load(options.reference)
    for flag in options.flags.split(","):
        shown = frames(flag)
        if not flag and options.out is not None:
            np.save(options.out, shown)
        default = shown if default is None else default
        off = np.abs(shown - default)
        print(f"| {flag or 'no flag'} | {off.max():.0f} | {off.mean():.3f} |", flush=True)


def frames(flag: str) -> np.ndarray:
    """The clip that a ComfyUI with this flag makes: (f h w 3) of 255."""
    packs, flags = (OFFLOAD_PACK, ()) if flag == OFFLOAD else (None, flag.split())
    with Host(patience=600.0, packs=packs, flags=flags) as client:
        graph = small(to_api(json.loads(WORKFLOW.read_text("utf-8")), client.object_info()))
        shown = client.run(graph)["pictures"]["images"]
        opened = [Image.open(io.BytesIO(client.view(file))).convert("RGB") for file in shown]
        return np.stack([np.asarray(picture, float) for picture in opened])


def small(graph: Graph) -> Graph:
    """The graph for a short clip, its frames saved as pictures in place of a film."""
    set_length(graph, 4, width=64, height=64)
    node_of_type(graph, "VLDM_VideoKSampler").update(steps=5, seed=7)
    [decode] = [key for key, node in graph.items() if node["class_type"] == "VLDM_TemporalVAEDecode"]
    kept = {
        key: node for key, node in graph.items() if node["class_type"] not in ("CreateVideo", "SaveVideo")
    }
    inputs = {"images": [decode, 0], "filename_prefix": "frame"}
    return {**kept, "pictures": {"class_type": "SaveImage", "inputs": inputs, "_meta": {"title": "Frames"}}}


if __name__ == "__main__":
    main()
