"""`python -m video_ldm.training upscaler`: train a pixel-space video upscaler."""

from __future__ import annotations

import argparse

from ...nodes import host_boot as boot
from ...temporal.training.upscaler import UpscalerTrainingConfig, usual_given_steps
from ..options import computing_options, host_options, number_option, state_options
from ..recipe import parsed

EXAMPLE = """
Example:
  python -m video_ldm.training upscaler --clips my_clips --out my_upscaler.safetensors --size 1024x576 \\
      --steps 200000 --spatial-steps 100000 --batch 4

Clips are a folder of video files in the size that enlarged ones should have; captions are not needed. Patches
of them and their means over squares of --scale pixels are what it learns from. Frames are kept in
CLIPS/video_ldm_frames.

The first --spatial-steps train the upscaler of single pictures, the others its temporal layers alone. A new
one sees the given frames alone in the first --given-steps, or it overlooks them beside the noise for long. To
train temporal layers for an upscaler that exists, give it with --init and --spatial-steps 0; its spatial
weights then stay as they are. An interrupted run continues with the same command and --resume.
"""


def main(words: list[str]) -> None:
    """Train as the words of the command line say; raises VideoLDMError and HostNotFoundError."""
    args = parsed(parser(), words)
    config = config_from(args)
    boot.keep_freed_memory()
    boot.start_host(args.comfyui, [], args.cpu)
    from .running import run

    run(args, config)


def parser() -> argparse.ArgumentParser:
    """All options; defaults of what the training computes are those of UpscalerTrainingConfig."""
    root = argparse.ArgumentParser(
        prog="python -m video_ldm.training upscaler",
        description="Train a video upscaler on patches of videos.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    files = root.add_argument_group("files")
    files.add_argument("--clips", required=True, help="folder of videos")
    files.add_argument("--out", required=True, help="video upscaler to write (.safetensors)")
    files.add_argument("--init", help="video upscaler to start from (default: a new one of the shape below)")
    host_options(files, custom_nodes=False)
    _shape(root.add_argument_group("shape of a new upscaler"))
    _training(root.add_argument_group("training"), UpscalerTrainingConfig())
    output = root.add_argument_group("progress and results")
    state_options(output, 1000, "states and pictures: given, bicubic, enlarged, true")
    return root


def config_from(args: argparse.Namespace) -> UpscalerTrainingConfig:
    """The settings of the run; raises InvalidInputError for values that make no sense."""
    spatial = args.steps // 2 if args.spatial_steps is None else args.spatial_steps
    given = usual_given_steps(spatial, new=args.init is None)
    return UpscalerTrainingConfig(
        num_frames=args.frames,
        steps=args.steps,
        spatial_steps=spatial,
        given_steps=given if args.given_steps is None else args.given_steps,
        learning_rate=args.lr,
        final_learning_rate=args.lr / 20,
        warmup=args.warmup,
        weight_decay=args.weight_decay,
        gradient_clip=args.gradient_clip,
        ema=args.ema,
        precision=args.precision,
        seed=args.seed,
    )


def _shape(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--scale", type=int, default=4, help="how many times it enlarges (%(default)s)")
    group.add_argument(
        "--patch",
        type=int,
        default=4,
        help="enlarged pixels a side that are one place of the UNet; divides --scale, 1 is Video LDM's "
        "(%(default)s)",
    )
    group.add_argument("--channels", type=int, default=128, help="at the first level (%(default)s)")
    group.add_argument("--channel-mult", default="1,2,3", help="per level (%(default)s)")
    group.add_argument("--res-blocks", type=int, default=2, help="per level (%(default)s)")
    group.add_argument("--heads", type=int, default=8, help="of the attention over frames (%(default)s)")
    group.add_argument(
        "--max-noise-level",
        type=float,
        default=0.5,
        help="strongest noise on the given frames, 0..1 (%(default)s)",
    )


def _training(group: argparse._ArgumentGroup, defaults: UpscalerTrainingConfig) -> None:
    number_option(group, "--frames", defaults.num_frames, "frames per patch")
    number_option(group, "--fps", 24.0, "frames per second videos are read at")
    group.add_argument(
        "--size", default="1024x576", help="WIDTHxHEIGHT videos are scaled and cropped to (%(default)s)"
    )
    number_option(group, "--side", 80, "given pixels a side of a patch")
    number_option(group, "--batch", 2, "patches per step")
    number_option(group, "--steps", defaults.steps, "optimiser steps of both stages")
    group.add_argument(
        "--spatial-steps", type=int, help="of them for the upscaler of single pictures (half of them)"
    )
    group.add_argument(
        "--given-steps",
        type=int,
        help="of these, at the start, on the given frames alone (a fifth for a new upscaler)",
    )
    number_option(group, "--lr", 2e-4, "peak learning rate of each stage")
    number_option(group, "--warmup", defaults.warmup, "steps of warm-up of each stage")
    number_option(group, "--weight-decay", defaults.weight_decay, "of matrices and kernels")
    number_option(group, "--gradient-clip", defaults.gradient_clip, "longest gradient")
    number_option(group, "--ema", defaults.ema, "decay of the averaged weights")
    computing_options(group, defaults, "of weights, patches and noise")
