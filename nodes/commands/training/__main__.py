"""Train temporal layers; `--help` says how."""

from __future__ import annotations

import logging
import sys

from ..temporal.errors import VideoLDMError
from . import arguments, boot


def main() -> int:
    """Run the command; errors of the user are one sentence on stderr and exit status 2."""
    parser = arguments.parser()
    args = parser.parse_args()
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True
    )
    logging.getLogger("video_ldm").setLevel(logging.INFO)
    try:
        config = arguments.config_from(args)
        boot.keep_freed_memory()
        boot.start_host(args.comfyui, args.custom_node, args.cpu)
        from ..nodes.commands import train

        train.run(args, config)
    except (VideoLDMError, boot.HostNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"stopped; continue with --resume ({args.out})", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
