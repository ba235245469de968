"""Clips that are also denoised with the opposite caption, which has to fit worse."""

from dataclasses import replace

import pytest
import torch
from einops import reduce
from torch.nn import functional
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.training.data import cache as caches
from video_ldm.temporal.training.loss import MARGIN, contrasted_loss, denoising_loss
from video_ldm.tests.temporal.training import world

from .test_reversal import PHRASES, folder, source

__all__ = ["folder"]
FRAMES = 4


def trainer(folder, **changes):
    given = {"reversed": PHRASES, "patterns": {"none": 1.0}, "text_dropout": 0.0, "high_noise": 3.0}
    cache = caches.open_cache(folder, "tiny")
    return world.make_trainer(cache, world.ImageModel(), **{**given, "batch": 6, "contrast": 6.0, **changes})


def test_opposed_clips_come_again_with_nothing_but_another_caption(folder):
    """The clips themselves are those of a training without contrast."""
    chances = {"batch": 60, "high_noise": 1.0, "text_dropout": 0.2}
    plain, batch = (source(folder, contrast=c, **chances).draw(3) for c in (0.0, 6.0))
    assert not len(plain.opposed) and len(batch.opposed)
    assert torch.equal(batch.latents[: 60 * FRAMES], plain.latents) and torch.equal(
        batch.text[:60], plain.text
    )
    left, right = world.encode(["a box moving left", "a box moving right"])
    for place, number in enumerate(batch.opposed.tolist(), 60):
        one, other = (slice(n * FRAMES, (n + 1) * FRAMES) for n in (number, place))
        for name in ("latents", "noise", "t", "signal", "known_latents", "known_mask"):
            assert torch.equal(getattr(batch, name)[one], getattr(batch, name)[other]), name
        assert batch.fps[number] == batch.fps[place]
        words = torch.stack([batch.text[number], batch.text[place]])
        close = [
            torch.allclose(words, torch.stack(pair), atol=1e-3) for pair in ((left, right), (right, left))
        ]
        assert any(close)


@pytest.mark.parametrize("with_given", [False, True])
def test_opposed_are_clips_of_which_only_the_caption_tells_the_motion(folder, with_given):
    """And those of which frames are given where asked."""
    given = {"batch": 80, "contrast": 6.0, "patterns": {"none": 0.5, "first": 0.5}, "text_dropout": 0.2}
    batch = source(folder, **given, contrast_given=with_given).draw(0)
    known = reduce(batch.known_mask[: 80 * FRAMES], "(b f) -> b", "max", f=FRAMES) > 0
    noisy = batch.t[: 80 * FRAMES : FRAMES] >= 700
    told = batch.text[:80].abs().sum((1, 2)) > 0
    moves = [int(value) // 10 % 3 < 2 for value in batch.latents[: 80 * FRAMES : FRAMES, 0, 0, 0]]
    expected = [n for n in range(80) if moves[n] and told[n] and noisy[n] and (with_given or not known[n])]
    assert batch.opposed.tolist() == expected and 0 < len(expected) < 80


def test_the_loss_is_that_of_two_passes(folder):
    """A slow oracle: each caption in a pass of its own."""
    run = trainer(folder)
    for weight in run.weights.parameters():
        torch.nn.init.normal_(weight, std=0.05, generator=torch.Generator().manual_seed(7))
    batch = run.batches.draw(0)
    clips = 6
    alone = replace(
        run.batches.draw(0),
        **{
            name: getattr(batch, name)[: clips * FRAMES]
            for name in ("latents", "noise", "t", "signal", "known_latents", "known_mask")
        },
        text=batch.text[:clips],
        fps=batch.fps[:clips],
    )
    swapped = batch.text[:clips].clone()
    swapped[batch.opposed] = batch.text[clips:]

    def errors(part):
        prediction, target = run.prediction_and_target(part)
        return reduce((prediction - target).square(), "(b f) c h w -> b", "mean", f=FRAMES)

    right, wrong = errors(alone), errors(replace(alone, text=swapped))
    expected = right.mean()
    for number in batch.opposed.tolist():
        short = functional.softplus(-(wrong[number] / right[number] - 1) / MARGIN)
        expected = expected + 6.0 * right[number] * MARGIN * short / clips
    torch.testing.assert_close(run.loss(batch), expected, rtol=1e-4, atol=1e-6)
    assert run.loss(batch) != denoising_loss(*run.prediction_and_target(alone))


def test_the_opposite_caption_is_only_pushed_to_the_margin():
    """Both errors feel it while the opposite one fits as well, neither once it fits clearly worse."""
    target, opposed = torch.zeros(2 * FRAMES, 1, 1, 1), torch.tensor([0])
    pushed = []
    for wrong in (1.0, 1.5):
        right = torch.ones(FRAMES, 1, 1, 1, requires_grad=True)
        other = torch.full((FRAMES, 1, 1, 1), wrong, requires_grad=True)
        contrasted_loss(torch.cat([right, other]), target, torch.ones(2), opposed, 1.0).backward()
        pushed.append((right.grad.sum().item(), other.grad.sum().item()))
    assert pushed[0] == pytest.approx((2 + 0.5 * 2, -0.5 * 2)), "half of the pull of the error, both ways"
    assert pushed[1] == pytest.approx((2, 0), abs=1e-6)


def test_words_are_learned_by_contrast(folder):
    """Random clips, so that the words mean nothing else: the opposite one fits worse after a few steps."""

    def gap(run):
        batch = run.batches.draw(0)
        prediction, target = run.prediction_and_target(batch)
        error = reduce((prediction - target).square(), "(b f) c h w -> b", "mean", f=FRAMES)
        return ((error[6:] - error[batch.opposed]) / error[batch.opposed]).mean().item()

    run = trainer(folder, steps=12)
    assert gap(run) == pytest.approx(0, abs=1e-6), "new layers know no words"
    run.run()
    assert gap(run) > 1e-4


def test_contrast_without_opposites_is_refused():
    with pytest.raises(InvalidInputError, match="contrast is 6; give phrases"):
        world.settings(contrast=6.0)
    with pytest.raises(InvalidInputError, match="contrast is -1"):
        world.settings(contrast=-1.0, reversed=PHRASES)
    with pytest.raises(InvalidInputError, match="contrast_given is on, but contrast is 0"):
        world.settings(contrast_given=True, reversed=PHRASES)
