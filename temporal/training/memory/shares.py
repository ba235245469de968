"""Weights of which every process keeps a share: float32 weights, gradients, optimiser and average (FSDP2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.utils import clip_grads_with_norm_

from ..engine import Engine

Change = Callable[[str, Tensor], Tensor]


class Shares:
    """The share of a module's weights that this process keeps, for the optimiser to work on.

    A part of the module (a layer) is whole while it computes, forwards and backwards, and its gradients until
    they are added up. Every process has to call every part equally often. Weights of one number, such as the
    mix of a layer, are whole everywhere: they are read outside of their layer.
    """

    def __init__(self, module: nn.Module, engine: Engine, device: str, precision: str) -> None:
        self.module, self.engine = module, engine
        mesh = device_mesh.init_device_mesh(device, (engine.world,))
        half = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
        given: dict[str, Any] = {
            "mesh": mesh,
            "reshard_after_forward": True,
            "mp_policy": half if precision == "bf16" else MixedPrecisionPolicy(),
            "ignored_params": {weight for weight in module.parameters() if weight.numel() == 1},
        }
        for part in _parts(module):
            shared = fully_shard(part, **given)
            shared.set_force_sum_reduction_for_comms(True)
            shared.set_gradient_divide_factor(1.0)  # the loss was divided before
        fully_shard(module, **given)
        for weight in given["ignored_params"]:
            weight.data = weight.data.to(device)
        if hasattr(module, "prepare"):  # a way in beside `forward`
            register_fsdp_forward_method(module, "prepare")
        self.weights = dict(module.named_parameters())
        self.own = {
            name: nn.Parameter(_here(weight.detach()), weight.requires_grad)
            for name, weight in self.weights.items()
        }

    def parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that this process keeps of each weight; to change them is to change the module."""
        return iter(self.own.values())

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Parameters that this process keeps of each weight, by name."""
        return iter(self.own.items())

    def take_gradients(self) -> list[Tensor]:
        """Hand the module's gradients to the shares; those that are not yet added up over all processes."""
        apart = []
        for name, weight in self.weights.items():
            if weight.grad is None:
                continue
            self.own[name].grad = _here(weight.grad)
            if not isinstance(weight, DTensor):
                apart.append(weight.grad)
            weight.grad = None
        return apart

    def clip(self, longest: float) -> float:
        """Make the gradient of all shares together no longer than that; its length before."""
        device = next(self.parameters()).device
        shared, whole = torch.zeros(2, dtype=torch.float64, device=device).unbind()
        for name, weight in self.weights.items():
            gradient = self.own[name].grad
            if gradient is not None:
                square = shared if isinstance(weight, DTensor) else whole
                square += gradient.double().square().sum()
        self.engine.add_up([shared])
        length = (shared + whole).sqrt()
        clip_grads_with_norm_(self.parameters(), longest, length.float())
        return length.item()

    def state_dict(self) -> dict[str, Tensor]:
        """Whole state of the module in the first process; all have to ask."""
        return self._each(self.module.state_dict(), self._whole)

    @torch.no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take this process's share of a whole state."""
        for name, tensor in self.module.state_dict().items():
            _here(tensor).copy_(self._share(name, state_dict[name]))

    def whole(self, learned: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Turn the shares in what was learned into whole tensors, in the first process; all have to ask."""
        return self._changed(learned, optimizer, self._whole)

    def shared(self, learned: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """The inverse of `whole`, in every process."""
        return self._changed(learned, optimizer, self._share)

    def whole_average(self, average: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Averaged weights, whole in the first process; all have to ask."""
        return self._each(average, self._whole)

    def _changed(
        self, learned: Mapping[str, Any], optimizer: torch.optim.Optimizer, change: Change
    ) -> dict[str, Any]:
        names = {id(own): name for name, own in self.own.items()}
        order = [names[id(weight)] for group in optimizer.param_groups for weight in group["params"]]
        known = {
            number: {key: change(order[number], value) if value.ndim else value for key, value in row.items()}
            for number, row in learned["optimizer"]["state"].items()
        }
        average = self._each(learned["average"]["average"], change)
        return {
            **learned,
            "optimizer": {**learned["optimizer"], "state": known},
            "average": {**learned["average"], "average": average},
        }

    def _each(self, tensors: Mapping[str, Tensor], change: Change) -> dict[str, Tensor]:
        return {name: change(name, tensor) for name, tensor in tensors.items()}

    def _whole(self, name: str, share: Tensor) -> Tensor:
        """A tensor like a weight, from what each process has of it; on the CPU."""
        like = self.weights.get(name)
        if not isinstance(like, DTensor):
            return _here(share).detach().cpu()
        kept = DTensor.from_local(
            _here(share).detach().to(like.device),
            like.device_mesh,
            like.placements,
            shape=like.shape,
            stride=like.stride(),
        )
        whole = kept.full_tensor()
        return whole.cpu() if self.engine.is_first else whole[:0].cpu()

    def _share(self, name: str, whole: Tensor) -> Tensor:
        """This process's part of a tensor like a weight."""
        like = self.weights.get(name)
        if not isinstance(like, DTensor):
            return whole
        cut = distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)
        return cut.to_local()


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    """Layers, and other parts that are called as a whole."""
    for child in module.children():
        if isinstance(child, nn.ModuleDict | nn.ModuleList):
            yield from child.children()
        else:
            yield child


def _here(tensor: Tensor) -> Tensor:
    """The part of a tensor that lies in this process."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
