"""Windows over a clip: every frame is in one.

Shapes: lists of frame numbers.
"""

from __future__ import annotations

from collections.abc import Iterable


def covering(windows: Iterable[list[int]], num_frames: int, length: int) -> list[list[int]]:
    """Windows that lie inside a clip of so many frames and leave none of them out.

    A window that runs over the end is moved back to it. Frames that no window has get windows of `length`
    neighbours: a schedule with a stride may forget the first or the last of them.
    """
    found = [_inside(window, num_frames) for window in windows]
    missing = sorted(set(range(num_frames)).difference(*found))
    while missing:
        start = max(0, min(missing[0], num_frames - length))
        found.append(list(range(start, min(start + length, num_frames))))
        missing = [frame for frame in missing if frame not in found[-1]]
    return found


def _inside(window: list[int], num_frames: int) -> list[int]:
    """The window, moved so far that its last frame is one of the clip."""
    over = max(window) - (num_frames - 1)
    return [frame - over for frame in window] if over > 0 else window
