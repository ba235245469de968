"""Thresholds that decide which clips are kept.

Shares of all clips, as in Stable Video Diffusion (appendix E), or fixed values.

A share of few clips says little and throws good ones away: below `FEW` clips the fixed values count, and what
a share would have dropped is only marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .table import ClipRow

FEW = 200
Side = Literal["low", "high"]


@dataclass(frozen=True)
class Filter:
    """Drops the `share` of clips whose `column` is lowest or highest, and always those beyond `limit`."""

    column: str
    side: Side
    share: float
    limit: float | None = None


# Shares of Stable Video Diffusion, and its limit for text; the limits of motion and text match are our own.
PAPER = (
    Filter("motion", "low", 0.25, 0.002),
    Filter("text_area", "high", 0.25, 0.07),
    Filter("aesthetic", "low", 0.25),
    Filter("text_match", "low", 0.5, 0.1),
)


@dataclass(frozen=True)
class Threshold:
    """Result of one filter on a set of clips.

    The value of its share, whether the share counts, and how many clips it dropped.
    """

    filter: Filter
    value: float | None
    counts: bool
    dropped: int
    measured: int


def choose(
    rows: Sequence[ClipRow], filters: Iterable[Filter] = PAPER, few: int = FEW
) -> tuple[list[ClipRow], list[Threshold]]:
    """Rows with `kept`, `why` and `marks` set anew, and the thresholds in the order in which they were asked.

    Every share is of the clips that had a score, before any other filter. Duplicates are dropped first.
    """
    chosen = [_fresh(row) for row in rows]
    thresholds = []
    for rule in filters:
        values = np.array([v for row in rows if (v := getattr(row, rule.column)) is not None])
        share = rule.share if rule.side == "low" else 1 - rule.share
        value = float(np.quantile(values, share)) if len(values) and rule.share else None
        counts = len(values) >= few
        before = sum(row.kept for row in chosen)
        chosen = [_judged(row, rule, value, counts) for row in chosen]
        thresholds.append(
            Threshold(rule, value, counts, before - sum(row.kept for row in chosen), len(values))
        )
    return chosen, thresholds


def _fresh(row: ClipRow) -> ClipRow:
    if row.duplicate_of is None:
        return replace(row, kept=True, why="", marks=())
    return replace(row, kept=False, why=f"looks like {row.duplicate_of}", marks=())


def _judged(row: ClipRow, rule: Filter, value: float | None, counts: bool) -> ClipRow:
    score = getattr(row, rule.column)
    if score is None or not row.kept:
        return row
    word = "below" if rule.side == "low" else "above"
    if rule.limit is not None and _beyond(score, rule.limit, rule.side):
        return replace(row, kept=False, why=f"{rule.column} {score:.3g} is {word} the limit {rule.limit:.3g}")
    if value is None or not _beyond(score, value, rule.side):
        return row
    said = f"{rule.column} {score:.3g} is {word} {value:.3g}, the {rule.share:.0%} that are {rule.side}est"
    return replace(row, kept=False, why=said) if counts else replace(row, marks=(*row.marks, said))


def _beyond(score: float, value: float, side: Side) -> bool:
    return score < value if side == "low" else score > value
