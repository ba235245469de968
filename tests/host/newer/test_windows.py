"""Video Windows on newer hosts, whose windows take more, show a frame more and cut conditions themselves."""

from __future__ import annotations

import pytest
import torch

FRAMES = 9


@pytest.fixture(scope="module")
def rig(host):
    from ..rig import Rig

    return Rig()


@pytest.fixture(params=[True, False], ids=["host that asks", "host that cuts unasked"])
def newer(host, request, monkeypatch) -> None:
    from .window_host import make_newer

    make_newer(monkeypatch, asks=request.param)


def sampled(rig, model, texts) -> torch.Tensor:
    return rig.sample(model, positive=[[texts, {}]], latent={"samples": torch.zeros(FRAMES, 4, 5, 7)})


@pytest.mark.parametrize(
    ("texts", "schedule", "fuse"),
    [(9, "standard_static", "overlap-linear"), (6, "looped_uniform", "pyramid")],
)
def test_frames_that_do_not_see_each_other_are_what_they_were(rig, newer, texts, schedule, fuse):
    """A text for each of the first frames, each different.

    What is cut twice, or not at all, is another picture.
    """
    from video_ldm.nodes.host.sampling.windows import add_windows

    one, two = rig.positive[0][0], rig.encode("a blue square")[0][0]
    text = one + torch.linspace(0, 1, texts).reshape(-1, 1, 1) * (two - one)
    plain = sampled(rig, rig.model, text[[min(frame, texts - 1) for frame in range(FRAMES)]])
    made = sampled(rig, add_windows(rig.model, 4, 2, schedule, fuse, False, False), text)
    torch.testing.assert_close(made, plain, rtol=1e-3, atol=1e-3 * float(plain.abs().max()))
