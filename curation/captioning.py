"""Captions of a run: what lies beside the films, or what a command or a server says, asked once a clip."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ..temporal.curation.captions import Server, of_command
from ..temporal.curation.engine import Job
from ..temporal.curation.folder import captions_of
from ..temporal.curation.ledger import FilmResult
from ..temporal.curation.table import Caption, ClipRow, with_captions, write_text

KEPT = "captions"  # folder below the data set, a file a film


def captioned(args: argparse.Namespace, job: Job, results: Sequence[FilmResult]) -> list[ClipRow]:
    """The clips of all films with their captions; those that were made before are not made again."""
    asked, rows = _source(args, job), []
    paths = [(job.out / result.file).resolve() for result in results]
    for result, texts in zip(results, captions_of(args.films.resolve(), paths), strict=True):
        given = [Caption(text, weight=share) for text, share in texts if text]
        if given:
            rows += [with_captions(row, given) for row in result.rows]
        elif asked is not None and result.rows:
            rows += _made(job, result, *asked)
        else:
            rows += result.rows
    return rows


def _source(
    args: argparse.Namespace, job: Job
) -> tuple[str, Callable[[ClipRow], tuple[Caption, ...]]] | None:
    """Name of the source of captions, and the function that asks it; None where there is none."""
    if args.caption_command:
        command = args.caption_command
        return command, lambda row: of_command(command, job.out, row)
    if args.caption_server:
        server = Server(args.caption_server, args.caption_model)
        return f"{server.address} {server.model}", lambda row: server.captions(job.out, row)
    return None


def _made(
    job: Job, result: FilmResult, source: str, ask: Callable[[ClipRow], tuple[Caption, ...]]
) -> list[ClipRow]:
    keys = " ".join(row.key for row in result.rows)
    name = hashlib.sha1(f"{source} {keys}".encode()).hexdigest()[:20]
    path = job.out / KEPT / f"{name}.json"
    found = _read(path)
    captions = {row.key: found.get(row.key) or ask(row) for row in result.rows}
    if captions != found:
        said = {key: [asdict(caption) for caption in texts] for key, texts in captions.items()}
        write_text(path, json.dumps(said, ensure_ascii=False))
    return [with_captions(row, captions[row.key]) for row in result.rows]


def _read(path: Path) -> dict[str, tuple[Caption, ...]]:
    """Captions by clip; none of a file that is missing or damaged."""
    try:
        values = json.loads(path.read_text("utf-8"))
        return {key: tuple(Caption(**caption) for caption in said) for key, said in values.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
