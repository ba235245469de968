"""Inspect and convert any file of weights that the pack reads; `--help` says how."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..temporal.errors import exit_status
from ..temporal.formats.convert import NATIVE, SPELLINGS
from .inspection import inspected


def parser() -> argparse.ArgumentParser:
    """The two commands."""
    root = argparse.ArgumentParser(prog="python -m video_ldm.formats", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="say what a file is and how to sample with it")
    convert = commands.add_parser(
        "convert", help="write the same weights in another spelling, as safetensors"
    )
    for command in (inspect, convert):
        command.add_argument("file", help="of any kind that one of the pack's loaders opens")
    convert.add_argument("out", help="the file to write")
    convert.add_argument(
        "--to",
        choices=(NATIVE, *SPELLINGS),
        help=f"default: {NATIVE}; where there is no {NATIVE} spelling, the other one of original and "
        "diffusers",
    )
    convert.add_argument(
        "--family",
        metavar="NAME",
        help="what the file is, where keys fit several families, such as AnimateLCM; is written into files "
        "of motion modules",
    )
    return root


def run(args: argparse.Namespace) -> None:
    """One command; the report of a file, and the file it is converted to."""
    found = inspected(args.file, getattr(args, "family", None))
    print(found.report)
    if args.command == "convert":
        spelling = args.to or found.usual
        found.convert(args.out, spelling)
        print(f"Written to {args.out}: {found.what} in the {spelling} spelling.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors of the user are one sentence on stderr and exit status 2."""
    args = parser().parse_args(arguments)
    return exit_status(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
