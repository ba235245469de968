"""Training on a bad disk: full, read-only or damaged.

Each ends in one sentence, and what can be made again is made again.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from video_ldm.temporal.errors import CheckpointFormatError, OutputError, exit_status
from video_ldm.temporal.training import checkpoint, report
from video_ldm.temporal.training.data import cache, preparing, sealed
from video_ldm.temporal.weights.whole_file import check_writable, whole_file
from video_ldm.tests import kill
from video_ldm.tests.disk import room_for
from video_ldm.tests.temporal.training import world

KB = 1024
no_limits = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
LARGE = {"weights": torch.ones(64 * KB)}

Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "one bit": lambda content: flipped(content, len(content) // 2),
    "zeros": lambda content: bytes(len(content)),
    "another file": lambda content: b"[1, 2]",
}


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@no_limits
def test_a_full_disk_leaves_the_old_state_and_no_part_of_a_new_one(tmp_path):
    checkpoint.save_state(tmp_path / "run.state.pt", {"step": 1})
    for room in (0, 1 * KB, 100 * KB, 255 * KB):
        with (
            room_for(room),
            pytest.raises(OutputError, match=r"run.state.pt cannot be written: .* Free space there"),
        ):
            checkpoint.save_state(tmp_path / "run.state.pt", LARGE)
        assert left(tmp_path) == ["run.state.pt"]
    assert checkpoint.load_state(tmp_path / "run.state.pt") == {"step": 1}


@pytest.mark.slow
@no_limits
def test_a_full_disk_leaves_no_part_of_weights_or_pictures(tmp_path):
    from video_ldm.temporal.weights.files import write_weights

    with room_for(10 * KB):
        with pytest.raises(OutputError, match="cannot be written"):
            write_weights(tmp_path / "layers.safetensors", LARGE, {})
        with pytest.raises(OutputError, match="cannot be written"):
            report.loss_curve(tmp_path / "loss.png", [1.0, 2.0])
        with pytest.raises(OutputError, match="cannot be written"):
            report.contact_sheet(tmp_path / "sheet.png", [torch.rand(3, 64, 64, 3)])
    assert not left(tmp_path)


@no_limits
def test_a_full_disk_while_clips_are_prepared_is_a_sentence_and_frees_its_space(tmp_path):
    size = len(world.clips()) * 9 * 2 * 4 * 3 * 5
    for share in (0.1, 0.5, 0.99):
        with room_for(int(share * size)), pytest.raises(OutputError, match=r"latents.npy cannot be written"):
            preparing.write_cache(tmp_path, world.clips())
        assert not left(tmp_path)
    with room_for(size + 1 * KB):
        preparing.write_cache(tmp_path, world.clips())


@pytest.mark.slow
@pytest.mark.skipif(not kill.IS_AVAILABLE, reason="Linux counts the operations")
def test_preparing_clips_needs_their_space_once_and_writes_through_no_map(tmp_path):
    """A full disk behind a memory map ends the process without a word.

    A second copy needs twice the space.
    """
    folder = tmp_path / "cache"
    folder.mkdir()
    clips = world.clips(count=2)
    size = sum(2 * latents.numel() for latents, _, _ in clips)
    most = 0
    for _ in kill.at_every_operation(
        lambda: preparing.write_cache(folder, clips), folder, lambda: clear(folder)
    ):
        most = max(most, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))
    made = kill.trial(lambda: preparing.write_cache(folder, clips), folder)
    assert size < most < 1.5 * size + 2 * KB
    assert not [line for line in made.operations if line.startswith(("ftruncate", "fallocate"))]


def clear(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize("name", ["latents.npy", "index.json", "latents.npy.seal"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_noticed(tmp_path, name, damage):
    preparing.write_cache(tmp_path, world.clips(), "these")
    assert cache.is_current(tmp_path, "these")
    path = tmp_path / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    if name == "index.json" and damage == "one bit":
        return  # of a caption or a number: what it says is then another thing, not a damaged one
    assert not cache.is_current(tmp_path, "these")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_text_is_made_again(tmp_path, damage):
    world.make_cache(tmp_path)
    path = tmp_path / "text-tiny.npy"
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    with pytest.raises(CheckpointFormatError, match="a text file is missing or damaged"):
        cache.open_cache(tmp_path, "tiny")
    preparing.write_captions(tmp_path, "tiny", world.embed)
    assert path.read_bytes() == whole
    assert len(cache.open_cache(tmp_path, "tiny").text) == 4


def test_a_cache_without_seals_is_read_as_before(tmp_path):
    world.make_cache(tmp_path)
    for path in tmp_path.glob("*.seal"):
        path.unlink()
    assert len(cache.open_cache(tmp_path, "tiny")) == 6 and cache.is_current(tmp_path, "")
    (tmp_path / "latents.npy").write_bytes(b"\x93NUMPY\x01\x00")
    assert not cache.is_current(tmp_path, "")


def test_a_copied_cache_is_read_once_and_found_sound(tmp_path):
    path = tmp_path / "file"
    with sealed.sealed_file(path) as made:
        made.write_bytes(b"content")
    assert sealed.is_sound(path)
    os.utime(path, ns=(1, 1))
    assert sealed.is_sound(path)
    path.write_bytes(b"CONTENT")
    assert not sealed.is_sound(path)


@pytest.mark.parametrize(
    "change",
    [
        {"offsets": [0, 3, 2]},
        {"offsets": [1, 2]},
        {"offsets": ["0", 9]},
        {"caption_ids": [9] * 6},
        {"fps": [0.0] * 6},
        {"fps": None},
        {"captions": 3},
        {"version": 2},
    ],
    ids=str,
)
def test_an_index_that_cannot_be_right_is_refused(tmp_path, change):
    world.make_cache(tmp_path)
    path = tmp_path / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(
        CheckpointFormatError, match=r"holds no complete clip cache .* give the folder of videos"
    ):
        cache.open_cache(tmp_path, "tiny")


@pytest.mark.slow
def test_damaged_arrays_of_every_kind_are_missing_ones(tmp_path):
    """Two hundred damaged .npy files: none is more than missing."""
    np.save(tmp_path / "good.npy", np.ones((3, 4), np.float16))
    good = (tmp_path / "good.npy").read_bytes()
    path = tmp_path / "bad.npy"
    for seed in range(200):
        dice = random.Random(seed)
        bad = bytearray(good)
        for _ in range(dice.choice((1, 4, 30))):
            bad[dice.randrange(128)] ^= 1 << dice.randrange(8)
        path.write_bytes(bytes(bad)[: dice.choice((len(bad), dice.randrange(len(bad))))])
        array = cache.mapped(path)
        assert array is None or array.dtype.kind == "f"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_a_sentence(tmp_path, damage):
    trainer = world.make_trainer(world.make_cache(tmp_path / "clips"), world.ImageModel())
    path = tmp_path / "run.state.pt"
    checkpoint.save_state(path, trainer.state_dict())
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    with pytest.raises(
        CheckpointFormatError, match=r"is no whole training state \(.*\); remove it to start anew"
    ):
        checkpoint.go_on(trainer, path)


@pytest.mark.parametrize("wrong", [[1, 2], {}, {"step": 3}, "losses", "optimizer", "average"])
def test_a_state_without_its_parts_is_a_sentence(tmp_path, wrong):
    trainer = world.make_trainer(world.make_cache(tmp_path / "clips"), world.ImageModel())
    whole = trainer.state_dict()
    state = {**whole, wrong: 7} if isinstance(wrong, str) else wrong
    if isinstance(wrong, dict):
        state = {**wrong, "stack_config": whole["stack_config"]}
    torch.save(state, tmp_path / "run.state.pt")
    with pytest.raises(CheckpointFormatError, match="is no whole training state"):
        checkpoint.go_on(trainer, tmp_path / "run.state.pt")


@pytest.mark.parametrize("name", ["a\0b", "x" * 300, "no folder/../\0", "taken/x"])
def test_a_name_that_cannot_be_written_is_refused_at_once(tmp_path, name):
    (tmp_path / "taken").touch()
    with pytest.raises(OutputError, match=r"cannot be written|has 300 bytes"):
        check_writable(tmp_path / name)


def test_a_writable_place_stays_as_it_was(tmp_path):
    (tmp_path / "old").write_text("old")
    check_writable(tmp_path / "old")
    assert left(tmp_path) == ["old"] and (tmp_path / "old").read_text() == "old"


def test_an_error_while_writing_leaves_what_was_there(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "file") as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert left(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "old"


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (None, 0, ""),
        (OutputError("Free space there."), 2, "error: Free space there.\n"),
        (
            OSError(28, "No space left on device", "/x/y"),
            2,
            "error: /x/y: No space left on device. Look at the disk",
        ),
        (OSError("broken"), 2, "error: broken. Look at the disk"),
        (KeyboardInterrupt(), 130, "stopped\n"),
    ],
    ids=str,
)
def test_a_command_line_ends_in_one_sentence(capsys, error, status, said):
    def work() -> None:
        if error is not None:
            raise error

    assert exit_status(work) == status
    words = capsys.readouterr().err
    assert words.startswith(said) and words.count("\n") == (error is not None)
