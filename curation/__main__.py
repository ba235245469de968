"""Find the clips of a folder of films, score them, choose the good ones, and write a table and a report.

`--help` says how.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..temporal.curation.engine import Job, run_all
from ..temporal.curation.film import CurationSettings
from ..temporal.curation.plain_folder import write_plain_folder
from ..temporal.curation.report import Curated, write_report
from ..temporal.curation.shards import write_shards
from ..temporal.curation.table import write_table
from ..temporal.curation.thresholds import PAPER, Filter, choose
from ..temporal.errors import InvalidInputError, exit_status
from ..temporal.video.reading import FILMS
from .captioning import captioned
from .options import parser
from .scoring import scored

logger = logging.getLogger("video_ldm.curation")


def run(args: argparse.Namespace) -> int:
    """One run; how many clips are kept."""
    settings = CurationSettings(tuple(args.skip), args.shortest, args.longest, args.margin, args.detector)
    filters = chosen_filters(args.drop, args.limit)
    paths = find_films(args.films, args.out)
    job = Job(args.out.resolve(), settings)
    results = []
    for number, result in enumerate(run_all(job, paths, args.workers, args.ray), start=1):
        results.append(result)
        logger.info(
            "%d of %d: %s, %s", number, len(paths), result.file, result.problem or f"{len(result.rows)} clips"
        )
    results.sort(key=lambda result: result.file)
    rows = scored(args, job.out, results, captioned(args, job, results))
    rows, thresholds = choose(rows, filters)
    write_table(args.out, rows)
    page = write_report(args.out, Curated(job.out, results, rows, thresholds))
    if args.shards:
        write_shards(job.out, args.shards, rows)
    if args.folder:
        write_plain_folder(job.out, args.folder, rows, args.folder_style)
    kept = sum(row.kept for row in rows)
    print(f"{kept} of {len(rows)} clips kept, of {len(paths)} films; see {page}.")
    return kept


def find_films(folder: Path, out: Path) -> list[Path]:
    """All films below a folder, except those of the data set itself.

    Raises InvalidInputError when there are none.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"There is no folder {folder}; give a folder of films.")
    inside = out.resolve()
    found = sorted(
        p for p in folder.rglob("*") if p.suffix.lower() in FILMS and inside not in p.resolve().parents
    )
    if not found:
        raise InvalidInputError(f"The folder {folder} holds no films ({', '.join(sorted(FILMS))}).")
    return [path.resolve() for path in found]


def chosen_filters(drops: Sequence[str], limits: Sequence[str]) -> tuple[Filter, ...]:
    """Filters of Stable Video Diffusion (appendix E) with the command line's shares and limits.

    Raises InvalidInputError for what is no COLUMN=NUMBER.
    """
    filters = {rule.column: rule for rule in PAPER}
    for name, texts in (("share", drops), ("limit", limits)):
        for text in texts:
            column, _, number = text.partition("=")
            try:
                value = float(number)
            except ValueError:
                value = -1.0
            if column not in filters or value < 0 or (name == "share" and value > 1):
                raise InvalidInputError(
                    f"{text!r} is no {name}; write COLUMN=NUMBER with a column of {', '.join(filters)}, "
                    "such as motion=0.25."
                )
            filters[column] = replace(filters[column], **{name: value})
    return tuple(filters.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; errors of the user are one sentence on stderr and exit status 2."""
    args = parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True
    )
    logger.setLevel(logging.INFO)
    logging.getLogger("imageio_ffmpeg").setLevel(logging.ERROR)
    return exit_status(lambda: run(args), "stopped; the same command goes on from here")


if __name__ == "__main__":
    sys.exit(main())
