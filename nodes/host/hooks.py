"""Forward hooks that put temporal layers into the host's UNet for the length of one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from ...temporal.clip import Clip
from ...temporal.plan import Site
from ...temporal.stack import TemporalStack


@contextmanager
def inserted(diffusion_model: nn.Module, stack: TemporalStack, clip: Clip) -> Iterator[None]:
    """Run the host's UNet with temporal layers after the blocks named by the stack's plan.

    The hooks exist only inside the `with` statement: after success, an error or an interrupt the module
    tree is the one it was. `clip` must have been through `stack.prepare`.
    """
    with ExitStack() as hooks:
        for site in stack.sites:
            removed_at_exit(hooks, diffusion_model, site.path, _hook(stack, site, clip))
        yield


def removed_at_exit(hooks: ExitStack, module: nn.Module, path: str, hook: Callable[..., Tensor]) -> None:
    """Register a forward hook on the submodule at `path`, to be removed when `hooks` closes."""
    handle = module.get_submodule(path).register_forward_hook(hook, with_kwargs=True)
    hooks.callback(handle.remove)


def _hook(stack: TemporalStack, site: Site, clip: Clip) -> Callable[..., Tensor]:
    def after_res_block(_block: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor:
        return stack(site, output, clip, emb=kwargs.get("emb", args[1] if len(args) > 1 else None))

    def after_transformer_block(_block: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor:
        return stack(site, output, clip, context=kwargs.get("context", args[1] if len(args) > 1 else None))

    def after_block(_block: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor:
        return stack(site, output, clip)

    def after_norm(norm: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor:
        return stack.norm(site, norm.forward, args[0], output, clip)

    return {
        "conv": after_res_block,
        "transformer": after_transformer_block,
        "norm": after_norm,
    }.get(site.kind, after_block)
