"""Blocks that keep only what goes in, and are computed again for their gradients (Chen et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from ..engine import Engine
from .levels import FAST, Level


@dataclass(frozen=True)
class Memory:
    """Memory level and processes of a run; hooks in `kept` stay until after a backward pass."""

    level: Level = FAST
    kept: ExitStack = field(default_factory=ExitStack)
    engine: Engine = field(default_factory=Engine)

    @contextmanager
    def used_by(self, blocks: Iterable[nn.Module]) -> Iterator[None]:
        """Compute blocks as the level says inside the `with` statement."""
        with recomputed(blocks) if self.level.recompute else nullcontext():
            yield


@contextmanager
def recomputed(blocks: Iterable[nn.Module]) -> Iterator[None]:
    """Compute each block twice inside the `with` statement, the second time for its gradients, bit for bit.

    What hooks do inside a block they do twice, so they have to stay until after the backward pass.
    """
    with ExitStack() as stack:
        for block in blocks:
            stack.callback(_put_back, block, block.__dict__.get("forward"))
            block.__dict__["forward"] = _twice(block.forward)
        yield


def _put_back(block: nn.Module, own: Callable[..., Any] | None) -> None:
    """The forward that a block had of its own, such as a compiled one, or that of its class."""
    del block.__dict__["forward"]
    if own is not None:
        block.__dict__["forward"] = own


def _twice(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        with set_checkpoint_early_stop(False):  # hooks come in pairs, of which the second must not be missed
            return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)

    return run
