"""Inspect and convert files of temporal layers and of whole video models; `--help` says how."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..temporal.errors import VideoLDMError
from ..temporal.files import read_weights
from ..temporal.formats import bare, open_stack, open_video_model, report, report_model, respell, video_family
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
    convert.add_argument("file", help="of any family that Load Temporal Layers or Load Video Model opens")
    convert.add_argument("out", help="the file to write")
    convert.add_argument(
        "--to",
        choices=(NATIVE, *SPELLINGS),
        default=NATIVE,
        help=f"default: {NATIVE}; a whole video model is written as original or diffusers",
    )
    return root


def run(args: argparse.Namespace) -> None:
    """One command; the report of a file, and the file it is converted to."""
    if video_family(bare(read_weights(args.file))) is not None:
        print(report_model(open_video_model(args.file)))
        if args.command == "convert":
            respell(args.file, args.out, args.to)
    else:
        stack, source = open_stack(args.file)
        print(report(stack, source))
        if args.command == "convert":
            write(args.out, stack, args.to)
    if args.command == "convert":
        print(f"Written to {args.out} in the {args.to} spelling.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors of the user are one sentence on stderr and exit status 2."""
    args = parser().parse_args(arguments)
    try:
        run(args)
    except (VideoLDMError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
