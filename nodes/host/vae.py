"""A temporal decoder in the host's VAE: a VAE like any other, whose decode looks along time."""

from __future__ import annotations

import copy
from contextlib import ExitStack
from typing import Any

import comfy.model_management as mm
import comfy.ops
from torch import Tensor, nn

from ...temporal.decoder import TemporalDecoder, load_decoder
from ...temporal.decoder.streaming import AtSite
from ...temporal.errors import IncompatibleModelError
from .files import TEMPORAL_DECODERS, full_path
from .hooks import removed_at_exit
from .patcher import new_patcher

# Activations of a decode with temporal layers over the same decode without.
MEMORY_FACTOR = 1.5


class TemporalAutoencoder(nn.Module):
    """The host's autoencoder with temporal layers in its decoder, for the length of each decode."""

    def __init__(self, autoencoder: nn.Module, decoder: TemporalDecoder):
        super().__init__()
        self.autoencoder = autoencoder
        self.decoder = decoder

    def encode(self, pixels: Tensor, **options: Any) -> Tensor:
        """As the image autoencoder: (f 3 h w) to (f c h/8 w/8)."""
        return self.autoencoder.encode(pixels, **options)

    def decode(self, latent: Tensor, **options: Any) -> Tensor:
        """Frames (f 3 h w) of one clip's latents (f c h w)."""
        return self.run(latent, self.decoder, **options)

    def run(self, latent: Tensor, at_site: AtSite, **options: Any) -> Tensor:
        """Decode with the image decoder, what comes out of its residual blocks replaced by `at_site(site, hidden)`."""
        with ExitStack() as hooks:
            for site in self.decoder.sites:
                removed_at_exit(
                    hooks, self.autoencoder, site.path, lambda _b, _a, _k, out, s=site: at_site(s, out)
                )
            return self.autoencoder.decode(latent, **options)


def open_temporal_decoder(vae: Any, name: str) -> Any:
    """VAE that decodes through the layers of a file in `models/temporal_decoders`; the given VAE stays as it was.

    Raises IncompatibleModelError when the layers were made for another kind of autoencoder.
    """
    decoder = load_decoder(full_path(TEMPORAL_DECODERS, name), ops=comfy.ops.manual_cast)
    check_autoencoder(vae, decoder)
    offload = mm.vae_offload_device()
    # The copy has weights of its own: two patchers must not move the same ones.
    autoencoder = copy.deepcopy(vae.first_stage_model).to(offload)
    temporal = copy.copy(vae)
    temporal.first_stage_model = TemporalAutoencoder(autoencoder, decoder.to(offload)).eval()
    temporal.patcher = new_patcher(temporal.first_stage_model, offload, vae.device)
    temporal.size = None
    temporal.memory_used_decode = lambda shape, dtype: MEMORY_FACTOR * vae.memory_used_decode(shape, dtype)
    return temporal


def check_autoencoder(vae: Any, decoder: TemporalDecoder) -> None:
    """Refuse a temporal decoder whose places the VAE does not have, or has with another width."""
    weights = vae.first_stage_model.state_dict()
    for site in decoder.sites:
        widths = {w.shape[0] for key, w in weights.items() if key.startswith(f"{site.path}.") and w.ndim == 4}
        if site.channels not in widths:
            raise IncompatibleModelError(
                f"This temporal decoder was made for the {decoder.config.decoder.kind.upper()} autoencoder of "
                f"{decoder.config.base}, and the VAE has no block of {site.channels} channels at {site.path}. Connect "
                "the VAE it was made for, or load another temporal decoder."
            )
