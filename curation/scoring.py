"""Scores that come of CLIP, which the host opens: caption match, aesthetics, near duplicates."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from ..temporal.curation.ledger import FilmResult
from ..temporal.curation.looks.embeddings import Embedder, embedded, side_by_side
from ..temporal.curation.looks.scores import open_aesthetics, with_duplicates, with_marks, with_text_match
from ..temporal.curation.table import ClipRow
from ..temporal.errors import InvalidInputError

logger = logging.getLogger("video_ldm.curation")


def scored(
    args: argparse.Namespace, root: Path, results: Sequence[FilmResult], rows: Sequence[ClipRow]
) -> list[ClipRow]:
    """Rows with the scores that --clip and --aesthetics ask for.

    Raises VideoLDMError when ComfyUI or one of the files is not there, or they do not fit together.
    """
    if not args.clip:
        if args.aesthetics:
            raise InvalidInputError("--aesthetics marks what CLIP sees; give its file, too, with --clip.")
        return list(rows)
    marks = open_aesthetics(args.aesthetics) if args.aesthetics else None
    network = open_network(args.clip, args.comfyui, args.cpu)
    features = side_by_side([embedded(root, result, network) for result in results])
    found = with_duplicates(rows, features, args.alike)
    if marks is not None:
        found = with_marks(found, features, marks)
    if network.reads_text:
        return with_text_match(found, features, network)
    logger.warning(
        "%s holds no text encoder with its projection: how well captions match is left out.", network.identity
    )
    return found


def open_network(files: Sequence[str], comfyui: str | None, cpu: bool) -> Embedder:
    """CLIP or DINOv2 by the host, which is started for it."""
    from ..nodes.host_boot import start_host

    start_host(comfyui, [], cpu)
    from ..nodes.host.measuring.clip_model import open_clip

    return open_clip(files)
