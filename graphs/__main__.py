"""Open graphs of AnimateDiff-Evolved: convert them to this pack's nodes, or say what they would become."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..nodes.graphs.convert import Converted, convert
from ..nodes.graphs.media import SUFFIXES, read_graph
from ..nodes.graphs.table import NEIGHBOURS, table_text
from ..temporal.errors import GraphError, VideoLDMError, exit_status

PACKS = {"fizznodes": "Batch", "videohelpersuite": "VHS_"}  # beginnings of their nodes' names


def parser() -> argparse.ArgumentParser:
    """The commands."""
    root = argparse.ArgumentParser(prog="python -m video_ldm.graphs", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="say what becomes of a graph and change nothing")
    writing = commands.add_parser(
        "convert", help="write a graph, or every graph of a folder, with this pack's nodes"
    )
    commands.add_parser("table", help="print what becomes of every node, as in the help page")
    for command in (inspect, writing):
        command.add_argument("file", type=Path, help=f"a folder, or a file of {', '.join(SUFFIXES)}")
        command.add_argument(
            "--keep",
            action="append",
            choices=sorted(PACKS),
            default=[],
            help="a pack that is installed, whose nodes stay as they are",
        )
    writing.add_argument(
        "out",
        type=Path,
        help="the .json to write, or the folder for those of a folder; never one that exists",
    )
    return root


def run(args: argparse.Namespace) -> int:
    """One command on a file or a folder; how many files failed."""
    if args.command == "table":
        print(table_text())
        return 0
    if not args.file.exists():
        raise GraphError(f"There is nothing at {args.file}; check the path.")
    failed = 0
    for path, out in _pairs(args):
        try:
            converted = convert(read_graph(path), _kept(args.keep))
            print(f"{path}\n{converted.report.text()}\n")
            if out is not None:
                _write(converted, out)
                print(f"Written to {out}.\n")
        except (VideoLDMError, OSError) as error:
            failed += 1
            print(f"error: {path}: {error}", file=sys.stderr)
    return failed


def _kept(packs: Sequence[str]):
    starts = tuple(PACKS[pack] for pack in packs)
    return lambda name: bool(starts) and name in NEIGHBOURS and name.startswith(starts)


def _pairs(args: argparse.Namespace) -> Iterator[tuple[Path, Path | None]]:
    """Each file and where its graph goes."""
    out = getattr(args, "out", None)
    if not args.file.is_dir():
        yield args.file, out
        return
    for path in sorted(
        path for path in args.file.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
    ):
        yield path, None if out is None else out / path.relative_to(args.file).with_suffix(".json")


def _write(converted: Converted, out: Path) -> None:
    """Write a new file; one that exists is never written over."""
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(converted.graph, ensure_ascii=False, indent=2)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise GraphError(
            f"There is a file at {out} already, which is left as it is; give another name."
        ) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors of the user are one sentence on stderr and exit status 2."""
    args = parser().parse_args(arguments)
    failed: list[int] = []
    return exit_status(lambda: failed.append(run(args))) or (2 if any(failed) else 0)


if __name__ == "__main__":
    sys.exit(main())
