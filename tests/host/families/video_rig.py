"""Tiny video models of diffusers, beside the host's own with the same weights.

`as_published` writes them in the names of the first publication, after that code and not after our key maps.
Shapes: b chunks, f frames, c channels, h w size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional
from video_ldm.tests.reference_picture import attended

FRAMES, SIZE, TEXT = 5, (16, 8), 24
HEAD, CHANNELS = 8, (32, 64, 64, 64)


def tiny_shape(plan: Any, text: int = TEXT) -> Any:
    """The size of the tiny models, from a module `temporal.plan`; `text` is the width of the text."""
    sizes = {"model_channels": CHANNELS[0], "channel_mult": (1, 2, 2, 2), "num_head_channels": HEAD}
    return replace(plan.SD2, context_dim=text, **sizes)


def tiny_kinds(text: int = TEXT) -> list[type]:
    """The host's classes for SD 2.x, SV3D and SVD in that size: it recognises an image model by its sizes."""
    import comfy.supported_models as supported

    def tiny(kind: type) -> type:
        sizes = {**kind.unet_config, "context_dim": text, "model_channels": CHANNELS[0]}
        heads = {"num_heads": -1, "num_head_channels": HEAD}
        return type(f"Tiny{kind.__name__}", (kind,), {"unet_config": sizes, "unet_extra_config": heads})

    return [*map(tiny, (supported.SD20, supported.SV3D_u, supported.SV3D_p, supported.SVD_img2vid))]


@dataclass
class Call:
    """One call of the host's UNet: what went in and came out."""

    x: Tensor
    timesteps: Tensor
    context: Tensor
    y: Tensor | None
    out: Tensor
    chunks: list[int]  # 0: positive, 1: negative


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights in which every one counts."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return module.eval()


def modelscope(text: int = TEXT) -> Any:
    """diffusers' UNet3DConditionModel, the network of ModelScope and ZeroScope."""
    from diffusers import UNet3DConditionModel

    torch.manual_seed(0)
    unet = UNet3DConditionModel(
        block_out_channels=CHANNELS, cross_attention_dim=text, attention_head_dim=HEAD
    )
    return randomised(unet)


def modelscope_as_published(unet: Any) -> dict[str, Tensor]:
    """The weights of the reference under ModelScope's own names."""
    return {_original(key): _conv1d(key, value) for key, value in unet.state_dict().items()}


def _conv1d(key: str, value: Tensor) -> Tensor:
    temporal = "temp_attentions" in key or key.startswith("transformer_in")
    is_projection = temporal and key.endswith(("proj_in.weight", "proj_out.weight"))
    return value[:, :, None].clone() if is_projection else value.clone()


def _original(key: str) -> str:
    for name, other in (
        ("time_embedding.linear_1", "time_embed.0"),
        ("time_embedding.linear_2", "time_embed.2"),
        ("transformer_in", "input_blocks.0.1"),
        ("conv_in", "input_blocks.0.0"),
        ("conv_norm_out", "out.0"),
        ("conv_out", "out.2"),
    ):
        if key.startswith(f"{name}."):
            return key.replace(name, other, 1)
    place, rest = re.match(r"(\w+_blocks?(?:\.\d+)?)\.(.+)", key).groups()
    kind, index, leaf = re.match(r"(\w+)\.(\d+)\.(.+)", rest).groups()
    block, first = _block(place, kind, int(index))
    leaf = leaf if kind.endswith("attentions") else _resnet(leaf)
    child = {"resnets": 0, "temp_convs": 0, "attentions": 1, "temp_attentions": 2}
    if kind == "downsamplers":
        return f"{block}.op.{leaf.removeprefix('conv.')}"
    if kind == "upsamplers":
        return f"{block}.{3 if place != 'up_blocks.0' else 1}.{leaf}"
    leaf = f"temopral_conv.{leaf}" if kind == "temp_convs" else leaf
    return f"{block}.{child[kind] + first}.{leaf}"


def _block(place: str, kind: str, index: int) -> tuple[str, int]:
    """The block of a layer in the first publication, and where its children begin."""
    if place == "mid_block":
        second = kind in ("resnets", "temp_convs") and index == 1
        return "middle_block", 3 if second else 0
    level = int(place.partition(".")[2])
    if place.startswith("up"):
        return f"output_blocks.{3 * level + (2 if kind == 'upsamplers' else index)}", 0
    return f"input_blocks.{3 * level + 1 + (2 if kind == 'downsamplers' else index)}", 0


def _resnet(leaf: str) -> str:
    names = {
        "norm1": "in_layers.0",
        "norm2": "out_layers.0",
        "time_emb_proj": "emb_layers.1",
        "conv_shortcut": "skip_connection",
    }
    if re.match(r"conv[12]\.(weight|bias)", leaf):
        return leaf.replace("conv1", "in_layers.2").replace("conv2", "out_layers.3")
    name, _, end = leaf.partition(".")
    return f"{names.get(name, name)}.{end}"


def videocrafter_as_published(unet: Any, extra: dict[str, Tensor], convs: bool) -> dict[str, Tensor]:
    """The weights of a ModelScope reference under VideoCrafter's names, with what only VideoCrafter has."""
    found = {}
    for key, value in modelscope_as_published(unet).items():
        first = key.startswith("input_blocks.0.1.")
        if value.ndim == 3 and not first:
            value = value[:, :, 0].clone()
        key = key.replace("input_blocks.0.1.", "init_attn.0.").replace(".op.", ".0.op.")
        if convs or ".temopral_conv." not in key:
            found[key] = value
    return {f"model.diffusion_model.{key}": value for key, value in {**found, **extra}.items()}


def frame_rate_weights() -> dict[str, Tensor]:
    """A small network for the frame rate, as VideoCrafter names it."""
    torch.manual_seed(2)
    wide = 4 * CHANNELS[0]
    shapes = {"0.weight": (wide, CHANNELS[0]), "0.bias": (wide,), "2.weight": (wide, wide), "2.bias": (wide,)}
    return {f"fps_embedding.{name}": 0.2 * torch.randn(shape) for name, shape in shapes.items()}


def add_frame_rate(unet: Any, weights: dict[str, Tensor], fps: float) -> None:
    """Let the reference add the frame rate to its time embedding.

    Cosines and sines of periods up to 10000, two layers.
    """
    half = CHANNELS[0] // 2
    angles = torch.tensor([fps * 10000 ** (-i / half) for i in range(half)])
    x = torch.cat([angles.cos(), angles.sin()])
    x = functional.silu(weights["fps_embedding.0.weight"] @ x + weights["fps_embedding.0.bias"])
    x = weights["fps_embedding.2.weight"] @ x + weights["fps_embedding.2.bias"]
    unet.time_embedding.register_forward_hook(lambda _module, _args, out: out + x)


class RelativeProcessor:
    """Attention over frames with a vector for each distance, one pair of frames after the other."""

    def __init__(self, reach: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.reach = reach
        self.keys, self.values = torch.randn(2 * reach + 1, HEAD), torch.randn(2 * reach + 1, HEAD)

    def __call__(self, attn: Any, hidden_states: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
        q, k, v = (
            rearrange(linear(hidden_states), "s f (h d) -> s h f d", d=HEAD)
            for linear in (attn.to_q, attn.to_k, attn.to_v)
        )
        frames = q.shape[2]
        out = torch.zeros_like(q)
        for i in range(frames):
            places = [min(max(j - i, -self.reach), self.reach) + self.reach for j in range(frames)]
            logits = [(q[:, :, i] * (k[:, :, j] + self.keys[places[j]])).sum(-1) for j in range(frames)]
            weights = torch.softmax(torch.stack(logits, -1) * HEAD**-0.5, -1)
            for j in range(frames):
                out[:, :, i] += weights[:, :, j, None] * (v[:, :, j] + self.values[places[j]])
        return attn.to_out[0](rearrange(out, "s h f d -> s f (h d)"))


def add_relative_positions(unet: Any, reach: int) -> dict[str, Tensor]:
    """Give the reference relative positions; the tables under VideoCrafter's names."""
    tables = {}
    for name, module in unet.named_modules():
        temporal = name.startswith("transformer_in") or ".temp_attentions." in name
        if temporal and name.endswith((".attn1", ".attn2")):
            module.processor = RelativeProcessor(reach, seed=len(tables))
            place = _original(f"{name}.x").removesuffix(".x").replace("input_blocks.0.1.", "init_attn.0.")
            tables[f"{place}.relative_position_k.embeddings_table"] = module.processor.keys
            tables[f"{place}.relative_position_v.embeddings_table"] = module.processor.values
    return tables


class PictureProcessor:
    """Attention to the text, and beside it to the tokens of the picture of each clip.

    These are set before a call.
    """

    def __init__(self, channels: int, text: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.to_k, self.to_v = torch.randn(channels, text), torch.randn(channels, text)
        self.tokens: list[Tensor] = []

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, **_kwargs: Any
    ) -> Tensor:
        q = attn.to_q(hidden_states)
        k, v = attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        out = torch.stack([attended(*parts, HEAD) for parts in zip(q, k, v, strict=True)])
        frames = len(q) // len(self.tokens)
        for i in range(len(q)):
            tokens = self.tokens[i // frames]
            out[i] += attended(q[i], tokens @ self.to_k.T, tokens @ self.to_v.T, HEAD)
        return attn.to_out[0](out)


def add_picture_attention(unet: Any) -> tuple[list[PictureProcessor], dict[str, Tensor]]:
    """Let the reference's attention to the text see a picture; its weights under VideoCrafter's names."""
    processors, weights = [], {}
    for name, module in unet.named_modules():
        if ".attentions." in name and name.endswith(".attn2"):
            processor = PictureProcessor(
                module.to_q.out_features, module.to_k.in_features, seed=len(processors)
            )
            module.processor = processor
            processors.append(processor)
            place = _original(f"{name}.x").removesuffix(".x")
            weights[f"{place}.to_k_ip.weight"] = processor.to_k
            weights[f"{place}.to_v_ip.weight"] = processor.to_v
    return processors, weights


def projector_weights(
    features: int, tokens: int, width: int, heads: int, depth: int, text: int = TEXT
) -> dict[str, Tensor]:
    """A projector of pictures under VideoCrafter's names, below `image_proj_model`."""
    torch.manual_seed(3)
    inner = 64 * heads
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, tokens, width),
        "proj_in.weight": (width, features),
        "proj_in.bias": (width,),
        "proj_out.weight": (text, width),
        "proj_out.bias": (text,),
        "norm_out.weight": (text,),
        "norm_out.bias": (text,),
    }
    for i in range(depth):
        norms = (f"layers.{i}.0.norm1", f"layers.{i}.0.norm2", f"layers.{i}.1.0")
        shapes |= {f"{norm}.{part}": (width,) for norm in norms for part in ("weight", "bias")}
        shapes |= {
            f"layers.{i}.0.to_q.weight": (inner, width),
            f"layers.{i}.0.to_kv.weight": (2 * inner, width),
            f"layers.{i}.0.to_out.weight": (width, inner),
            f"layers.{i}.1.1.weight": (4 * width, width),
            f"layers.{i}.1.3.weight": (width, 4 * width),
        }
    return {name: 0.3 * torch.randn(shape) for name, shape in shapes.items()}


def narrow_projector(patch: Any, formats: Any, sizes: dict[str, int]) -> None:
    """VideoCrafter for image to video with a projector of these sizes, in the pack's module of formats."""

    def narrow(family: Any) -> Any:
        picture = getattr(family, "config", None) and getattr(family.config, "picture", None)
        if not picture:
            return family
        return replace(family, config=replace(family.config, picture=type(picture)(**sizes)))

    patch.setattr(formats, "FAMILIES", tuple(map(narrow, formats.FAMILIES)))


def without_convs(unet: Any) -> None:
    """Make every temporal convolution of the reference add nothing."""
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if ".temp_convs." in name and ".conv4." in name:
                parameter.zero_()


def svd(text: int = TEXT, label: int = 768) -> Any:
    """diffusers' UNetSpatioTemporalConditionModel with the norms of the original.

    The label is wider in SV3D, which differs in nothing else.

    Diffusers has 1e-6 in some blocks.
    """
    from diffusers import UNetSpatioTemporalConditionModel

    torch.manual_seed(0)
    unet = UNetSpatioTemporalConditionModel(
        block_out_channels=CHANNELS,
        num_attention_heads=tuple(channels // HEAD for channels in CHANNELS),
        cross_attention_dim=text,
        projection_class_embeddings_input_dim=label,
    )
    for name, module in unet.named_modules():
        if "_res_block.norm" in name:
            module.eps = 1e-5
    return randomised(unet)


def svd_out(unet: Any, call: Call, frames: int = FRAMES) -> Tensor:
    """Output of the reference, told 6 frames per second, motion 127 and no noise on the picture."""
    x = rearrange(call.x, "(b f) c h w -> b f c h w", f=frames)
    ids = torch.tensor([[5.0, 127.0, 0.0]]).expand(len(x), 3)
    with torch.no_grad():
        out = unet(x, call.timesteps[0], call.context[::frames], added_time_ids=ids).sample
    return rearrange(out, "b f c h w -> (b f) c h w")


def one_call(
    model: Any, frames: int = FRAMES, positive: dict | None = None, negative: dict | None = None
) -> Call:
    """Sample one step of a clip through the host, and keep what its UNet saw and gave.

    Conditional and unconditional stand together.

    `positive` and `negative` stand beside the texts; without `negative` both have the same.
    """
    import comfy.sample

    calls = []

    def keep(_unet: nn.Module, args: tuple, kwargs: dict, out: Tensor) -> None:
        chunks = kwargs["transformer_options"]["cond_or_uncond"]
        calls.append(Call(args[0], args[1], kwargs["context"], kwargs.get("y"), out, chunks))

    torch.manual_seed(1)
    positive = positive or {}
    beside = (positive, positive if negative is None else negative)
    conds = [[[torch.randn(1, 7, TEXT), dict(options)]] for options in beside]
    handle = model.model.diffusion_model.register_forward_hook(keep, with_kwargs=True)
    noise, latent = torch.randn(frames, 4, *SIZE), torch.zeros(frames, 4, *SIZE)
    try:
        with torch.inference_mode():
            comfy.sample.sample(model, noise, 1, 3.0, "euler", "normal", *conds, latent, disable_pbar=True)
    finally:
        handle.remove()
    return calls[0]


def modelscope_out(unet: Any, call: Call, frames: int = FRAMES) -> Tensor:
    """Output of the reference for a call; it takes one text per clip."""
    with torch.no_grad():
        x = rearrange(call.x, "(b f) c h w -> b c f h w", f=frames)
        out = unet(x, call.timesteps[0], call.context[::frames]).sample
    return rearrange(out, "b c f h w -> (b f) c h w")


def error(out: Tensor, expected: Tensor) -> float:
    """Size of the difference over the size of what was expected."""
    return ((out - expected).norm() / expected.norm()).item()
