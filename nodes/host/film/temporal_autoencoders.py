"""Autoencoders whose decoder looks along time.

Ours, that of Stable Video Diffusion, and ToonCrafter's, which also looks at the first and the last frame of
the clip.

Shapes: frames (f 3 h w) as the autoencoder takes and gives them; latents (f c h w); references (2 3 h w).
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import comfy.ops
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy.ldm.modules.temporal_ae import VideoDecoder
from torch import Tensor, nn

from ....temporal.decoder import TemporalDecoder
from ....temporal.decoder.references import reference_layers
from ....temporal.decoder.streaming import AtSite
from ....temporal.decoder.svd import VideoDecoderFile
from ....temporal.errors import CheckpointFormatError
from ....temporal.weights.files import assign_weights, listed
from ....temporal.weights.shapes import shapes_of
from ..layers.hooks import removed_at_exit
from .autoencoders import shapes_in


class EncodesAsBefore(nn.Module):
    """An autoencoder of the host whose decoder is another one."""

    autoencoder: Any  # one of the host's

    def encode(self, pixels: Tensor, **options: Any) -> Tensor:
        """Encode as the image autoencoder does: (f 3 h w) to (f c h/8 w/8)."""
        return self.autoencoder.encode(pixels, **options)


class TemporalAutoencoder(EncodesAsBefore):
    """The host's autoencoder with temporal layers in its decoder, for the length of each decode."""

    def __init__(self, autoencoder: nn.Module, decoder: TemporalDecoder):
        super().__init__()
        self.autoencoder = autoencoder
        self.decoder = decoder

    def decode(self, latent: Tensor, **options: Any) -> Tensor:
        """Frames (f 3 h w) of one clip's latents (f c h w)."""
        return self.run(latent, self.decoder, **options)

    def run(self, latent: Tensor, at_site: AtSite, **options: Any) -> Tensor:
        """Decode with the image decoder and layers between.

        What comes out of its residual blocks is replaced by `at_site(site, hidden)`.
        """
        with ExitStack() as hooks:
            for site in self.decoder.sites:
                removed_at_exit(
                    hooks, self.autoencoder, site.path, lambda _b, _a, _k, out, s=site: at_site(s, out)
                )
            return self.autoencoder.decode(latent, **options)


class VideoAutoencoder(EncodesAsBefore):
    """The encoder of one of the host's autoencoders with the decoder of Stable Video Diffusion."""

    def __init__(self, autoencoder: nn.Module, decoder: VideoDecoder):
        super().__init__()
        self.autoencoder = autoencoder
        self.decoder = decoder

    def decode(self, latent: Tensor, **_options: Any) -> Tensor:
        """Frames (f 3 h w) of one clip's latents (f c h w), which need no convolution before the decoder."""
        return self.decoder(latent)


class ReferenceAutoencoder(EncodesAsBefore):
    """ToonCrafter's autoencoder.

    A KL encoder, the decoder of Stable Video Diffusion, and layers for two references.
    """

    decoder: Any

    def __init__(self, file: VideoDecoderFile, sizes: dict[str, Any], dtype: Any) -> None:
        super().__init__()
        self.autoencoder = AutoencoderKL(ddconfig=sizes, embed_dim=file.latent_channels)
        self.autoencoder.decoder = nn.Identity()
        self.decoder = VideoDecoder(**sizes, video_kernel_size=[3, 1, 1], alpha=0.0)
        self.references = reference_layers(file.references, comfy.ops.disable_weight_init)
        beside = shapes_in(self.autoencoder)
        missing = beside.keys() - file.beside.keys()
        if missing or len(self.references) != len(file.shape.channel_mult) + 1:
            raise CheckpointFormatError(
                f"{file.name} looks like ToonCrafter, but lacks its encoder or a layer "
                f"({listed(missing) or 'attn_refinement'}); use the whole checkpoint, or download it again."
            )
        references = shapes_of(lambda ops: reference_layers(file.references, ops))
        parts = (
            (self.autoencoder, file.beside, beside),
            (self.decoder, file.tensors, shapes_in(self.decoder)),
            (self.references, file.references, references),
        )
        for module, weights, shapes in parts:
            assign_weights(module, weights, file.name, shapes, dtype)

    def decode(self, latent: Tensor, references: Tensor | None = None, **_options: Any) -> Tensor:
        """Frames of one whole clip; `references` are its first and last frame.

        Without them it is an ordinary decoder, and the convolution before the decoder, which training with
        references left out, is used.
        """
        if references is None:
            return self.decoder(self.autoencoder.post_quant_conv(latent))
        features = self._features(references)
        with ExitStack() as hooks:
            last = self.decoder.num_res_blocks
            for level, (layer, feature) in enumerate(zip(self.references[:-1], features[:-1], strict=True)):
                block = self.decoder.up[level].block[last]
                handle = block.register_forward_hook(lambda _b, _a, out, n=layer, x=feature: n(out, x))
                hooks.callback(handle.remove)
            handle = self.decoder.conv_out.register_forward_pre_hook(
                lambda _m, args: (self.references[-1](args[0], features[-1]), *args[1:])
            )
            hooks.callback(handle.remove)
            return self.decoder(latent)

    def _features(self, references: Tensor) -> list[Tensor]:
        """Features of the references at every level (2 c h w), and after the first convolution."""
        encoder, seen = self.autoencoder.encoder, []
        last = encoder.num_res_blocks - 1
        places = [encoder.down[level].block[last] for level in range(encoder.num_resolutions)]
        with ExitStack() as hooks:
            for place in (encoder.conv_in, *places):
                # activations are changed in place further on
                handle = place.register_forward_hook(lambda _m, _a, out: seen.append(out.clone()))
                hooks.callback(handle.remove)
            encoder(references)
        return [*seen[1:], seen[0]]
