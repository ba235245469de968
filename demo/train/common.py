"""Parts that the training scripts of the toy models share.

The host on the path, averages of weights, learning rates, files.
"""

from __future__ import annotations

import copy
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ...nodes.host_boot import keep_freed_memory
from ...temporal.training.trainer import learning_rate

ROOT = Path(__file__).resolve().parents[2]


def use_host() -> None:
    """Put ComfyUI (COMFYUI_PATH, else .host) on the import path, on the CPU.

    Call before importing from it.
    """
    path = os.environ.get("COMFYUI_PATH", str(ROOT / ".host"))
    if path not in sys.path:
        sys.path.insert(0, path)
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    comfy.cli_args.args.use_pytorch_cross_attention = True


def fast_in_half(device: torch.device) -> bool:
    """True for a device that computes faster in bfloat16.

    With 256-bit vectors a CPU takes twenty times as long as in full precision.
    """
    return device.type != "cpu" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def half_precision(device: torch.device) -> torch.autocast:
    """Compute in bfloat16 where that is fast."""
    return torch.autocast(device.type, torch.bfloat16, enabled=fast_in_half(device))


def start_log() -> logging.Logger:
    """A logger for one script's progress, with times; also sets the process up for a long run."""
    keep_freed_memory()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    return logging.getLogger("demo.train")


def reset_parameters(module: nn.Module) -> None:
    """Give every layer of a host module torch's own initial weights, which the host's layers skip."""
    for part in module.modules():
        for kind in (nn.Linear, nn.Conv2d, nn.Conv3d, nn.GroupNorm, nn.LayerNorm, nn.Embedding):
            if isinstance(part, kind):
                kind.reset_parameters(part)


def cosine(step: int, steps: int, peak: float, warmup: int = 200, floor: float = 0.01) -> float:
    """The learning rate of a step: a linear warm-up, then half a cosine down to floor * peak."""
    return learning_rate(step, peak, floor * peak, warmup, steps)


class Average:
    """An exponential moving average of a module's weights, short-sighted at first."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        mine, theirs = list(self.module.parameters()), [p.detach() for p in module.parameters()]
        torch._foreach_lerp_(mine, theirs, 1 - decay)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def save_half(
    path: Path, tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]], metadata: dict[str, str]
) -> None:
    """Write tensors as float16 safetensors; the file is complete or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    halves = {
        key: value.detach().to(torch.float16).contiguous().clone() for key, value in dict(tensors).items()
    }
    save_file(halves, partial, metadata=metadata)
    partial.replace(path)
