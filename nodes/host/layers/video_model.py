"""Whole video models.

The host's own image model for the file's spatial weights, its temporal layers attached as any others.
"""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import comfy.model_management as mm
import comfy.ops
import comfy.utils
import folder_paths
import torch
from comfy.model_base import ModelType, model_sampling
from comfy.model_detection import model_config_from_unet
from comfy.model_sampling import EPS, ModelSamplingDiscrete, reshape_sigma
from torch import Tensor

from ....temporal.errors import CheckpointFormatError, InvalidInputError
from ....temporal.formats import Betas, VideoModel, open_video_model, report_model
from ....temporal.formats.keys import check_shape
from ....temporal.stack.stack import TemporalStack
from ....temporal.weights.files import listed
from ....temporal.weights.shapes import shapes_of
from ..files import choices
from ..patcher import new_patcher
from .attached.settings import ClipSettings, LayerSettings, set_clip_settings
from .insertion import add_temporal_layers

logger = logging.getLogger(__name__)

FOLDERS = ("checkpoints", "diffusion_models")
MODEL_TYPES = {"eps": ModelType.EPS, "v": ModelType.V_PREDICTION}


class RescaledSampling(ModelSamplingDiscrete, EPS):
    """Noise prediction for a model that was trained on a clean latent scaled down as noise grows.

    x_t = sqrt(a) s x0 + sqrt(1 - a) noise: to the host a noise level of sqrt(1 - a) / (sqrt(a) s), and an
    input of the network scaled by sqrt(a) s instead of what the noise level says. Scales s (t,) by time step.
    """

    scale, steps = 1.0, 400
    factors: Tensor

    def set_sigmas(self, sigmas: Tensor) -> None:
        """Noise levels (t,) without the scale, to those with it."""
        scales = torch.full_like(sigmas, self.scale)
        scales[: self.steps] = torch.linspace(1, self.scale, self.steps)[: len(scales)].to(scales)
        self.register_buffer("factors", (scales / (1 + sigmas**2) ** 0.5).float())
        super().set_sigmas(sigmas / scales)

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        """Input of the network for a latent at a noise level."""
        return noise * self._factor(sigma, noise.ndim)

    def noise_scaling(
        self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False
    ) -> Tensor:
        """The latent to start from; where all of it is made anew, the network is to see noise alone."""
        if max_denoise:
            return noise / self._factor(sigma, noise.ndim) + latent_image
        return super().noise_scaling(sigma, noise, latent_image, max_denoise)

    def _factor(self, sigma: Tensor, ndim: int) -> Tensor:
        step = self.timestep(sigma).to(self.factors.device)
        return reshape_sigma(self.factors[step].to(sigma.device), ndim)


def video_model_names() -> list[str]:
    """Names of files that may hold a video model."""
    return sorted({name for folder in FOLDERS for name in folder_paths.get_filename_list(folder)})


def video_model_choices() -> list[str]:
    """Names for the list of the loader; where there is none yet, the folders that it looks into."""
    return choices(*FOLDERS, names=video_model_names())


def read_video_model(name: str) -> tuple[VideoModel, str]:
    """Read a file in one of `FOLDERS` for `build_video_model`, with its report, which is also logged.

    Raises InvalidInputError when there is no such file, CheckpointFormatError when it is no video model.
    """
    video = _opened(_path(name))
    text = report_model(video)
    logger.info("%s: %s", name, text)
    return video, text


def build_video_model(name: str, video: VideoModel, settings: LayerSettings) -> Any:
    """MODEL of a file that was read, its temporal layers used by `settings`.

    A model whose temporal layers the host has itself is used as it was trained.
    """
    path, device = _path(name), mm.unet_offload_device()
    model = new_patcher(_image_model(name, video), device, again=(image_model_again, (name, path)))
    if video.stack is not None:
        patcher = new_patcher(video.stack, device, again=(stack_again, (path,)))
        model = add_temporal_layers(model, patcher, settings)
    if video.fps is not None:
        model = set_clip_settings(model, ClipSettings(video.fps))
    return model


def image_model_again(name: str, path: str, disable_dynamic: bool = False) -> Any:
    """One more patcher, with weights of its own, of the image model in a file."""
    model = _image_model(name, _opened(path))
    return new_patcher(model, mm.unet_offload_device(), dynamic=not disable_dynamic)


def stack_again(path: str, disable_dynamic: bool = False) -> Any:
    """One more patcher, with weights of its own, of the temporal layers in a file of a video model."""
    stack = cast(TemporalStack, _opened(path).stack)  # the file had one when this was asked for
    return new_patcher(stack, mm.unet_offload_device(), dynamic=not disable_dynamic)


def _opened(path: str) -> VideoModel:
    return open_video_model(path, ops=comfy.ops.manual_cast, device=mm.unet_offload_device())


def _path(name: str) -> str:
    paths = (folder_paths.get_full_path(folder, name) for folder in FOLDERS)
    path = next((path for path in paths if path is not None), None)
    if path is None:
        known = ", ".join(video_model_names()[:5]) or "no files"
        raise InvalidInputError(
            f"There is no file {name!r} in models/checkpoints or models/diffusion_models, which hold "
            f"{known}. Put the file there and refresh, or pick another."
        )
    return path


def _image_model(name: str, video: VideoModel) -> Any:
    """The host's model for the spatial weights, recognised and built by it."""
    try:
        config = model_config_from_unet(dict(video.image), "")
        model = None if config is None else _built(name, config, video)
    except (RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointFormatError(
            f"{name}: the host cannot build the image model of {video.family} from it ({reason}). It may "
            "be damaged."
        ) from None
    if model is None:
        base = "SD 2.x" if video.stack is None else video.stack.config.base
        raise CheckpointFormatError(
            f"{name}: the host knows no image model with the sizes of the one in it. {video.family} as "
            f"published has those of {base}; this file may be damaged, or another model built on it."
        )
    if video.stack is not None:
        _set_sampling(model, video.stack.config.prediction, video.betas)
    return model


def _built(name: str, config: Any, video: VideoModel) -> Any:
    """The host's model of a kind it has recognised, with the weights of a file as they are.

    Its own loader copies them.
    """
    image = video.image
    supported = list(config.supported_inference_dtypes)
    dtype = mm.unet_dtype(
        model_params=comfy.utils.calculate_parameters(image),
        supported_dtypes=supported,
        weight_dtype=comfy.utils.weight_dtype(image),
    )
    config.set_inference_dtype(dtype, mm.unet_manual_cast(dtype, mm.get_torch_device(), supported))
    model = config.get_model(dict(image), "", device=torch.device("meta"))
    unet = model.diffusion_model
    shapes = shapes_of(lambda ops: type(unet)(**config.unet_config, operations=ops))
    for key in image.keys() & shapes.keys():
        check_shape(name, video.family, key, image[key], shapes[key])
    differing = image.keys() ^ shapes.keys()
    if differing:
        raise CheckpointFormatError(
            f"{name}: the host's {type(model).__name__} has other weights than {video.family}: "
            f"{listed(differing)}."
        )
    weights = {key: weight.to(mm.unet_offload_device(), dtype) for key, weight in image.items()}
    unet.load_state_dict(weights, assign=True)
    return model


def _set_sampling(base: Any, prediction: str, betas: Betas | None) -> None:
    """Give a new image model the prediction and the noise levels of its family.

    The host can only guess them.
    """
    base.model_type = MODEL_TYPES[prediction]
    if betas is not None:
        settings = {
            "beta_schedule": betas.curve,
            "linear_start": betas.start,
            "linear_end": betas.end,
        }
        base.model_config.sampling_settings.update(settings)
    if betas is None or betas.x0_scale == 1:
        base.model_sampling = model_sampling(base.model_config, base.model_type)
        return
    scales = {"scale": betas.x0_scale, "steps": betas.x0_steps}
    kind = type("RescaledSampling", (RescaledSampling,), scales)
    base.model_sampling = kind(SimpleNamespace(sampling_settings=base.model_config.sampling_settings))
