"""`python -m video_ldm.training decoder`: train temporal layers for the decoder of a VAE."""

from __future__ import annotations

import argparse

from ...nodes import host_boot as boot
from ...temporal.training.decoder.config import DecoderTrainingConfig
from ..options import computing_options, host_options, number_option, state_options
from ..recipe import parsed

EXAMPLE = """
Example:
  python -m video_ldm.training decoder --vae vae-ft-mse.safetensors --clips my_clips \\
      --out my_decoder.safetensors --size 512x320 --crop 256 --steps 5000 \\
      --adversarial 0.5 --features vgg16.safetensors

Clips are a folder of video files; captions are not needed. Frames are kept in CLIPS/video_ldm_frames.
An interrupted run continues with the same command and --resume.
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
    """All options; defaults of what the training computes are those of DecoderTrainingConfig."""
    root = argparse.ArgumentParser(
        prog="python -m video_ldm.training decoder",
        description="Train temporal layers for the decoder of a VAE, against flicker. The encoder stays as "
        "it is.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _files(root.add_argument_group("files"))
    _training(root.add_argument_group("training"), DecoderTrainingConfig())
    output = root.add_argument_group("progress and results")
    state_options(output, 500, "states, which hold everything")
    return root


def config_from(args: argparse.Namespace) -> DecoderTrainingConfig:
    """The settings of the run; raises InvalidInputError for values that make no sense."""
    return DecoderTrainingConfig(
        num_frames=args.frames,
        crop=args.crop,
        steps=args.steps,
        learning_rate=args.lr,
        final_learning_rate=args.lr / 20,
        image_learning_rate=args.image_lr,
        warmup=args.warmup,
        gradient_clip=args.gradient_clip,
        ema=args.ema,
        steadiness=args.steadiness,
        perceptual=args.perceptual,
        adversarial=args.adversarial,
        adversary_start=args.steps // 5 if args.adversary_start is None else args.adversary_start,
        adversary_channels=args.adversary_channels,
        latent_noise=args.latent_noise,
        keep_still=not args.free,
        precision=args.precision,
        seed=args.seed,
    )


def _files(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--vae",
        required=True,
        help="VAE or checkpoint: a file, or a name in ComfyUI's vae and checkpoint folders",
    )
    group.add_argument("--clips", required=True, help="folder of videos")
    group.add_argument("--out", required=True, help="temporal decoder to write (.safetensors)")
    group.add_argument("--init", help="temporal decoder to start from (default: new layers)")
    group.add_argument(
        "--features",
        help="weights of VGG-16 for the perceptual loss, torchvision's file (default: random features)",
    )
    host_options(group)


def _training(group: argparse._ArgumentGroup, defaults: DecoderTrainingConfig) -> None:
    number_option(group, "--frames", defaults.num_frames, "frames per clip")
    number_option(group, "--fps", 8.0, "frames per second videos are read at")
    group.add_argument(
        "--size", default="512x512", help="WIDTHxHEIGHT videos are scaled and cropped to (%(default)s)"
    )
    number_option(
        group, "--crop", defaults.crop, "side in pixels of the square that a step sees, a multiple of 8"
    )
    number_option(group, "--steps", defaults.steps, "optimiser steps")
    number_option(
        group, "--lr", defaults.learning_rate, "peak learning rate, relative to the size of the activations"
    )
    number_option(
        group,
        "--image-lr",
        defaults.image_learning_rate,
        "train the image decoder too, at this rate; 0: temporal layers only",
    )
    number_option(group, "--warmup", defaults.warmup, "steps of warm-up")
    number_option(group, "--gradient-clip", defaults.gradient_clip, "longest gradient")
    number_option(group, "--ema", defaults.ema, "decay of the averaged weights")
    number_option(group, "--steadiness", defaults.steadiness, "weight of the changes from frame to frame")
    number_option(
        group, "--perceptual", defaults.perceptual, "weight of the distance of features; 0 for none"
    )
    number_option(
        group, "--adversarial", defaults.adversarial, "weight of the clip discriminator, e.g. 0.5; 0 for none"
    )
    group.add_argument("--adversary-start", type=int, help="step at which it begins (a fifth of --steps)")
    number_option(group, "--adversary-channels", defaults.adversary_channels, "its width")
    number_option(
        group,
        "--latent-noise",
        defaults.latent_noise,
        "noise on the latents of each frame, in parts of their spread",
    )
    group.add_argument(
        "--free", action="store_true", help="let the layers change still clips too (default: they stay)"
    )
    computing_options(group, defaults, "of weights, clips and noise")
