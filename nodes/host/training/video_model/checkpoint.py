"""A checkpoint of Stable Video Diffusion or SV3D: network, image encoder and VAE, trained and written again.

Shapes: frames (f 3 h w) in 0..1; latents ((b f) c h w); picture ((b f) 1 e); label ((b f) d).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import comfy.model_base
import comfy.sd
import folder_paths
import numpy as np
import torch
from comfy.ldm.modules.attention import BasicTransformerBlock
from comfy.ldm.modules.diffusionmodules.openaimodel import VideoResBlock
from einops import rearrange, repeat
from torch import Tensor, nn

from .....temporal.errors import CheckpointFormatError, IncompatibleModelError
from .....temporal.training.data.frames import FrameStore
from .....temporal.training.decoder.trainer import frozen_for_training
from .....temporal.training.memory.levels import Level
from .....temporal.training.video_model.config import VideoModelConfig
from .....temporal.training.video_model.edm import euler
from .....temporal.training.video_model.orbits import Orbit, draw_orbit
from .....temporal.training.video_model.trainer import GivenClips, VideoModelTrainer, predictor
from .....temporal.weights.files import read_weights, write_weights
from ..unet import frozen_unet, plain_attention

PREFIX = "model.diffusion_model."
IN_TIME = re.compile(r"\.time_(stack|mixer|pos_embed)\.")
SAMPLING_STEPS = 20
Draw = Callable[[np.random.Generator], tuple[Tensor, Mapping[str, Any]]]  # a clip (f 3 h w), and its label
SPREAD = 0.5  # of ln of the noise on the given picture (Stable Video Diffusion, appendix D)


@dataclass(frozen=True)
class VideoCheckpoint:
    """Network, VAE and image encoder that the host's loader makes of a file."""

    path: Path
    model: Any
    vae: Any
    image_encoder: Any

    def network(self, parts: str) -> nn.Module:
        """The network in float32, of which the layers in time or all weights ask for gradients."""
        unet = frozen_unet(self.model, torch.float32)
        for name, weight in unet.named_parameters():
            weight.requires_grad_(parts == "all" or IN_TIME.search(name) is not None)
        return unet

    @property
    def kind(self) -> str:
        """Name of the host's class: SVD_img2vid, SV3D_u, or SV3D_p, which is told angles."""
        return type(self.model.model).__name__

    @torch.inference_mode()
    def encode(self, frames: Tensor) -> Tensor:
        """Latents of frames as the VAE gives them."""
        return self.vae.encode(rearrange(frames, "f c h w -> f h w c")).float().cpu()

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Frames (f h w 3) of latents that are scaled as the network sees them."""
        return self.vae.decode(self.model.model.process_latent_out(latents.float())).cpu()

    @torch.inference_mode()
    def look(self, frame: Tensor) -> Tensor:
        """Embedding (1 e) of a picture (3 h w)."""
        picture = rearrange(frame, "c h w -> 1 h w c")
        return self.image_encoder.encode_image(picture).image_embeds.float().cpu()

    def described(self, frames: Tensor, told: Mapping[str, Any], noise: float, dice: Any) -> GivenClips:
        """A clip of frames with its first one given, with noise on it, as the host's conditioning does it.

        `told` is what stands in the label, by the host's names.
        """
        count, first = len(frames), frames[:1]
        noisy = first + noise * torch.from_numpy(dice.standard_normal(tuple(first.shape), np.float32))
        label = self.model.model.encode_adm(**told, augmentation_level=noise, noise=frames)
        return GivenClips(
            self.model.model.process_latent_in(self.encode(frames)).clone(),
            repeat(self.encode(noisy), "1 c h w -> f c h w", f=count).clone(),
            repeat(self.look(first[0]), "1 e -> f 1 e", f=count).clone(),
            label.float().cpu().expand(count, -1).clone(),
            count,
        )

    def write(self, path: Path, trainer: VideoModelTrainer) -> None:
        """The file with the averaged weights in place of its own, in their kind of number."""
        file = read_weights(self.path)
        made = dict(file.tensors)
        for name, weight in trainer.average.average.items():
            made[PREFIX + name] = weight.to("cpu", made[PREFIX + name].dtype)
        notes = {"training": trainer.config.to_json(), "step": str(trainer.step)}
        write_weights(path, made, {**file.metadata, **notes})


def load_video_checkpoint(name: str) -> VideoCheckpoint:
    """A checkpoint of Stable Video Diffusion or SV3D by path, or by its name in the checkpoint folders.

    Raises CheckpointFormatError for a file that is none, IncompatibleModelError for that of another model.
    """
    path = name if Path(name).is_file() else folder_paths.get_full_path("checkpoints", name)
    if path is None:
        raise CheckpointFormatError(
            f"There is no video checkpoint {name}; give a path, or a name in ComfyUI's checkpoint folders."
        )
    keys = read_weights(path).tensors.keys()
    if not any(key.startswith(PREFIX) for key in keys):
        raise CheckpointFormatError(
            f"{Path(path).name} is no complete checkpoint in the spelling of its first publication; give "
            "svd.safetensors, svd_xt.safetensors, sv3d_p.safetensors or one made of them."
        )
    try:
        model, _, vae, image_encoder = comfy.sd.load_checkpoint_guess_config(
            str(path), output_clip=False, output_clipvision=True
        )
    except RuntimeError as error:
        raise CheckpointFormatError(
            f"The host cannot load the video checkpoint {Path(path).name} ({str(error).splitlines()[0]})."
        ) from None
    if model is None or not isinstance(model.model, comfy.model_base.SVD_img2vid):
        kind = "no image model" if model is None else f"a {type(model.model).__name__}"
        raise IncompatibleModelError(
            f"{Path(path).name} holds {kind}, but this trains Stable Video Diffusion and SV3D; for temporal "
            "layers on an image model leave out the word video."
        )
    if vae is None or image_encoder is None:
        raise CheckpointFormatError(
            f"{Path(path).name} must hold an image encoder and a VAE too; give a complete checkpoint."
        )
    return VideoCheckpoint(Path(path), model, vae, image_encoder)


def blocks_in(network: nn.Module) -> list[nn.Module]:
    """The blocks that can be computed again for their gradients; none lies inside another."""
    return [m for m in network.modules() if isinstance(m, VideoResBlock | BasicTransformerBlock)]


def told_clips(store: FrameStore, config: VideoModelConfig, fps: float) -> Draw:
    """Runs of frames of films, told their rate and motion."""
    told = {"fps": fps, "motion_bucket_id": config.motion}
    return lambda dice: (store.draw_whole(dice, config.num_frames), told)


def told_orbits(store: FrameStore, orbits: Sequence[Orbit], num_frames: int) -> Draw:
    """Views from around a thing, told where the camera is."""

    def draw(dice: np.random.Generator) -> tuple[Tensor, Mapping[str, Any]]:
        frames, elevation, azimuth = draw_orbit(store, orbits, dice, num_frames)
        return frames, {"elevation": elevation.tolist(), "azimuth": azimuth.tolist()}

    return draw


def video_trainer(
    models: VideoCheckpoint, clips: Draw, config: VideoModelConfig, level: Level
) -> VideoModelTrainer:
    """A trainer of a checkpoint on clips. Call it and `run` it outside inference mode."""
    network = models.network(config.parts)
    draw = partial(_drawn, models, clips, config)
    trainer = VideoModelTrainer(network, partial(_called, network), draw, config, level)
    trained = nn.ParameterList(p for p in network.parameters() if p.requires_grad)
    frozen_for_training(network, apart=trained)  # after the optimiser and the average have chosen theirs
    return trainer


@torch.no_grad()
def sampled_frames(trainer: VideoModelTrainer, models: VideoCheckpoint, clips: GivenClips) -> Tensor:
    """Frames (f h w 3) of one clip of the averaged weights, from noise and its given picture."""
    noise = torch.randn(clips.latents.shape, generator=torch.Generator().manual_seed(0))
    with trainer.average.applied_to(trainer.averaged):
        made = euler(predictor(trainer.network, clips), noise.to(clips.latents), SAMPLING_STEPS)
    return models.decode(made)


def _called(network: Any, x: Tensor, level: Tensor, clips: GivenClips) -> Tensor:
    """Output of the host's network for what is known of clips.

    The host chooses its attention by free memory, which would be another one when a block is computed again.
    """
    options = {"optimized_attention_override": plain_attention}
    return network(
        x, level, clips.picture, clips.label, transformer_options=options, num_video_frames=clips.frames
    )


def _drawn(models: VideoCheckpoint, clips: Draw, config: VideoModelConfig, step: int) -> GivenClips:
    """The clips of a step, always the same ones."""
    found = []
    for number in range(config.batch):
        dice = np.random.default_rng((config.seed, step, number))
        frames, told = clips(dice)
        noise = config.picture_noise * float(np.exp(SPREAD * dice.standard_normal()))
        found.append(models.described(frames, told, noise, dice))

    def joined(part: str) -> Tensor:
        return torch.cat([getattr(clip, part) for clip in found]).to(models.model.load_device)

    return GivenClips(
        joined("latents"), joined("given"), joined("picture"), joined("label"), config.num_frames
    )
