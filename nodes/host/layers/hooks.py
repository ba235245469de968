"""Forward hooks that put temporal layers into the host's UNet for the length of one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn

from ....temporal.layers.motion import MotionModule, over_clip
from ....temporal.sampling.clip import Clip
from ....temporal.stack.kinds import KINDS, Place
from ....temporal.stack.plan import Site
from ....temporal.stack.stack import TemporalStack


@contextmanager
def inserted(diffusion_model: nn.Module, stack: TemporalStack, clip: Clip) -> Iterator[None]:
    """Run the host's UNet with temporal layers at the places named by the stack's plan.

    The hooks exist only inside the `with` statement: after success, an error or an interrupt the module
    tree is the one it was. `clip` must have been through `stack.prepare`.
    """
    with ExitStack() as hooks:
        for site in stack.sites:
            insert = INSERT[KINDS[site.kind].place]
            insert(hooks, diffusion_model, stack, site, clip)
        yield


def hooked_paths(stack: TemporalStack) -> list[str]:
    """Paths of the modules of a UNet that get a hook of the layers."""
    seen = _Paths()
    with ExitStack() as hooks:
        for site in stack.sites:
            INSERT[KINDS[site.kind].place](hooks, seen, stack, site, Clip(1))
    return seen.paths


class _Paths(nn.Module):
    """Stands in for a UNet and writes down which of its modules are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[str] = []

    def get_submodule(self, target: str) -> nn.Module:
        """A module to hang hooks on."""
        self.paths.append(target)
        return nn.Identity()


@contextmanager
def norms_over_clip(unet: nn.Module, stack: TemporalStack, num_frames: int) -> Iterator[None]:
    """Let all group norms of the UNet and of its motion modules take their statistics over the clip.

    Its frames are one sample then.
    """

    def after_norm(norm: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor | None:
        return over_clip(norm.forward, args[0], num_frames) if args and args[0].ndim == 4 else None

    own = (part.norm for part in stack.modules() if isinstance(part, MotionModule) and not part.clip_norm)
    with ExitStack() as hooks:
        for module in (*unet.modules(), *own):
            if isinstance(module, nn.GroupNorm):
                hooks.callback(module.register_forward_hook(after_norm, with_kwargs=True).remove)
        yield


def removed_at_exit(
    hooks: ExitStack, module: nn.Module, path: str, hook: Callable[..., Tensor | None]
) -> None:
    """Register a forward hook on the submodule at `path`, to be removed when `hooks` closes."""
    handle = module.get_submodule(path).register_forward_hook(hook, with_kwargs=True)
    hooks.callback(handle.remove)


def _before(hooks: ExitStack, module: nn.Module, path: str, hook: Callable[..., tuple | None]) -> None:
    """Make a hook that sees, and may change, what goes into the submodule."""
    hooks.callback(module.get_submodule(path).register_forward_pre_hook(hook).remove)


def _insert_after(hooks: ExitStack, unet: nn.Module, stack: TemporalStack, site: Site, clip: Clip) -> None:
    """Gives the layer what the module got second.

    A ResBlock got the time embedding, a transformer block the text.
    """
    names = [name for name in KINDS[site.kind].given if name in ("emb", "context")]

    def after_block(_block: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor:
        second = args[1] if len(args) > 1 else None
        return stack(site, output, clip, **{name: kwargs.get(name, second) for name in names})

    removed_at_exit(hooks, unet, site.path, after_block)


def _insert_as_norm(hooks: ExitStack, unet: nn.Module, stack: TemporalStack, site: Site, clip: Clip) -> None:
    def after_norm(norm: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor:
        return stack.norm(site, norm.forward, args[0], output, clip)

    removed_at_exit(hooks, unet, site.path, after_norm)


def _insert_on_keys(hooks: ExitStack, unet: nn.Module, stack: TemporalStack, site: Site, clip: Clip) -> None:
    def after_projection(_linear: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor:
        return stack.keys(site, output, clip)

    removed_at_exit(hooks, unet, site.path, after_projection)


def _insert_before_feed_forward(
    hooks: ExitStack, unet: nn.Module, stack: TemporalStack, site: Site, clip: Clip
) -> None:
    """Changes tokens before the feed-forward through the feed-forward's output.

    A block computes `x + ff(norm3(x))`. A hook cannot replace `x`, so what the layer changed before norm3 is
    added to the output of `ff`.
    """
    changes: list[Tensor] = []

    def before_norm(_norm: nn.Module, args: tuple) -> tuple:
        tokens = stack(site, args[0], clip)
        changes.append(tokens - args[0])
        return (tokens, *args[1:])

    def after_feed_forward(_ff: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor:
        return output + changes.pop()

    _before(hooks, unet, f"{site.path}.norm3", before_norm)
    removed_at_exit(hooks, unet, f"{site.path}.ff", after_feed_forward)


def _insert_before(hooks: ExitStack, unet: nn.Module, stack: TemporalStack, site: Site, clip: Clip) -> None:
    def before_res_block(_block: nn.Module, args: tuple) -> tuple:
        hidden, emb, *others = args
        return (stack(site, hidden, clip, emb=emb), emb, *others)

    _before(hooks, unet, site.path, before_res_block)


def _insert_after_level(
    hooks: ExitStack, unet: nn.Module, stack: TemporalStack, site: Site, clip: Clip
) -> None:
    """Takes the time embedding from the ResBlock that opens the block: the last module may not receive it."""
    embeddings: list[Tensor] = []

    def before_res_block(_block: nn.Module, args: tuple) -> None:
        embeddings.append(args[1])

    def after_level(_block: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> Tensor:
        return stack(site, output, clip, emb=embeddings.pop())

    _before(hooks, unet, f"{site.path.rpartition('.')[0]}.0", before_res_block)
    removed_at_exit(hooks, unet, site.path, after_level)


def _insert_in_attention(
    hooks: ExitStack, unet: nn.Module, stack: TemporalStack, site: Site, clip: Clip
) -> None:
    """Adds attention to the picture's tokens to the attention to the text, before its output projection.

    Both use the queries of the text's attention.
    """
    queries: list[Tensor] = []

    def after_queries(_linear: nn.Module, args: tuple, kwargs: dict, output: Tensor) -> None:
        queries.append(output)

    def before_projection(_out: nn.Module, args: tuple) -> tuple:
        return (stack.picture_prompt(site, args[0], queries.pop(), clip), *args[1:])

    removed_at_exit(hooks, unet, f"{site.path}.to_q", after_queries)
    _before(hooks, unet, f"{site.path}.to_out", before_projection)


INSERT: Mapping[Place, Callable[[ExitStack, nn.Module, TemporalStack, Site, Clip], None]] = {
    "after": _insert_after,
    "before": _insert_before,
    "after_level": _insert_after_level,
    "before_feed_forward": _insert_before_feed_forward,
    "in_attention": _insert_in_attention,
    "norm": _insert_as_norm,
    "keys": _insert_on_keys,
}
