"""Training of a temporal decoder on clips (Video LDM, section 3.1.1).

The encoder stays, and with it the space of latents.

Shapes: latents (f c h w); frames, decoded (f 3 8h 8w) in 0..1; hidden (f c h w) at a place of the decoder.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...decoder import TemporalDecoder
from ...decoder.plan import DecoderSite
from ...decoder.streaming import RunDecoder
from ...errors import IncompatibleModelError
from ..ema import ExponentialMovingAverage
from ..trainer import Trainer, computing_in
from .adversary import Adversary, ClipDiscriminator, gradient_at
from .config import DecoderTrainingConfig
from .perceptual import FeatureDistance, random_features

Draw = Callable[[int], tuple[Tensor, Tensor]]


class DecoderTrainer(Trainer):
    """Trains the temporal layers, and the image decoder's own weights only where `image` lists them.

    `run(latents, at_site)` is the image model's decoder, `draw(step)` gives the latents and frames of a step,
    always the same ones. On a CPU every weight of the decoder must ask for its gradient, trained or not:
    PyTorch 2.11's convolutions crash where only the gradient of their input is wanted.
    """

    def __init__(
        self,
        decoder: TemporalDecoder,
        run: RunDecoder,
        draw: Draw,
        config: DecoderTrainingConfig,
        image: nn.Module | None = None,
        features: FeatureDistance | None = None,
    ) -> None:
        self.decoder, self.run_decoder, self.draw, self.config = decoder, run, draw, config
        parts: dict[str, nn.Module] = {"temporal": decoder}
        if image is not None and config.image_learning_rate:
            parts["image"] = image
        self.trained = nn.ModuleDict(parts)
        self.optimizer = torch.optim.AdamW(self._groups(), betas=(0.9, 0.99), weight_decay=0.0)
        self.average = ExponentialMovingAverage(self.trained, config.ema)
        device = next(decoder.parameters()).device
        self.features = None
        if config.perceptual:
            self.features = frozen_for_training((features or random_features()).to(device))
        self.adversary = None
        if config.adversarial:
            discriminator = ClipDiscriminator(config.adversary_channels).to(device)
            self.adversary = Adversary(discriminator, config.adversary_learning_rate)
        self.step = 0
        self.losses: list[float] = []

    @property
    def averaged(self) -> nn.Module:
        """The temporal layers, and the image decoder where it trains too."""
        return self.trained

    def backward(self) -> float:
        """Gradients of the decoder's losses; the loss is that without the adversary."""
        latents, frames = self.draw(self.step)
        with computing_in(self.config.precision, frames.device.type):
            decoded = self.run_decoder(latents, self.decoder).float()
        loss, gradient = self._gradient(decoded.detach(), frames)
        decoded.backward(gradient)
        self._seen = decoded.detach(), frames
        return loss

    def after_update(self) -> None:
        """Keep still clips still, where that is asked for."""
        if self.config.keep_still:
            keep_still(self.decoder)

    def train_step(self) -> float:
        """One step of the decoder, then one of its adversary on the same frames."""
        loss = super().train_step()
        if (adversary := self._playing) is not None:
            adversary.train_step(*self._seen)
        return loss

    def _gradient(self, decoded: Tensor, frames: Tensor) -> tuple[float, Tensor]:
        """The loss, and the gradient of all losses at the decoded frames."""
        seen = decoded.clone().requires_grad_()
        loss = reconstruction_loss(seen, frames, self.config.steadiness)
        if self.features is not None:
            loss = loss + self.config.perceptual * self.features(seen, frames)
        gradient = gradient_at(seen, loss)
        if (adversary := self._playing) is not None:
            gradient = gradient + self.config.adversarial * adversary.push(seen, gradient)
        return float(loss.detach()), gradient

    @property
    def _playing(self) -> Adversary | None:
        """Adversary that has a say already."""
        return self.adversary if self.step >= self.config.adversary_start else None

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters with `scale`, what their learning rate is multiplied with.

        A new layer begins with nothing and adds to activations whose size differs a hundredfold between
        decoders; Adam's steps know nothing of that. So the rate of a layer's last convolution follows the
        activations there.
        """
        sizes = site_scales(self.run_decoder, self.draw(0)[0])
        groups = [
            {"params": list(self.decoder.layer(site).conv_out.parameters()), "scale": sizes[site.name]}
            for site in self.decoder.sites
        ]
        last = {id(parameter) for group in groups for parameter in group["params"]}
        others = [parameter for parameter in self.decoder.parameters() if id(parameter) not in last]
        groups.append({"params": others, "scale": 1.0})
        if "image" in self.trained:
            scale = self.config.image_learning_rate / self.config.learning_rate
            groups.append({"params": list(self.trained["image"].parameters()), "scale": scale})
        return groups

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs to continue bit for bit (draws follow from the step)."""
        adversary = self.adversary
        return {
            "format": "video_ldm.decoder_training_state",
            "config": self.config.to_json(),
            "decoder_config": self.decoder.config.to_json(),
            "step": self.step,
            "losses": self.losses,
            "trained": self.trained.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "discriminator": adversary.discriminator.state_dict() if adversary else None,
            "adversary_optimizer": adversary.optimizer.state_dict() if adversary else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved run; raises IncompatibleModelError when it trained other weights."""
        same = state.get("decoder_config") == self.decoder.config.to_json()
        same = same and state["trained"].keys() == self.trained.state_dict().keys()
        if not same or (state["discriminator"] is None) != (self.adversary is None):
            raise IncompatibleModelError(
                "The training state belongs to a temporal decoder of another shape or other losses; resume "
                "with the same VAE and options."
            )
        self.trained.load_state_dict(state["trained"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        if self.adversary is not None:
            self.adversary.discriminator.load_state_dict(state["discriminator"])
            self.adversary.optimizer.load_state_dict(state["adversary_optimizer"])
        self.step, self.losses = state["step"], list(state["losses"])


def reconstruction_loss(decoded: Tensor, frames: Tensor, steadiness: float) -> Tensor:
    """Mean absolute error, plus `steadiness` times that of the changes from frame to frame (scalar)."""
    error = (decoded - frames).abs().mean()
    return error + steadiness * flicker_of_error(decoded, frames) if len(frames) > 1 else error


def flicker_of_error(decoded: Tensor, frames: Tensor) -> Tensor:
    """Mean absolute change of the error from frame to frame.

    What flickers although the clip does not (scalar).
    """
    return (decoded - frames).diff(dim=0).abs().mean()


def frozen_for_training(module: nn.Module, apart: nn.Module | None = None) -> nn.Module:
    """A module that is not trained, `apart` from a part of it, in a state that PyTorch can train through.

    On a CPU the convolutions of PyTorch 2.11 crash where only the gradient of their input is wanted: there
    the weights ask for theirs too, which is dropped as soon as it is there.
    """
    trained = set() if apart is None else set(map(id, apart.parameters()))
    for parameter in module.parameters():
        if id(parameter) in trained:
            continue
        parameter.requires_grad_(parameter.device.type == "cpu")
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(_drop)
    return module


def _drop(parameter: Tensor) -> None:
    parameter.grad = None


@torch.no_grad()
def keep_still(decoder: TemporalDecoder) -> None:
    """Take out of every layer what it would do to a clip in which nothing changes.

    The sum of its last taps, the bias.

    Without this the noise of the first steps moves every colour a little, which no frame-to-frame loss sees:
    flicker falls while the error rises.
    """
    for site in decoder.sites:
        last = decoder.layer(site).conv_out
        last.weight -= last.weight.mean(dim=2, keepdim=True)
        last.bias.zero_()


@torch.no_grad()
def site_scales(run: RunDecoder, latents: Tensor) -> dict[str, float]:
    """Standard deviation of the image decoder's activations at every site, by the name of the layer."""
    scales = {}

    def measure(site: DecoderSite, hidden: Tensor) -> Tensor:
        scales[site.name] = max(hidden.float().std().item(), 1e-6)
        return hidden

    run(latents, measure)
    return scales
