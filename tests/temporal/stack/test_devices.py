"""Nothing in the science stays behind on the CPU.

Computed on GPU tensors without content, which needs no GPU.

PyTorch refuses an operation whose tensors lie on different devices; fake tensors keep that rule and compute
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from video_ldm.temporal.decoder import DecoderConfig, DecoderShape, TemporalDecoder
from video_ldm.temporal.decoder.streaming import DecoderStream
from video_ldm.temporal.layers.inside import InsideConfig
from video_ldm.temporal.layers.lvdm import LvdmConfig
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.sampling.clip import Clip
from video_ldm.temporal.sampling.guidance import with_context
from video_ldm.temporal.sampling.interpolation import WEIGHTS, lerp, slerp_frames
from video_ldm.temporal.sampling.noise import repeat_noise
from video_ldm.temporal.sampling.prompt_schedule import frame_weights, travel
from video_ldm.temporal.stack.plan import UNetShape
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.temporal.training.data.batches import Batch
from video_ldm.temporal.training.data.conditions import Conditions
from video_ldm.temporal.training.loop import LayersTrainer, Surroundings
from video_ldm.temporal.training.noise_levels import stable_diffusion_levels
from video_ldm.temporal.training.sampling import SampledModel, ddim
from video_ldm.temporal.training.upscaler import UpscalerTrainer, UpscalerTrainingConfig
from video_ldm.temporal.upscaler import VideoUpscaler
from video_ldm.tests.temporal.training import world
from video_ldm.tests.temporal.upscaler.tiny import TINY

pytestmark = pytest.mark.slow

GPU = torch.device("cuda", 0)
FRAMES, CHUNKS = 5, 2
FPS = 8.0  # a number, as it is looked at
SHAPE = UNetShape(32, (1,), (1,), (1,), (1, 1), 1, context_dim=6, num_head_channels=16)
NATIVE = StackConfig(SHAPE, "tiny", max_frames=8, known_frames=True, frame_rate=True)
PLAIN = replace(NATIVE, known_frames=False, frame_rate=False)
FAMILIES = {
    "native": NATIVE,
    "motion modules": replace(PLAIN, motion=MotionConfig(True, True, True)),
    "motion modules with an image": replace(PLAIN, motion=MotionConfig(True, False, False), image="encoder"),
    "motion modules with affinity": replace(
        PLAIN, motion=MotionConfig(False, False, False), image="affinity"
    ),
    "LVDM": replace(PLAIN, lvdm=LvdmConfig(reach=4, convs=True, frame_rate=True)),
    "inside": replace(PLAIN, inside=InsideConfig(positions=True, last=False, causal=False, volume=True)),
    "inside, causal": replace(
        PLAIN, inside=InsideConfig(positions=False, last=True, causal=True, volume=False)
    ),
}


@pytest.fixture(autouse=True)
def fake() -> Iterator[None]:
    """Tensors have a shape and a device, and nothing else."""
    with FakeTensorMode(allow_non_fake_inputs=True):  # constants of modules
        yield


def gpu(*shape: int) -> Tensor:
    """A tensor on the GPU that is not there."""
    return torch.empty(*shape, device=GPU)


def clip_of(config: StackConfig, **changes) -> Clip:
    """A clip of a family with everything that it may have."""
    n = FRAMES * CHUNKS
    clip = Clip(num_frames=FRAMES, text=gpu(CHUNKS, 3, 6), positions=torch.linspace(0, 7, FRAMES))
    if config.known_frames:
        clip = replace(clip, known_latents=gpu(n, 4, 4, 4), known_mask=gpu(n))
    if config.image:
        clip = replace(clip, image=gpu(n, 5, 4, 4))
    return replace(clip, **changes)


def call(stack: TemporalStack, site, clip: Clip) -> Tensor:
    """One site of a stack."""
    n, size = FRAMES * CHUNKS, 4
    emb = gpu(n, SHAPE.embedding_channels)
    if site.kind == "norm":
        return stack.norm(
            site,
            torch.nn.Identity(),
            gpu(n, site.channels, size, size),
            gpu(n, site.channels, size, size),
            clip,
        )
    if site.kind == "keys":
        return stack.keys(site, gpu(n, size * size, site.channels), clip)
    if site.kind == "rate":
        return stack(site, emb, clip)
    if site.kind in ("transformer", "inside", "inside_last"):
        return stack(site, gpu(n, size * size, site.channels), clip, context=gpu(n, 3, 6))
    return stack(site, gpu(n, site.channels, size, size), clip, emb=emb)


@pytest.mark.parametrize("family", FAMILIES)
def test_layers(family):
    config = FAMILIES[family]
    stack = TemporalStack(config, device=GPU)
    sites = {site.kind: site for site in stack.sites}
    windows = (None, 3) if family in ("native", "motion modules", "LVDM") else (None,)
    for window in windows:
        clip = stack.prepare(clip_of(config, window=window), like=gpu(0))
        for site in sites.values():
            assert call(stack, site, clip).device == GPU, site


def test_a_decoder_piece_by_piece_and_in_windows():
    decoder = TemporalDecoder(DecoderConfig(DecoderShape("kl", 8, (1,), 0), "tiny"), device=GPU)

    def run(latents, at_site):
        for site in decoder.sites:
            latents = at_site(site, latents)
        return latents

    stream, made = DecoderStream(run, decoder), []
    for piece in (3, 4, 1):
        made.append(stream.push(gpu(piece, 8, 2, 2)))
    while not stream.finished:
        made.append(stream.drain(4))
    assert torch.cat(made).shape == (8, 8, 2, 2)
    assert {frames.device for frames in made} == {GPU}


def test_an_upscaler_and_its_training():
    def draw(step):
        return torch.rand(6, 3, 8, 8), torch.rand(6, 3, 32, 32)

    config = UpscalerTrainingConfig(num_frames=3, steps=4, spatial_steps=2)
    trainer = UpscalerTrainer(VideoUpscaler(TINY, device=GPU), draw, config, GPU.type)
    assert trainer.loss(*draw(0)).device == GPU
    trainer.average.update(trainer.upscaler)


class Draws:
    """Batches without a cache of clips, drawn on the CPU as a real one's are."""

    def __init__(self, config) -> None:
        self.config, self.noise_levels = config, stable_diffusion_levels("v")

    def draw(self, step: int, part: int = 0) -> Batch:
        b, f = self.config.batch, self.config.num_frames
        n, latent = b * f, torch.randn(b * f, *world.LATENT)
        text, conditions = torch.ones(b, 2, 6), Conditions(torch.ones(b, 7))
        return Batch(
            latent, latent, torch.arange(n), torch.ones(n), text, conditions, latent, torch.ones(n), FPS, f
        )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_of_layers(precision):
    config = world.settings(weight_limit=3.0, precision=precision, signal_dropout=0.5)
    stack = TemporalStack(StackConfig(world.SHAPE, "tiny", 4, known_frames=True, frame_rate=True), device=GPU)
    with GPU:
        model, seen = world.ImageModel(), []

    def denoise(noisy, t, text, stack, clip, conditions=None):
        seen.append(conditions.pooled.device)
        return model.denoise(noisy, t, text, stack, clip)

    trainer = LayersTrainer(stack, Surroundings(denoise, Draws(config), GPU.type))
    assert trainer.loss(trainer.batches.draw(0)).device == GPU
    trainer.average.update(stack)
    text = gpu(1, 2, 6)
    with trainer.average.applied_to(stack):
        sampled = SampledModel(denoise, stack, trainer.batches.noise_levels)
        args = (sampled, gpu(4, *world.LATENT), text, text, Clip(4))
        assert ddim(*args, steps=2, conditions=Conditions(gpu(2, 7))).device == GPU
    assert set(seen) == {GPU}


def test_clips_before_and_after_the_model():
    start, end = gpu(4, 3, 5), gpu(4, 3, 5)
    made = [lerp(start, end, WEIGHTS), slerp_frames(start, end)]
    made += with_context(start, end, end, 2.0)
    made.append(repeat_noise(gpu(9, 4, 3, 5), 4, 2))
    for spherical in (False, True):
        made.append(travel([gpu(1, 2, 6), gpu(1, 4, 6)], frame_weights([0, 4], 5), spherical))
    assert {tensor.device for tensor in made} == {GPU}
