"""One good file, damaged in many ways: each ends in one sentence, or in weights that can be used."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from video_ldm.temporal.errors import VideoLDMError

from . import damage
from .memory import MB, Peak

LONGEST = 1200  # a sentence that names six keys, all of them long
MEMORY = 100 * MB  # such a file has at most 2 MB

Opened = Callable[[Path], Mapping[str, Tensor]]


def trial(
    path: Path, good: bytes, opened: Opened, kinds: Sequence[damage.Damage] = damage.HEADERS
) -> Counter[str]:
    """Count the damaged files that were refused and used.

    Fails at the first that is neither, or takes too much memory.
    """
    path.write_bytes(good)
    assert opened(path)
    ends, peak = Counter(refused=0, used=0), Peak()
    for number, kind in enumerate(kinds):
        path.unlink(missing_ok=True)  # a file that is open may be mapped
        path.write_bytes(kind(good, random.Random(number)))
        ends[_end(path, opened, f"{kind.__name__}, seed {number}")] += 1
    assert peak.bytes() < MEMORY
    return ends


def _end(path: Path, opened: Opened, what: str) -> str:
    try:
        weights = opened(path)
    except VideoLDMError as error:
        assert str(error).isprintable() and len(str(error)) < LONGEST, (what, str(error)[:LONGEST])
        assert str(error)[-1] in ".)" and "Error(s)" not in str(error), (what, str(error))
        return "refused"
    assert all(bool(torch.isfinite(weight.float()).all()) for weight in weights.values()), what
    return "used"
