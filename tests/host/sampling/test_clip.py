"""Video KSampler: the host's KSampler where nothing is asked, and its own additions."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="module")
def video_model(rig):
    return rig.with_layers()


def test_without_layers_it_is_the_hosts_ksampler(rig):
    assert torch.equal(rig.sample_video(rig.model)["samples"], rig.sample(rig.model))


def test_the_progress_of_one_clip_ends_with_it(rig, monkeypatch):
    import comfy.utils
    from video_ldm.nodes.host.sampling.clip import SamplerSettings, sample_clip

    told = []

    class Bar(comfy.utils.ProgressBar):
        def update_absolute(self, value, total=None, preview=None):
            """Write down how far the clip is."""
            told.append((value, total))

    monkeypatch.setattr(comfy.utils, "ProgressBar", Bar)
    settings = SamplerSettings(seed=1, steps=3, cfg=2.0, sampler_name="euler", scheduler="normal", fps=8.0)
    latent = {"samples": torch.zeros(2, 4, 5, 7)}
    with torch.inference_mode():
        sample_clip(rig.model, rig.positive, rig.negative, latent, settings, None)
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("sampler_name", "scheduler"), [("ddim", "karras"), ("dpmpp_2m", "simple"), ("lcm", "beta")]
)
def test_it_speaks_to_the_hosts_samplers_as_the_host_does(rig, sampler_name, scheduler):
    import nodes

    latent = {"samples": torch.ones(2, 4, 5, 7)}
    with torch.inference_mode():
        expected = nodes.common_ksampler(
            rig.model, 1, 4, 3.0, sampler_name, scheduler, rig.positive, rig.negative, latent, denoise=0.7
        )[0]["samples"]
    ours = rig.sample_video(
        rig.model, latent=latent, steps=4, sampler_name=sampler_name, scheduler=scheduler, denoise=0.7
    )
    assert torch.equal(ours["samples"], expected)


def test_cfg_ramp_goes_from_the_first_frame_to_the_last(rig):
    """Frames of the image model do not see each other: the ends must equal runs with a constant scale."""
    ramp = rig.sample_video(rig.model, cfg=2.0, cfg_last_frame=6.0)["samples"]
    for frame, cfg in ((0, 2.0), (2, 4.0), (4, 6.0)):
        constant = rig.sample_video(rig.model, cfg=cfg)["samples"]
        torch.testing.assert_close(ramp[frame], constant[frame], rtol=1e-3, atol=1e-3)


def test_cfg_ramp_keeps_the_cfg_edits_of_other_nodes(rig):
    calls = []

    def pre(args):
        calls.append("pre")
        return args["conds_out"]

    def post(args):
        calls.append("post")
        return args["denoised"]

    model = rig.model.clone()
    model.set_model_sampler_pre_cfg_function(pre)
    model.set_model_sampler_post_cfg_function(post)
    edited = rig.sample_video(model, cfg=2.0, cfg_last_frame=6.0)["samples"]
    assert calls == ["pre", "post"] * 3
    assert torch.equal(edited, rig.sample_video(rig.model, cfg=2.0, cfg_last_frame=6.0)["samples"])


def test_fully_mixed_noise_makes_equal_frames_without_layers(rig):
    frames = rig.sample_video(rig.model, noise_type="mixed", noise_correlation=1.0)["samples"]
    torch.testing.assert_close(frames, frames[:1].expand_as(frames), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("noise_type", ["mixed", "progressive"])
def test_correlated_noise_changes_the_clip(rig, noise_type):
    related = rig.sample_video(rig.model, noise_type=noise_type)["samples"]
    assert not torch.equal(related, rig.sample_video(rig.model)["samples"])


def test_motion_prompt_reaches_the_temporal_layers_only(rig, video_model):
    from video_ldm.nodes.host.sampling.prompts import encode_motion

    with torch.inference_mode():
        left, same = encode_motion(rig.clip, "moving left", ""), encode_motion(rig.clip, "a red circle", "")
    plain = rig.sample_video(video_model)["samples"]
    assert torch.equal(rig.sample_video(rig.model, left)["samples"], rig.sample_video(rig.model)["samples"])
    assert not torch.equal(rig.sample_video(video_model, left)["samples"], plain)
    assert torch.equal(rig.sample_video(video_model, same)["samples"], plain)


def test_motion_prompt_leaves_the_given_conditioning_alone(rig, video_model):
    from video_ldm.nodes.host.sampling.prompts import encode_motion

    before = [set(options) for _, options in rig.positive]
    with torch.inference_mode():
        rig.sample_video(video_model, encode_motion(rig.clip, "moving left", ""))
    assert [set(options) for _, options in rig.positive] == before


def test_motion_prompt_without_a_text_encoder_is_refused(rig):
    from video_ldm.nodes.host.sampling.prompts import encode_motion
    from video_ldm.temporal.errors import InvalidInputError

    with pytest.raises(InvalidInputError, match=r"no text encoder.*Connect a CLIP"):
        encode_motion(None, "moving left", "")


def test_fps_reaches_the_layers_and_travels_with_the_latent(rig, video_model):
    slow, fast = (rig.sample_video(video_model, fps=fps) for fps in (2.0, 24.0))
    assert slow["video_ldm_fps"] == 2.0
    assert not torch.equal(slow["samples"], fast["samples"])


def test_the_given_latent_is_not_changed(rig, video_model):
    latent = {"samples": torch.ones(3, 4, 5, 7)}
    rig.sample_video(video_model, latent=latent)
    assert set(latent) == {"samples"} and torch.equal(latent["samples"], torch.ones(3, 4, 5, 7))


@pytest.mark.parametrize("sampler", ["ddim", "euler_ancestral", "dpmpp_sde"])
def test_the_largest_seed_is_one_for_every_sampler(rig, video_model, sampler):
    latent = {"samples": torch.zeros(2, 4, 10, 6), "noise_mask": torch.ones(2, 10, 6)}
    settings = {"latent": latent, "sampler_name": sampler}
    largest = rig.sample_video(video_model, seed=2**64 - 1, **settings)["samples"]
    assert largest.isfinite().all()
    assert not torch.equal(largest, rig.sample_video(video_model, seed=2**64 - 2, **settings)["samples"])


def test_known_latents_stay_under_a_noise_mask(rig, video_model):
    mask = torch.ones(5, 1, 10, 6)
    mask[0] = 0
    latent = {"samples": torch.randn(5, 4, 10, 6), "noise_mask": mask}
    made = rig.sample_video(video_model, latent=latent)["samples"]
    torch.testing.assert_close(made[0], latent["samples"][0], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(made[1], latent["samples"][1], atol=0.1)


def test_the_preview_is_an_animated_picture(rig, video_model, monkeypatch):
    import io

    import comfy.cli_args
    import comfy.utils
    from PIL import Image

    shown = []
    monkeypatch.setattr(comfy.cli_args.args, "preview_method", comfy.cli_args.LatentPreviewMethod.Latent2RGB)
    monkeypatch.setattr(
        comfy.utils, "PROGRESS_BAR_HOOK", lambda v, t, preview, node_id=None: shown.append(preview)
    )
    rig.sample_video(video_model, fps=10.0)
    assert len(shown) == 3 and shown[0] and shown[-1]
    kind, picture, max_size = shown[-1]
    assert (kind, max_size) == ("PNG", None)
    file = io.BytesIO()
    picture.save(file, format=kind, quality=95, compress_level=1)
    animation = Image.open(file)
    assert (animation.format, animation.n_frames, animation.size) == ("WEBP", 5, (154, 256))
    animation.load()
    assert animation.info["duration"] == 100


def test_a_scheduler_that_cannot_make_so_few_steps_is_refused(rig):
    """The host's kl_optimal divides by nothing for one step, and its samplers make an empty clip of that."""
    from video_ldm.temporal.errors import InvalidInputError

    with pytest.raises(InvalidInputError, match="no noise levels for 1 steps"):
        rig.sample_video(rig.model, scheduler="kl_optimal", steps=1)
    assert bool(torch.isfinite(rig.sample_video(rig.model, scheduler="kl_optimal", steps=2)["samples"]).all())


class Watch:
    """Stands in for the progress of a clip: what the sampler sees at every step, and what the node says."""

    def __init__(self):
        self.seen, self.said = [], []

    def remark(self, *sentences):
        self.said += sentences

    def callback(self, _model, _fps, _part=0):
        return lambda _step, x0, _x, _steps: self.seen.append(x0.clone())


@pytest.mark.parametrize("sampler_name", ["euler", "euler_ancestral"])
def test_a_draft_begins_as_the_clip_itself_and_ends_sooner(rig, sampler_name):
    from video_ldm.nodes.host.sampling.clip import SamplerSettings, sample_clip

    runs = {}
    for draft in (False, True):
        watch, steps = Watch(), {"steps": 10, "sampler_name": sampler_name, "scheduler": "normal"}
        settings = SamplerSettings(seed=1, cfg=2.0, fps=8.0, draft=draft, **steps)
        latent = {"samples": torch.zeros(2, 4, 5, 7)}
        with torch.inference_mode():
            sample_clip(rig.model, rig.positive, rig.negative, latent, settings, None, watch)
        runs[draft] = watch
    whole, draft = runs[False], runs[True]
    assert (len(whole.seen), len(draft.seen)) == (10, 9)
    assert all(torch.equal(*pair) for pair in zip(whole.seen[:5], draft.seen[:5], strict=True))
    assert "Draft in 9 of 10 steps; for the clip itself switch draft off and keep the seed." in draft.said


def test_too_few_steps_for_a_draft_are_the_clip_itself(rig):
    clip, draft = (rig.sample_video(rig.model, draft=draft)["samples"] for draft in (False, True))
    assert torch.equal(clip, draft)
