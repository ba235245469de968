"""Every step of a film on a computer without CUDA.

No code of the pack asks for it, directly or through torch.
"""

from __future__ import annotations

import inspect
import sys
import types
from pathlib import Path

import pytest
import torch

from .test_plugging import clip_graph

ROOT = Path(__file__).resolve().parents[3]
TORCH = Path(torch.__file__).parent
SAMPLER = {"steps": 1, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal"}


def caller() -> Path:
    """File of whoever called torch."""
    frame = sys._getframe(2)
    while frame.f_back and TORCH in Path(frame.f_code.co_filename).parents:
        frame = frame.f_back
    return Path(frame.f_code.co_filename).resolve()


@pytest.fixture
def no_cuda(monkeypatch):
    """Every function of torch.cuda, and Tensor.cuda and Module.cuda, refused to the pack.

    The host may ask for what it has.
    """

    def refuse(name, function):
        def guarded(*arguments, **options):
            asking = caller()
            if {ROOT / "nodes", ROOT / "temporal"} & set(asking.parents):
                raise AssertionError(f"{asking.name} calls {name}")
            return function(*arguments, **options)

        return guarded

    for name, function in vars(torch.cuda).copy().items():
        if inspect.isfunction(function) and not name.startswith("_"):
            monkeypatch.setattr(torch.cuda, name, refuse(f"torch.cuda.{name}", function))
    for owner in (torch.Tensor, torch.nn.Module):
        monkeypatch.setattr(owner, "cuda", refuse(f"{owner.__name__}.cuda", owner.cuda))


def film_graph() -> dict:
    """A clip, goes on, gets frames in between, is decoded by temporal layers, enlarged and written."""
    graph = clip_graph()
    graph["layers"] = {
        "class_type": "VLDM_LoadTemporalLayers",
        "inputs": {"model": ["model", 0], "file": "toy_temporal.safetensors", "strength": 1.0},
    }
    video = {"model": ["layers", 0], "positive": ["text", 0], "negative": ["no", 0]}
    graph["sample"]["inputs"] |= {"model": ["layers", 0]}
    longer = {"segments": 1, "seconds": 0.0, "seeds": "1", "folder": "devices"}
    longer |= {"segment_length": 5, "context_frames": 2}
    graph["longer"] = {
        "class_type": "VLDM_ExtendVideo",
        "inputs": {**video, "samples": ["sample", 0], "fps": 8.0, **longer, **SAMPLER},
    }
    between = {"method": "learned", "passes": 1, "loop": False, "cut_threshold": 2.0, "fps": 8.0}
    graph["between"] = {
        "class_type": "VLDM_LatentInterpolate",
        "inputs": {
            **{"samples": ["sample", 0], "seed": 1, "pinned_denoise": 0.6},
            **video,
            **between,
            **SAMPLER,
        },
    }
    graph["decoder"] = {
        "class_type": "VLDM_LoadTemporalDecoder",
        "inputs": {"vae": ["model", 2], "file": "toy_decoder.safetensors", "strength": 1.0},
    }
    settings = {"noise_augmentation": 0.1, "seed": 1, "temporal_strength": 1.0}
    sizes = {"context_length": 0, "context_overlap": 2, "tile_size": 256, "steps": 1}
    graph["upscaler"] = {
        "class_type": "VLDM_LoadVideoUpscaler",
        "inputs": {"file": "toy_upscaler.safetensors", **settings, **sizes},
    }
    film = {"format": "mp4 (H.264)", "quality": 80, "fps": 0.0, "filename_prefix": "devices"}
    for number, source in enumerate(("longer", "between")):
        graph[f"film{number}"] = {
            "class_type": "VLDM_RenderVideo",
            "inputs": {"samples": [source, 0], "vae": ["decoder", 0], **film},
        }
    graph["film0"]["inputs"]["upscaler"] = ["upscaler", 0]
    return graph


def test_no_step_of_a_film_calls_cuda(host, no_cuda):
    run = host.run(film_graph())
    assert run.outputs["between"][0]["samples"].shape[0] == 17
    assert {len(run.shown[name]["images"]) for name in ("film0", "film1")} == {1}


def test_a_call_would_be_noticed(no_cuda):
    code = compile("lambda: torch.cuda.is_available()", str(ROOT / "nodes" / "host" / "some.py"), "eval")
    body = next(part for part in code.co_consts if inspect.iscode(part))
    with pytest.raises(AssertionError, match=r"some.py calls torch.cuda.is_available"):
        types.FunctionType(body, {"torch": torch})()
