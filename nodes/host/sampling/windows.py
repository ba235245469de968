"""Clips longer than the temporal layers know.

Windows that overlap, or one clip whose frames look only so far.

The host's own windows are written for models whose frames lie inside a tensor. Here frames are the batch, so
every condition with a row per frame is cut, and a window sees nothing of its neighbours.

Shapes: f frames of the clip.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from comfy.context_windows import (
    IndexListCallbacks,
    IndexListContextHandler,
    IndexListContextWindow,
    create_prepare_sampling_wrapper,
    get_matching_context_schedule,
    get_matching_fuse_method,
)
from comfy.patcher_extension import WrappersMP, add_callback
from torch import Tensor

from ....temporal.errors import InvalidInputError
from ....temporal.sampling.covering import covering
from ....temporal.sampling.noise import repeat_noise
from ..layers.attached.stacks import trained_length
from ..layers.controls import FrameControls
from ..layers.per_frame import TEXT_COND, rows
from ..progress import say

DEFAULT_LENGTH = 16  # where no layers say
LOOPED = "looped_uniform"
SCHEDULES = ("standard_static", "standard_uniform", LOOPED, "batched")
FUSE_METHODS = ("pyramid", "overlap-linear", "relative", "flat")
NOISE_KEY = "video_ldm.windows"
TEXTS = ("c_crossattn", "y", TEXT_COND)  # conditions of the model that come from a prompt, y with SDXL


def _supported(make: Callable, **wishes: Any) -> dict[str, Any]:
    """Those wishes that this version of the host has an argument for."""
    return {name: wish for name, wish in wishes.items() if name in inspect.signature(make).parameters}


class FrameWindow(IndexListContextWindow):
    """Some frames of a clip of `num_frames`; the next window shares `overlap` of them."""

    def __init__(self, frames: list[int], num_frames: int, overlap: int = 0) -> None:
        newer = _supported(IndexListContextWindow.__init__, total_frames=num_frames, context_overlap=overlap)
        super().__init__(frames, dim=0, **newer)
        self.num_frames = num_frames

    def get_tensor(self, full: Tensor, device: Any = None, *args: Any, **kwargs: Any) -> Tensor:
        """Their rows of a tensor with one row per frame; a tensor with one row for all stays as it is."""
        return full if full.shape[0] == 1 else full[self.index_list].to(device)

    def add_window(self, full: Tensor, to_add: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Add rows of the window in place."""
        full[self.index_list] += to_add
        return full


class ClipWindows(IndexListContextHandler):
    """The host's windows over frames on the batch axis, with every condition per frame cut to the window."""

    _window: FrameWindow | None = None
    _controls: FrameControls | None = None

    def __init__(self, *args: Any, on_equal_length: bool = False, **kwargs: Any) -> None:
        self.shortest = kwargs["context_length"] + (not on_equal_length)
        # Newer hosts show a window one frame more before it, for models that look back; here a frame more is
        # a longer clip.
        newer = _supported(IndexListContextHandler.__init__, causal_window_fix=False)
        super().__init__(*args, dim=0, **newer, **kwargs)
        # Newer hosts ask how a condition is cut before they cut it themselves; older ones do not ask.
        self._asked_by = getattr(IndexListCallbacks, "RESIZE_COND_ITEM", None)
        if self._asked_by is not None:
            add_callback(self._asked_by, _cut, self.callbacks)

    def should_use_context(
        self, model: Any, conds: Any, x_in: Tensor, timestep: Any, model_options: dict
    ) -> bool:
        """True if the clip is long enough for windows: longer than one, or as long where that is wished."""
        return len(x_in) >= self.shortest

    def set_step(self, timestep: Tensor, model_options: dict) -> None:
        """The step whose noise level is nearest: some samplers also evaluate between steps."""
        sigmas = model_options["transformer_options"]["sample_sigmas"]
        self._step = int((sigmas - timestep.flatten()[0].to(sigmas)).abs().argmin())

    def get_context_windows(self, model: Any, x_in: Tensor, model_options: dict) -> list[FrameWindow]:
        """The windows of this step; together they have every frame, which the host's own may not."""
        total = len(x_in)
        found = covering(self.context_schedule.func(total, self, model_options), total, self.context_length)
        return [FrameWindow(frames, total, self.context_overlap) for frames in found]

    def execute(self, *args: Any, **kwargs: Any) -> list[Tensor]:
        """All windows of one evaluation; hints that were cut for it are let go afterwards."""
        try:
            return super().execute(*args, **kwargs)
        finally:
            self._window = self._controls = None

    def get_resized_cond(
        self,
        cond_in: list | None,
        x_in: Tensor,
        window: FrameWindow,
        device: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> list | None:
        """Conditions of the window's frames: texts, tensors for the model, hints of ControlNets."""
        if cond_in is None:
            return None
        if self._window is not window:
            self._window, self._controls = window, FrameControls(window.index_list, window.num_frames)
        resized = super().get_resized_cond(cond_in, x_in, window, device, *args, **kwargs)
        if self._asked_by is None:
            for given, cond in zip(cond_in, resized, strict=True):  # of what is given: it may be cut already
                found = {key: _cut(key, value, window, x_in) for key, value in given["model_conds"].items()}
                cond["model_conds"].update({key: value for key, value in found.items() if value is not None})
        return resized

    def prepare_control_objects(self, control: Any, device: Any = None) -> Any:
        """A ControlNet that sees the hints of the window; the same one for all conditions that share it."""
        return control if self._controls is None else self._controls.of(control)


def _cut(key: str, value: Any, window: FrameWindow, x_in: Tensor, *args: Any) -> Any:
    """A condition of the model for a window: its rows, where it has one per frame.

    Of texts, the last one goes on.

    None for what is no tensor. Also the host's RESIZE_COND_ITEM callback: what it returns is not cut again.
    """
    tensor = getattr(value, "cond", None)
    if not isinstance(tensor, Tensor) or not tensor.ndim:
        return None
    if len(tensor) == len(x_in):
        return value._copy_with(window.get_tensor(tensor))
    if key in TEXTS and len(tensor) > 1:
        return value._copy_with(rows(tensor, window.index_list))
    return value


@dataclass(frozen=True)
class FurtherWindows:
    """Windows with gaps between their frames, and windows of short clips.

    `stride`: how many spacings of frames there are: 1, 2, 4 and so on. `on_equal_length`: a clip as long as a
    window has one, too.
    """

    stride: int = 1
    on_equal_length: bool = False


def add_windows(
    model: Any,
    length: int,
    overlap: int,
    schedule: str,
    fuse_method: str,
    closed_loop: bool,
    repeated_noise: bool,
    further: FurtherWindows = FurtherWindows(),  # noqa: B008 (it is frozen)
) -> Any:
    """Clone of a MODEL that denoises long clips window by window, blended at every step.

    `length` 0: as its temporal layers were trained, with an overlap of at most half of that.

    Raises InvalidInputError for an overlap as long as the window and names that do not go together.
    """
    if not length:
        length = trained_length(model) or DEFAULT_LENGTH
        overlap = min(overlap, length // 2)
        say(f"Windows of {length} frames that share {overlap}.")
    _check(length, overlap, schedule, fuse_method)
    patched = model.clone()
    patched.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, NOISE_KEY)
    patched.model_options["context_handler"] = ClipWindows(
        context_schedule=get_matching_context_schedule(schedule),
        fuse_method=get_matching_fuse_method(fuse_method),
        context_length=length,
        context_overlap=overlap,
        closed_loop=closed_loop,
        context_stride=further.stride,
        on_equal_length=further.on_equal_length,
    )
    create_prepare_sampling_wrapper(patched)
    if repeated_noise:

        def wrapper(executor: Any, noise: Tensor, *args: Any, **kwargs: Any) -> Any:
            """OUTER_SAMPLE wrapper: windows that start from the same noise in another order."""
            return executor(repeat_noise(noise, length, overlap), *args, **kwargs)

        patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, NOISE_KEY, wrapper)
    return patched


def _check(length: int, overlap: int, schedule: str, fuse_method: str) -> None:
    """Refuse windows that see nothing of the others, or that make no sense."""
    if length < 2:
        raise InvalidInputError(
            "A window of one frame sees nothing of the others; set context_length to 2 or more, or to 0, as "
            "trained."
        )
    if overlap >= length:
        raise InvalidInputError(
            f"Windows of {length} frames cannot overlap by {overlap}; make them longer or the overlap "
            "shorter."
        )
    if fuse_method == "relative" and schedule != "standard_static":
        raise InvalidInputError(
            "Fuse method relative goes with schedule standard_static; choose pyramid or that schedule."
        )
