"""Motion LoRA: low-rank changes of temporal layers.

Several spellings of keys become one, that of the host's LoRA code.

A spelling is <module>.<attention>.processor.to_q_lora.down.weight and its relatives, below the names that a
motion module has in AnimateDiff's or diffusers' files; with "_" for every "." and "lora_unet_" before it, as
trainers of image LoRAs write; or MotionDirector's list without names, whose order tells (for ModelScope and
ZeroScope).

Shapes: r rank, i and o channels into and out of a changed layer.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import CheckpointFormatError, IncompatibleModelError
from ..stack.low_rank import Changed, FactorPair
from ..stack.stack import TemporalStack
from ..weights.files import WeightsFile, check_numbers, listed, shape_text, shown
from . import bare, modelscope, what_it_is
from .facts import ANIMATEDIFF_LICENCE
from .keys import without_points
from .lora_names import Target, lora_places, takes_published_loras
from .lora_writing import FLAT, read_notes
from .other_files import is_list, is_motion_lora
from .source import keys_line

# what trainers write before the leaf, and where the changed weight really is
ENDS = {
    r"\.processor\.(to_[qkv])_lora\.(down|up)\.weight": r".\1",
    r"\.processor\.to_out_lora\.(?:0\.)?(down|up)\.weight": ".to_out.0",
    r"\.to_out\.processor\.0_lora\.(down|up)\.weight": ".to_out.0",
    r"\.ff\.net\.0\.processor\.proj_lora\.(down|up)\.weight": ".ff.net.0.proj",
    r"\.ff\.net\.processor\.2_lora\.(down|up)\.weight": ".ff.net.2",
    r"\.lora_(down|up|A|B)(?:\.default)?\.weight": "",
    r"\.lora\.(down|up)\.weight": "",
    r"\.alpha": "",
}
# the layers of each transformer over frames, in the order of MotionDirector's list
IN_ORDER = (
    *(f"attn{i}.{layer}" for i in (1, 2) for layer in ("to_q", "to_k", "to_v", "to_out.0")),
    "ff.net.0.proj",
    "ff.net.2",
)
LEAVES = {"A": "lora_down.weight", "B": "lora_up.weight", "down": "lora_down.weight", "up": "lora_up.weight"}


@dataclass(frozen=True)
class MotionLora:
    """Factors of every changed weight, named `<module>.lora_up.weight`, `.lora_down.weight`, `.alpha`.

    `targets`: per module, our weight and, where it is a part of several stacked ones, (axis, start, length)
    of that part. `spelling`: of the names in the file. `skipped`: keys for modules that the stack does not
    have.
    """

    factors: Mapping[str, Tensor]
    targets: Mapping[str, Target]
    spelling: str
    skipped: tuple[str, ...] = ()
    notes: Mapping[str, object] = field(default_factory=dict)  # what a file of ours says of itself


def is_for(file: WeightsFile, stack: TemporalStack) -> bool:
    """True if a motion LoRA may be for a stack: others publish some for it, or the file names its layers."""
    if takes_published_loras(stack):
        return True
    names = {name for place in lora_places(stack) for name in place.names.values()}
    modules = {found[0] for key in bare(file).tensors if (found := _split(key))}
    return bool(modules & (names | {FLAT + name.replace(".", "_") for name in names}))


def read_motion_lora(file: WeightsFile, stack: TemporalStack) -> MotionLora:
    """Fit a motion LoRA to a stack. Modules in the middle block may be missing in the stack.

    Raises:
        IncompatibleModelError: the stack has layers of another kind.
        CheckpointFormatError: a key that is not understood, or a list of another length or shape.
    """
    known, spellings = {}, {}
    for place in lora_places(stack):
        known |= dict.fromkeys(place.names.values(), place.target)
        spellings |= {name: spelling for spelling, name in place.names.items()}
    if not is_for(file, stack):
        raise IncompatibleModelError(
            f"{file.path.name} cannot be used: it was not made for the layers of the MODEL "
            f"({stack.config.family}). Published motion LoRAs change motion modules of the AnimateDiff kind: "
            "load an AnimateDiff file with Load Temporal Layers."
        )
    if is_list(file.tensors):
        return _listed(file, stack, known)
    flat = {FLAT + name.replace(".", "_"): name for name in known}
    factors, targets, skipped, unknown = {}, {}, [], []
    for key, tensor in bare(file).tensors.items():
        module, leaf = _split(key) or ("", "")
        module = flat.get(module, module)
        if module in known:
            factors[f"{module}.{leaf}"], targets[module] = _factor(leaf, tensor), known[module]
        elif module and module.removeprefix(FLAT).startswith("mid_block"):
            skipped.append(key)
        else:
            unknown.append(key)
    if unknown or not targets:
        raise CheckpointFormatError(
            f"{file.path.name} is not a motion LoRA for "
            f"{stack.config.family}{_reason(file, unknown or skipped, targets)}"
        )
    for module in targets:
        _check_factors(file.path.name, module, factors, known[module], stack)
    spelled = " and ".join(sorted({spellings[module] for module in targets}))
    return MotionLora(factors, targets, spelled, tuple(skipped), read_notes(file.metadata))


def factor_pairs(lora: MotionLora, strength: float) -> list[FactorPair]:
    """Low-rank changes of a stack's weights by a motion LoRA that is used with a strength."""
    changes = []
    for module, target in lora.targets.items():
        up, down = (lora.factors[f"{module}.lora_{side}.weight"] for side in ("up", "down"))
        alpha = lora.factors.get(f"{module}.alpha")
        scale = strength * (1.0 if alpha is None else float(alpha) / len(down))
        place = Changed(target) if isinstance(target, str) else Changed(target[0], target[1][1:])
        changes.append(FactorPair(place, up, down, scale))
    return changes


def report_lora(lora: MotionLora, stack: TemporalStack) -> str:
    """Report on a motion LoRA: what it holds and changes, one fact per line."""
    ranks = sorted({len(factor) for key, factor in lora.factors.items() if key.endswith(LEAVES["down"])})
    rank = f"{ranks[0]}" if ranks[0] == ranks[-1] else f"{ranks[0]} to {ranks[-1]}"
    count = sum(factor.numel() for factor in lora.factors.values())
    own = "; MotionDirector's own: Apache-2.0" if takes_published_loras(stack) else ""
    own = f"; AnimateDiff's own: {ANIMATEDIFF_LICENCE}" if stack.config.motion is not None else own
    lacking = {"of a middle block that the layers lack (not used)": len(lora.skipped)}
    lines = (
        f"Motion LoRA ({lora.spelling} file), rank {rank}, {count / 1e6:.1f} M weights, on "
        f"{stack.config.family}",
        f"Layers: {len(lora.targets)} changed",
        *_noted(lora.notes),
        f"Licence: that of its publisher{own}",
        keys_line(len(lora.factors), lacking),
    )
    return "\n".join(lines)


def _noted(notes: Mapping[str, object]) -> Iterator[str]:
    """Notes in a file of ours, for an artist."""
    if notes.get("trigger"):
        yield f"Trigger: put {shown(str(notes['trigger']))} into the prompt"
    if notes.get("base") and notes.get("module"):
        made = f"Trained on {shown(str(notes['base']))} with {shown(str(notes['module']))}"
        yield f"{made}, {shown(str(notes.get('steps', '?')))} steps"


def _reason(file: WeightsFile, unknown: list[str], targets: Mapping[str, Target]) -> str:
    """The end of the sentence on a file that does not fit.

    What it is, or, where it is a motion LoRA, the first keys.
    """
    if targets or is_motion_lora(file.tensors):
        return f". Unknown: {listed(unknown)}."
    return f": {what_it_is(file)}"


def _listed(file: WeightsFile, stack: TemporalStack, known: Mapping[str, Target]) -> MotionLora:
    """MotionDirector's list: for each layer in turn the factor (o r), then the factor (r i)."""
    if stack.config.family != modelscope.NAME:
        raise IncompatibleModelError(
            f"{file.path.name} is a LoRA of MotionDirector for {modelscope.NAME}, but the MODEL has "
            f"{stack.config.family} layers. Load {modelscope.NAME} with Load Video Model."
        )
    names = list(_names_in_order(stack))
    matrices = [file.tensors[str(number)] for number in range(len(file.tensors))]
    if len(matrices) != 2 * len(names):
        raise CheckpointFormatError(
            f"{file.path.name} is a list of {len(matrices)} matrices; MotionDirector's temporal LoRA for "
            f"{modelscope.NAME} has {2 * len(names)}. It may be the spatial LoRA, which changes the image "
            "model, or damaged."
        )
    factors = {}
    for name, up, down in zip(names, matrices[::2], matrices[1::2], strict=True):
        factors |= {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}
        _check_factors(file.path.name, name, factors, known[name], stack)
    return MotionLora(factors, {name: known[name] for name in names}, "MotionDirector")


def _names_in_order(stack: TemporalStack) -> Iterator[str]:
    """The layers of MotionDirector's list: in diffusers' UNet the middle block is registered last."""
    keys = modelscope.DIFFUSERS.temporal_keys(stack)
    frames = [f"layers.{site.name}.norm.weight" for site in stack.sites if site.kind == "frames"]
    modules = [keys[key][0].removesuffix(".norm.weight") for key in frames]
    for module in sorted(modules, key=lambda name: name.startswith("mid_block.")):
        yield from (f"{module}.transformer_blocks.0.{layer}" for layer in IN_ORDER)


def _check_factors(
    name: str, module: str, factors: Mapping[str, Tensor], target: Target, stack: TemporalStack
) -> None:
    """Both factors of a change are there, finite, and of the sizes of what they change."""
    up, down = (factors.get(f"{module}.lora_{side}.weight") for side in ("up", "down"))
    if up is None or down is None:
        raise CheckpointFormatError(
            f"{name} has only one of the two factors of {shown(module)}, or only its alpha. It may be "
            "damaged."
        )
    rows, *kernel = stack.shapes[target if isinstance(target, str) else target[0]]
    rows = rows if isinstance(target, str) else target[1][2]
    if not _fit(up, down, torch.Size([rows, *kernel])):
        raise CheckpointFormatError(
            f"{name}: the factors of {shown(module)} have shapes {shape_text(up)} and {shape_text(down)}, "
            f"but {stack.config.family} needs ({rows}, rank) and (rank, {', '.join(map(str, kernel))}). "
            "It may be damaged, or made for another version."
        )
    for leaf in ("lora_up.weight", "lora_down.weight", "alpha"):
        if f"{module}.{leaf}" in factors:
            check_numbers(name, f"{module}.{leaf}", factors[f"{module}.{leaf}"])
    alpha = factors.get(f"{module}.alpha")
    if alpha is not None and alpha.numel() != 1:
        raise CheckpointFormatError(
            f"{name}: the alpha of {shown(module)} has shape {shape_text(alpha)}, but it is one number. It "
            "may be damaged."
        )


def _fit(up: Tensor, down: Tensor, changed: torch.Size) -> bool:
    """True if two factors make a change of a weight; axes of length one at the end do not count."""
    made = torch.Size([len(up), *down.shape[1:]]) if up.ndim and down.ndim else torch.Size()
    same_rank = without_points(up.shape[1:]) == without_points(down.shape[:1])
    return same_rank and min(up.ndim, down.ndim) > 1 and without_points(made) == without_points(changed)


def _factor(leaf: str, tensor: Tensor) -> Tensor:
    """A factor as it is; an alpha may also be a whole number, which some trainers write."""
    whole = leaf == "alpha" and tensor.dtype in (
        torch.int64,
        torch.int32,
        torch.int16,
        torch.uint8,
        torch.int8,
    )
    return tensor.float() if whole else tensor


def _split(key: str) -> tuple[str, str] | None:
    """The changed layer of a key, as files of motion modules name it, and which factor it is."""
    for end, layer in ENDS.items():
        match = re.search(end + "$", key)
        if match:
            module = key[: match.start()] + match.expand(layer)
            return module, LEAVES.get(match.groups()[-1] if match.groups() else "", "alpha")
    return None
