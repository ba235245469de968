"""Draft of a sampling: it begins as the whole one does, and hurries to its end."""

from __future__ import annotations

from torch import Tensor

BEGINNING, END = 3, 5  # a draft takes 1 step of so many as they are, and so many more to the end


def hurried(sigmas: Tensor, beginning: int = 0, end: int = END) -> Tensor:
    """Noise levels (steps + 1,) of which the first steps stay and `end` steps take the place of the others.

    Places and sizes of things are decided at high noise, so the same steps there give the same layout; what
    is cut short is detail. Without `beginning` a third of the steps stays. What has no more steps than a
    draft is left as it is.
    """
    steps = len(sigmas) - 1
    kept = beginning or -(-steps // BEGINNING)
    if kept + end >= steps:
        return sigmas
    places = [kept + round((steps - kept) * number / end) for number in range(1, end + 1)]
    return sigmas[[*range(kept + 1), *places]]
