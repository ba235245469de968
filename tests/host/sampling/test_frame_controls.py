"""Hints of ControlNets, one for each frame of a clip, in nodes that sample it piece by piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

SIZE = (4, 5, 7)


class Control:
    """Fields of a ControlNet of the host, as far as frames go."""

    cond_hint = "made for other frames"

    def __init__(self, hints: int, previous: Any = None) -> None:
        self.cond_hint_original = torch.arange(hints).reshape(-1, 1, 1, 1).float()
        self.previous_controlnet = previous

    def numbers(self) -> list[int]:
        """Numbers of the hints that it shows."""
        return self.cond_hint_original.flatten().int().tolist()


@dataclass
class Placing:
    """One that places an image in a clip itself, at its first or its last frame."""

    place: int
    previous_controlnet: Any = None
    window: Any = None

    def for_window(self, frames: list[int], num_frames: int) -> Placing:
        """Control for some frames."""
        return Placing(self.place, self.previous_controlnet, (frames, num_frames))

    def given_at(self, frames: list[int], num_frames: int) -> list[tuple[int, int]]:
        """Place of its image."""
        return [(number, 0) for number, frame in enumerate(frames) if frame == self.place % num_frames]


def conditions(control: Any) -> list:
    """CONDITIONING with a ControlNet."""
    return [[torch.zeros(1, 2, 3), {"control": control}]]


class Quiet:
    """Progress that nobody sees."""

    def __init__(self, *args: Any) -> None:
        pass

    def remark(self, *lines: str) -> None:
        """Say nothing."""


@pytest.fixture
def calls(host, monkeypatch):
    """ControlNets of positive and negative in each piece that would have been sampled."""
    from video_ldm.nodes.host.sampling import extend, interpolate

    seen = []

    def instead(model, positive, negative, window, *args):
        seen.append(tuple(conds[0][1]["control"] for conds in (positive, negative)))
        return window

    for module in (extend, interpolate):
        monkeypatch.setattr(module, "sample_clip", instead)
        monkeypatch.setattr(module, "SamplingProgress", Quiet)
    return seen


@pytest.fixture
def go_on(calls, tmp_path):
    """Extend Video from one frame, in segments of 5 that go on from 2."""
    from video_ldm.nodes.host.sampling.extend import Extension, extend
    from video_ldm.nodes.host.sampling.interpolate import PromptedModel

    def go_on(control, segments=3):
        choice, conds = Extension(segments, 5, 2, (0,), tmp_path), conditions(control)
        video, latent = PromptedModel(None, conds, conds, None), {"samples": torch.zeros(1, *SIZE)}
        return extend(latent, choice, video, settings(), [conds] * segments, "here")

    return go_on


def settings() -> Any:
    """Of a sampler."""
    from video_ldm.nodes.host.sampling.clip import SamplerSettings

    return SamplerSettings(seed=0, steps=1, cfg=1.0, sampler_name="euler", scheduler="normal", fps=8.0)


SEGMENTS = [[0, 1, 2, 3, 4], [3, 4, 5, 6, 7], [6, 7, 8, 9, 10]]


def test_each_segment_has_the_hints_of_its_frames(go_on, calls):
    control = Control(11, previous=Control(1, previous=Control(9)))
    go_on(control)
    assert [positive.numbers() for positive, _ in calls] == SEGMENTS
    chained = [positive.previous_controlnet for positive, _ in calls]
    assert [own.numbers() for own in chained] == [[0]] * 3
    last = [own.previous_controlnet.numbers() for own in chained]
    assert last == [*SEGMENTS[:2], [6, 7, 8, 8, 8]], "the last hint goes on"
    assert all(positive is negative and positive.cond_hint is None for positive, negative in calls)
    assert control.numbers() == list(range(11)) and control.cond_hint is not None


def test_one_that_places_its_images_is_told_the_frames_of_the_whole_clip(go_on, calls):
    go_on(Placing(0))
    assert [positive.window for positive, _ in calls] == [(frames, 11) for frames in SEGMENTS]


@pytest.mark.parametrize(
    ("control", "made_anew"),
    [(Control(1), 0), (Control(11), 0), (Placing(0), 0), (Placing(-1), 1)],
)
def test_more_segments_make_only_those_that_see_other_hints(go_on, calls, control, made_anew):
    """An image at the end of the clip moves with it: what saw it is made anew."""
    go_on(control)
    del calls[:]
    go_on(control, segments=4)
    assert len(calls) == 1 + made_anew


def test_more_hints_make_anew_what_sees_them(go_on, calls):
    go_on(Control(6))
    del calls[:]
    go_on(Control(7))
    assert [positive.numbers() for positive, _ in calls] == [[3, 4, 5, 6, 6], [6, 6, 6, 6, 6]]


@pytest.mark.parametrize(
    ("passes", "loop", "expected"),
    [
        (1, False, [[0, 1, 2, 3, 4], [4, 5, 6, 7, 8]]),
        (1, True, [[0, 1, 2, 3, 4], [4, 5, 6, 7, 8], [8, 9, 10, 11, 0]]),
        (2, False, [[0, 4, 8, 12, 16], [16, 20, 24, 28, 32], *([*range(n, n + 5)] for n in range(0, 32, 4))]),
    ],
)
def test_frames_in_between_have_the_hints_of_the_dense_clip(calls, passes, loop, expected):
    from video_ldm.nodes.host.sampling.interpolate import Interpolation, PromptedModel, interpolate

    conds = conditions(Control(40))
    video, latent = PromptedModel("a model", conds, conds, None), {"samples": torch.randn(3, *SIZE)}
    interpolate(latent, Interpolation("pinned", passes, loop, 2.0, 0.6), video, settings())
    assert [positive.numbers() for positive, _ in calls] == expected
