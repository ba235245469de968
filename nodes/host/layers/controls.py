"""ControlNets whose hints, one for each frame of a clip, are cut to some of its frames.

Shapes: f frames of the clip.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any


class FrameControls:
    """ControlNets for some frames of a clip of `num_frames`; conditions that share one go on to share it.

    Where there are fewer hints than frames, the last one goes on.
    """

    def __init__(self, frames: Sequence[int], num_frames: int) -> None:
        self.frames, self.num_frames = list(frames), num_frames
        self._made: dict[int, Any] = {}

    def of(self, control: Any) -> Any:
        """A ControlNet with the hints of the frames, as those chained before it.

        The given ones stay as they were.
        """
        if id(control) not in self._made:
            own = self._cut(control)
            if own.previous_controlnet is not None:
                own.previous_controlnet = self.of(own.previous_controlnet)
            self._made[id(control)] = own
        return self._made[id(control)]

    def seen(self, conditioning: list) -> list[Any]:
        """Hints that the frames see, of each ControlNet of a CONDITIONING that has several."""
        chains = [options.get("control") for _, options in conditioning]
        found = []
        while chains := [control for control in chains if control is not None]:
            found += filter(None, map(self._numbers, chains))
            chains = [control.previous_controlnet for control in chains]
        return found

    def _cut(self, control: Any) -> Any:
        if _knows_frames(control):
            return control.for_window(self.frames, self.num_frames)
        own = copy.copy(control)
        own.cond_hint = None
        if numbers := self._numbers(control):
            own.cond_hint_original = control.cond_hint_original[numbers]
        return own

    def _numbers(self, control: Any) -> list[Any]:
        """Of the hint for each frame; none where one hint is for all."""
        if _knows_frames(control):
            return control.given_at(self.frames, self.num_frames)
        hints = control.cond_hint_original
        if hints is None or len(hints) == 1:
            return []
        return [min(frame, len(hints) - 1) for frame in self.frames]


def _knows_frames(control: Any) -> bool:
    """True if it is SparseCtrl, which places its images in a clip itself."""
    return hasattr(control, "for_window")
