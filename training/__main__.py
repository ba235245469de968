"""Train temporal layers, or with a word before the options another temporal part; `--help` says how."""

from __future__ import annotations

import importlib
import logging
import sys

from ..nodes import host_boot as boot
from ..temporal.errors import VideoLDMError

# The word, and the module whose `main(arguments)` runs it.
COMMANDS = {"layers": "layers", "decoder": "decoder", "upscaler": "upscaler"}


def main() -> int:
    """Run the command; errors of the user are one sentence on stderr and exit status 2."""
    words = sys.argv[1:]
    name = words.pop(0) if words and words[0] in COMMANDS else "layers"
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True
    )
    logging.getLogger("video_ldm").setLevel(logging.INFO)
    try:
        importlib.import_module(f".{COMMANDS[name]}", __package__).main(words)
    except (VideoLDMError, boot.HostNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; continue with the same command and --resume", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
