"""Motion modules of the AnimateDiff kind: one network, published in several spellings of its keys.

Shapes: f frames of the position table, c channels.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointFormatError
from ..layers.motion import MotionConfig
from ..layers.position import FrameTable
from ..stack.family_plans import motion_plan
from ..stack.plan import SD1, SDXL, UNetShape
from ..stack.stack import StackConfig, TemporalStack
from ..weights.files import WeightsFile, assign_weights, shown
from .facts import FACTS
from .image_parts import ImagePart, image_part
from .keys import check_keys, joined
from .other_files import relative
from .source import Layers, Source

Layout = tuple[str | None, bool, int | None]  # base, module in the middle block, length of the position table
BASES = {4: ("SD 1.x", SD1), 3: ("SDXL", SDXL)}  # by resolution levels of the UNet
# in the original spelling, where their absence tells the family
WITHOUT_TABLES = ("AnimateLCM", "AnimateLCM-I2V")
FAMILY_KEY = "video_ldm.family"  # in the metadata of files we wrote, where keys alone do not tell
KIND = "the AnimateDiff kind"
TABLE_TOLERANCE = 0.01  # bfloat16 is 0.004 off
# of what a kind of numbers can tell apart at 1: what numbers of 8 bits are off, and a little more
ROUNDING = 0.3


@dataclass(frozen=True)
class MotionSpelling:
    """Names of the parts of a motion module in files, below `module`, which has {block} and {index}.

    `families` by layout; without tables their length is None. `others`: families that share the layout of one
    of these.
    """

    name: str
    families: Mapping[Layout, str]
    module: str
    attentions: tuple[str, ...]
    norms: tuple[str, ...]
    norm_out: str
    tables: tuple[str, ...]  # position tables, all alike
    others: Mapping[Layout, str] = field(default_factory=dict)
    separable: bool = True

    @property
    def label(self) -> tuple[str, str]:
        """The kind of families, which only a file tells, and the spelling."""
        return KIND, self.name

    def parts(self) -> dict[str, tuple[str, ...]]:
        """Our name of each part and the names in files of what is stacked into it."""
        names: dict[str, tuple[str, ...]] = {
            "norm": ("norm",),
            "proj_in": ("proj_in",),
            "norm_out": (self.norm_out,),
            "ff.proj_in": ("transformer_blocks.0.ff.net.0.proj",),
            "ff.proj_out": ("transformer_blocks.0.ff.net.2",),
            "proj_out": ("proj_out",),
        }
        for i, (attention, norm) in enumerate(zip(self.attentions, self.norms, strict=True)):
            names[f"norms.{i}"] = (norm,)
            names[f"attentions.{i}.qkv"] = tuple(f"{attention}.to_{x}" for x in "qkv")
            names[f"attentions.{i}.out"] = (f"{attention}.to_out.0",)
        return names

    @property
    def pattern(self) -> re.Pattern[str]:
        """Pattern of the names of modules."""
        block = r"(?P<block>down_blocks\.\d+|up_blocks\.\d+|mid_block)"
        module = re.escape(self.module).replace(r"\{block\}", block).replace(r"\{index\}", r"(?P<index>\d+)")
        return re.compile(module + r"\.")

    def keys_of(self, file: WeightsFile) -> list[str]:
        """The keys of a file that are inside motion modules of this spelling."""
        pattern = self.pattern
        return [key for key in file.tensors if pattern.match(key)]

    def renamed(self, key: str, other: "MotionSpelling") -> str:
        """A key inside a motion module with one position table, or of a change to one, in another spelling.

        Any other as it is.
        """
        found = self.pattern.match(key)
        if found is None:
            return key
        part = key[found.end() :]
        renamed = (
            theirs + part.removeprefix(own)
            for own, theirs in zip(self._names(), other._names(), strict=True)
            if f"{part}.".startswith(f"{own}.")
        )
        return f"{other.module.format(**found.groupdict())}.{next(renamed, part)}"

    def _names(self) -> tuple[str, ...]:
        return (*self.tables[:1], *self.attentions, *self.norms, self.norm_out)

    def recognise(self, file: WeightsFile) -> bool:
        """True if a file holds motion modules so spelled.

        Relatives that need something else are not among them.
        """
        return bool(self.keys_of(file)) and relative(file.tensors) is None

    def layout(self, file: WeightsFile) -> Layout:
        """The facts that tell the families of this spelling apart."""
        own = self.keys_of(file)
        tables = (file.tensors[key] for key in own if key.endswith(self.tables))
        lengths = {table.shape[1] for table in tables if table.ndim == 3}
        base, _ = BASES.get(_levels(own), (None, None))
        return base, any(key.startswith("mid_block.") for key in own), max(lengths, default=None)

    def family_of(self, file: WeightsFile) -> str | None:
        """The published family with the layout of a file, or the one that a file we wrote names."""
        part = image_part(file.tensors)
        families = self.families if part is None else part.families
        base, middle, length = self.layout(file)
        told = families.get((base, middle, length), families.get((base, middle, 32)))
        return self._written(file) or told

    def called(self, file: WeightsFile) -> str:
        """Describe the temporal layers of a file as an artist would."""
        return self.family_of(file) or KIND

    def note(self, file: WeightsFile) -> str:
        """Advice for a file that may be of another family with the same layout.

        Empty where there is none, or the file says which it is.
        """
        other = self.others.get(self.layout(file))
        if other is None or self._written(file) is not None or image_part(file.tensors) is not None:
            return ""
        betas = FACTS[other].betas
        way = f"set schedule to lcm_{betas.curve}, or " if betas is not None and betas.lcm_steps else ""
        return (
            f"Note: in this spelling {other} can have the same keys. If this is {other}, "
            f'{way}convert the file with python -m video_ldm.formats convert IN OUT --family "{other}".'
        )

    def known(self) -> set[str]:
        """Every family that is so spelled, without an image part."""
        return {*self.families.values(), *self.others.values()}

    def possible(self, base: str | None, middle: bool, part: ImagePart | None) -> list[str]:
        """The families that modules for a base may be of, whatever their tables.

        `part`: what the file holds beside them.
        """
        layouts = [self.families, self.others] if part is None else [part.families]
        listed = (item for families in layouts for item in families.items())
        return list(dict.fromkeys(family for (*where, _), family in listed if where == [base, middle]))

    def _written(self, file: WeightsFile) -> str | None:
        base, middle, _ = self.layout(file)
        written = file.metadata.get(FAMILY_KEY)
        return written if written in self.possible(base, middle, image_part(file.tensors)) else None

    def load(
        self, file: WeightsFile, ops: Any, dtype: torch.dtype | None, device: torch.device | str | None
    ) -> Layers:
        """A stack with the weights of a file.

        Raises:
            CheckpointFormatError: a key is missing, unknown or of another shape, or a position table is not
                the fixed one.
        """
        name, own, part = file.path.name, set(self.keys_of(file)), image_part(file.tensors)
        config = _config(file, own, self, part)
        stack = TemporalStack(config, ops=ops, device="meta")
        keys = file_keys(stack, self)
        given = {} if part is None else part.weights(file.tensors)
        wanted = {key for parts in keys.values() for key in parts} | (
            part.keys(file.tensors) if part else set()
        )
        tables = {key for key in own if key.endswith(self.tables)}
        others = file.tensors.keys() - own - wanted
        image = others if any(".resnets." in key for key in others) else set()
        check_keys(
            name, config.family, wanted - file.tensors.keys(), file.tensors.keys() - wanted - tables - image
        )
        check_tables(name, file.tensors, tables)
        weights = {**dict(joined(name, file.tensors, keys, stack)), **given}
        assign_weights(stack, weights, name, stack.shapes, dtype, device)
        unused = {"position tables (computed anew)": len(tables), "of an image model (not used)": len(image)}
        return Layers(stack, Source(self.name, len(wanted), unused, self.note(file)))


def file_keys(stack: TemporalStack, spelling: MotionSpelling) -> dict[str, tuple[str, ...]]:
    """Our key of every weight of a stack and the keys in files of what is stacked into it."""
    motion = stack.config.motion
    middle = motion is not None and motion.middle
    parts, names = spelling.parts(), dict(module_names(stack.config.unet, middle))
    found = {}
    for site in stack.layers:
        module = spelling.module.format(block=names[site][0], index=names[site][1])
        for key in stack.names_below(f"layers.{site}."):
            part, _, leaf = key.rpartition(".")
            found[f"layers.{site}.{key}"] = tuple(f"{module}.{name}.{leaf}" for name in parts[part])
    return found


def module_names(unet: UNetShape, middle: bool) -> Iterator[tuple[str, tuple[str, int]]]:
    """Name of each site, and block and index of its module in files ("down_blocks.0", 1)."""
    levels = len(unet.channel_mult)
    for (section, level), sites in groupby(
        motion_plan(unet, middle), lambda site: (site.section, site.level)
    ):
        block = {"input": f"down_blocks.{level}", "output": f"up_blocks.{levels - 1 - level}"}
        for index, site in enumerate(sites):
            yield site.name, (block.get(section, "mid_block"), index)


def base_of(name: str, keys: set[str]) -> tuple[str, UNetShape]:
    """The image model that motion modules were made for, by the number of its resolutions."""
    levels = _levels(keys)
    if levels not in BASES:
        raise CheckpointFormatError(
            f"{name} has motion modules for a UNet of {levels} resolutions; SD 1.x has 4 and SDXL 3. It "
            "may be damaged."
        )
    return BASES[levels]


def _levels(keys: Iterable[str]) -> int:
    return len({key.split(".")[1] for key in keys if key.startswith("down_blocks.")})


def _config(
    file: WeightsFile, own: set[str], spelling: MotionSpelling, part: ImagePart | None
) -> StackConfig:
    name = file.path.name
    base, unet = base_of(name, own)
    _, middle, length = spelling.layout(file)
    family = spelling.family_of(file)
    if family is None:
        raise CheckpointFormatError(
            f"{name} has motion modules for {base}{', also in the middle block' if middle else ''}, which "
            f"no published family in the {spelling.name} spelling has. It may be damaged, or another model "
            "built on one of them."
        )
    facts = FACTS[family]
    return StackConfig(
        unet=unet,
        base=base,
        max_frames=length or (64 if family in WITHOUT_TABLES else 32),
        known_frames=False,
        frame_rate=False,
        family=family,
        motion=MotionConfig(middle, facts.clip_norm, facts.clip_norm_image),
        image=None if part is None else part.kind,
    )


def check_tables(name: str, tensors: Mapping[str, Tensor], tables: set[str]) -> None:
    """Refuse a file whose position tables are not the fixed one, which is computed anew."""
    expected: dict[torch.Size, Tensor] = {}
    for key in sorted(tables):
        table = tensors[key]
        if table.shape not in expected and _may_be_a_table(table):
            expected[table.shape] = position_table(*table.shape[1:]).to(table.device)
        right = expected.get(table.shape)
        if (
            right is None
            or not table.is_floating_point()
            or not bool(((table.float() - right).abs() < _tolerance(table)).all())
        ):
            raise CheckpointFormatError(
                f"{name}: {shown(key)} is not the fixed position table of the AnimateDiff family. It may "
                "be damaged, or another model built on it."
            )


def _tolerance(table: Tensor) -> float:
    """Largest error of a position table in its kind of numbers."""
    return max(TABLE_TOLERANCE, ROUNDING * torch.finfo(table.dtype).eps)


def _may_be_a_table(table: Tensor) -> bool:
    return (
        table.is_floating_point()
        and table.ndim == 3
        and len(table) == 1
        and table.shape[1] > 0
        and table.shape[2] % 2 == 0
    )


def position_table(frames: int, channels: int) -> Tensor:
    """The fixed table as files hold it, (1 f c)."""
    return FrameTable(channels)(torch.arange(frames), torch.float32)[None]
