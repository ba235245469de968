"""`python -m video_ldm.training layers`, or without the word: train temporal layers for an image model."""

from __future__ import annotations

import argparse

from ...nodes import host_boot as boot
from ...temporal.errors import InvalidInputError
from ...temporal.training.config import TrainingConfig, usual_warmup
from ...temporal.training.data.patterns import NAMES, parse_patterns
from ...temporal.training.data.reversal import EXAMPLE as REVERSED_EXAMPLE
from ...temporal.training.data.reversal import parse_reversed
from ...temporal.training.engine import choose_device, engine, launched
from ...temporal.training.memory.levels import AUTO, CHOICES, LEVELS
from ..options import computing_options, every_option, host_options, number_option, state_options
from ..recipe import parsed

EXAMPLE = """
Clips are a folder of video files. A caption is a text file with the video's name (cat.mp4, cat.txt), or a
line of metadata.jsonl: {"file_name": "cat.mp4", "text": "a cat walks to the left"}. Latents and text are
prepared once and kept in CLIPS/video_ldm_cache. Such a cache, made here or elsewhere, can be given instead of
the folder.

Example:
  python -m video_ldm.training --checkpoint v1-5.safetensors --clips my_clips --out my_layers.safetensors \\
      --frames 8 --fps 8 --steps 20000 --batch 4 --patterns "none=0.5,first=0.25,first_two=0.25"

Films of several shapes and lengths: --buckets, with --frames 16,8 for short ones; every batch is of one size
and length. --images 0.2 shows pictures (.png, .jpg, .webp) of the folder, as clips of one frame, in a fifth
of the steps, so that the layers learn from what no film shows.

Where captions say which way things go, a short first run tells whether the layers learn the words before a
long one is paid for; it ends when they do:
  ... --high-noise 2 --signal-dropout 0.5 --reversed "to the left=to the right, zooming in=zooming out" \\
      --patterns none --check-clips 64 --stop-when-known 0.9
With --contrast 6 the opposite caption has to fit worse, by which few clips teach the words; see RESULTS.

With the SD x4 upscaler (x4-upscaler-ema.safetensors) as the checkpoint, the layers learn to enlarge: videos
of the size that large frames should have, e.g. --size 1024x576, are made small, and every step sees square
patches of both (--side), the small ones with noise of a level of their own. Captions are then not needed, and
--patterns and --known-noise mean nothing.

An interrupted run continues with the same command and --resume. Beside the file it leaves its recipe
(--recipe FILE), its log, the curve of its loss, samples and state; with a folder as --out, all in there.

`python -m video_ldm.training lora --help` says how to teach the layers a motion with a small file,
`python -m video_ldm.training decoder --help` how to train a temporal decoder, and
`python -m video_ldm.training video --help` how to train Stable Video Diffusion.
"""
KEPT_OUT = 0.05
PATTERNS = "none=0.5,first=0.25,first_two=0.25"


def main(words: list[str]) -> None:
    """Train as the words of the command line say; raises VideoLDMError and HostNotFoundError."""
    args = parsed(parser(), words)
    config = config_from(args)
    if args.shard:
        check_shard(args, launched())
    boot.keep_freed_memory()
    choose_device()
    boot.start_host(args.comfyui, args.custom_node, args.cpu)
    from .running import run

    with engine(args.shard) as processes:
        run(args, config, processes)


def parser() -> argparse.ArgumentParser:
    """All options; defaults of what the training computes are those of TrainingConfig."""
    defaults = TrainingConfig()
    root = argparse.ArgumentParser(
        prog="python -m video_ldm.training",
        description="Train temporal layers for a Stable Diffusion checkpoint. The image model stays as it "
        "is.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    files = root.add_argument_group("files")
    image_model_and_clips(files, "file of temporal layers to write (.safetensors)")
    files.add_argument(
        "--init",
        help="temporal layers to start from (default: new ones); they train on the betas they were made with",
    )
    files.add_argument(
        "--positions-on-tokens",
        action="store_true",
        help="let old layers (--init) see the number of a frame in all their parts, as new ones do, so that "
        "they can learn which way time runs",
    )
    host_options(files)
    add_training(root, defaults)
    return root


def image_model_and_clips(group: argparse._ArgumentGroup, out: str) -> None:
    """Options of the files that are trained on; `out` is what is written."""
    group.add_argument(
        "--checkpoint", required=True, help="image model: a file, or a name in ComfyUI's checkpoint folders"
    )
    group.add_argument("--clips", required=True, help="folder of videos with captions, or a prepared cache")
    group.add_argument("--out", required=True, help=f"{out}, or a folder for the whole run")


def add_training(
    root: argparse.ArgumentParser,
    defaults: TrainingConfig,
    compiles: bool = True,
    patterns: str | None = None,
) -> None:
    """Options of every training on clips and an image model; without `patterns` layers get the usual ones."""
    _clips(root.add_argument_group("clips"), defaults, patterns)
    training = root.add_argument_group("training")
    _training(training, defaults)
    if compiles:
        training.add_argument(
            "--compile",
            action="store_true",
            help="compile the blocks, which takes minutes (needs a C++ compiler)",
        )
        training.add_argument(
            "--shard",
            action="store_true",
            help="for layers that do not fit: of several processes (torchrun) each keeps a share of their "
            "weights, gradients and optimiser",
        )
    _output(root.add_argument_group("progress and results"))


def config_from(args: argparse.Namespace) -> TrainingConfig:
    """The settings of the run; raises InvalidInputError for values that make no sense."""
    if args.stop_when_known > 0 and not (args.check_clips and args.check_every):
        raise InvalidInputError(
            f"--stop-when-known is {args.stop_when_known:g}, but nothing is checked; give "
            "--check-clips, e.g. 64, and --check-every above 0, or leave --stop-when-known out."
        )
    return TrainingConfig(
        num_frames=args.frames[0],
        other_lengths=args.frames[1:],
        strides=args.strides,
        steps=args.steps,
        batch=args.batch,
        accumulate=args.accumulate,
        learning_rate=args.lr,
        final_learning_rate=args.lr / 10 if args.final_lr is None else args.final_lr,
        warmup=usual_warmup(args.steps) if args.warmup is None else args.warmup,
        weight_decay=args.weight_decay,
        gradient_clip=args.gradient_clip,
        ema=args.ema,
        patterns=parse_patterns(args.patterns or PATTERNS),
        text_dropout=args.text_dropout,
        known_noise=args.known_noise,
        high_noise=args.high_noise,
        signal_dropout=args.signal_dropout,
        reversed=parse_reversed(args.reversed),
        contrast=args.contrast,
        contrast_given=args.contrast_given,
        check_clips=args.check_clips,
        text_first=args.text_first,
        kept_out=args.kept_out,
        weight_limit=args.weight_limit,
        min_snr=args.min_snr,
        precision=args.precision,
        seed=args.seed,
    )


def check_shard(args: argparse.Namespace, processes: int) -> None:
    """Refuse what does not go with layers that are shared out among processes.

    Raises InvalidInputError.
    """
    if processes == 1:
        raise InvalidInputError(
            "--shard shares the layers out among several processes, but this one is alone; start it with "
            "torchrun --nproc-per-node 2 or more, or leave --shard out."
        )
    if args.memory != AUTO and not LEVELS[args.memory].shares:
        names = " or ".join(repr(level.name) for level in LEVELS.values() if level.shares)
        raise InvalidInputError(
            f"At memory {args.memory!r} the optimiser needs whole layers, but --shard gives it shares of "
            f"them; choose {names}, or leave --shard out."
        )
    for given, option in ((args.train_image_model, "--train-image-model"), (args.compile, "--compile")):
        if given:
            raise InvalidInputError(
                f"{option} is given, but needs the weights whole, which --shard shares out among the "
                "processes; leave one of the two out."
            )


def _sizes_and_rates(group: argparse._ArgumentGroup, defaults: TrainingConfig) -> None:
    group.add_argument(
        "--frames",
        type=_integers,
        default=(defaults.num_frames,),
        help=f"frames per clip; several lengths as 8,5, the longest first ({defaults.num_frames})",
    )
    number_option(group, "--fps", 8.0, "frames per second videos are read at")
    group.add_argument(
        "--size", default="512x512", help="WIDTHxHEIGHT videos are scaled and cropped to (%(default)s)"
    )
    group.add_argument(
        "--buckets",
        action="store_true",
        help="keep the shape of films: each goes to the nearest of some sizes of about that area, and to the "
        "longest of --frames that it has",
    )
    number_option(group, "--images", 0.0, "share of the steps that see pictures of the folder")
    group.add_argument(
        "--strides",
        type=_integers,
        default=defaults.strides,
        help="frame rates to train on as divisors of --fps, e.g. 1,2,4 (1)",
    )


def _clips(group: argparse._ArgumentGroup, defaults: TrainingConfig, patterns: str | None) -> None:
    _sizes_and_rates(group, defaults)
    group.add_argument(
        "--patterns",
        default=patterns,
        help=f"known frames: NAME=PROBABILITY,... from {', '.join(NAMES)} ({patterns or PATTERNS})",
    )
    group.add_argument(
        "--train-image-model",
        action="store_true",
        help="train the image model along, given frames at its input, as the paper does for frames in "
        "between; the file holds what changes in it, and is that much larger",
    )
    number_option(
        group,
        "--known-noise",
        defaults.known_noise,
        "given frames get noise up to this diffusion step, 0..250",
    )
    group.add_argument(
        "--reversed",
        default="",
        metavar="PHRASES",
        help="pairs of phrases that turn into each other when a clip is played backwards; clips whose "
        f"caption names one are, half of the time, e.g. {REVERSED_EXAMPLE!r}",
    )
    number_option(
        group,
        "--check-clips",
        defaults.check_clips,
        "so many of those clips are kept to ask whether the right phrase fits better than the opposite "
        "one; 0 for none",
    )
    number_option(
        group, "--text-dropout", defaults.text_dropout, "share of clips without caption, for guidance"
    )
    number_option(
        group,
        "--kept-out",
        KEPT_OUT,
        "share of ten or more films that are not trained on, but tell how well the layers do on others",
    )
    number_option(
        group, "--side", 64, "given pixels a side of the patches that a step sees, for the SD x4 upscaler"
    )


def _training(group: argparse._ArgumentGroup, defaults: TrainingConfig) -> None:
    number_option(group, "--steps", defaults.steps, "optimiser steps")
    number_option(group, "--batch", defaults.batch, "clips per step")
    number_option(group, "--accumulate", defaults.accumulate, "batches added up per step")
    number_option(group, "--lr", defaults.learning_rate, "peak learning rate")
    group.add_argument("--final-lr", type=float, help="learning rate at the end (a tenth of the peak)")
    group.add_argument(
        "--warmup", type=int, help=f"steps of warm-up (a tenth of --steps, {defaults.warmup} at most)"
    )
    number_option(group, "--weight-decay", defaults.weight_decay, "of matrices and kernels")
    number_option(group, "--gradient-clip", defaults.gradient_clip, "longest gradient")
    number_option(group, "--ema", defaults.ema, "decay of the averaged weights")
    number_option(
        group,
        "--high-noise",
        defaults.high_noise,
        "preference for high noise, where motion is decided; 0 for none",
    )
    _words(group, defaults)
    number_option(
        group,
        "--weight-limit",
        defaults.weight_limit,
        "let high noise count up to this much more in the loss; 1 is the plain loss of Video LDM",
    )
    number_option(
        group,
        "--min-snr",
        defaults.min_snr,
        "min-SNR weighting of the loss with this gamma, usually 5; 0: none",
    )
    computing_options(group, defaults, "of new weights, clips and noise")
    group.add_argument(
        "--memory",
        choices=CHOICES,
        default=AUTO,
        help="fast keeps everything; small computes blocks twice (a third slower) and averages in main "
        "memory; smaller also has an 8-bit optimiser (pip install bitsandbytes); smallest, in its place, has "
        "the optimiser in main memory, 20 bytes a weight; auto is the fastest that fits (auto)",
    )
    number_option(group, "--workers", 0, "processes that draw batches ahead")


def _words(group: argparse._ArgumentGroup, defaults: TrainingConfig) -> None:
    """Options by which motion follows the text."""
    number_option(
        group,
        "--signal-dropout",
        defaults.signal_dropout,
        "share of clips drowned in more noise at the noisiest steps, so that motion follows the text",
    )
    number_option(
        group,
        "--contrast",
        defaults.contrast,
        "denoise clips with the caption of --reversed, too, which has to fit worse; so strongly that counts, "
        "e.g. 6; a step takes up to twice as long",
    )
    group.add_argument(
        "--contrast-given",
        action="store_true",
        help="contrast also for clips of which frames are given, for which way things turn",
    )
    number_option(
        group,
        "--text-first",
        defaults.text_first,
        "share of the steps, at the start, in which no frames are given",
    )


def _output(group: argparse._ArgumentGroup) -> None:
    state_options(group, 500, "states, which hold everything")
    every_option(group, "--validate-every", 500, "steps between sample clips")
    every_option(group, "--check-every", 250, "steps between checks of --check-clips")
    number_option(
        group,
        "--stop-when-known",
        0.0,
        "end the run once the right phrase fits better in this share of them at every noise level, e.g. "
        "0.9; 0: never",
    )
    group.add_argument(
        "--prompt",
        action="append",
        default=[],
        help="prompt of a sample clip (default: captions of the clips)",
    )
    group.add_argument(
        "--prompts", metavar="FILE", help="text file with the prompt of a sample clip in each line"
    )
    number_option(group, "--guidance", 4.0, "text guidance of sample clips")


def _integers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))
