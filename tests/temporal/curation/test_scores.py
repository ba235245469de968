"""Caption match, aesthetics and duplicates of features that are known; plain folders that training reads."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from video_ldm.temporal.curation.film import CurationSettings, look_at
from video_ldm.temporal.curation.folder import find_videos
from video_ldm.temporal.curation.looks.embeddings import FRAMES, LEDGER, embedded, side_by_side
from video_ldm.temporal.curation.looks.scores import (
    open_aesthetics,
    with_duplicates,
    with_marks,
    with_text_match,
)
from video_ldm.temporal.curation.plain_folder import write_plain_folder
from video_ldm.temporal.curation.table import Caption, ClipRow, key_of
from video_ldm.temporal.errors import CheckpointFormatError, IncompatibleModelError, InvalidInputError

from .films import shot, write_film


def rows(*captions: tuple[Caption, ...]) -> list[ClipRow]:
    """Clips of one film with captions."""
    return [
        ClipRow(key_of("a", n, n + 1), "a.mp4", float(n), n + 1.0, 25.0, 64, 48, texts)
        for n, texts in enumerate(captions)
    ]


def directions(*angles: float) -> np.ndarray:
    """Features (n 3 2) of clips that look in a direction, in degrees, of different lengths."""
    turned = np.radians(angles)[:, None]
    return np.stack([np.cos(turned), np.sin(turned)], axis=-1).repeat(FRAMES, axis=1) * 7


class Colours:
    """In the place of CLIP: mean red and green, and words for them."""

    identity, reads_text, seen = "colours 0", True, 0

    def pictures(self, frames):
        """Means (n 2) of two channels."""
        self.seen += len(frames)
        return frames.reshape(len(frames), -1, 3).mean(axis=1)[:, :2].astype(np.float32)

    def texts(self, texts):
        """Directions of colours."""
        return np.array([[1.0, 0.0] if text == "red" else [0.0, 1.0] for text in texts])


def test_match_is_the_cosine_to_each_caption_by_its_weight():
    found = with_text_match(
        rows((Caption("red"),), (Caption("red", weight=0.5), Caption("green", weight=0.25)), ()),
        directions(60, 60, 0),
        Colours(),
    )
    one, two = np.cos(np.radians(60)), np.cos(np.radians(30))
    assert found[0].text_match == pytest.approx(one)
    assert found[1].text_match == pytest.approx((0.5 * one + 0.25 * two) / 0.75)
    assert found[2].text_match is None


def test_duplicates_name_the_first_and_only_clips_alike_in_every_frame():
    features = directions(0, 90, 2, 91, 45)
    features[3, 2] = [7, 0]  # ends elsewhere
    given = rows(*[()] * 5)
    found = with_duplicates(given, features, 0.99)
    assert [row.duplicate_of for row in found] == [None, None, given[0].key, None, None]
    assert not any(row.duplicate_of for row in with_duplicates(found, features, 1.1))


def test_a_clip_that_could_not_be_seen_is_not_judged():
    features = directions(0, 0)
    features[1] = 0
    marked = with_marks(rows((), ()), features, SimpleNamespace(marks=lambda f: np.ones(len(f))))
    assert [row.aesthetic for row in marked] == [1.0, None]
    unseen = [replace(row, captions=(Caption("red"),)) for row in rows((), ())]
    assert with_text_match(unseen, features, Colours())[1].text_match is None
    assert side_by_side([directions(0), np.zeros((2, FRAMES, 1), np.float32)]).shape == (3, FRAMES, 2)


def test_laions_predictors_are_read_and_mark_as_torch_does(tmp_path):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Linear(8, 4), torch.nn.Dropout(0.2), torch.nn.Linear(4, 2), torch.nn.Linear(2, 1)
    ).eval()
    path = tmp_path / "marks.pth"
    torch.save({f"layers.{key}": value for key, value in layers.state_dict().items()}, path)
    features = torch.randn(5, 8)
    expected = layers(torch.nn.functional.normalize(features))[:, 0].detach().numpy()
    predictor = open_aesthetics(path)
    assert np.allclose(predictor.marks(features.numpy()), expected, atol=1e-5)
    with pytest.raises(IncompatibleModelError, match="reads 8 features of a picture, but this CLIP gives 3"):
        predictor.marks(np.ones((2, 3)))
    torch.save(torch.nn.Linear(8, 1).state_dict(), path)
    assert open_aesthetics(path).marks(features.numpy()).shape == (5,)


@pytest.mark.parametrize(
    "content", [{"a.weight": torch.ones(2, 2), "a.bias": torch.ones(2)}, {"x": torch.ones(3)}]
)
def test_another_file_is_no_predictor(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(CheckpointFormatError, match="is no aesthetic predictor"):
        open_aesthetics(tmp_path / "other.pth")


@pytest.mark.slow
def test_features_are_kept_and_a_damaged_file_is_made_again(tmp_path, caplog):
    red = np.zeros((60, 90, 160, 3), np.uint8)
    red[..., 0] = 200
    film = write_film(tmp_path / "red.mp4", red)
    result = look_at(film, tmp_path, CurationSettings(skip=("motion", "text")))
    network = Colours()
    first = embedded(tmp_path, result, network)
    assert first.shape == (1, FRAMES, 2) and (first[..., 0] > 180).all() and network.seen == FRAMES
    assert np.array_equal(embedded(tmp_path, result, network), first) and network.seen == FRAMES
    (kept,) = (tmp_path / LEDGER).iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(embedded(tmp_path, result, network), first) and network.seen == 2 * FRAMES
    assert "is damaged" in caplog.text
    film.unlink()
    kept.unlink()
    assert not embedded(tmp_path, result, network).any() and not list((tmp_path / LEDGER).iterdir())


@pytest.mark.parametrize(("style", "place"), [("musubi", ""), ("kohya", "1_clips/")])
def test_plain_folders_are_read_by_training_with_every_caption(tmp_path, style, place):
    write_film(tmp_path / "film.mp4", shot(1, 75))
    texts = (Caption("one\nline", weight=0.5), Caption("other", weight=0.25))
    kept = ClipRow("k", "film.mp4", 0.4, 2.4, 25.0, 160, 90, texts)
    out = write_plain_folder(tmp_path, tmp_path / "plain", [kept, replace(kept, key="no", kept=False)], style)
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    more = ["dataset.toml"] if style == "musubi" else []
    assert files == sorted(["dataset.jsonl", *more, f"{place}k.mp4", f"{place}k.txt"])
    assert (out / f"{place}k.txt").read_text() == "one line\n"
    (video,) = find_videos(out)
    assert video.captions == (("one\nline", 0.5), ("other", 0.25)) and video.path.samefile(
        out / f"{place}k.mp4"
    )
    assert (video.start, video.seconds) == (0.0, 2.0)
    if style == "musubi":
        config = (out / "dataset.toml").read_text()
        assert "target_frames = [49]" in config and "resolution = [160, 80]" in config


def test_nothing_kept_or_the_data_sets_own_folder_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="No clip is kept"):
        write_plain_folder(tmp_path, tmp_path / "plain", [])
    with pytest.raises(InvalidInputError, match="is the folder of the data set"):
        write_plain_folder(tmp_path, tmp_path, rows(()))
