"""Networks of the LaVie kind.

A Stable Diffusion UNet in diffusers' names with layers inside its transformers.

Keys as they publish them; the image model in the same file goes to the host under its own names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointFormatError
from ..layers.inside import InsideConfig
from ..layers.position import ROTATED, turns
from ..sampling.known_channels import Condition
from ..stack.plan import Site, UNetShape
from ..stack.stack import StackConfig, TemporalStack
from ..weights.files import WeightsFile, assign_weights, shown
from .facts import FACTS
from .keys import bystanders, check_keys, joined, picked
from .signs import Sign
from .source import Layers, Source
from .unet_names import image_names, unet_modules
from .unet_shapes import image_shapes
from .video_model import VideoModel

TURNS = "rotary_emb.freqs"  # fixed numbers that files hold once per layer, and some once more
SPELLING = "original"
TOLERANCE = 0.01  # bfloat16 is 0.004 off
IMAGE_BLOCK = {
    "norm_in": "norm1",
    "conv_in": "conv1",
    "time_embedding": "time_emb_proj",
    "norm_out": "norm2",
    "conv_out": "conv2",
}


@dataclass(frozen=True)
class Names:
    """Names that a family gives its layers.

    The end of `attn_...` and `norm_...`, the modules after levels and their two blocks.
    """

    temporal: str = "temp"
    down: str = ""
    middle: str = ""
    up: str = ""
    along_frames: str = ""
    each_frame: str = ""


@dataclass(frozen=True)
class InsideFamily:
    """One family: what tells a file of it, the network, and its names."""

    family: str  # as in FACTS
    sign: Sign
    base: str
    unet: UNetShape
    config: InsideConfig
    names: Names = Names()
    in_channels: int = 4  # of the image model, with those of `condition`
    condition: Condition | None = None
    prediction: str = "eps"
    labels: bool = False  # the image model has an embedding of labels
    separable: bool = True

    @property
    def label(self) -> tuple[str, str]:
        """Family and spelling; there is one."""
        return self.family, SPELLING

    def called(self, file: WeightsFile) -> str:
        """The family, which is one."""
        return self.family

    def recognise(self, file: WeightsFile) -> bool:
        """True if a file is of this family."""
        return self.sign.fits(file.tensors)

    def stack_config(self) -> StackConfig:
        """The description of the temporal layers."""
        return StackConfig(
            unet=self.unet,
            base=self.base,
            max_frames=0,
            known_frames=False,
            frame_rate=False,
            family=self.family,
            prediction=self.prediction,
            inside=self.config,
            condition=self.condition,
        )

    def image_keys(self) -> dict[str, str]:
        """The file's key of every weight of the image model, by the host's."""
        keys = image_names(self.unet)
        return {**keys, "label_emb.weight": "class_embedding.weight"} if self.labels else keys

    def temporal_keys(self, stack: TemporalStack) -> dict[str, tuple[str, ...]]:
        """Our key of every temporal weight and the file's keys of what is stacked into it."""
        blocks = {host: other for _, host, other in unet_modules(self.unet)}
        found = {}
        for site in stack.sites:
            if site.name in stack.layers:
                module, parts = self._module(site, blocks), dict(self._parts(site))
                for key in stack.names_below(f"layers.{site.name}."):
                    part, _, leaf = key.rpartition(".")
                    found[f"layers.{site.name}.{key}"] = tuple(
                        f"{module}.{name}.{leaf}" for name in parts[part]
                    )
        return found

    def _module(self, site: Site, blocks: Mapping[str, str]) -> str:
        """Prefix in files of the names of a layer's parts."""
        if site.kind in ("level_in", "level_out"):
            levels = len(self.unet.channel_mult)
            named = {"input": f"{self.names.down}.{site.level}", "middle": self.names.middle}
            return named.get(site.section, f"{self.names.up}.{levels - 1 - site.level}")
        if site.kind == "volume":
            return f"{blocks[site.path.removesuffix('.0') + '.1']}.resblock_temporal"
        transformer, _, block = site.path.partition(".transformer_blocks.")
        return f"{blocks[transformer]}.transformer_blocks.{block}"

    def _parts(self, site: Site) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Our name of each part of a layer and the names in files of what is stacked into it."""
        if site.kind == "volume":
            yield from ((own, (name,)) for own, name in IMAGE_BLOCK.items())
        elif site.kind in ("level_in", "level_out"):
            for own, name in IMAGE_BLOCK.items():
                yield f"frames.{own}", (f"{self.names.along_frames}.{name}",)
                yield f"image.{own}", (f"{self.names.each_frame}.{name}",)
            yield "shift", ("shift_conv",)
        else:
            attention = f"attn_{self.names.temporal}"
            yield "norm", (f"norm_{self.names.temporal}",)
            yield "attention.qkv", tuple(f"{attention}.to_{x}" for x in "qkv")
            yield "attention.bias", (f"{attention}.time_rel_pos_bias.relative_attention_bias",)
            yield "attention.out", (f"{attention}.to_out.0",)

    def _open(
        self,
        file: WeightsFile,
        ops: Any,
        dtype: torch.dtype | None,
        device: torch.device | str | None,
        whole: bool,
    ) -> tuple[TemporalStack, set[str], dict[str, int]]:
        """The stack, its keys in the file, and how many keys are something else.

        `whole`: the image model must be there.
        """
        name, tensors = file.path.name, file.tensors
        stack = TemporalStack(self.stack_config(), ops=ops, device="meta")
        keys, image = self.temporal_keys(stack), set(self.image_keys().values())
        own = {key for parts in keys.values() for key in parts}
        tables = {key for key in tensors if key.endswith(TURNS)}
        others = bystanders(tensors.keys() - own - image - tables)
        missing = (own | image if whole else own) - tensors.keys()
        check_keys(name, self.family, missing, tensors.keys() - own - image - tables - others.keys())
        _check_turns(name, tensors, tables)
        assign_weights(stack, dict(joined(name, tensors, keys, stack)), name, stack.shapes, dtype, device)
        kinds = list(others.values())
        unused = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
        return stack, own, {"tables of positions (computed anew)": len(tables), **unused}


class WholeFamily(InsideFamily):
    """A family whose image model was trained along."""

    def respelled(self, tensors: Mapping[str, Tensor], target: "WholeFamily") -> dict[str, Tensor]:
        """The weights of a file, as they are."""
        return dict(tensors)

    def load(
        self, file: WeightsFile, ops: Any, dtype: torch.dtype | None, device: torch.device | str | None
    ) -> VideoModel:
        """The image model and its temporal layers.

        Raises:
            CheckpointFormatError: a key is missing, unknown or of another shape, or positions are not the
                fixed ones.
        """
        stack, own, unused = self._open(file, ops, dtype, device, whole=True)
        shapes = image_shapes(self.unet, self.in_channels, linear=False)
        image = picked(file.path.name, self.family, file.tensors, self.image_keys(), shapes)
        source = Source(SPELLING, len(own) + len(image), unused)
        return VideoModel(self.family, image, source, stack, FACTS[self.family].betas)


class LayersFamily(InsideFamily):
    """A family whose image model stayed as it was: the layers alone are taken, and may come alone."""

    def load(
        self, file: WeightsFile, ops: Any, dtype: torch.dtype | None, device: torch.device | str | None
    ) -> Layers:
        """The temporal layers.

        Raises:
            CheckpointFormatError: a key is missing, unknown or of another shape, or positions are not the
                fixed ones.
        """
        stack, own, unused = self._open(file, ops, dtype, device, whole=False)
        image = len(file.tensors.keys() & set(self.image_keys().values()))
        unused = {**unused, "of an image model (not used)": image}
        return Layers(stack, Source(SPELLING, len(own), unused))


def _check_turns(name: str, tensors: Mapping[str, Tensor], keys: set[str]) -> None:
    expected = turns(ROTATED)
    for key in sorted(keys):
        given = tensors[key]
        if given.shape != expected.shape or not bool(((given.float() - expected).abs() < TOLERANCE).all()):
            raise CheckpointFormatError(
                f"{name}: {shown(key)} does not hold the rotary positions of LaVie. It may be damaged, or "
                "another model built on it."
            )
