"""The LVDM line of video models: ModelScope, ZeroScope, VideoCrafter.

One network, published in several spellings.

All are Stable Diffusion 2.x with four convolutions over frames in every ResBlock and a transformer over
frames after every spatial transformer; some leave one out or add to it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointFormatError
from ..layers.lvdm import CONVS, LvdmConfig
from ..stack.plan import SD2, Site
from ..stack.stack import StackConfig, TemporalStack
from ..weights.files import WeightsFile, assign_weights
from .facts import FACTS, Betas
from .keys import bystanders, check_keys, joined, picked
from .motion_adapter import DIFFUSERS
from .signs import Sign
from .source import Source
from .unet_names import image_names, unet_modules
from .unet_shapes import image_shapes
from .video_model import VideoModel

BASE, SHAPE = "SD 2.x", SD2
PROJECTIONS = (".proj_in.weight", ".proj_out.weight")
PICTURE = "picture."  # before every weight of a stack's projector of pictures
PROJECTOR, QUERIES = "image_proj_model.", "image_proj_model.latents"
SCALES = "scale_arr"  # of x0 by time step, in checkpoints of VideoCrafter


@dataclass(frozen=True)
class LvdmSpelling:
    """Names of weights in the files of one spelling.

    `image` from host's and diffusers' name of a weight of the image model, `module` from a site of a temporal
    layer and the names of all blocks in diffusers. `points`: temporal projections have a third axis, of
    length one.
    """

    name: str
    image: Callable[[str, str], str]
    module: Callable[[Site, Mapping[str, str]], str]
    points: bool = False


@dataclass(frozen=True)
class LvdmFamily:
    """One family in one spelling."""

    family: str  # as in FACTS
    spelling: LvdmSpelling
    sign: Sign
    config: LvdmConfig
    fps: float | None = None
    separable: bool = True

    def recognise(self, file: WeightsFile) -> bool:
        """True if a file is of this family and so spelled."""
        return self.sign.fits(file.tensors)

    def load(
        self, file: WeightsFile, ops: Any, dtype: torch.dtype | None, device: torch.device | str | None
    ) -> VideoModel:
        """The image model and its temporal layers.

        Raises:
            CheckpointFormatError: a key is missing, unknown or of another shape.
        """
        name, tensors = file.path.name, with_flat_queries(file.tensors)
        stack = TemporalStack(self.stack_config(), ops=ops, device="meta")
        image, temporal = self.image_keys(), self.temporal_keys(stack)
        wanted = {*image.values(), *(key for keys in temporal.values() for key in keys)}
        others = bystanders(tensors.keys() - wanted)
        check_keys(name, self.family, wanted - tensors.keys(), tensors.keys() - wanted - others.keys())
        assign_weights(stack, dict(joined(name, tensors, temporal, stack)), name, stack.shapes, dtype, device)
        kinds = list(others.values())
        return VideoModel(
            family=self.family,
            image=picked(name, self.family, tensors, image, image_shapes(SHAPE)),
            source=Source(
                self.spelling.name, len(wanted), {kind: kinds.count(kind) for kind in sorted(set(kinds))}
            ),
            stack=stack,
            betas=_rescaled(FACTS[self.family].betas, tensors, name),
            fps=self.fps,
        )

    @property
    def label(self) -> tuple[str, str]:
        """Family and spelling."""
        return self.family, self.spelling.name

    def called(self, file: WeightsFile) -> str:
        """The family, which is one."""
        return self.family

    def respelled(self, tensors: Mapping[str, Tensor], target: "LvdmFamily") -> dict[str, Tensor]:
        """The weights of a file under the names of another spelling."""
        names = target.image_keys()
        found = {names[host]: tensors[key] for host, key in self.image_keys().items()}
        stack = TemporalStack(self.stack_config(), device="meta")
        temporal = target.temporal_keys(stack)
        for own, keys in self.temporal_keys(stack).items():
            for key, name in zip(keys, temporal[own], strict=True):
                projection = key.endswith(PROJECTIONS)
                weight = tensors[key].flatten(1) if projection else tensors[key]
                found[name] = weight[..., None] if projection and target.spelling.points else weight
        scales = {SCALES: tensors[SCALES]} if SCALES in tensors else {}
        return found | scales

    def stack_config(self) -> StackConfig:
        """The description of the temporal layers."""
        return StackConfig(
            unet=SHAPE,
            base=BASE,
            max_frames=0,
            known_frames=False,
            frame_rate=False,
            family=self.family,
            lvdm=self.config,
        )

    def image_keys(self) -> dict[str, str]:
        """The file's key of every weight of the image model, by the host's."""
        return {host: self.spelling.image(host, other) for host, other in image_names(SHAPE).items()}

    def temporal_keys(self, stack: TemporalStack) -> dict[str, tuple[str, ...]]:
        """Our key of every temporal weight and the file's keys of what is stacked into it."""
        blocks = {host: other for _, host, other in unet_modules(SHAPE)}
        found = {}
        for site in stack.sites:
            module = self.spelling.module(site, blocks)
            for key in stack.names_below(f"layers.{site.name}."):
                found[f"layers.{site.name}.{key}"] = tuple(
                    f"{module}.{part}" for part in layer_keys(site, key)
                )
        if stack.picture is not None:
            own = stack.names_below(PICTURE)
            found |= {PICTURE + key: (PROJECTOR + projector_key(key),) for key in own}
        return found


def layer_keys(site: Site, key: str) -> tuple[str, ...]:
    """The names in files, below a temporal layer, of what is stacked into a weight of ours."""
    part, _, leaf = key.rpartition(".")
    leaf = "embeddings_table" if ".table_" in part else leaf
    return tuple(f"{name}.{leaf}" for name in PARTS[site.kind][part])


def projector_key(own: str) -> str:
    """The name in files, below the projector of pictures, of a weight of ours."""
    if own == "queries.weight":
        return "latents"
    place, _, part = own.rpartition(".")
    _, number, layer = (*place.split("."), "", "")[:3]
    return f"layers.{number}.{PROJECTOR_LAYERS[layer]}.{part}" if layer else own


def with_flat_queries(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The queries of a projector of pictures without the axis of length one that files have before them."""
    queries = tensors.get(QUERIES)
    if queries is None or queries.ndim != 3 or len(queries) != 1:
        return tensors
    return {**tensors, QUERIES: queries[0]}


def _attention(index: int) -> str:
    return DIFFUSERS.attentions[index]


PARTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "frames": {
        **DIFFUSERS.parts(),
        **{
            f"attentions.{i}.table_{x}": (f"{_attention(i)}.relative_position_{x}",)
            for i in (0, 1)
            for x in "kv"
        },
    },
    "convs": {
        **{f"norms.{i}": (f"conv{i + 1}.0",) for i in range(CONVS)},
        **{f"convs.{i}": (f"conv{i + 1}.{3 if i else 2}",) for i in range(CONVS)},
    },
    "rate": {"linear_in": ("0",), "linear_out": ("2",)},
    "picture": {"kv": ("to_k_ip", "to_v_ip")},
}
PROJECTOR_LAYERS: Mapping[str, str] = {
    "norm_patches": "0.norm1",
    "norm_tokens": "0.norm2",
    "q": "0.to_q",
    "kv": "0.to_kv",
    "out": "0.to_out",
    "norm_feed": "1.0",
    "feed_in": "1.1",
    "feed_out": "1.3",
}


def original_module(first: str) -> Callable[[Site, Mapping[str, str]], str]:
    """Names of temporal layers in the layout of LDM.

    `first` is that of the transformer after the first convolution.
    """

    def module(site: Site, blocks: Mapping[str, str]) -> str:
        block, _, _ = site.path.rpartition(".")
        if site.kind == "rate":
            return "fps_embedding"
        if site.kind == "picture":
            return original_image(site.path, "")
        if site.kind == "convs":
            return f"{original_image(site.path, '')}.temopral_conv"  # so published
        return f"{block}.2" if site.path in blocks else first

    return module


def original_image(host: str, _diffusers: str) -> str:
    """Spell a name of the host in the layout of LDM.

    Transformers over frames take a place in the lists of blocks there.
    """
    host = re.sub(r"^middle_block\.2(?=\.|$)", "middle_block.3", host)
    return re.sub(r"^(output_blocks\.\d+)\.2\.conv\.", r"\1.3.conv.", host)


def diffusers_module(site: Site, blocks: Mapping[str, str]) -> str:
    """Names of temporal layers in diffusers."""
    kind = "temp_convs" if site.kind == "convs" else "temp_attentions"
    return re.sub(r"\.(resnets|attentions)\.", f".{kind}.", blocks.get(site.path, "transformer_in"))


def _rescaled(betas: Betas | None, tensors: Mapping[str, Tensor], name: str) -> Betas | None:
    """The betas with the scale of x0 that a checkpoint holds, where it holds one."""
    scales = tensors.get(SCALES)
    if betas is None or scales is None:
        return betas
    scales = scales.float()
    if scales.ndim != 1 or len(scales) < betas.x0_steps or not bool((scales > 0).all()):
        raise CheckpointFormatError(
            f"{name}: {SCALES} is not a scale above 0 for every time step. It may be damaged."
        )
    return replace(betas, x0_scale=round(float(scales[-1]), 4))
