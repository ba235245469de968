"""Short words for the host tests: the toy image model, random temporal layers, one small clip sampled.

Shapes: f frames, c latent channels, h w latent size (odd on purpose).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

CHECKPOINT = "toy_sd.safetensors"
LATENT = (5, 4, 10, 6)
STEPS = 3


class Rig:
    """The toy checkpoint opened by the host's own loader, and what tests do with it."""

    def __init__(self) -> None:
        import nodes

        with torch.inference_mode():
            self.model, self.clip, self.vae = nodes.CheckpointLoaderSimple().load_checkpoint(CHECKPOINT)[:3]
        self.positive, self.negative = self.encode("a red circle"), self.encode("")

    def encode(self, text: str) -> list:
        """CONDITIONING of a text."""
        import nodes

        with torch.inference_mode():
            return nodes.CLIPTextEncode().encode(self.clip, text)[0]

    def sample(self, model: Any, **options: Any) -> Tensor:
        """One small clip (f c h w) through the host's own KSampler."""
        import nodes

        positive = options.pop("positive", self.positive)
        negative = options.pop("negative", self.negative)
        latent = options.pop("latent", {"samples": torch.zeros(LATENT)})
        with torch.inference_mode():
            return nodes.common_ksampler(
                model,
                1,
                STEPS,
                options.pop("cfg", 3.0),
                "euler",
                "normal",
                positive,
                negative,
                latent,
                **options,
            )[0]["samples"]

    def sample_video(self, model: Any, motion: Any = None, **settings: Any) -> dict:
        """One small clip through Video KSampler: LATENT."""
        from video_ldm.nodes.host.sampling.clip import SamplerSettings, sample_clip

        latent = settings.pop("latent", {"samples": torch.zeros(LATENT)})
        defaults = SamplerSettings(
            seed=1,
            steps=STEPS,
            cfg=3.0,
            cfg_last_frame=0.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
            noise_type="independent",
            noise_correlation=0.5,
            fps=8.0,
        )
        with torch.inference_mode():
            return sample_clip(
                model, self.positive, self.negative, latent, replace(defaults, **settings), motion
            )

    def stack(self, scale: float = 0.1, **changes: Any) -> Any:
        """Patcher around temporal layers for the toy model.

        Scale 0 is a fresh stack, else all weights differ from 0.
        """
        import comfy.model_management as mm
        import comfy.ops
        from video_ldm.nodes.host.layers.shapes import unet_shape
        from video_ldm.nodes.host.patcher import new_patcher
        from video_ldm.temporal.stack.stack import StackConfig, TemporalStack

        config = StackConfig(
            unet=unet_shape(self.model), base="toy", max_frames=16, known_frames=True, frame_rate=True
        )
        torch.manual_seed(0)
        source = TemporalStack(replace(config, **changes))
        if scale:
            for parameter in source.parameters():
                nn.init.normal_(parameter, std=scale)
        stack = TemporalStack(source.config, ops=comfy.ops.manual_cast)
        stack.load_state_dict(source.state_dict())
        return new_patcher(stack, mm.unet_offload_device())

    def with_layers(self, model: Any = None, patcher: Any = None, **settings: Any) -> Any:
        """MODEL with temporal layers of random weights."""
        from video_ldm.nodes.host.layers.attached.settings import LayerSettings
        from video_ldm.nodes.host.layers.insertion import add_temporal_layers

        return add_temporal_layers(model or self.model, patcher or self.stack(), LayerSettings(**settings))

    def hooks_left(self) -> int:
        """Forward hooks registered anywhere in the image model."""
        return sum(len(module._forward_hooks) for module in self.model.model.modules())
