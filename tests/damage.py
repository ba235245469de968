"""Five hundred damaged files.

The same ones on every run, small, each made from a good file by one kind of damage.

A kind is a function of a good file's bytes and a random generator to damaged bytes; what it does is its name.
"""

from __future__ import annotations

import functools
import io
import pickle
import random
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor
from video_ldm.temporal.decoder.decoder import DecoderConfig, TemporalDecoder
from video_ldm.temporal.decoder.formats import save_decoder
from video_ldm.temporal.decoder.plan import DecoderShape
from video_ldm.temporal.formats import convert, save_stack
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.stack.plan import UNetShape
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack

from . import damage_headers as headers
from .temporal.tiny import sine_init

COUNT = 500
BOMB = 2**28  # bytes of a file that unpacks
# one level, not four, stands for SD 1.x (`BASES`): a damaged file opens four times as fast
TINY = UNetShape(32, (1,), (1,), (1,), (1, 1), 1, context_dim=24, num_heads=8)
BASES = {1: ("SD 1.x", TINY)}
SMALLER = UNetShape(32, (1,), (1,), (1,), (1, 1), 1, context_dim=8, num_heads=2)
MOTION = StackConfig(
    TINY, "SD 1.x", 32, False, False, family="AnimateDiff v2", motion=MotionConfig(True, False, False)
)
PIA = replace(MOTION, family="PIA", motion=MotionConfig(False, False, True), image="affinity")
I2V = replace(MOTION, family="AnimateLCM-I2V", max_frames=64, image="encoder")
NATIVE = StackConfig(SMALLER, "tiny", 8, known_frames=True, frame_rate=True)

Damage = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Good:
    """Bytes of the good files by name.

    Layers of four families in three containers, a decoder, a motion LoRA.
    """

    files: dict[str, bytes]

    @classmethod
    def made(cls, folder: Path) -> Good:
        """Written by the pack's own code, in half precision where weights are large."""
        motion = sine_init(TemporalStack(MOTION)).half()
        save_stack(folder / "native", sine_init(TemporalStack(NATIVE)))
        convert.write(folder / "motion", motion, "original")
        for name, config in (("pia", PIA), ("i2v", I2V)):
            convert.write(folder / name, sine_init(TemporalStack(config)).half(), "original")
        shape = DecoderShape("taesd", 32, (1,), 0)
        decoder = sine_init(TemporalDecoder(DecoderConfig(shape, "tiny"), device="cpu"))
        save_decoder(folder / "decoder", decoder)
        files = {name: (folder / name).read_bytes() for name in ("native", "motion", "pia", "i2v", "decoder")}
        weights = load(files["motion"])
        files["zip"] = torch_saved({"state_dict": weights, "epoch": 3})
        files["legacy"] = torch_saved(weights, _use_new_zipfile_serialization=False)
        files["lora"] = save(dict(lora(weights)))
        return cls(files)


def lora(weights: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Rank 2 for all attention weights of motion modules."""
    for key, weight in weights.items():
        module, _, leaf = key.rpartition(".to_")
        if leaf in ("q.weight", "k.weight", "v.weight", "out.0.weight"):
            name = f"{module}.processor.to_{leaf.split('.')[0]}_lora"
            yield f"{name}.down.weight", 0.1 * weight[:2].clone()
            yield f"{name}.up.weight", 0.1 * weight[:, :2].contiguous()


def torch_saved(content: Any, **options: Any) -> bytes:
    """A PyTorch file of anything."""
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def damaged(good: Good, count: int = COUNT) -> Iterator[tuple[str, str, bytes]]:
    """(what was done, name of the good file, damaged bytes), every kind in turn with another seed."""
    jobs = [(name, kind) for name, kinds in KINDS.items() for kind in kinds]
    for number in range(count):
        name, kind = jobs[number % len(jobs)]
        content = kind(good.files[name], random.Random(number))
        yield f"{number:03d} {kind.__name__} of {name}", name, content


# ------------------------------------------------------------------ bytes of any file


def cut(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content))]


def cut_near_the_start(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(200)]


def flipped(content: bytes, dice: random.Random) -> bytes:
    return _flip(content, dice, len(content))


def flipped_near_the_start(content: bytes, dice: random.Random) -> bytes:
    return _flip(content, dice, 400)


def flipped_near_the_end(content: bytes, dice: random.Random) -> bytes:
    return _flip(content[::-1], dice, 400)[::-1]


def zeros_inside(content: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(content))
    return content[:start] + bytes(len(content[start : start + 4096])) + content[start + 4096 :]


def a_part_twice(content: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(content))
    return content[:start] + content[max(0, start - 1000) :]


def junk_at_the_end(content: bytes, dice: random.Random) -> bytes:
    return content + dice.randbytes(dice.randrange(1, 5000))


def _flip(content: bytes, dice: random.Random, within: int) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.choice((1, 8, 64))):
        changed[dice.randrange(min(within, len(changed)))] ^= 1 << dice.randrange(8)
    return bytes(changed)


# ------------------------------------------------------------------ PyTorch files


class Trap:
    """A pickle's call: this one would end the process."""

    def __reduce__(self) -> tuple:
        import os

        return os._exit, (66,)


class Call:
    """A pickle that calls what PyTorch lets pickles call, with arguments that it did not think of."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def code(content: bytes, dice: random.Random) -> bytes:
    modern = dice.random() < 0.5
    return torch_saved({"weight": Trap()}, _use_new_zipfile_serialization=modern)


def code_in_a_bare_pickle(content: bytes, dice: random.Random) -> bytes:
    return pickle.dumps({"weight": Trap()}, protocol=dice.choice((2, 3, 4, 5)))


def a_bomb(content: bytes, dice: random.Random) -> bytes:
    """A small zip of which one part unpacks to a quarter of a gigabyte."""
    return _bomb(dice.choice(("archive/data.pkl", "archive/data/0")))


@functools.cache
def _bomb(name: str) -> bytes:
    buffer, zeros = io.BytesIO(), bytes(2**20)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(name, "w") as part:
            for _ in range(BOMB // len(zeros)):
                part.write(zeros)
        if name != "archive/data.pkl":
            archive.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
    return buffer.getvalue()


def packed(content: bytes, dice: random.Random) -> bytes:
    """Zip a file again with a tool that compresses."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(buffer, "w") as target:
        for part in source.infolist():
            target.writestr(part.filename, source.read(part), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def parts_lost(content: bytes, dice: random.Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(buffer, "w") as target:
        kept = [part for part in source.infolist() if dice.random() < 0.9]
        for part in kept:
            target.writestr(part.filename, source.read(part)[: dice.choice((None, 10))])
    return buffer.getvalue()


def strange_content(content: bytes, dice: random.Random) -> bytes:
    """Collections that are none.

    Cycles, towers of wrappers, tensors that are larger than the file, or not plain.
    """
    weights = torch.load(io.BytesIO(content), weights_only=True)
    weights = weights.get("state_dict", weights)
    key = dice.choice(sorted(weights))
    cycle: dict = {}
    cycle["state_dict"] = cycle
    tower: dict = weights
    for _ in range(500):
        tower = OrderedDict(state_dict=tower)
    like = weights[key]
    strange = dice.choice(
        [
            cycle,
            tower if dice.random() < 0.1 else {"module": {"model": {}}},
            {**weights, key: like.flatten()[:1].expand(2**20, 2**20)},
            {**weights, key: torch.zeros(1).expand(1, 2**31, 32)},
            {**weights, key: like.to_sparse()},
            {**weights, key: torch.empty(like.shape, device="meta")},
            {**weights, key: torch.quantize_per_tensor(like.float(), 0.1, 0, torch.qint8)},
            {**weights, key: Call(bytearray, 2**50)},
            {**weights, key: Call(torch.FloatTensor, 2**20, 2**30)},
            {**weights, key: Call(bytearray, 2**33)},
            {**weights, 7: weights[key], None: 3, ("a", "b"): weights[key]},
            {**weights, key: [weights[key]]},
            [*weights.values()],
            list(weights),
            weights[key],
            None,
        ]
    )
    return torch_saved(strange, _use_new_zipfile_serialization=dice.random() < 0.7)


ANY: tuple[Damage, ...] = (
    cut,
    cut_near_the_start,
    flipped,
    flipped_near_the_start,
    flipped_near_the_end,
    zeros_inside,
    a_part_twice,
    junk_at_the_end,
)
HEADERS: tuple[Damage, ...] = headers.ANY
OURS: tuple[Damage, ...] = (*[headers.a_wrong_description] * 3, headers.another_format)
KINDS: dict[str, tuple[Damage, ...]] = {
    "native": (*ANY, *HEADERS, *OURS, headers.a_description_too_deep),
    "motion": (*ANY, *HEADERS),
    "pia": HEADERS,
    "i2v": HEADERS,
    "decoder": (*OURS, headers.not_a_number, cut),
    "lora": HEADERS,
    "zip": (*ANY, code, a_bomb, packed, parts_lost, strange_content, strange_content, strange_content),
    "legacy": (*ANY, code_in_a_bare_pickle, strange_content),
}
