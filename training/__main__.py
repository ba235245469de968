"""Train temporal layers, or with a word before the options another temporal part; `--help` says how."""

from __future__ import annotations

import importlib
import logging
import sys

from ..temporal.errors import exit_status

# The word, which is also the folder: its options.py has the `main(words)` that runs it.
COMMANDS = ("layers", "lora", "video", "decoder", "upscaler")


def main() -> int:
    """Run the command; errors of the user are one sentence on stderr and exit status 2."""
    words = sys.argv[1:]
    name = words.pop(0) if words and words[0] in COMMANDS else "layers"
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True
    )
    logging.getLogger("video_ldm").setLevel(logging.INFO)
    logging.getLogger("imageio_ffmpeg").setLevel(logging.ERROR)  # it warns of every film that is scaled
    module = importlib.import_module(f".{name}.options", __package__)
    return exit_status(lambda: module.main(words), "stopped; continue with the same command and --resume")


if __name__ == "__main__":
    sys.exit(main())
