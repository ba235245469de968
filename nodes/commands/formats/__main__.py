"""Inspect and convert files of temporal layers; `--help` says how."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..temporal.errors import VideoLDMError
from ..temporal.formats import open_stack, report
from ..temporal.formats.convert import NATIVE, SPELLINGS, write


def parser() -> argparse.ArgumentParser:
    """The two commands."""
    root = argparse.ArgumentParser(prog="python -m video_ldm.formats", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="say what a file is and how to sample with it")
    inspect.add_argument("file")
    convert = commands.add_parser(
        "convert", help="write the same weights in another spelling, as safetensors"
    )
    convert.add_argument("file", help="of any family that Load Temporal Layers opens")
    convert.add_argument("out", help="the file to write")
    convert.add_argument("--to", choices=(NATIVE, *SPELLINGS), default=NATIVE, help=f"default: {NATIVE}")
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors of the user are one sentence on stderr and exit status 2."""
    args = parser().parse_args(arguments)
    try:
        stack, source = open_stack(args.file)
        print(report(stack, source))
        if args.command == "convert":
            write(args.out, stack, args.to)
            print(f"Written to {args.out} in the {args.to} spelling.")
    except (VideoLDMError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
