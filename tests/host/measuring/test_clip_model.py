"""CLIP files as the host's networks open them, against transformers, and the command that reads them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from video_ldm.curation.__main__ import main
from video_ldm.temporal.curation.table import read_table
from video_ldm.temporal.errors import CheckpointFormatError, InvalidInputError
from video_ldm.tests.temporal.curation.films import shot, texture, write_film

from .clip_files import write_clip

TEXTS = ["a red circle (moving), 3 dogs", "", "sea " * 100]


@pytest.fixture(scope="module")
def files(host, tmp_path_factory):
    """Folder with a whole CLIP and one for pictures alone, and transformers' network."""
    folder = tmp_path_factory.mktemp("clip")
    write_clip(folder / "vision.safetensors", text=False)
    return folder, write_clip(folder / "clip.safetensors")


@pytest.fixture
def opened(files):
    """Function that opens files."""
    from video_ldm.nodes.host.measuring.clip_model import open_clip

    return lambda *names: open_clip([str(files[0] / name) for name in names])


def test_pictures_and_texts_are_as_in_transformers(files, opened):
    import comfy.sd1_clip
    from comfy.clip_vision import clip_preprocess

    network, (_, theirs) = opened("clip.safetensors"), files
    frames = np.stack([texture(seed, 80, 100) for seed in range(3)])
    pixels = clip_preprocess(torch.from_numpy(frames).float() / 255, size=64)
    tokenizer = comfy.sd1_clip.SDTokenizer().tokenizer
    tokens = tokenizer(TEXTS, truncation=True, max_length=77, padding="max_length", return_tensors="pt")
    with torch.no_grad():
        output = theirs(input_ids=tokens["input_ids"], pixel_values=pixels)
    for ours, expected in (
        (network.pictures(frames), output.image_embeds),
        (network.texts(TEXTS), output.text_embeds),
    ):
        units = ours / np.linalg.norm(ours, axis=1, keepdims=True)
        assert np.allclose(units, expected.numpy(), atol=1e-3)


def test_what_is_missing_is_one_sentence(files, opened, tmp_path):
    alone = opened("vision.safetensors")
    assert not alone.reads_text
    with pytest.raises(InvalidInputError, match=r"vision\.safetensors holds no text encoder"):
        alone.texts(["a"])
    assert opened("vision.safetensors", "clip.safetensors").reads_text
    with pytest.raises(InvalidInputError, match=r"There is no CLIP file gone\.safetensors"):
        from video_ldm.nodes.host.measuring.clip_model import open_clip

        open_clip(["gone.safetensors"])
    from safetensors.torch import save_file

    save_file({"other": torch.ones(2)}, files[0] / "other.safetensors")
    with pytest.raises(CheckpointFormatError, match="holds no network for pictures"):
        opened("other.safetensors")


def test_the_command_fills_the_columns_and_drops_the_double(files, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("video_ldm.nodes.host_boot.start_host", lambda *_: None)
    films, out, marks = tmp_path / "films", tmp_path / "set", tmp_path / "marks.pth"
    films.mkdir()
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):
        write_film(films / f"{name}.mp4", shot(seed, 60))
        (films / f"{name}.txt").write_text(f"film {name}")
    torch.save(torch.nn.Linear(64, 1).state_dict(), marks)
    command = [str(films), "--out", str(out), "--skip", "text", "--skip", "cuts"]
    clip = ["--clip", str(files[0] / "clip.safetensors"), "--cpu"]
    assert main([*command, *clip, "--aesthetics", str(marks), "--limit", "text_match=-1"]) == 2
    assert main([*command, *clip, "--aesthetics", str(marks), "--limit", "text_match=0"]) == 0
    first, second, double = read_table(out)
    assert double.duplicate_of == first.key and "looks like" in double.why and not double.kept
    assert all(row.aesthetic is not None and row.text_match is not None for row in (first, second, double))
    assert first.aesthetic == pytest.approx(double.aesthetic) != pytest.approx(second.aesthetic)
    with (out / "clips.csv").open(newline="") as file:
        assert all(float(line["text_match"]) < 1 for line in csv.DictReader(file))
    assert "Caption match" in (out / "report.html").read_text("utf-8")
    # nothing is seen again
    monkeypatch.setattr("video_ldm.temporal.curation.looks.embeddings.frame_at", None)
    assert main([*command, *clip, "--alike", "1.1"]) == 0
    assert not any(row.duplicate_of for row in read_table(out))
    capsys.readouterr()
    assert main([*command, "--aesthetics", str(marks)]) == 2
    assert "give its file, too, with --clip" in capsys.readouterr().err


def test_evaluation_compares_films_with_their_captions(files, tmp_path, monkeypatch):
    from video_ldm.evaluation.__main__ import main as evaluate

    monkeypatch.setattr("video_ldm.nodes.host_boot.start_host", lambda *_: None)
    made = tmp_path / "made"
    made.mkdir()
    write_film(made / "a.mp4", shot(1, 20))
    write_film(made / "b.mp4", shot(2, 20))
    (made / "a.txt").write_text("dots")
    clip, alone = (str(files[0] / f"{name}.safetensors") for name in ("clip", "vision"))
    command = ["--made", str(made), "--out", str(tmp_path / "out"), "--cpu"]
    assert evaluate([*command, "--clip", clip, "--subject", alone]) == 0
    one, other = json.loads((tmp_path / "out" / "evaluation.json").read_text())["films"]["made"]
    assert one["subject"] == pytest.approx(one["background"])  # the same weights for pictures
    assert 0 < one["background"] <= 1.0001 and abs(one["clipsim"]) < 1 and other["clipsim"] is None
    assert "Subject consistency" in (tmp_path / "out" / "evaluation.html").read_text("utf-8")
    assert "CLIPSIM" in (tmp_path / "out" / "evaluation.html").read_text("utf-8")
    assert evaluate([*command, "--subject", alone]) == 0
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())["films"]["made"][0]
    assert found["subject"] == pytest.approx(one["subject"]) and found["background"] is None
