"""Prompt Schedule in the host: a text per frame, each keyframe encoded once."""

from __future__ import annotations

import pytest
import torch


def schedule(rig, text, num_frames=5, interpolation="linear"):
    from video_ldm.nodes.prompt_schedule import PromptSchedule

    with torch.inference_mode():
        return PromptSchedule.execute(rig.clip, text, num_frames, interpolation)


@pytest.mark.parametrize("interpolation", ["linear", "slerp", "hold"])
def test_keyframes_have_their_own_text(rig, interpolation):
    made = schedule(rig, "0: a red circle\n4: a blue square", interpolation=interpolation).result[0][0][0]
    assert len(made) == 5
    assert torch.equal(made[:1], rig.positive[0][0])
    assert torch.equal(made[4:], rig.encode("a blue square")[0][0])


def test_the_node_shows_the_weights(rig):
    text = schedule(rig, "0: a red circle\n4: a blue square").ui["text"][0]
    assert text.splitlines()[1] == "1: 0.75 'a red circle' + 0.25 'a blue square'"


def test_each_prompt_is_encoded_once(rig, monkeypatch):
    asked = []
    encode = type(rig.clip).encode_from_tokens_scheduled
    monkeypatch.setattr(
        type(rig.clip), "encode_from_tokens_scheduled", lambda *args: asked.append(1) or encode(*args)
    )
    schedule(rig, "0: a red circle\n2: a dog\n4: a red circle")
    assert len(asked) == 3  # two prompts, and the empty negative one


def test_frames_of_the_image_model_follow_their_own_prompt(rig):
    """Without temporal layers frames do not see each other: each equals a run with its prompt alone."""
    positive = schedule(rig, "0: a red circle\n4: a blue square").result[0]
    made = rig.sample(rig.model, positive=positive)
    plain = rig.sample(rig.model)
    square = rig.sample(rig.model, positive=rig.encode("a blue square"))
    torch.testing.assert_close(made[0], plain[0], rtol=1e-3, atol=1e-3 * float(plain.abs().max()))
    torch.testing.assert_close(made[4], square[4], rtol=1e-3, atol=1e-3 * float(plain.abs().max()))


def test_temporal_layers_with_one_prompt_in_all_frames_do_as_with_that_prompt(rig):
    model, positive = rig.with_layers(), schedule(rig, "0: a red circle").result[0]
    assert len(positive[0][0]) == 5
    assert torch.equal(rig.sample(model, positive=positive), rig.sample(model))


def test_temporal_layers_read_the_text_of_each_frame(rig, monkeypatch):
    """Chunks for cond and uncond.

    A text for each of five frames where they differ, else one for each clip.
    """
    from video_ldm.temporal.layers.attention import TextAttention

    texts, forward = set(), TextAttention.forward
    monkeypatch.setattr(
        TextAttention,
        "forward",
        lambda self, x, text, clip: texts.add(len(text)) or forward(self, x, text, clip),
    )
    model = rig.with_layers()
    for prompts, expected in (("0: a red circle", 2), ("0: a red circle\n4: a blue square", 2 * 5)):
        texts.clear()
        rig.sample(model, positive=schedule(rig, prompts).result[0])
        assert texts == {expected}


def test_pooled_text_travels_too(rig):
    from video_ldm.nodes.host.sampling.prompts import encode_schedule
    from video_ldm.temporal.sampling.prompt_schedule import frame_weights

    class Encoder:
        def tokenize(self, text):
            return text

        def encode_from_tokens_scheduled(self, text):
            return [
                [
                    torch.full((1, 3, 2), float(len(text))),
                    {"pooled_output": torch.full((1, 4), float(len(text)))},
                ]
            ]

    made = encode_schedule(Encoder(), [(0, "a"), (2, "abc")], frame_weights([0, 2], 3), False)
    assert made[0][1]["pooled_output"][:, 0].tolist() == [1, 2, 3] and made[0][0].shape == (3, 3, 2)


def test_more_frames_than_memory_has_room_for_are_refused(rig, monkeypatch):
    import comfy.model_management as mm
    from video_ldm.temporal.errors import InvalidInputError

    text = rig.encode("a")[0][0]
    room = 2 * 9 * text.numel() * text.element_size()
    monkeypatch.setattr(mm, "get_free_memory", lambda *_: room)
    assert len(schedule(rig, "0: a", 9).result[0][0][0]) == 9
    with pytest.raises(
        InvalidInputError, match=r"each of 100000 frames takes .* lower num_frames to 9 or less"
    ):
        schedule(rig, "0: a", 100_000)


def test_an_interrupt_stops_between_two_prompts(rig, interrupt):
    import comfy.model_management as mm

    with pytest.raises(mm.InterruptProcessingException):
        schedule(rig, "0: a red circle\n4: a blue square")


@pytest.fixture
def interrupt(host):
    import comfy.model_management as mm

    mm.interrupt_current_processing(True)
    yield
    mm.interrupt_current_processing(False)


def test_bad_input(rig):
    from video_ldm.nodes.host.sampling.prompts import encode_schedule
    from video_ldm.temporal.errors import InvalidInputError

    with pytest.raises(InvalidInputError, match="no text encoder"):
        encode_schedule(None, [(0, "a")], (), False)
    with pytest.raises(InvalidInputError, match="interpolation is 'cubic', which is not there to choose"):
        schedule(rig, "0: a", interpolation="cubic")
    with pytest.raises(InvalidInputError, match="Frame 9 in line 1 is not in the clip"):
        schedule(rig, "9: a")


def film(firsts):
    """A film of 32 frames whose segments begin with these."""
    from video_ldm.nodes.host.sampling.prompts import FilmPlan

    return FilmPlan(tuple(firsts), 32, 8.0)


def test_prompts_are_encoded_once_and_last(rig):
    from video_ldm.nodes.host.sampling.prompts import segment_prompts

    six = film(range(8, 32, 4))
    prompts = segment_prompts(rig.clip, rig.positive, "\na blue square\n\na blue square\na dog", six)
    assert prompts[0] is rig.positive and prompts[1] is prompts[2] is prompts[3]
    assert prompts[4] is prompts[5] and prompts[4] is not prompts[3]
    assert segment_prompts(None, rig.positive, " \n", six) == [rig.positive] * 6


def test_prompts_at_places_begin_with_the_next_segment(rig):
    from video_ldm.nodes.host.sampling.prompts import segment_prompts

    said = []
    prompts = segment_prompts(
        rig.clip, rig.positive, "1.5s: a dog\n14: a cat", film(range(8, 32, 4)), said.append
    )
    assert prompts[0] is rig.positive and prompts[2] is prompts[3]
    assert [
        torch.equal(made[0][0], rig.encode(text)[0][0])
        for made, text in zip(prompts[1:3], ("a dog", "a cat"), strict=True)
    ]
    assert said == ["Prompts begin with segments, later than written: that of frame 14 at 16."]
    assert (
        segment_prompts(rig.clip, rig.positive, "0: a dog", film([8, 12]), said.append)[0] is not rig.positive
    )
    assert len(said) == 1, "the start is not made here"
