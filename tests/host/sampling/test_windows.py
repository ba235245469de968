"""Video Windows in the host.

Equal to no windows where frames are independent, every condition cut, refusals.
"""

from __future__ import annotations

import pytest
import torch
from video_ldm.temporal.layers.inside import InsideConfig
from video_ldm.temporal.layers.motion import MotionConfig

LATENT = (9, 4, 5, 7)


def windowed(model, length=4, overlap=2, schedule="standard_static", fuse="pyramid", loop=False, noise=False):
    from video_ldm.nodes.host.sampling.windows import add_windows

    return add_windows(model, length, overlap, schedule, fuse, loop, noise)


def empty(num_frames: int = LATENT[0]) -> dict:
    return {"samples": torch.zeros(num_frames, *LATENT[1:])}


def per_frame_text(rig) -> list:
    """A text for every frame, each different."""
    one, two = rig.positive[0][0], rig.encode("a blue square")[0][0]
    weights = torch.linspace(0, 1, LATENT[0]).reshape(-1, 1, 1)
    return [[one + weights * (two - one), {}]]


@pytest.mark.parametrize(
    ("schedule", "fuse", "loop"),
    [
        ("standard_static", "pyramid", False),
        ("standard_static", "relative", False),
        ("standard_static", "overlap-linear", False),
        ("standard_uniform", "flat", False),
        ("looped_uniform", "pyramid", False),
        ("looped_uniform", "pyramid", True),
        ("batched", "flat", False),
    ],
)
def test_frames_that_do_not_see_each_other_are_what_they_were(rig, schedule, fuse, loop):
    """With a text of its own each, so that a condition that is not cut shows."""
    positive = per_frame_text(rig)
    plain = rig.sample(rig.model, positive=positive, latent=empty())
    model = windowed(rig.model, schedule=schedule, fuse=fuse, loop=loop)
    made = rig.sample(model, positive=positive, latent=empty())
    torch.testing.assert_close(made, plain, rtol=1e-3, atol=1e-3 * float(plain.abs().max()))


@pytest.mark.parametrize("texts", [6, 13])
def test_texts_of_another_number_than_frames_count_from_the_start_of_the_clip(rig, texts):
    """Too few: the last one goes on. Too many: the rest is not used."""
    text = torch.cat([per_frame_text(rig)[0][0]] * 2)[:texts]
    frames = [min(frame, texts - 1) for frame in range(LATENT[0])]
    plain = rig.sample(rig.model, positive=[[text[frames], {}]], latent=empty())
    made = rig.sample(windowed(rig.model), positive=[[text, {}]], latent=empty())
    torch.testing.assert_close(made, plain, rtol=1e-3, atol=1e-3 * float(plain.abs().max()))


def test_only_texts_are_cut_where_their_number_is_not_that_of_the_frames(rig):
    from comfy.conds import CONDRegular
    from video_ldm.nodes.host.layers.per_frame import TEXT_COND
    from video_ldm.nodes.host.sampling.windows import FrameWindow

    def cut(key, rows):
        handler = windowed(rig.model).model_options["context_handler"]
        conds = [{"model_conds": {key: CONDRegular(torch.arange(rows).reshape(-1, 1))}}]
        window = FrameWindow([2, 3, 4, 5], 9)
        found = handler.get_resized_cond(conds, torch.zeros(LATENT), window)
        return found[0]["model_conds"][key].cond.flatten().tolist()

    for key in ("c_crossattn", "y", TEXT_COND):
        assert (
            cut(key, 4) == [2, 3, 3, 3] and cut(key, 12) == cut(key, 9) == [2, 3, 4, 5] and cut(key, 1) == [0]
        )
    assert cut("other", 4) == [0, 1, 2, 3] and cut("other", 9) == [2, 3, 4, 5]


FAMILIES = {
    "native": {},
    "AnimateDiff v3": {"motion": MotionConfig(False, False, False)},
    "AnimateDiff v2": {"motion": MotionConfig(True, True, True)},
    "LaVie": {"inside": InsideConfig(positions=True, last=False, causal=False, volume=False)},
    "SEINE": {"inside": InsideConfig(positions=True, last=True, causal=True, volume=True)},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_windows_side_by_side_are_clips_of_their_own(rig, family):
    """Without overlap, 8 frames in windows of 4 are two clips of 4, for all kinds of layers."""
    changes = {"known_frames": False, "frame_rate": False, "max_frames": 4} if family != "native" else {}
    model = rig.with_layers(patcher=rig.stack(0.05, **changes, **FAMILIES[family]))

    def sample(model, first, last):
        latent = {**empty(last - first), "batch_index": list(range(first, last))}  # whose noise
        return rig.sample(model, latent=latent)

    made = sample(windowed(model, 4, 0, "batched", "flat"), 0, 8)
    halves = [sample(model, 0, 4), sample(model, 4, 8)]
    assert not torch.allclose(made, sample(rig.model, 0, 8), atol=1e-2), "the layers act"
    torch.testing.assert_close(made, torch.cat(halves), rtol=1e-3, atol=1e-3 * float(made.abs().max()))


@pytest.mark.parametrize("num_frames", [1, 3, 4])
def test_a_short_clip_needs_no_windows(rig, num_frames):
    plain = rig.sample(rig.model, latent=empty(num_frames))
    assert torch.equal(rig.sample(windowed(rig.model), latent=empty(num_frames)), plain)


def test_known_frames_are_cut_to_the_windows(rig, monkeypatch):
    from video_ldm.nodes.host.sampling.known import with_frames
    from video_ldm.temporal.stack.stack import TemporalStack

    seen = []
    prepare = TemporalStack.prepare

    def spy(stack, clip, like=None):
        seen.append(clip.known_mask.tolist())
        return prepare(stack, clip, like)

    monkeypatch.setattr(TemporalStack, "prepare", spy)
    model = windowed(rig.with_layers(patcher=rig.stack(max_frames=4)))
    given = torch.randn(2, *LATENT[1:])
    latent = with_frames(empty(), given, ((0, 0), (8, 1)))
    made = rig.sample_video(model, latent=latent, steps=1)["samples"]
    assert seen == [[1, 0, 0, 0] * 2, [0] * 8, [0] * 8, [0, 0, 0, 1] * 2]
    assert torch.equal(made[[0, 8]], given)


def test_the_hints_of_a_controlnet_are_cut_once_per_window(rig):
    from video_ldm.nodes.host.sampling.windows import FrameWindow

    class Control:
        cond_hint = "made for another window"
        previous_controlnet = None

        def __init__(self, frames):
            self.cond_hint_original = torch.arange(frames).reshape(-1, 1, 1, 1).float()

    first = Control(9)
    first.previous_controlnet = Control(1)
    handler = windowed(rig.model).model_options["context_handler"]
    x = torch.zeros(LATENT)
    window = FrameWindow([2, 3, 4, 5], 8)
    one, two = (
        handler.get_resized_cond([{"control": first, "model_conds": {}}], x, window)[0]["control"]
        for _ in range(2)
    )
    assert one is two and one.cond_hint is None
    assert one.cond_hint_original.flatten().tolist() == [2, 3, 4, 5]
    assert len(one.previous_controlnet.cond_hint_original) == 1
    assert len(first.cond_hint_original) == 9 and first.cond_hint is not None


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_no_frame_is_left_out_and_no_window_runs_over_the_end(rig, stride):
    """The host's uniform windows do both with a stride, which made frames of no numbers."""
    from video_ldm.nodes.host.sampling.windows import SCHEDULES, FurtherWindows, add_windows

    for schedule in SCHEDULES:
        for length, overlap in ((3, 0), (8, 2), (12, 6)):
            model = add_windows(
                rig.model, length, overlap, schedule, "pyramid", False, False, FurtherWindows(stride)
            )
            handler = model.model_options["context_handler"]
            for num_frames in range(length + 1, 30):
                for step in range(5):
                    handler._step = step
                    found = [
                        window.index_list
                        for window in handler.get_context_windows(None, torch.zeros(num_frames, 1), {})
                    ]
                    assert set().union(*found) == set(range(num_frames))


def test_samplers_that_look_between_steps(rig):
    import nodes

    model = windowed(rig.model, schedule="looped_uniform", loop=True)
    with torch.inference_mode():
        made = nodes.common_ksampler(
            model, 1, 3, 3.0, "dpm_2", "normal", rig.positive, rig.negative, empty(), denoise=0.6
        )[0]["samples"]
    assert made.shape == LATENT and bool(made.isfinite().all())


def test_repeated_noise_makes_equal_frames_of_equal_noise(rig):
    """The image model makes the same frame of the same noise.

    Later frames repeat those of the first window.
    """
    made = rig.sample(windowed(rig.model, length=4, overlap=3, noise=True), latent=empty())
    torch.testing.assert_close(made[4], made[0], rtol=1e-2, atol=1e-2 * float(made.abs().max()))


def test_the_given_model_stays_as_it_was(rig):
    windowed(rig.model, noise=True)
    assert "context_handler" not in rig.model.model_options


def test_the_limit_of_the_layers_is_that_of_a_window(rig):
    from video_ldm.temporal.errors import InvalidInputError

    model = rig.with_layers(patcher=rig.stack(max_frames=4))
    with pytest.raises(InvalidInputError, match="add Video Windows to the model"):
        rig.sample_video(model, latent=empty())
    with pytest.raises(
        InvalidInputError, match=r"^The windows have 5 frames; .* at most 4\. Set context_length to 0"
    ):
        rig.sample_video(windowed(model, length=5), latent=empty())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 4, "overlap": 4}, "Windows of 4 frames cannot overlap by 4"),
        ({"schedule": "batched", "fuse": "relative"}, "relative goes with schedule standard_static"),
    ],
)
def test_what_does_not_go_together_is_refused(rig, changes, message):
    from video_ldm.temporal.errors import InvalidInputError

    with pytest.raises(InvalidInputError, match=message):
        windowed(rig.model, **changes)


def test_no_length_is_that_of_training(rig):
    def windows(model):
        found = windowed(model, length=0, overlap=4).model_options["context_handler"]
        return found.context_length, found.context_overlap

    short, long = rig.stack(max_frames=6), rig.stack(max_frames=12)
    assert windows(rig.with_layers(patcher=long)) == (12, 4)
    assert windows(rig.with_layers(rig.with_layers(patcher=long), short)) == (6, 3)
    assert windows(rig.with_layers(patcher=rig.stack(max_frames=0))) == windows(rig.model) == (16, 4)
    model = rig.with_layers(patcher=short)
    rig.sample_video(windowed(model, length=0, overlap=4), latent=empty(9), steps=1)


def test_windows_of_published_layers_are_as_long_as_in_their_training():
    """AnimateDiff v2 knows 32 positions and was trained on 16 frames."""
    from types import SimpleNamespace

    from video_ldm.nodes.host.layers.attached.settings import KEY
    from video_ldm.nodes.host.layers.attached.stacks import trained_length

    stack = SimpleNamespace(config=SimpleNamespace(family="AnimateDiff v2", max_frames=32))
    parts = {KEY: [SimpleNamespace(model=stack)]}
    model = SimpleNamespace(
        get_additional_models_with_key=parts.get, get_attachment=lambda key: ("settings",)
    )
    assert trained_length(model) == 16
