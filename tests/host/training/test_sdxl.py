"""Training on an SDXL-shaped checkpoint.

Both text encoders, pooled text and sizes, as the host's sampler gives them.
"""

from __future__ import annotations

import pytest
import torch
from video_ldm.temporal.errors import IncompatibleModelError
from video_ldm.temporal.formats import load_stack
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.temporal.training.data.conditions import Conditions
from video_ldm.tests.host.training import tiny_sdxl
from video_ldm.tests.host.training.test_command import clips  # noqa: F401
from video_ldm.training.layers import options as layers


@pytest.fixture(scope="module")
def checkpoint(host, tmp_path_factory):
    path = tmp_path_factory.mktemp("sdxl") / "tiny_sdxl.safetensors"
    tiny_sdxl.write_checkpoint(path)
    with tiny_sdxl.known_to_host():
        yield path


@pytest.fixture
def models(checkpoint):
    from video_ldm.nodes.host.training.models import load_checkpoint

    return load_checkpoint(str(checkpoint))


def fresh_stack(models) -> TemporalStack:
    """Temporal layers for the checkpoint that change nothing."""
    return TemporalStack(StackConfig(models.shape, "SDXL", 4, False, frame_rate=True))


def test_the_model_is_told_what_the_hosts_sampler_tells_it(models):
    """With fresh layers a prediction of ours is that of the host's own guider.

    Prompt and size are the same.
    """
    import comfy.samplers
    from video_ldm.temporal.sampling.clip import Clip

    import nodes

    latent, sigma = torch.randn(3, 4, 5, 6), 2.0
    guider = comfy.samplers.CFGGuider(models.model)
    seen = {}

    def look(model, args):
        seen.update(args, x0=model(args["input"], args["timestep"], **args["c"]))
        return seen["x0"]

    guider.model_options["model_function_wrapper"] = look
    with torch.inference_mode():
        guider.set_conds(nodes.CLIPTextEncode().encode(models.text_encoder, "a red circle")[0], [])
        guider.set_cfg(1.0)
        sampler = comfy.samplers.sampler_object("euler")
        guider.sample(latent, torch.zeros_like(latent), sampler, torch.tensor([sigma, 0.0]))
    text, pooled = models.embed(["a red circle"])
    unet = models.frozen_unet()
    stack, clip = fresh_stack(models), Clip(3)
    t = models.model.get_model_object("model_sampling").timestep(seen["timestep"]).float()
    noisy = seen["input"] / (sigma**2 + 1) ** 0.5
    denoise = models.denoiser(unet)
    with torch.no_grad():
        made = denoise(noisy, t, text, stack, stack.prepare(clip), Conditions(pooled))
    torch.testing.assert_close(seen["input"] - sigma * made, seen["x0"], rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        other = denoise(noisy, t, text, stack, stack.prepare(clip), Conditions(2 * pooled))
    assert not torch.allclose(other, made, atol=0.01)


def test_long_captions_keep_the_part_that_fits(models):
    text, pooled = models.embed(["a cat", "a cat " * 100])
    assert text.shape == (2, 77, tiny_sdxl.TEXT_L + tiny_sdxl.TEXT_G)
    assert pooled.shape == (2, tiny_sdxl.TEXT_G)


def test_trains_samples_and_resumes(checkpoint, clips, tmp_path):  # noqa: F811
    from video_ldm.training.layers import running as train

    out = tmp_path / "layers.safetensors"
    words = ["--checkpoint", str(checkpoint), "--clips", str(clips), "--out", str(out), "--size", "64x64"]
    words += ["--frames", "4", "--batch", "2", "--warmup", "1", "--save-every", "1", "--cpu"]

    def run(*options):
        args = layers.parser().parse_args([*words, *options])
        train.run(args, layers.config_from(args))

    run("--steps", "2", "--validate-every", "2")
    assert (tmp_path / "layers.step-000002.mp4").stat().st_size > 500
    run("--steps", "3", "--validate-every", "0", "--resume")
    stack = load_stack(out)
    assert stack.config.unet.context_dim == tiny_sdxl.TEXT_L + tiny_sdxl.TEXT_G
    assert any(p.abs().sum() > 0 for n, p in stack.named_parameters() if n.endswith("conv_out.weight"))
    assert len(list((clips / "video_ldm_cache").glob("pooled-*.npy"))) == 1


@pytest.mark.parametrize("change", ["unclip", "inpaint"])
def test_models_that_training_cannot_feed_are_refused(models, change, monkeypatch):
    import comfy.model_base

    if change == "unclip":
        monkeypatch.setattr(models.model.model, "__class__", comfy.model_base.SD21UNCLIP)
        with pytest.raises(IncompatibleModelError, match=r"train on SD 1\.x, SD 2\.x and SDXL .* SD21UNCLIP"):
            models.noise_levels()
    else:
        monkeypatch.setitem(models.model.model.model_config.unet_config, "in_channels", 9)
        with pytest.raises(IncompatibleModelError, match="takes in 9 channels instead of 4"):
            models.noise_levels()
