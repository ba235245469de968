"""Tiny random files of every published family at the size of the toy world, and the models that they make.

With them each loader can succeed in the fuzz.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from ...tests.host import toy_checkpoints
from ...tests.host.families import lavie_rig, toy_families, video_rig
from ...tests.in_process import InProcessHost

TEXT = 48  # width of the toy world's text
PICTURE = {
    "features": toy_checkpoints.PICTURE["hidden_size"],
    "tokens": 3,
    "width": 16,
    "heads": 2,
    "depth": 1,
}
VISION = "fuzz_vision.safetensors"
MODELSCOPE, PROMPTED, SVD = (f"fuzz_{name}.safetensors" for name in ("modelscope", "prompted", "svd"))
Call = Callable[..., tuple]


@contextmanager
def tiny_files(host: InProcessHost) -> Iterator[None]:
    """The files below the host's models, and its copy of the pack told their sizes; all gone afterwards."""
    models = host.base / "models"
    before = set(models.rglob("*"))
    with pytest.MonkeyPatch.context() as patch:
        try:
            _motion_modules(host, patch)
            _video_models(host, patch)
            yield
        finally:
            for path in set(models.rglob("*")) - before:
                if not path.is_dir():
                    path.unlink()


def _motion_modules(host: InProcessHost, patch: pytest.MonkeyPatch) -> None:
    """AnimateDiff, PIA, AnimateLCM-I2V, motion LoRA and SparseCtrl for the toy checkpoint."""
    toy = toy_families.write_families(host.base / "models")
    shape = host.pack("temporal.stack.plan").UNetShape(**vars(toy))
    bases = host.pack("temporal.formats.motion_modules").BASES
    patch.setitem(bases, len(toy.channel_mult), ("SD 1.x", shape))


def _video_models(host: InProcessHost, patch: pytest.MonkeyPatch) -> None:
    """ModelScope, VideoCrafter 1 for image to video, LaVie, Stable Video Diffusion and an image encoder."""
    import comfy.supported_models as supported

    models, formats = host.base / "models", host.pack("temporal.formats")
    shape = video_rig.tiny_shape(host.pack("temporal.stack.plan"), text=TEXT)
    patch.setattr(supported, "models", [*supported.models, *video_rig.tiny_kinds(text=TEXT)])
    for name in ("lvdm", "svd"):
        patch.setattr(host.pack(f"temporal.formats.{name}"), "SHAPE", shape)
    video_rig.narrow_projector(patch, formats, PICTURE)
    lavie_rig.tell_host(patch, formats, text=TEXT)
    toy_checkpoints.tell_host(patch, models, TEXT)
    unet = video_rig.modelscope(text=TEXT)
    folder = models / "diffusion_models"
    toy_families.saved(folder / MODELSCOPE, video_rig.modelscope_as_published(unet))
    weights = video_rig.videocrafter_as_published(unet, video_rig.frame_rate_weights(), convs=True)
    weights |= video_rig.videocrafter_as_published(unet, video_rig.add_picture_attention(unet)[1], convs=True)
    projector = video_rig.projector_weights(**PICTURE, text=TEXT)
    weights |= {f"image_proj_model.{key}": weight for key, weight in projector.items()}
    toy_families.saved(folder / PROMPTED, weights)
    toy_families.saved(folder / "fuzz_lavie.safetensors", lavie_rig.tiny_weights("lavie_base", text=TEXT))
    names = {other: own for own, other in host.pack("temporal.formats.svd").svd_names().items()}
    toy_checkpoints.write_svd(models / "checkpoints" / SVD, names, TEXT)
    toy_families.saved(models / "clip_vision" / VISION, toy_checkpoints.picture_weights(TEXT))


def motion_models(call: Call, model: Any) -> dict[str, Any]:
    """The toy checkpoint with modules of each family, by the names of their files."""
    load = {"model": model, "strength": 1.0}
    return {name: call("VLDM_LoadTemporalLayers", file=name, **load)[0] for name in toy_families.STACKS}


def video_models(call: Call) -> list[Any]:
    """ModelScope, VideoCrafter 1 for image to video, and Stable Video Diffusion."""
    return [call("VLDM_LoadVideoModel", file=name)[0] for name in (MODELSCOPE, PROMPTED, SVD)]


def image_encoder(call: Call) -> Any:
    """CLIP vision as it is published, narrow."""
    return call("CLIPVisionLoader", clip_name=VISION)[0]


def with_pictures(call: Call, text: list, vision: Any, vae: Any, side: int) -> list[list]:
    """CONDITIONING that an image prompt or SparseCtrl stands beside."""
    picture = torch.rand(1, side, side, 3, generator=torch.Generator().manual_seed(4))
    both = {"positive": text, "negative": text}
    prompted = call("VLDM_ImagePrompt", clip_vision=vision, image=picture, **both)[0]
    places = {"pattern": "first", "every": 4, "indices": "0"}
    control = call("VLDM_LoadSparseControl", file=toy_families.SPARSE, **places)[0]
    range_ = {"strength": 0.8, "start_percent": 0.0, "end_percent": 1.0}
    given = call("ControlNetApplyAdvanced", **both, control_net=control, image=picture, vae=vae, **range_)
    return [prompted, given[0]]
