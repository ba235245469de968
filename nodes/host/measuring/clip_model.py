"""CLIP for the command lines: pictures and texts in one space, by the host's own networks.

Shapes: pictures (n h w 3) uint8; features (n d); tokens (n 77).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.clip_vision
import comfy.model_management as mm
import comfy.sd1_clip
import folder_paths
import numpy as np
import torch
from torch import Tensor

from ....temporal.errors import CheckpointFormatError, InvalidInputError
from ....temporal.weights.files import digest_of, read_weights
from .pictures import features_of

FOLDERS = ("clip_vision", "text_encoders")
LENGTH, END = 77, 49407  # tokens of a text, and the one behind its last word
HEAD = 64  # channels of a head in OpenAI's networks
QUICK_GELU = 768  # width up to which text encoders are OpenAI's, which have it


@dataclass(frozen=True)
class ClipNetworks:
    """CLIP's two networks; `text` is None where the files hold none. `identity` tells files apart."""

    identity: str
    vision: Any
    text: Any = None
    tokenizer: Any = None

    @property
    def reads_text(self) -> bool:
        """True if the files hold a text encoder with its projection."""
        return self.text is not None

    def pictures(self, frames: np.ndarray) -> np.ndarray:
        """Features of pictures."""
        return features_of(self.vision, torch.from_numpy(frames).float() / 255)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Features of texts, of which 75 tokens are read.

        Raises InvalidInputError when the files hold no text encoder.
        """
        if self.text is None:
            raise InvalidInputError(
                f"{self.identity.partition(' ')[0]} holds no text encoder with its projection, which "
                "captions need; give the whole CLIP file, or one with text_model and text_projection behind "
                "it."
            )
        found = self.tokenizer(list(texts), truncation=True, max_length=LENGTH)["input_ids"]
        tokens = [ids + [END] * (LENGTH - len(ids)) for ids in found]
        return self.text(tokens)[1].float().cpu().numpy()


def open_clip(names: Sequence[str]) -> ClipNetworks:
    """CLIP out of one file, or out of one for pictures and one for texts.

    Each is given by its path, or by its name in the host's folders.

    Raises:
        InvalidInputError: there is no such file.
        CheckpointFormatError: they hold no network for pictures that the host knows.
    """
    paths = [_path(name) for name in names]
    tensors = {key: value for path in paths for key, value in read_weights(path).tensors.items()}
    identity = ", ".join(f"{path.name} {digest_of(path)}" for path in paths)
    vision = _vision(tensors)
    if vision is None:
        raise CheckpointFormatError(
            f"{identity} holds no network for pictures (vision_model and visual_projection); give a CLIP "
            "file such as those of models/clip_vision."
        )
    text = _text(tensors)
    tokenizer = None if text is None else comfy.sd1_clip.SDTokenizer().tokenizer
    return ClipNetworks(identity, vision, text, tokenizer)


def _path(name: str) -> Path:
    found = [folder_paths.get_full_path(folder, name) for folder in FOLDERS]
    path = next((Path(p) for p in (name, *found) if p is not None and Path(p).is_file()), None)
    if path is None:
        raise InvalidInputError(
            f"There is no CLIP file {name}; give its path, or its name in models/{FOLDERS[0]} or "
            f"models/{FOLDERS[1]}."
        )
    return path


def _vision(tensors: Mapping[str, Tensor]) -> Any:
    """The host's network where it knows the size, else one of the size of the weights."""
    known = comfy.clip_vision.load_clipvision_from_sd(dict(tensors))
    if known is not None or "vision_model.embeddings.patch_embedding.weight" not in tensors:
        return known
    with tempfile.TemporaryDirectory(prefix="video_ldm_") as folder:
        path = Path(folder) / "sizes.json"
        path.write_text(json.dumps(_vision_sizes(tensors)), "utf-8")
        network = comfy.clip_vision.ClipVisionModel(str(path))
    network.load_sd({key: value for key, value in tensors.items() if key.startswith("vis")})
    return network


def _vision_sizes(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    patches = tensors["vision_model.embeddings.patch_embedding.weight"]
    places = len(tensors["vision_model.embeddings.position_embedding.weight"]) - 1
    projection = tensors["visual_projection.weight"]
    side = patches.shape[2]
    return {
        **_sizes(tensors, "vision_model", patches.shape[0]),
        "model_type": "clip_vision_model",
        "num_channels": 3,
        "patch_size": side,
        "image_size": side * round(places**0.5),
        "projection_dim": projection.shape[0],
        "hidden_act": "quick_gelu",
    }


def _text(tensors: Mapping[str, Tensor]) -> Any:
    """The text encoder with its projection, on the device that computes; None where it is not there."""
    projection = tensors.get("text_projection.weight")
    if projection is None or "text_model.embeddings.token_embedding.weight" not in tensors:
        return None
    width = projection.shape[1]
    sizes = {
        **_sizes(tensors, "text_model", width),
        "max_position_embeddings": LENGTH,
        "eos_token_id": END,
        "hidden_act": "quick_gelu" if width <= QUICK_GELU else "gelu",
    }
    device = mm.get_torch_device()
    encoder = comfy.sd1_clip.SDClipModel(device="cpu", textmodel_json_config=sizes, dtype=torch.float32)
    encoder.load_sd({key: value.float() for key, value in tensors.items() if key.startswith("text_")})
    return encoder.to(device)


def _sizes(tensors: Mapping[str, Tensor], part: str, width: int) -> dict[str, Any]:
    start = f"{part}.encoder.layers."
    layers = 1 + max(int(key[len(start) :].partition(".")[0]) for key in tensors if key.startswith(start))
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, width // HEAD),
        "intermediate_size": len(tensors[f"{start}0.mlp.fc1.weight"]),
        "layer_norm_eps": 1e-5,
    }
