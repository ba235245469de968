"""Places of the layers of published families in a UNet, found from those of our own layers."""

from collections.abc import Iterator
from dataclasses import replace

from .plan import Site, UNetShape, plan

FIRST_HEADS = 8  # of the LVDM line's transformer over the first convolution's frames
FIRST = "input_blocks.0.0"  # the first convolution


def motion_plan(shape: UNetShape, middle: bool) -> tuple[Site, ...]:
    """One site after every ResBlock with its spatial transformer, if it has one, before the Upsample.

    `middle`: also after the spatial transformer of the middle block.
    """
    sites = plan(shape)
    transformers = {site.path.partition(".transformer_blocks")[0] for site in sites}
    found = []
    for site in sites:
        block, _, child = site.path.rpartition(".")
        if site.kind == "conv" and child == "0" and (middle or site.section != "middle"):
            path = f"{block}.1" if f"{block}.1" in transformers else site.path
            found.append(replace(site, path=path, kind="motion"))
    return tuple(found)


def given_plan(shape: UNetShape, trained_along: bool) -> tuple[Site, ...]:
    """Site at the first convolution, where known frames enter an image model that was trained along."""
    return (Site(FIRST, "given", "input", 0, shape.model_channels, 0),) if trained_along else ()


def image_plan(shape: UNetShape, on_input: bool) -> tuple[Site, ...]:
    """Places at which a given image enters a UNet.

    It enters at the first convolution, or before the last motion module of every level on the way down.
    """
    if on_input:
        return (Site(FIRST, "image", "input", 0, shape.model_channels, 0),)
    last = {site.level: site for site in motion_plan(shape, middle=False) if site.section == "input"}
    return tuple(replace(site, kind="image") for site in last.values())


def norm_plan(shape: UNetShape) -> tuple[Site, ...]:
    """The norms of all ResBlocks and the last one of the UNet.

    There the image model treats a clip as one sample.
    """
    blocks = [site for site in plan(shape) if site.kind == "conv"]
    inside = [
        replace(site, path=f"{site.path}.{layers}.0", kind="norm")
        for site in blocks
        for layers in ("in_layers", "out_layers")
    ]
    return (*inside, Site("out.0", "norm", "output", 0, shape.model_channels, 0))


def inside_plan(shape: UNetShape, last: bool, causal: bool) -> tuple[Site, ...]:
    """Attention over frames inside every transformer block.

    With `causal` also the keys and values of its self-attention.
    """
    found = []
    for site in plan(shape):
        if site.kind == "transformer":
            if causal:
                paths = (f"{site.path}.attn1.{projection}" for projection in ("to_k", "to_v"))
                found += [replace(site, path=path, kind="keys") for path in paths]
            found.append(replace(site, kind="inside_last" if last else "inside"))
    return tuple(found)


def volume_plan(shape: UNetShape) -> tuple[Site, ...]:
    """Places of layers over space and time: before every spatial transformer, after its ResBlock.

    One more follows every resolution level and the middle.
    """
    sites = plan(shape)
    transformers = {site.path.partition(".1.transformer_blocks")[0] for site in sites}
    before = [
        replace(site, kind="volume")
        for site in sites
        if site.kind == "conv" and site.path.endswith(".0") and site.path.removesuffix(".0") in transformers
    ]
    return (*before, *_levels_in(shape), *_levels_out(shape))


def _levels_in(shape: UNetShape) -> Iterator[Site]:
    block = 0
    for level, count in enumerate(shape.num_res_blocks):
        block += count + 1  # with the downsampling that ends a level
        last = level == len(shape.num_res_blocks) - 1
        path = "middle_block.0" if last else f"input_blocks.{block + 1}.0"
        yield Site(path, "level_in", "input", level, shape.channels(level), 0)


def _levels_out(shape: UNetShape) -> Iterator[Site]:
    last = len(shape.channel_mult) - 1
    yield Site("middle_block.2", "level_out", "middle", last, shape.channels(last), 0)
    depths, block = tuple(reversed(shape.transformer_depth_output)), -1
    for level, count in reversed(list(enumerate(shape.num_res_blocks))):
        block += count + 1
        child = (depths[block] > 0) + (level > 0)  # a transformer, an Upsample, both or neither
        path = f"output_blocks.{block}.{child}"
        yield Site(path, "level_out", "output", level, shape.channels(level), 0)


def lvdm_plan(shape: UNetShape, convs: bool, frame_rate: bool, picture: bool = False) -> tuple[Site, ...]:
    """Places of the LVDM line: transformers over frames after the first convolution and every spatial one.

    `convs`: also convolutions after every ResBlock. `frame_rate`: also on the time embedding. `picture`: also
    beside every attention to the text.
    """
    found = [Site("time_embed", "rate", "input", 0, shape.embedding_channels, 0)] if frame_rate else []
    found.append(Site(FIRST, "frames", "input", 0, shape.model_channels, FIRST_HEADS))
    for site in plan(shape, "last"):
        if site.kind == "transformer":
            if picture:
                found.append(replace(site, path=f"{site.path}.attn2", kind="picture"))
            path = site.path.partition(".transformer_blocks")[0]
            found.append(replace(site, path=path, kind="frames"))
        elif convs:
            found.append(replace(site, kind="convs"))
    return tuple(found)
