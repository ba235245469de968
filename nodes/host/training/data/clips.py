"""Clips of a training that all have one size."""

from __future__ import annotations

from pathlib import Path

from .....temporal.training.data import cache
from ..kinds import TrainedModel
from .encoding import Footage, checked, encoded, shortest
from .tables import TABLE, is_cache, open_clips, tell_of, write_clip_table, write_rows


def prepare_clips(footage: Footage, kind: TrainedModel) -> cache.ClipCache:
    """The clips as latents and text embeddings, from a cache where it is still good."""
    folder = footage.folder if is_cache(footage) else _cache_of_videos(footage, kind)
    return open_clips(folder, kind)


def _cache_of_videos(footage: Footage, kind: TrainedModel) -> Path:
    """An index of the clips that are long enough, and a table of all."""
    folder, target, needed = footage.folder, footage.place, shortest(kind.config)
    kind.check_size(*footage.size)
    videos = footage.clips(kind.needs_captions, pictures=needed == 1)
    rows = [checked(row, needed, footage.fps) for row in encoded(videos, kind, footage)]
    write_clip_table(target / TABLE, folder, [(row, {}) for row in rows])
    tell_of(rows)
    write_rows(target, target, footage, [row for row in rows if not row.why])
    return target
