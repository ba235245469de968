"""Latent Interpolate in the host: methods, windows of five frames, rates, loops, cuts and refusals."""

from __future__ import annotations

import pytest
import torch

SIZE = (4, 10, 6)


@pytest.fixture(scope="module")
def models(rig):
    return {"learned": rig.with_layers(), "pinned": rig.with_layers(patcher=rig.stack(known_frames=False))}


def keyframes(count: int) -> torch.Tensor:
    """Neighbours alike, so that none is a cut."""
    steps = torch.randn(count, *SIZE, generator=torch.Generator().manual_seed(5))
    return 10 * steps[:1] + 0.5 * steps


def with_even_colours(frames, start, end):
    """Frames in between with means of their channels that go evenly from keyframe to keyframe."""
    shares = torch.arange(1, 4).reshape(3, 1, 1, 1) / 4
    ends = (frame.mean((1, 2), keepdim=True)[None] for frame in (start, end))
    return frames - frames.mean((2, 3), keepdim=True) + torch.lerp(*ends, shares)


@pytest.fixture
def run(rig, models):
    from video_ldm.nodes.host.sampling.clip import SamplerSettings
    from video_ldm.nodes.host.sampling.interpolate import Interpolation, PromptedModel, interpolate

    def run(latent, method, model=None, passes=1, loop=False, fps=2.0, pinned_denoise=0.6, **changes):
        of_sampled = changes.pop("learned_denoise", 1.0), changes.pop("hold_still", 0.0)
        video = PromptedModel(model or models.get(method), rig.positive, rig.negative, None)
        video = changes.pop("video", video)
        sampler = SamplerSettings(
            seed=1, steps=2, cfg=2.0, sampler_name="euler", scheduler="normal", fps=fps, **changes
        )
        with torch.inference_mode():
            choice = Interpolation(method, passes, loop, 0.9, pinned_denoise, *of_sampled)
            return interpolate(latent, choice, video, sampler)

    return run


@pytest.fixture
def windows(monkeypatch):
    """Windows that are sampled from now on, each with its denoising."""
    from video_ldm.nodes.host.sampling import interpolate as module

    seen, sample = [], module.sample_clip

    def spy(model, positive, negative, window, settings, *args):
        seen.append((window, settings.denoise))
        return sample(model, positive, negative, window, settings, *args)

    monkeypatch.setattr(module, "sample_clip", spy)
    return seen


@pytest.mark.parametrize("method", ["learned", "pinned", "slerp", "linear"])
def test_keyframes_stay_and_the_rate_goes_along(run, method):
    given = keyframes(3)
    made = run({"samples": given, "video_ldm_fps": 1.5}, method)
    assert made["samples"].shape == (9, *SIZE) and made["video_ldm_fps"] == 6.0
    assert torch.equal(made["samples"][::4], given)
    assert bool(made["samples"].isfinite().all()) and set(made) == {"samples", "video_ldm_fps"}


@pytest.mark.parametrize("method", ["slerp", "linear"])
def test_113_frames_of_8(run, method):
    given = keyframes(8)
    made = run({"samples": given}, method, passes=2, fps=1.875)
    assert len(made["samples"]) == 113 and made["video_ldm_fps"] == 30.0
    assert torch.equal(made["samples"][::16], given)


def test_two_passes_and_a_loop_with_layers(run):
    given = keyframes(2)
    made = run({"samples": given}, "learned", passes=2, loop=True)
    assert len(made["samples"]) == 32 and torch.equal(made["samples"][::16], given)


def test_every_call_is_one_window_of_five(run, rig, models, monkeypatch):
    """However long the clip; and the layers are told the dense clip's rate."""
    from video_ldm.temporal.stack.stack import TemporalStack

    seen = []
    prepare = TemporalStack.prepare

    def spy(stack, clip, like=None):
        seen.append(clip)
        return prepare(stack, clip, like)

    monkeypatch.setattr(TemporalStack, "prepare", spy)
    run({"samples": keyframes(4)}, "learned", fps=2.0)
    assert {clip.num_frames for clip in seen} == {5} and {clip.fps for clip in seen} == {8.0}
    assert len(seen) == 3 * 2
    assert seen[0].known_mask.tolist() == [1, 0, 0, 0, 1] * 2


def test_pairs_do_not_depend_on_the_rest_of_the_clip(run):
    given = keyframes(3)
    long, short = (run({"samples": part}, "learned")["samples"] for part in (given, given[:2]))
    assert torch.equal(long[:5], short)


def test_every_pair_of_every_pass_has_noise_of_its_own(run, monkeypatch):
    from video_ldm.nodes.host.sampling import interpolate as module

    seeds, sample = [], module.sample_clip

    def spy(model, positive, negative, window, settings, *args):
        seeds.append(settings.seed)
        return sample(model, positive, negative, window, settings, *args)

    monkeypatch.setattr(module, "sample_clip", spy)
    run({"samples": keyframes(2)}, "pinned", passes=2, pinned_denoise=0.0)
    noise = {torch.randn(1, generator=torch.Generator().manual_seed(seed)).item() for seed in seeds}
    assert len(noise) == len(seeds) == 5


def test_prompts_of_a_schedule_go_with_their_keyframes(run, rig, models, monkeypatch):
    from video_ldm.nodes.host.sampling import interpolate as module

    seen = []
    sample = module.sample_clip

    def spy(model, positive, negative, *args):
        seen.append(positive[0][0][:, 0, 0].tolist())
        return sample(model, positive, negative, *args)

    monkeypatch.setattr(module, "sample_clip", spy)
    text = rig.positive[0][0].repeat(3, 1, 1)
    text[:, 0, 0] = torch.tensor([1.0, 2.0, 3.0])
    video = module.PromptedModel(models["learned"], [[text, {}]], rig.negative, None)
    run({"samples": keyframes(3)}, "learned", video=video)
    assert seen == [[1.0] * 5, [2.0] * 5]


@pytest.mark.parametrize("method", ["learned", "pinned"])
def test_sampled_frames_have_the_colours_of_their_keyframes(run, method):
    given = keyframes(3)
    means = run({"samples": given}, method)["samples"].mean((2, 3))
    for first in (0, 4):
        even = torch.lerp(means[first], means[first + 4], torch.arange(1, 4)[:, None] / 4)
        torch.testing.assert_close(means[first + 1 : first + 4], even)


@pytest.mark.parametrize("method", ["learned", "pinned"])
def test_still_places_look_as_in_the_keyframes_where_asked(run, method):
    """To so wide a limit all of the picture is still, so that nothing is left but the blended keyframes."""
    from video_ldm.temporal.sampling.interpolation import slerp_frames

    given = keyframes(2)
    loose, held = (run({"samples": given}, method, hold_still=most)["samples"] for most in (0.0, 100.0))
    assert not torch.allclose(loose[1:4], slerp_frames(*given), atol=0.1)
    torch.testing.assert_close(held[1:4], slerp_frames(*given), atol=0.1, rtol=0)


def test_a_cut_is_not_blended(run):
    scenes = torch.randn(2, *SIZE)
    made = run({"samples": scenes}, "learned")["samples"]
    assert torch.equal(made, scenes[[0, 0, 0, 1, 1]])


def test_pinned_frames_go_no_further_than_allowed(run):
    """With no denoising left, the blended start itself, but for its mean colour."""
    from video_ldm.temporal.sampling.interpolation import slerp_frames

    given = keyframes(2)
    kept, far = (run({"samples": given}, "pinned", pinned_denoise=most)["samples"] for most in (0.0, 0.6))
    torch.testing.assert_close(kept[1:4], with_even_colours(slerp_frames(*given), *given))
    assert not torch.allclose(far[1:4], slerp_frames(*given), atol=1e-2)


def test_pinned_starts_on_the_arc_and_holds_the_keyframes(run, windows):
    from video_ldm.temporal.sampling.interpolation import slerp_frames

    given = keyframes(3)
    run({"samples": given}, "pinned", pinned_denoise=0.4)
    for number, (window, denoise) in enumerate(windows):
        assert torch.equal(window["samples"][::4], given[number : number + 2])
        torch.testing.assert_close(window["samples"][1:4], slerp_frames(*given[number : number + 2]))
        assert window["noise_mask"].flatten(1).mean(1).tolist() == [0, 1, 1, 1, 0] and denoise == 0.4
    assert len(windows) == 2


def test_learned_frames_start_on_the_arc_only_where_asked(run, windows):
    """From noise alone by default; below 1 from slerp, with the layers still told the keyframes."""
    from video_ldm.nodes.host.sampling.known import known_of
    from video_ldm.temporal.sampling.interpolation import slerp_frames

    given = keyframes(2)
    made = [run({"samples": given}, "learned", learned_denoise=most)["samples"] for most in (1.0, 0.7, 0.0)]
    starts = [(window["samples"][1:4], denoise) for window, denoise in windows]
    assert [denoise for _, denoise in starts] == [1.0, 0.7, 0.0] and not starts[0][0].any()
    for start, _ in starts[1:]:
        torch.testing.assert_close(start, slerp_frames(*given))
    assert all(known_of(window).mask.tolist() == [1, 0, 0, 0, 1] for window, _ in windows)
    torch.testing.assert_close(made[2][1:4], with_even_colours(slerp_frames(*given), *given))
    assert not torch.allclose(made[1][1:4], slerp_frames(*given), atol=1e-2)


def test_what_cannot_be_done_is_refused(run, rig, models):
    from video_ldm.nodes.host.sampling.interpolate import PromptedModel
    from video_ldm.temporal.errors import IncompatibleModelError, InvalidInputError

    clip = {"samples": keyframes(2)}
    with pytest.raises(
        IncompatibleModelError, match="this MODEL has none; load such layers or choose pinned"
    ):
        run(clip, "learned", model=models["pinned"])
    with pytest.raises(InvalidInputError, match="at least 2 keyframes, but the clip has 1"):
        run({"samples": keyframes(1)}, "slerp")
    with pytest.raises(InvalidInputError, match="connect model, positive and negative"):
        run(clip, "pinned", video=PromptedModel(None, None, None, None))
    for method in ("learned", "linear"):
        with pytest.raises(InvalidInputError, match="fps is 0"):
            run({**clip, "video_ldm_fps": 0.0}, method)


@pytest.mark.parametrize(("loop", "pairs"), [(False, [2, 8]), (True, [3, 12])])
def test_pairs_of_each_pass(host, loop, pairs):
    """The progress bar counts them, and prompts of a schedule go by the frames that the last pass makes."""
    from video_ldm.nodes.host.sampling.interpolate import Interpolation, _pair_counts

    assert _pair_counts(3, Interpolation("slerp", 2, loop, 1.0, 1.0)) == pairs


def test_parts_are_named_by_pass_and_pair(host):
    from video_ldm.nodes.host.sampling.interpolate import _part_name

    names = [_part_name([2, 8], part) for part in (0, 1, 2, 9)]
    assert names[:2] == ["pass 1 of 2, pair 1 of 2", "pass 1 of 2, pair 2 of 2"]
    assert names[2:] == ["pass 2 of 2, pair 1 of 8", "pass 2 of 2, pair 8 of 8"]


def test_pictures_are_keyframes(rig):
    from video_ldm.nodes.host.sampling.known_images import keyframes_of
    from video_ldm.temporal.errors import InvalidInputError

    one, two = torch.rand(1, 41, 60, 3), torch.rand(2, 80, 56, 3)
    with torch.inference_mode():
        made = keyframes_of(None, [one, two], rig.vae)["samples"]
        assert made.shape == (3, 4, 5, 7)
        torch.testing.assert_close(made[1:2], rig.vae.encode(two[:1, 20:60]))
        assert keyframes_of(None, [torch.rand(1, 5, 7, 3)], rig.vae)["samples"].shape == (1, 4, 1, 1)
    given = {"samples": made}
    assert keyframes_of(given, [], None) is given
    for message, samples, images in (
        ("samples and images; connect", given, [one]),
        ("no keyframes; connect", None, []),
        ("without a VAE", None, [one]),
    ):
        with pytest.raises(InvalidInputError, match=message):
            keyframes_of(samples, images, None)


def test_a_tween_of_two_pictures_by_the_node(rig):
    from video_ldm.nodes.interpolate import LatentInterpolate

    sampler = {"seed": 0, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal"}
    blend = {"method": "slerp", "passes": 1, "loop": False, "fps": 6.0, "pinned_denoise": 0.6}
    with torch.inference_mode():
        made, fps = LatentInterpolate.execute(
            **blend,
            **sampler,
            cut_threshold=2.0,
            vae=rig.vae,
            images=torch.zeros(1, 40, 56, 3),
            images_2=torch.ones(1, 40, 56, 3),
        ).result
    assert made["samples"].shape == (5, 4, 5, 7) and fps == 24.0
