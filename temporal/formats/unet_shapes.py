"""Shapes of the weights of a Stable Diffusion UNet, by their names in the host."""

from ..stack.plan import UNetShape, plan
from .unet_names import SHORTCUT, unet_modules


def image_shapes(
    shape: UNetShape, in_channels: int = 4, linear: bool = True, label: int | None = None
) -> dict[str, tuple[int, ...]]:
    """Shape of every weight.

    `linear`: projections of transformers are no convolutions; `label`: width of a label.
    """
    width, emb = shape.model_channels, shape.embedding_channels
    found = {
        **_layer("time_embed.0", emb, width),
        **_layer("time_embed.2", emb, emb),
        **_layer("input_blocks.0.0", width, in_channels, 3, 3),
        **_norm("out.0", width),
        **_layer("out.2", shape.in_channels, width, 3, 3),
    }
    if label is not None:
        found |= {**_layer("label_emb.0.0", emb, label), **_layer("label_emb.0.2", emb, emb)}
    widths = {site.path: site.channels for site in plan(shape) if site.kind == "conv"}
    depths = [site.path.partition(".transformer_blocks")[0] for site in plan(shape)]
    skips = [width]
    for kind, path, _ in unet_modules(shape):
        if kind == "transformer":
            found |= _transformer(path, width, shape.context_dim, depths.count(path), linear)
        elif kind == "layer":
            found |= _layer(path, width, width, 3, 3)
        else:
            before = width + (skips.pop() if path.startswith("output_blocks") else 0)
            width = widths[path]
            found |= _resnet(path, before, width, emb)
        if path.startswith("input_blocks") and kind != "transformer":
            skips.append(width)
    return found


def _layer(name: str, *sizes: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": sizes, f"{name}.bias": sizes[:1]}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _resnet(path: str, before: int, width: int, emb: int) -> dict[str, tuple[int, ...]]:
    found = {
        **_norm(f"{path}.in_layers.0", before),
        **_layer(f"{path}.in_layers.2", width, before, 3, 3),
        **_layer(f"{path}.emb_layers.1", width, emb),
        **_norm(f"{path}.out_layers.0", width),
        **_layer(f"{path}.out_layers.3", width, width, 3, 3),
    }
    if before != width:
        found |= _layer(f"{path}.{SHORTCUT[0]}", width, before, 1, 1)
    return found


def _transformer(path: str, width: int, context: int, depth: int, linear: bool) -> dict[str, tuple[int, ...]]:
    point = () if linear else (1, 1)
    found = {
        **_norm(f"{path}.norm", width),
        **_layer(f"{path}.proj_in", width, width, *point),
        **_layer(f"{path}.proj_out", width, width, *point),
    }
    for block in (f"{path}.transformer_blocks.{i}" for i in range(depth)):
        for attention, source in (("attn1", width), ("attn2", context)):
            found[f"{block}.{attention}.to_q.weight"] = (width, width)
            found |= {f"{block}.{attention}.to_{x}.weight": (width, source) for x in "kv"}
            found |= _layer(f"{block}.{attention}.to_out.0", width, width)
        for i in (1, 2, 3):
            found |= _norm(f"{block}.norm{i}", width)
        found |= _layer(f"{block}.ff.net.0.proj", 8 * width, width)
        found |= _layer(f"{block}.ff.net.2", width, 4 * width)
    return found
