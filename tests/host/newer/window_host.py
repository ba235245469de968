"""Context windows of newer hosts, put in front of our code on a host that has none of them yet.

Seen on ComfyUI 0.26: a window must know the number of frames, it is asked for rows with more arguments, a
window is shown one frame before it, and conditions with a row per frame are cut by the host, which asks its
callbacks first.

Shapes: f frames of the clip.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from comfy.context_windows import (
    ContextResults,
    IndexListCallbacks,
    IndexListContextHandler,
    IndexListContextWindow,
)
from comfy.patcher_extension import get_all_callbacks

ASKS = "resize_cond_item"  # the host's own name for it
_handler_init = IndexListContextHandler.__init__
_get_resized_cond = IndexListContextHandler.get_resized_cond
_combine = IndexListContextHandler.combine_context_window_results


def make_newer(monkeypatch: Any, asks: bool) -> None:
    """Patch the host's windows to those of 0.26, or, if they do not ask, to those of a version between.

    A host that has all this keeps its own.
    """
    if hasattr(IndexListCallbacks, "RESIZE_COND_ITEM"):
        return
    if asks:
        monkeypatch.setattr(IndexListCallbacks, "RESIZE_COND_ITEM", ASKS, raising=False)
    monkeypatch.setattr(IndexListContextWindow, "__init__", window_init)
    monkeypatch.setattr(IndexListContextHandler, "__init__", handler_init)
    monkeypatch.setattr(IndexListContextHandler, "get_resized_cond", get_resized_cond)
    monkeypatch.setattr(IndexListContextHandler, "evaluate_context_windows", evaluate)
    monkeypatch.setattr(IndexListContextHandler, "combine_context_window_results", combine)


def window_init(
    self: Any, index_list: list[int], dim: int = 0, total_frames: int = 0, context_overlap: int = 0
) -> None:
    """A window that divides by the number of frames."""
    self.index_list, self.context_length, self.dim = index_list, len(index_list), dim
    self.context_overlap = context_overlap
    self.center_ratio = (min(index_list) + max(index_list)) / 2 / total_frames


def handler_init(self: Any, *args: Any, causal_window_fix: bool = True, **kwargs: Any) -> None:
    """A handler that looks back unless told otherwise."""
    self.causal_window_fix = causal_window_fix
    _handler_init(self, *args, **kwargs)


def get_resized_cond(self: Any, cond_in: Any, x_in: Any, window: Any, device: Any = None) -> Any:
    """Conditions, cut by the host."""
    resized = _get_resized_cond(self, cond_in, x_in, window, device)
    for cond in resized or ():
        conds = cond["model_conds"]
        conds.update({key: cut(self, key, value, x_in, window, conds) for key, value in conds.items()})
    return resized


def cut(self: Any, key: str, value: Any, x_in: Any, window: Any, conds: dict) -> Any:
    """One condition: as the first callback with an answer says, else its rows."""
    for callback in get_all_callbacks(ASKS, self.callbacks):
        answer = callback(key, value, window, x_in, None, conds)
        if answer is not None:
            return answer
    tensor = getattr(value, "cond", None)
    if tensor is not None and tensor.ndim and len(tensor) == len(x_in):
        return value._copy_with(window.get_tensor(tensor, None, retain_index_list=[]))
    return value


def evaluate(
    self: Any, calc: Any, model: Any, x_in: Any, conds: Any, timestep: Any, found: Any, options: Any
) -> list:
    """Windows whose first frame is taken off where the host asked for one more."""
    results = []
    for number, window in found:
        x = window.get_tensor(x_in, None, retain_index_list=[])
        parts = [self.get_resized_cond(cond, x_in, window) for cond in conds]
        made = calc(model, parts, x, window.get_tensor(timestep, dim=0), options)
        if self.causal_window_fix and window.index_list[0] > 0:
            made = [one[1:] for one in made]
        results.append(ContextResults(number, made, parts, window))
    return results


def combine(self: Any, x_in: Any, made: Any, parts: Any, window: Any, *rest: Any) -> None:
    """Blend by the overlap that the window was given."""
    with patch.object(self, "context_overlap", window.context_overlap):
        _combine(self, x_in, made, parts, window, *rest)
