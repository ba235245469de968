"""Values that the fuzz gives to nodes.

For every kind of input good values, values at its edges, and values that cannot be right.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...tests.host.sampling import tiny_x4
from . import fuzz_files

FRAMES = (1, 2, 3, 5, 8)
SIDE, SCALE = 4, 8  # of most latents, and pixels for each of them on the toy world
WIDTH = 48  # of the toy world's text
TEXTS = (
    "", "a red circle", "0: a red circle\n3: a blue square", "0, 3", "-1, 0", "1, 2, 3", "0", "0: 1",
    "1, 0.9, 0.5", "name", "a/b", "../../up", "/abs/path", "a\0b", "\ud800", "%width%/%date:yyyy%", "x" * 300,
    "\u5706" * 90, "0:" + " " * 900, "9" * 5000, "[a|b]", "(a:1.2)", "{}", "\n\n", "nan", "1e9", "0: a, 3: b",
    "\U0001f3ac \t\r\n", "CON", "output.0: 0.5",
)  # fmt: skip
LIKELY = {  # texts that mean something to an input
    "prompts": ("0: a red circle", "0: a red circle\n3: a blue square", "a dog\n\na cat", ""),
    "indices": ("0", "0, -1", "1, 0", "-1"),
    "seeds": ("0", "1, 2"),
    "affinities": ("1", "1, 0.9, 0.5"),
    "alpha_by_level": ("", "0: 0.5", "output.0: 0.5"),
    "filename": ("name",),
    "filename_prefix": ("name", "a/b", "%width%/%date:yyyy%"),
    "folder": ("name", "a/b"),
    "values": ("0: 1", "0: 1, 4: 0.5", "0: 0.5 + t / max_f"),
}
# Inputs of which a graph that means something has only one, and those that are given together or not at all.
EITHER = {"VLDM_RenderVideo": ("samples", "images")}
TOGETHER = {
    "VLDM_RenderVideo": ("samples", "vae"),
    "VLDM_KnownFrames": ("images", "vae"),
    "VLDM_ExtendVideo": ("prompts", "clip"),
}
FEW_IMAGES = ("VLDM_KnownFrames", "VLDM_TemporalVAEDecode")  # one given frame fits most clips
# How far a number may go, so that ten thousand runs end: more than that only takes time.
MODERATE = {
    "steps": 2, "spatial_steps": 1, "segments": 2, "passes": 1, "segment_length": 8, "context_length": 8,
    "num_frames": 12, "crop": 64, "patch_size": 16, "batch_size": 2, "channels": 16, "clip_length": 8,
    "chunk_length": 16, "tile_size": 64, "every": 5, "overlap": 8, "context_overlap": 4, "tile_overlap": 16,
    "context_frames": 4, "frames": 12, "width": 64, "height": 64, "seconds": 0.2,
}  # fmt: skip
STRANGE: Sequence[Any] = (
    None,
    math.nan,
    math.inf,
    -math.inf,
    2**64,
    -(2**70),
    "3",
    True,
    0.5,
    [1],
    {},
    1j,
    b"1",
)


class Values:
    """Values by kind of input; `call` runs a node of the host."""

    def __init__(self, call: Callable[..., tuple]) -> None:
        model, clip, vae = call("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors")[:3]
        self.plain = (model, call("CLIPTextEncode", clip=clip, text="a red circle")[0])
        layers = call("VLDM_LoadTemporalLayers", model=model, file="toy_temporal.safetensors", strength=1.0)[
            0
        ]
        windows = {"context_overlap": 1, "closed_loop": False, "repeated_noise": True}
        names = {"context_schedule": "standard_static", "fuse_method": "pyramid"}
        windowed = call("VLDM_VideoWindows", model=layers, context_length=4, **windows, **names)[0]
        temporal = call("VLDM_LoadTemporalDecoder", vae=vae, file="toy_decoder.safetensors")[0]
        upscaler = call("VLDM_LoadVideoUpscaler", file="toy_upscaler.safetensors", **upscaler_settings())[0]
        motion = call("VLDM_MotionPrompt", clip=clip, text="moving left", negative_text="")[0]
        families, vision = fuzz_files.motion_models(call, model), fuzz_files.image_encoder(call)
        whole = fuzz_files.video_models(call)
        texts = _texts(call, clip)
        self.good: dict[str, list[Any]] = {
            "MODEL": [model, *[layers] * 4, *[windowed] * 3, *families.values(), *whole],
            "CLIP_VISION": [vision],
            "CLIP": [clip],
            "VAE": [vae, temporal],
            "VLDM_UPSCALER": [upscaler],
            "VLDM_MOTION_PROMPT": [motion],
            "CONDITIONING": [*texts, *fuzz_files.with_pictures(call, texts[0], vision, vae, SIDE * SCALE)],
            "LATENT": _latents(call, vae),
            "IMAGE": _images(),
            "AUDIO": [
                {"waveform": torch.rand(1, c, 4000) * 2 - 1, "sample_rate": 8000} for c in (1, 2, 3, 6)
            ],
        }
        x4 = tiny_x4.Text().encode_from_tokens("a red circle", True)[0]
        upscaled = {"MODEL": [tiny_x4.model()], "CONDITIONING": [[[x4, {}]]], "IMAGE": _small_images()}
        animated = [families[name] for name in ("pia.ckpt", "AnimateLCM_sd15_i2v.ckpt")]
        moved = [families[name] for name in ("v3_sd15_mm.ckpt", "mm_sd_v15_v2.ckpt")]
        self.own: dict[str, dict[str, list[Any]]] = {
            "VLDM_VideoUpscaleDiffusion": upscaled,
            "VLDM_LatentInterpolate": {"MODEL": [layers]},
            "VLDM_ImageMotion": {"MODEL": animated},
            "VLDM_LoadMotionLoRA": {"MODEL": moved},
            **{node: {"IMAGE": self.good["IMAGE"][:2]} for node in FEW_IMAGES},
        }
        self.own["VLDM_KnownFrames"]["LATENT"] = self.good["LATENT"][: 2 * len(FRAMES)]
        self.bad: dict[str, list[Any]] = {
            "CONDITIONING": _bad_texts(),
            "LATENT": _bad_latents(),
            "IMAGE": _bad_images(),
            "AUDIO": _bad_sounds(),
        }

    def models(self) -> list[Any]:
        """Every MODEL that a run may be given."""
        return [*self.good["MODEL"], *self.own["VLDM_VideoUpscaleDiffusion"]["MODEL"]]

    def fitted(self, rng: random.Random, node: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """Inputs that fit together better: what would be refused at once is left out."""
        given = dict(inputs)
        if all(name in given for name in EITHER.get(node, (None,))):
            del given[rng.choice(EITHER[node])]
        first, second = TOGETHER.get(node, ("", ""))
        if first in given and second not in given:
            del given[first]
        return given

    def draw(self, rng: random.Random, node: str, part: Any, wild: float) -> Any:
        """A value for an input of a schema; with probability `wild` one that may be anything."""
        kind, is_wild = part.get_io_type(), rng.random() < wild
        if kind in ("INT", "FLOAT"):
            return rng.choice(strange_numbers(part)) if is_wild else number(rng, part)
        if kind == "STRING":
            return rng.choice([None, 3, *TEXTS] if is_wild else LIKELY.get(part.id, TEXTS[:10]))
        if kind == "BOOLEAN":
            return rng.choice(STRANGE) if is_wild else rng.random() < 0.5
        if kind == "COMBO":
            names = ["beta57", "../../toy_sd.safetensors", *TEXTS, *STRANGE]
            return rng.choice(names if is_wild or not part.options else part.options)
        own = self.own.get(node, {}).get(kind, self.good.get(kind, []))
        pool = [*self.bad.get(kind, []), *self.good.get(kind, [])] if is_wild else own
        return rng.choice([None, *pool]) if is_wild or not pool else rng.choice(pool)


def number(rng: random.Random, part: Any) -> int | float:
    """A number in the range of an input: its ends, its default, or one between that does not take long."""
    high = min(part.max, max(part.min, MODERATE.get(part.id, part.max)))
    between = rng.uniform(part.min, high)
    usual = min(part.default, high)
    choices = [part.min, high, between, usual, usual, usual]
    return rng.choice([round(value) for value in choices] if part.get_io_type() == "INT" else choices)


def strange_numbers(part: Any) -> list[Any]:
    """Numbers outside of the range of an input, and what is no number."""
    return [part.min - 1, part.max + 1, -part.max - 1, *STRANGE]


def upscaler_settings() -> dict[str, Any]:
    """Of Load Video Upscaler, so that it is quick."""
    return {
        "steps": 1, "noise_augmentation": 0.0, "seed": 0, "temporal_strength": 1.0, "context_length": 4,
        "context_overlap": 1, "tile_size": 64,
    }  # fmt: skip


def _texts(call: Callable[..., tuple], clip: Any) -> list[list]:
    one, none = (call("CLIPTextEncode", clip=clip, text=text)[0] for text in ("a red circle", ""))
    schedule = {"prompts": "0: a red circle\n2: a blue square", "interpolation": "linear"}
    several = [call("VLDM_PromptSchedule", clip=clip, num_frames=f, **schedule)[0] for f in (3, 5, 8, 12)]
    masked = [[one[0][0], {**one[0][1], "mask": torch.ones(1, 64, 64), "mask_strength": 0.5}]]
    return [one, none, *several, [*one, *none], masked]


def _latents(call: Callable[..., tuple], vae: Any) -> list[dict]:
    generator = torch.Generator().manual_seed(1)
    noise = [torch.randn(f, 4, SIDE, SIDE, generator=generator) for f in FRAMES]
    clips = [{"samples": samples} for samples in noise]
    clips += [{"samples": torch.zeros(f, 4, SIDE, SIDE)} for f in FRAMES]
    picture = torch.rand(1, SIDE * SCALE, SIDE * SCALE, 3, generator=generator)
    give = {"pattern": "first", "every": 4, "indices": "0", "vae": vae, "images": picture}
    known = [call("VLDM_KnownFrames", latent=clip, **give)[0] for clip in clips]
    loop = call("VLDM_KnownFrames", latent=clips[4], **{**give, "pattern": "loop"})[0]
    cut = call("LatentFromBatch", samples=loop, batch_index=3, length=5)[0]
    joined = call("LatentBatch", samples1=known[2], samples2=clips[3])[0]
    larger = call("LatentUpscaleBy", samples=loop, upscale_method="nearest-exact", scale_by=2.0)[0]
    repeated = call("RepeatLatentBatch", samples=known[1], amount=3)[0]
    sampled = [{**clip, "video_ldm_fps": 12.0} for clip in (clips[3], known[4])]
    shapes = [(2, 4, 5, 7), (3, 4, 1, 1), (1, 4, 16, 16), (3, 4, SIDE, SIDE)]  # the last in half precision
    odd = [{"samples": torch.randn(shape, generator=generator)} for shape in shapes]
    odd[3]["samples"] = odd[3]["samples"].half()
    masks = [torch.ones(1, 64, 64), torch.zeros(3, 8, 8), torch.rand(9, 1, 5, 5), torch.ones(8, 8)]
    masked = [{**clips[3], "noise_mask": mask} for mask in masks]
    indexed = [{**clips[2], "batch_index": index} for index in ([0, 1, 2], [4, 9, 4], [0, 0, 0], [1])]
    return [*clips, *known, *sampled, loop, cut, joined, larger, repeated, *odd, *masked, *indexed]


def _bad_latents() -> list[Any]:
    shapes = [(0, 4, 8, 8), (2, 3, 8, 8), (2, 16, 8, 8), (1, 4, 3, 8, 8), (4, 8, 8), (2, 4, 0, 8), (8,)]
    clip = torch.ones(2, 4, 8, 8)
    values = [torch.ones(shape) for shape in shapes]
    values += [
        clip.long(),
        clip * math.nan,
        clip * math.inf,
        clip * 1e30,
        clip.to(torch.complex64),
        "samples",
        None,
    ]
    masks = [torch.zeros(0, 8, 8), torch.ones(3), "mask", torch.ones(2, 8, 8).long()]
    return [
        *({"samples": value} for value in values),
        {},
        *({"samples": clip, "noise_mask": m} for m in masks),
    ]


def _images() -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    pixels = SIDE * SCALE
    same = [torch.rand(f, pixels, pixels, 3, generator=generator) for f in (1, 1, 2, 3, 5, 8)]
    shapes = [
        (2, pixels, pixels, 4),
        (1, 40, 56, 3),
        (1, 70, 65, 3),
        (3, 16, 16, 3),
        (1, 1, 1, 3),
        (2, 33, 31, 3),
    ]
    return [
        *same,
        *(torch.rand(shape, generator=generator) for shape in shapes),
        same[2].half(),
        same[3].bfloat16(),
    ]


def _small_images() -> list[Tensor]:
    """For the x4 upscaler, whose latent has a place for each pixel; the last is made in tiles."""
    generator = torch.Generator().manual_seed(3)
    shapes = [
        (1, 8, 8, 3),
        (2, 8, 16, 3),
        (3, 9, 7, 3),
        (8, 8, 8, 3),
        (12, 4, 4, 3),
        (1, 8, 72, 3),
        (2, 8, 8, 4),
    ]
    return [torch.rand(shape, generator=generator) for shape in shapes]


def _bad_images() -> list[Any]:
    shapes = [
        (0, 64, 64, 3),
        (1, 64, 64, 1),
        (1, 64, 64, 2),
        (1, 64, 64, 16),
        (64, 64, 3),
        (1, 2, 64, 64, 3),
        (1, 0, 64, 3),
    ]
    picture = torch.ones(1, 64, 64, 3)
    values = [
        picture * math.nan,
        picture * math.inf,
        -picture,
        picture * 1e30,
        picture.long(),
        picture.bool(),
        "picture",
    ]
    return [*map(torch.ones, shapes), *values]


def _bad_texts() -> list[Any]:
    texts = [(1, 3, 768), (1, 0, WIDTH), (0, 3, WIDTH), (1, WIDTH), (2, 2, 3, WIDTH)]
    values = [*map(torch.ones, texts), torch.full((1, 3, WIDTH), math.nan), torch.ones(1, 3, WIDTH).long()]
    return [[], "text", *([[value, {}]] for value in values)]


def _bad_sounds() -> list[Any]:
    shapes = [(1, 0, 100), (0, 2, 100), (2, 100), (1, 2, 0), (1, 40, 100)]
    sounds = [{"waveform": torch.zeros(shape), "sample_rate": 8000} for shape in shapes]
    rates = [{"waveform": torch.zeros(1, 1, 100), "sample_rate": rate} for rate in (0, -1, 10**12, None)]
    odd = [torch.full((1, 1, 100), math.nan), torch.zeros(1, 1, 100, dtype=torch.int16), None]
    return [*sounds, *rates, *({"waveform": waveform, "sample_rate": 8000} for waveform in odd), {}]
