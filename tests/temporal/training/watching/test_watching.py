"""Films that are kept out, the loss on them, and the log."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from video_ldm.temporal.training.data.batches import BatchSource
from video_ldm.temporal.training.data.cache import open_cache
from video_ldm.temporal.training.data.preparing import write_captions, write_index, write_latents
from video_ldm.temporal.training.noise_levels import stable_diffusion_levels
from video_ldm.temporal.training.watching.held_out import held_out_loss
from video_ldm.temporal.training.watching.log import RunLog, read_log
from video_ldm.tests.temporal.training import world

FILMS = 12


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two clips of each film, one file each, with two captions for the first."""
    folder = tmp_path_factory.mktemp("films")
    clips = world.clips(count=2 * FILMS)
    for number, (latents, _, _) in enumerate(clips):
        write_latents(folder / f"{number}.npy", [latents[:4], latents[4:]])
    offsets = [0, *np.cumsum([len(latents) for latents, _, _ in clips]).tolist()]
    more = {
        "files": [f"{number}.npy" for number in range(len(clips))],
        "sources": [f"film {number // 2}" for number in range(len(clips))],
        "choices": [[["often", 3.0], ["seldom", 1.0]], *([["one", 1.0]] for _ in clips[1:])],
    }
    write_index(folder, ["often", *(["one"] * (len(clips) - 1))], offsets, [8.0] * len(clips), more=more)
    write_captions(folder, "tiny", world.embed)
    return open_cache(folder, "tiny")


def source(films, **changes) -> BatchSource:
    return BatchSource(films, world.settings(**changes), stable_diffusion_levels())


def test_clips_in_files_of_their_own_are_the_clips(films):
    for number, (latents, _, _) in enumerate(world.clips(count=2 * FILMS)):
        torch.testing.assert_close(films.clip(number), latents, rtol=1e-3, atol=1e-3)
    assert films.latents.shape == (len(films.latents), *world.LATENT)


def test_all_clips_of_a_film_are_kept_out_together(films):
    batches = source(films, kept_out=0.25)
    assert len(batches.unseen) == 2 * 3
    assert {int(clip) // 2 for clip in batches.unseen} == {int(clip) // 2 for clip in batches.unseen[::2]}
    trained = {int(clip) for group in batches.clips.values() for _, clips in group for clip in clips}
    assert trained == set(range(2 * FILMS)) - {int(clip) for clip in batches.unseen}
    assert not len(source(films, kept_out=0.0).unseen)


def test_captions_are_read_as_often_as_their_shares_say(films):
    batches, generator = source(films), torch.Generator().manual_seed(0)
    read = [films.captions[batches._caption(0, generator)] for _ in range(400)]
    assert {*read} == {"often", "seldom"} and 0.68 < read.count("often") / 400 < 0.82
    assert films.captions[batches._caption(5, generator)] == "one"


@pytest.mark.slow
def test_the_loss_on_what_is_kept_out_moves_only_with_the_layers(films):
    torch.manual_seed(0)
    trainer = world.make_trainer(films, world.ImageModel(), steps=3, kept_out=0.25, learning_rate=3e-2)
    before = held_out_loss(trainer)
    assert before == held_out_loss(trainer)
    assert before.loss == pytest.approx(sum(before.bands) / 5)
    trainer.run()
    after = held_out_loss(trainer)
    assert after.step == 3 and after.loss != before.loss
    none = world.make_trainer(films, world.ImageModel(), kept_out=0.0)
    assert held_out_loss(none) is None


def test_a_log_goes_on_where_the_state_is(tmp_path):
    path = tmp_path / "run.log.jsonl"
    log = RunLog(path, 0)
    for step in (1, 2, 3):
        log.write(step, loss=1.0 / step)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"step": 4, "lo')  # where the power went
    RunLog(path, 2).write(3, loss=0.2)
    assert read_log(path) == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}, {"step": 3, "loss": 0.2}]
    assert all(json.loads(line) for line in path.read_text("utf-8").splitlines())
    RunLog(path, 0)
    assert read_log(path) == []
