"""`python -m video_ldm.training lora`: teach temporal layers a motion with a small file of changes."""

from __future__ import annotations

import argparse

from ...nodes import host_boot as boot
from ...temporal.formats.lora_names import KINDS
from ...temporal.formats.lora_writing import SPELLINGS
from ...temporal.training.config import TrainingConfig
from ...temporal.training.data.camera import MOVES
from ...temporal.training.engine import choose_device, engine
from ...temporal.training.lora.config import LoraConfig
from ..layers import options as layers
from ..options import host_options, number_option
from ..recipe import parsed

EXAMPLE = f"""
A motion LoRA is a small file that changes temporal layers, which are in a file of their own: AnimateDiff's,
or layers that you trained. 20 to 50 clips of one motion are a good start; captions say what is seen, not how
it moves, and --trigger is the word that calls the motion.

Example:
  python -m video_ldm.training lora --checkpoint v1-5.safetensors --layers mm_sd_v15_v2.ckpt \\
      --clips my_zooms --out my_zoom.safetensors --frames 16 --fps 8 --steps 1000 --batch 1 \\
      --trigger "slow zoom"

First a LoRA of the image model learns from single frames what the clips look like (--looks-steps). The
motion is learned beside it and used without it, so that it does not bring the looks of its clips along. The
looks are kept as OUT.looks.safetensors, which ComfyUI's own Load LoRA opens.

Put OUT into ComfyUI/models/motion_lora and use Load Motion LoRA. Kinds of layers for --targets:
{", ".join(KINDS)}; or a part of their names, e.g. attn1.to_q.

An interrupted run continues with the same command and --resume.
"""


def main(words: list[str]) -> None:
    """Train as the words of the command line say; raises VideoLDMError and HostNotFoundError."""
    args = parsed(parser(), words)
    config, settings = layers.config_from(args), lora_from(args)
    boot.keep_freed_memory()
    choose_device()
    boot.start_host(args.comfyui, args.custom_node, args.cpu)
    from .running import run

    with engine() as processes:
        run(args, config, settings, processes)


def parser() -> argparse.ArgumentParser:
    """All options; defaults of what the training computes are those of TrainingConfig and LoraConfig."""
    defaults = TrainingConfig()
    root = argparse.ArgumentParser(
        prog="python -m video_ldm.training lora",
        description="Train a motion LoRA for temporal layers. Image model and layers stay as they are.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    files = root.add_argument_group("files")
    layers.image_model_and_clips(files, "motion LoRA to write (.safetensors)")
    files.add_argument(
        "--layers",
        dest="init",
        required=True,
        metavar="LAYERS",
        help="temporal layers to change; they train on the betas they were made with",
    )
    host_options(files)
    _lora(root.add_argument_group("LoRA"))
    layers.add_training(root, defaults, compiles=False, patterns="none")
    return root


def lora_from(args: argparse.Namespace) -> LoraConfig:
    """The settings of the LoRA; raises InvalidInputError for values that make no sense."""
    targets = tuple(word.strip() for word in args.targets.split(",") if word.strip())
    trigger = args.trigger.strip() or (MOVES[args.camera].words if args.camera else "")
    return LoraConfig(args.rank, args.alpha, targets, trigger, args.looks_steps)


def _lora(group: argparse._ArgumentGroup) -> None:
    defaults = LoraConfig()
    number_option(group, "--rank", defaults.rank, "size of the factors; more takes in more of the clips")
    number_option(group, "--alpha", defaults.alpha, "strength of the factors times rank; 0 for the rank")
    group.add_argument(
        "--targets",
        default="",
        help="layers to change, as kinds or parts of names with commas (default: attention over frames, of "
        "Video LDM layers also their convolutions)",
    )
    group.add_argument("--trigger", default="", help="words in front of every caption that call the motion")
    group.add_argument(
        "--camera",
        choices=tuple(MOVES),
        help="teach a move of the camera: --clips is then a folder of pictures, over which it goes; the "
        "trigger is what the move is called unless you give one",
    )
    number_option(
        group,
        "--looks-steps",
        defaults.looks_steps,
        "steps in which a LoRA of the image model first learns the looks of the clips; 0 for none",
    )
    group.add_argument(
        "--spelling",
        choices=SPELLINGS,
        help="names in the file (animatediff for AnimateDiff's layers, else kohya)",
    )
