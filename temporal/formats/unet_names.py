"""Names of the weights of a Stable Diffusion UNet.

Those of the host (the layout of LDM) and those of diffusers.

Both are listed from the shape of the UNet alone, so a file can be checked for completeness and written in the
other layout.
"""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Literal

from ..stack.plan import Section, UNetShape, plan

UNetPart = Literal["resnet", "transformer", "layer"]
RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
}
SHORTCUT = ("skip_connection", "conv_shortcut")
ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
LABEL = {"label_emb.0.0": "add_embedding.linear_1", "label_emb.0.2": "add_embedding.linear_2"}
ATTENTION = ("to_q.weight", "to_k.weight", "to_v.weight", "to_out.0.weight", "to_out.0.bias")
LAYERS = ("norm1", "norm2", "norm3", "ff.net.0.proj", "ff.net.2")  # with weight and bias
AROUND = ("norm", "proj_in", "proj_out")


def pairs(names: Mapping[str, str]) -> dict[str, str]:
    """Weight and bias of every layer named."""
    return {f"{a}.{leaf}": f"{b}.{leaf}" for a, b in names.items() for leaf in ("weight", "bias")}


def transformer_block(layers: tuple[str, ...] = LAYERS) -> tuple[str, ...]:
    """Names of the weights in a transformer block, the same in both layouts."""
    attentions = tuple(f"{name}.{leaf}" for name in ("attn1", "attn2") for leaf in ATTENTION)
    return (*attentions, *pairs(dict(zip(layers, layers, strict=True))))


def unet_modules(shape: UNetShape) -> Iterator[tuple[UNetPart, str, str]]:
    """Every ResBlock, spatial transformer and sampling layer.

    Its kind, its name in the host and in diffusers.
    """
    levels = len(shape.channel_mult)
    sites = [site for site in plan(shape) if site.kind == "conv"]
    transformers = {site.path.partition(".transformer_blocks")[0] for site in plan(shape)}
    for (section, level), group in groupby(sites, lambda site: (site.section, site.level)):
        block = _block(section, level, levels)
        paths = [site.path for site in group]
        for index, path in enumerate(paths):
            yield "resnet", path, f"{block}.resnets.{index}"
            attention = f"{path.rpartition('.')[0]}.1"
            if path.endswith(".0") and attention in transformers:
                yield "transformer", attention, f"{block}.attentions.{index}"
        last = paths[-1].rpartition(".")[0]
        if section == "input" and level < levels - 1:
            number = int(last.rpartition(".")[2]) + 1
            yield "layer", f"input_blocks.{number}.0.op", f"{block}.downsamplers.0.conv"
        if section == "output" and level > 0:
            child = 2 if f"{last}.1" in transformers else 1
            yield "layer", f"{last}.{child}.conv", f"{block}.upsamplers.0.conv"


def image_names(shape: UNetShape, resnet: str = "", label: bool = False) -> dict[str, str]:
    """diffusers' name of every weight, by its name in the host.

    `resnet`: what stands between a ResBlock and its layers in diffusers' names. `label`: the UNet has a label
    embedding.
    """
    names = pairs({**ENDS, **(LABEL if label else {})})
    for kind, host, other in unet_modules(shape):
        if kind == "layer":
            names |= pairs({host: other})
        elif kind == "resnet":
            layers = dict([*RESNET.items(), *([SHORTCUT] if _widens(shape, host) else [])])
            names |= pairs({f"{host}.{a}": f"{other}{resnet}.{b}" for a, b in layers.items()})
        else:
            names |= pairs({f"{host}.{name}": f"{other}.{name}" for name in AROUND})
            blocks = (
                f"transformer_blocks.{i}.{name}"
                for i in range(_depth(shape, host))
                for name in transformer_block()
            )
            names |= {f"{host}.{name}": f"{other}.{name}" for name in blocks}
    return names


def _block(section: Section, level: int, levels: int) -> str:
    return {"input": f"down_blocks.{level}", "output": f"up_blocks.{levels - 1 - level}"}.get(
        section, "mid_block"
    )


def _depth(shape: UNetShape, transformer: str) -> int:
    return sum(site.path.startswith(f"{transformer}.transformer_blocks.") for site in plan(shape))


def _widens(shape: UNetShape, path: str) -> bool:
    """True if a ResBlock changes the number of channels, for which it has a shortcut of its own."""
    section, number = path.split(".")[:2]
    if section != "input_blocks":
        return section == "output_blocks"  # takes in the skip connection
    widths = {0: shape.model_channels}
    for site in plan(shape):
        if site.section == "input" and site.kind == "conv":
            widths[int(site.path.split(".")[1])] = site.channels
    before = max(n for n in widths if n < int(number))
    return widths[before] != widths[int(number)]
