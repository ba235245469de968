"""Image decoder against temporal decoder on held-out toy clips.

Flicker, PSNR, a toy Frechet video distance, and speed.

    python -m video_ldm.benchmarks.toy_world.decoder --decoder demo/models/toy_decoder.safetensors
    python -m video_ldm.benchmarks.toy_world.decoder --speed-only --out benchmarks/results/decoder_speed.json
    python -m video_ldm.benchmarks.toy_world.decoder --grain --decoder toy_grain_decoder.safetensors

With --grain clips are squares of 128 x 128 of the world drawn twice as large, whose ground has a grain. An
image decoder that the file brings is the one compared with; the checkpoint's is measured beside it.
Both sides decode the same latents in one run: as encoded, and with a little noise of each frame's own, as a
diffusion model leaves it. For the speed, streaming is compared with chunks of the same length that overlap
and drop what overlaps, in CPU time. Prints Markdown tables and writes every number to
benchmarks/results/decoder.json. Frames `(f 3 h w)` in 0..1.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ...demo import world
from ...demo.train.autoencoder import GRAIN_SCALE
from ...demo.world.classifier import load_classifier
from ...demo.world.scene import SIDE
from ...demo.world.video_distance import Interval, pair_features, resolved_distance, video_distance
from ...nodes import host_boot as boot

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "demo" / "models"
RESULTS = ROOT / "benchmarks" / "results" / "decoder.json"
FRAMES, FPS = 8, 8.0
CHUNK, OVERLAP = 8, 4

Decode = Callable[[Tensor], Tensor]


def held_out_clip(number: int, scale: int = 1) -> Tensor:
    """A clip of the test split, or a square of one that is drawn `scale` times as large."""
    rng = np.random.default_rng((2026, number))
    rendered = world.render(world.sample(rng, "test"), FRAMES, FPS, scale=scale)
    y, x = (int(place) for place in rng.integers((scale - 1) * SIDE + 1, size=2))
    square = torch.from_numpy(rendered[:, y : y + SIDE, x : x + SIDE])
    return rearrange(square, "f h w c -> f c h w").float() / 255


def noisy(latents: Tensor, noise: float, seed: int) -> Tensor:
    """Latents with noise in parts of their spread."""
    generator = torch.Generator().manual_seed(seed)
    return latents + noise * latents.std() * torch.randn(latents.shape, generator=generator)


def flicker_at_rest(decoded: Tensor, frames: Tensor) -> float:
    """Mean absolute change, in 255ths, of pixels that do not change in the drawn clip; nan without any.

    Detail that a decoder invents, and that moves as it should, is an error elsewhere; here it is none.
    """
    rests = (frames.diff(dim=0) == 0).all(1, keepdim=True).expand(-1, 3, -1, -1)
    changes = decoded.diff(dim=0).abs()[rests]
    return 255 * changes.mean().item() if len(changes) else float("nan")


def quality(
    vae: Any, sides: dict[str, Decode], judge: Any, args: argparse.Namespace, noise: float
) -> dict[str, Any]:
    """Flicker and PSNR of all clips, and the video distance to the clips as rendered, of every side."""
    found = {name: {"flicker": [], "at_rest": [], "psnr": [], "features": []} for name in sides}
    rendered = []
    for number in range(args.clips):
        frames = held_out_clip(number, GRAIN_SCALE if args.grain else 1)
        rendered.append(pair_features(judge, frames))
        latents = noisy(vae.encode(rearrange(frames, "f c h w -> f h w c")), noise, number)
        for name, decode in sides.items():
            decoded = rearrange(decode(latents), "f h w c -> f c h w").clamp(0, 1)
            error = decoded - frames
            found[name]["flicker"].append(255 * error.diff(dim=0).abs().mean().item())
            found[name]["at_rest"].append(flicker_at_rest(decoded, frames))
            found[name]["psnr"].append(-10 * error.square().mean().log10().item())
            found[name]["features"].append(pair_features(judge, decoded))
    return {
        name: {
            "flicker": float(np.mean(side["flicker"])),
            "at_rest": float(np.nanmean(side["at_rest"])),
            "psnr": float(np.mean(side["psnr"])),
            "each": {key: side[key] for key in ("flicker", "at_rest", "psnr")},
            "shares": shares(side, found["image"]),
            "video_distance": video_distance(side["features"], rendered),
            "resolved": asdict(resolved_distance(side["features"], rendered)),
        }
        for name, side in found.items()
    }


def shares(side: dict[str, list[Any]], image: dict[str, list[Any]], draws: int = 1000) -> dict[str, Interval]:
    """Flicker as a share of the image decoder's, with its 95 % interval (clips drawn again, bootstrap)."""
    found = {}
    for key in ("flicker", "at_rest"):
        pairs = np.array([side[key], image[key]])
        pairs = pairs[:, ~np.isnan(pairs).any(0)]
        chosen = np.random.default_rng(0).integers(pairs.shape[1], size=(draws, pairs.shape[1]))
        ours, theirs = pairs[:, chosen].mean(2)
        low, high = np.percentile(ours / theirs, (2.5, 97.5))
        found[key] = (float(pairs[0].mean() / pairs[1].mean()), float(low), float(high))
    return found


def speed(vae: Any, temporal: Any, length: int, runs: int) -> dict[str, dict[str, float]]:
    """Milliseconds and frames through the decoder per frame of a long clip, for every way of decoding it.

    The ways take turns, so that what else the computer does falls on all of them; a median of `runs` is
    reported.
    """
    from ...nodes.host.film.decode import stream_frames
    from ...temporal.decoder.streaming import LatentReader
    from ...temporal.decoder.windows import decode_windows

    latents = torch.randn(length, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    model = temporal.first_stage_model

    def whole_chunks() -> list[Tensor]:
        return list(decode_windows(model.decode, LatentReader(latents), CHUNK, OVERLAP))

    ways = {
        "image decoder, the host's VAE Decode": (lambda: vae.decode(latents), vae.first_stage_model),
        "image decoder, streamed": (lambda: list(stream_frames(vae, latents, CHUNK)), vae.first_stage_model),
        "temporal decoder, streamed": (
            lambda: list(stream_frames(temporal, latents, CHUNK)),
            model.autoencoder,
        ),
        f"temporal decoder, chunks of {CHUNK} with overlap {OVERLAP}": (whole_chunks, model.autoencoder),
    }
    # the first one warms up
    turns = [{name: timed(*way) for name, way in ways.items()} for _ in range(runs + 1)][1:]
    return {
        name: {
            "ms_per_frame": 1000 * float(np.median([turn[name][0] for turn in turns])) / length,
            "times_the_image_decoder": float(
                np.median([turn[name][0] / next(iter(turn.values()))[0] for turn in turns])
            ),
            "frames_per_frame": turns[0][name][1] / length,
            "gigaflops_per_frame": operations(ways[name][0]) / length / 1e9,
        }
        for name in ways
    }


def operations(run: Callable[[], Any]) -> int:
    """Floating point operations of the convolutions and matrix products in a run: the floor of its time."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def timed(run: Callable[[], Any], autoencoder: Any) -> tuple[float, int]:
    """Seconds of CPU time, and frames through the decoder's last layer.

    Other programs do not take part in CPU time.
    """
    frames = []
    handle = autoencoder.taesd_decoder[-1].register_forward_hook(lambda _m, _a, out: frames.append(len(out)))
    begin = time.process_time()
    run()
    seconds = time.process_time() - begin
    handle.remove()
    return seconds, sum(frames)


def tables(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = []
    if "quality" in results:
        lines += [
            "| latents | decoder | flicker of the error (of 255) | flicker at rest | PSNR (dB) | toy FVD |",
            "|---" * 6 + "|",
        ]
    for latents, sides in results.get("quality", {}).items():
        for name, side in sides.items():
            numbers = (side["flicker"], side["at_rest"], side["psnr"], side["video_distance"])
            row = "{:.2f} | {:.2f} | {:.2f} | {:.2f}".format(*numbers)
            lines.append(f"| {latents} | {name} | {row} |")
    lines += [
        "",
        "| way | CPU ms per frame | times the image decoder | frames decoded per frame | GFLOP per frame |",
        "|---" * 5 + "|",
    ]
    for name, way in results["speed"].items():
        row = (
            f"{way['ms_per_frame']:.1f} | {way['times_the_image_decoder']:.2f} | "
            f"{way['frames_per_frame']:.2f} | {way['gigaflops_per_frame']:.2f}"
        )
        lines.append(f"| {name} | {row} |")
    return "\n".join(lines)


@torch.inference_mode()
def run(args: argparse.Namespace) -> dict[str, Any]:
    """Everything, once the host has been started."""
    from ...nodes.host.film.decode import stream_frames
    from ...nodes.host.film.vae import with_temporal_decoder
    from ...nodes.host.training.vae import load_vae
    from ...temporal.decoder import image_weights
    from ...temporal.weights.files import read_weights

    file, vae = read_weights(args.decoder), load_vae(str(args.checkpoint))
    temporal, brought = with_temporal_decoder(vae, file), image_weights(file)
    image = load_vae(str(args.checkpoint))
    image.first_stage_model.load_state_dict(brought, strict=False)
    found = {"speed": speed(vae, temporal, args.length, args.runs)}
    if args.speed_only:
        return found
    judge = load_classifier(MODELS / "toy_classifier.safetensors")
    sides = {
        "image": image.decode,
        "temporal": lambda latents: torch.cat(list(stream_frames(temporal, latents, FRAMES, 0))),
    }
    if brought:
        sides["image decoder of the checkpoint"] = vae.decode
    found["quality"] = {
        label: quality(vae, sides, judge, args, noise)
        for label, noise in (("as encoded", 0.0), (f"noise {args.noise:g}", args.noise))
    }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=MODELS / "toy_sd.safetensors")
    parser.add_argument("--decoder", type=Path, default=MODELS / "toy_decoder.safetensors")
    parser.add_argument("--grain", action="store_true", help="clips of twice the size, with grain")
    parser.add_argument("--clips", type=int, default=128)
    parser.add_argument("--noise", type=float, default=0.05, help="in parts of the latents' spread")
    parser.add_argument(
        "--length", type=int, default=256, help="frames of the clip that speed is measured on"
    )
    parser.add_argument("--runs", type=int, default=5, help="of every way of decoding it, in turns")
    parser.add_argument("--speed-only", action="store_true", help="minutes instead of a quarter of an hour")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    boot.start_host(None, [], cpu=True)
    results = run(args)
    results["run"] = {
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        "device": f"cpu, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "clips": args.clips,
        "length": args.length,
        "runs": args.runs,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print(tables(results))


if __name__ == "__main__":
    main()
