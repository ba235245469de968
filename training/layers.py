"""`python -m video_ldm.training layers`, or without the word: train temporal layers for an image model."""

from __future__ import annotations

from ..nodes import host_boot as boot
from ..temporal.training.engine import choose_device, engine
from . import arguments
from .recipe import parsed


def main(words: list[str]) -> None:
    """Train as the words of the command line say; raises VideoLDMError and HostNotFoundError."""
    args = parsed(arguments.parser(), words)
    config = arguments.config_from(args)
    boot.keep_freed_memory()
    choose_device()
    boot.start_host(args.comfyui, args.custom_node, args.cpu)
    from . import run_layers as train

    with engine() as processes:
        train.run(args, config, processes)
