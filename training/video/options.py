"""`python -m video_ldm.training video`: train Stable Video Diffusion or SV3D on clips of one's own."""

from __future__ import annotations

import argparse

from ...nodes import host_boot as boot
from ...temporal.training.memory.levels import LEVELS
from ...temporal.training.video_model.config import VideoModelConfig
from ..options import computing_options, every_option, host_options, number_option, state_options
from ..recipe import parsed

EXAMPLE = """
Example:
  python -m video_ldm.training video --checkpoint svd.safetensors --clips my_clips --out mine.safetensors \\
      --size 576x320 --frames 14 --fps 7 --steps 5000 --precision bf16 --memory small

Clips are a folder of video files; captions are not needed. Their frames are kept in CLIPS/video_ldm_frames.
With a checkpoint of SV3D the clips are turns of a camera around a thing on white, first view last again, as
576x576 and 21 frames of each; --fps is then the films' own. SV3D_p is told angles: each film has a line
{"file_name": "a.mp4", "elevation": 10} in CLIPS/metadata.jsonl, in degrees. Where it is no whole turn, the
line has the azimuth of its last view too, or lists with a number for each frame.

What is written is a whole checkpoint like the one that was given, for Image Only Checkpoint Loader or Load
Video Model. An interrupted run continues with the same command and --resume.
"""


def main(words: list[str]) -> None:
    """Train as the words of the command line say; raises VideoLDMError and HostNotFoundError."""
    args = parsed(parser(), words)
    config = config_from(args)
    boot.keep_freed_memory()
    boot.start_host(args.comfyui, args.custom_node, args.cpu)
    from .running import run

    run(args, config)


def parser() -> argparse.ArgumentParser:
    """All options; defaults of what the training computes are those of VideoModelConfig."""
    root = argparse.ArgumentParser(
        prog="python -m video_ldm.training video",
        description="Train Stable Video Diffusion, which makes clips from their first frame, or SV3D, which "
        "makes views from around a thing, by their own objective (EDM).",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _files(root.add_argument_group("files"))
    _training(root.add_argument_group("training"), VideoModelConfig())
    output = root.add_argument_group("progress and results")
    state_options(output, 500, "states, which hold everything")
    every_option(output, "--validate-every", 500, "steps between samples")
    return root


def config_from(args: argparse.Namespace) -> VideoModelConfig:
    """The settings of the run; raises InvalidInputError for values that make no sense."""
    return VideoModelConfig(
        num_frames=args.frames,
        batch=args.batch,
        steps=args.steps,
        learning_rate=args.lr,
        final_learning_rate=args.lr / 10,
        warmup=args.warmup,
        weight_decay=args.weight_decay,
        gradient_clip=args.gradient_clip,
        ema=args.ema,
        parts=args.parts,
        noise_mean=args.noise_mean,
        noise_spread=args.noise_spread,
        without=args.without,
        picture_noise=args.picture_noise,
        motion=args.motion,
        precision=args.precision,
        seed=args.seed,
    )


def _files(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--checkpoint",
        required=True,
        help="checkpoint of Stable Video Diffusion or SV3D: a file, or a name in ComfyUI's folders",
    )
    group.add_argument("--clips", required=True, help="folder of videos")
    group.add_argument(
        "--out", required=True, help="checkpoint to write (.safetensors), or a folder for the whole run"
    )
    host_options(group)


def _training(group: argparse._ArgumentGroup, defaults: VideoModelConfig) -> None:
    number_option(group, "--frames", defaults.num_frames, "frames per clip: 14, for svd_xt 25")
    number_option(group, "--fps", 7.0, "frames per second videos are read at, which clips are labelled with")
    group.add_argument(
        "--size", default="576x320", help="WIDTHxHEIGHT videos are scaled and cropped to (%(default)s)"
    )
    number_option(group, "--motion", defaults.motion, "motion bucket that clips are labelled with (not SV3D)")
    number_option(group, "--steps", defaults.steps, "optimiser steps")
    number_option(group, "--batch", defaults.batch, "clips in a step")
    group.add_argument(
        "--parts",
        choices=("temporal", "all"),
        default=defaults.parts,
        help="what trains: the layers in time, or all weights (%(default)s)",
    )
    number_option(group, "--lr", defaults.learning_rate, "peak learning rate")
    number_option(group, "--warmup", defaults.warmup, "steps of warm-up")
    number_option(group, "--weight-decay", defaults.weight_decay, "of matrices and kernels")
    number_option(group, "--gradient-clip", defaults.gradient_clip, "longest gradient")
    number_option(group, "--ema", defaults.ema, "decay of the averaged weights")
    number_option(group, "--noise-mean", defaults.noise_mean, "mean of ln of the noise; 1 for 1024 x 576")
    number_option(group, "--noise-spread", defaults.noise_spread, "its spread")
    number_option(group, "--without", defaults.without, "share of clips that are given no picture")
    number_option(
        group,
        "--picture-noise",
        defaults.picture_noise,
        "middle strength of the noise on the given picture (SV3D's has none)",
    )
    group.add_argument(
        "--memory",
        choices=tuple(LEVELS),
        default="fast",
        help="small computes blocks again for their gradients and averages in main memory, smaller has an "
        "8-bit optimiser too, smallest the optimiser in main memory in its place (%(default)s)",
    )
    computing_options(group, defaults, "of clips and noise")
