"""The command line of `python -m video_ldm.training`."""

from __future__ import annotations

import argparse

from ..temporal.training.config import TrainingConfig
from ..temporal.training.patterns import NAMES, parse_patterns

EXAMPLE = """
Clips are a folder of video files. A caption is a text file with the video's name (cat.mp4, cat.txt), or a line of
metadata.jsonl: {"file_name": "cat.mp4", "text": "a cat walks to the left"}. Latents and text are prepared once and kept
in CLIPS/video_ldm_cache. Such a cache, made here or elsewhere, can be given instead of the folder.

Example:
  python -m video_ldm.training --checkpoint v1-5.safetensors --clips my_clips --out my_layers.safetensors \\
      --frames 8 --fps 8 --steps 20000 --batch 4 --patterns "none=0.5,first=0.25,first_two=0.25"

An interrupted run continues with the same command and --resume.

`python -m video_ldm.training decoder --help` says how to train a temporal decoder.
"""


def parser() -> argparse.ArgumentParser:
    """All options; defaults of what the training computes are those of TrainingConfig."""
    defaults = TrainingConfig()
    root = argparse.ArgumentParser(
        prog="python -m video_ldm.training",
        description="Train temporal layers for a Stable Diffusion checkpoint. The image model stays as it is.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _files(root.add_argument_group("files"))
    _clips(root.add_argument_group("clips"), defaults)
    _training(root.add_argument_group("training"), defaults)
    _output(root.add_argument_group("progress and results"))
    return root


def config_from(args: argparse.Namespace) -> TrainingConfig:
    """The settings of the run; raises InvalidInputError for values that make no sense."""
    return TrainingConfig(
        num_frames=args.frames[0],
        other_lengths=args.frames[1:],
        strides=args.strides,
        steps=args.steps,
        batch=args.batch,
        accumulate=args.accumulate,
        learning_rate=args.lr,
        final_learning_rate=args.lr / 10 if args.final_lr is None else args.final_lr,
        warmup=args.warmup,
        weight_decay=args.weight_decay,
        gradient_clip=args.gradient_clip,
        ema=args.ema,
        patterns=parse_patterns(args.patterns),
        text_dropout=args.text_dropout,
        known_noise=args.known_noise,
        high_noise=args.high_noise,
        signal_dropout=args.signal_dropout,
        weight_limit=args.weight_limit,
        precision=args.precision,
        seed=args.seed,
    )


def _files(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--checkpoint", required=True, help="image model: a file, or a name in ComfyUI's checkpoint folders"
    )
    group.add_argument("--clips", required=True, help="folder of videos with captions, or a prepared cache")
    group.add_argument("--out", required=True, help="file of temporal layers to write (.safetensors)")
    group.add_argument("--init", help="temporal layers to start from (default: new ones)")
    group.add_argument(
        "--comfyui", help="ComfyUI's folder (default: COMFYUI_PATH, or where the pack is installed)"
    )
    group.add_argument(
        "--custom-node",
        action="append",
        default=[],
        metavar="PATH",
        help="custom node to import first, for checkpoints that need one; can be repeated",
    )


def _clips(group: argparse._ArgumentGroup, defaults: TrainingConfig) -> None:
    group.add_argument(
        "--frames",
        type=_integers,
        default=(defaults.num_frames,),
        help=f"frames per clip; several lengths as 8,5, the longest first ({defaults.num_frames})",
    )
    group.add_argument(
        "--fps", type=float, default=8.0, help="frames per second videos are read at (%(default)s)"
    )
    group.add_argument(
        "--size", default="512x512", help="WIDTHxHEIGHT videos are scaled and cropped to (%(default)s)"
    )
    group.add_argument(
        "--strides",
        type=_integers,
        default=defaults.strides,
        help="frame rates to train on as divisors of --fps, e.g. 1,2,4 (1)",
    )
    group.add_argument(
        "--patterns",
        default="none=0.5,first=0.25,first_two=0.25",
        help=f"known frames: NAME=PROBABILITY,... from {', '.join(NAMES)} (%(default)s)",
    )
    group.add_argument(
        "--known-noise",
        type=int,
        default=defaults.known_noise,
        help="given frames get noise up to this diffusion step, 0..250 (%(default)s)",
    )
    group.add_argument(
        "--text-dropout",
        type=float,
        default=defaults.text_dropout,
        help="share of clips without caption, for guidance (%(default)s)",
    )


def _training(group: argparse._ArgumentGroup, defaults: TrainingConfig) -> None:
    group.add_argument("--steps", type=int, default=defaults.steps, help="optimiser steps (%(default)s)")
    group.add_argument("--batch", type=int, default=defaults.batch, help="clips per step (%(default)s)")
    group.add_argument(
        "--accumulate", type=int, default=defaults.accumulate, help="batches added up per step (%(default)s)"
    )
    group.add_argument(
        "--lr", type=float, default=defaults.learning_rate, help="peak learning rate (%(default)s)"
    )
    group.add_argument("--final-lr", type=float, help="learning rate at the end (a tenth of the peak)")
    group.add_argument("--warmup", type=int, default=defaults.warmup, help="steps of warm-up (%(default)s)")
    group.add_argument("--weight-decay", type=float, default=defaults.weight_decay, help="(%(default)s)")
    group.add_argument("--gradient-clip", type=float, default=defaults.gradient_clip, help="(%(default)s)")
    group.add_argument(
        "--ema", type=float, default=defaults.ema, help="decay of the averaged weights (%(default)s)"
    )
    group.add_argument(
        "--high-noise",
        type=float,
        default=defaults.high_noise,
        help="preference for high noise, where motion is decided; 0 for none (%(default)s)",
    )
    group.add_argument(
        "--signal-dropout",
        type=float,
        default=defaults.signal_dropout,
        help="share of clips drowned in more noise at the noisiest steps, so that motion follows the text (%(default)s)",
    )
    group.add_argument(
        "--weight-limit",
        type=float,
        default=defaults.weight_limit,
        help="let high noise count up to this much more in the loss; 1 is the paper's plain loss (%(default)s)",
    )
    group.add_argument(
        "--precision", choices=("fp32", "bf16"), default=defaults.precision, help="(%(default)s)"
    )
    group.add_argument("--seed", type=int, default=defaults.seed, help="(%(default)s)")
    group.add_argument("--cpu", action="store_true", help="train on the CPU")
    group.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    group.add_argument(
        "--workers", type=int, default=0, help="processes that draw batches ahead (%(default)s)"
    )
    group.add_argument("--compile", action="store_true", help="compile the blocks (needs a C++ compiler)")


def _output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--resume", action="store_true", help="continue from OUT's training state, exactly where it was"
    )
    group.add_argument(
        "--save-every",
        type=int,
        default=500,
        help="steps between states, which hold everything (%(default)s)",
    )
    group.add_argument(
        "--validate-every", type=int, default=500, help="steps between sample clips; 0 for none (%(default)s)"
    )
    group.add_argument(
        "--prompt",
        action="append",
        default=[],
        help="prompt of a sample clip (default: captions of the clips)",
    )
    group.add_argument(
        "--guidance", type=float, default=4.0, help="text guidance of sample clips (%(default)s)"
    )


def _integers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))
