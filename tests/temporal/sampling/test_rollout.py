"""Long clips on disk."""

import errno
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.sampling import rollout
from video_ldm.temporal.sampling.rollout import Rollout, digest

SIZE = (4, 3, 5)


def frames(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, *SIZE, generator=torch.Generator().manual_seed(seed))


def load(clip: Rollout, number: int, key: str, count: int = 3, **former: str) -> torch.Tensor | None:
    return clip.load(number, key, (count, *SIZE), **former)


def test_segments_come_back_bit_for_bit(tmp_path):
    clip = Rollout(tmp_path / "new" / "folder")
    clip.save(1, "a" * 64, frames(3))
    assert torch.equal(load(Rollout(clip.folder), 1, "a" * 64), frames(3))
    assert load(clip, 2, "a" * 64) is None and load(clip, 1, "b" * 64) is None


def test_a_segment_of_a_former_fingerprint_is_taken_over_once(tmp_path):
    clip = Rollout(tmp_path)
    clip.save(1, "a" * 64, frames(3))
    assert torch.equal(load(clip, 1, "b" * 64, former="a" * 64), frames(3))
    assert [path.name for path in tmp_path.iterdir()] == [clip.path(1, "b" * 64).name]
    assert torch.equal(load(clip, 1, "b" * 64), frames(3)) and load(clip, 1, "a" * 64) is None


def test_the_whole_clip_is_the_start_and_the_segments(tmp_path):
    clip = Rollout(tmp_path)
    keys = [(1, "a" * 64, 3), (2, "b" * 64, 5)]
    for (number, key, _), part in zip(keys, (frames(3, 1), frames(5, 2)), strict=True):
        clip.save(number, key, part)
    whole = torch.cat([frames(2), frames(3, 1), frames(5, 2)])
    assert torch.equal(clip.join(frames(2), keys), whole)
    assert torch.equal(clip.join(frames(2), keys[:1]), whole[:5])
    assert torch.equal(clip.join(frames(2), []), frames(2))


def test_a_clip_in_memory_belongs_to_nobody_else(tmp_path):
    """No file that someone may shorten lies under a clip, and changing the clip changes no file.

    A shortened file would end the process.
    """
    clip = Rollout(tmp_path)
    clip.save(1, "a" * 64, frames(3, 1))
    whole = clip.join(frames(2), [(1, "a" * 64, 3)])
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    assert torch.equal(whole, torch.cat([frames(2), frames(3, 1)]))
    whole.zero_()
    clip.save(1, "a" * 64, frames(3, 1))
    assert torch.equal(clip.join(frames(2), [(1, "a" * 64, 3)])[2:], frames(3, 1))
    assert [path.name for path in tmp_path.iterdir()] == [clip.path(1, "a" * 64).name]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads the process's memory from /proc")
def test_a_long_clip_lies_on_disk_and_not_in_memory(tmp_path):
    clip = Rollout(tmp_path)
    keys = [(number, f"{number:064}", 4) for number in range(1, 17)]
    for number, key, _ in keys:
        clip.save(number, key, torch.ones(4, 4, 256, 256))
    before = memory()
    whole = clip.join(torch.zeros(2, 4, 256, 256), keys)
    assert len(whole) == 66 and whole[2:].min() == 1
    assert memory() - before < 16 * 2**20, "the clip has 66 MB"


def memory() -> int:
    """Bytes that belong to the process alone: not those of files."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))


def flipped(path: Path) -> None:
    """One bit of the last number."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def other(latents: torch.Tensor):
    """Another file of the right kind, whose own checksum is right."""

    def damage(path: Path) -> None:
        notes = {"format": "video_ldm.segment", rollout.CHECKSUM: digest("a" * 64, latents)}
        save_file({rollout.LATENTS: latents}, path, notes)

    return damage


DAMAGES = {
    "text": (lambda path: path.write_bytes(b"not a segment"), "cannot be read"),
    "nothing": (lambda path: path.write_bytes(b""), "cannot be read"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "cannot be read"),
    "no numbers in it": (lambda path: save_file({"other": frames(3)}, path), "cannot be read"),
    "one bit": (flipped, "does not hold what was written"),
    "another segment": (
        lambda path: path.write_bytes(path.with_name("next").read_bytes()),
        "does not hold what",
    ),
    "no frames": (other(frames(3)[:0]), r"holds \(0, 4, 3, 5\) numbers of float32 where \(3, 4, 3, 5\)"),
    "too many frames": (other(frames(9)), "holds"),
    "far too many": (other(torch.zeros(300, 4, 3, 5)), "is larger than the segment"),
    "other channels": (other(torch.zeros(3, 5, 3, 4)), "holds"),
    "half precision": (other(frames(3).half()), "numbers of float16"),
    "whole numbers": (other(torch.zeros(3, 4, 3, 5, dtype=torch.int32)), "numbers of int32"),
    "not a number": (other(frames(3).index_fill(0, torch.tensor(1), float("nan"))), "not numbers"),
    "infinity": (other(frames(3) / 0), "not numbers"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_segment_is_made_again_and_told(tmp_path, case):
    damage, message = DAMAGES[case]
    told = []
    clip = Rollout(tmp_path, told.append)
    clip.save(2, "b" * 64, frames(3, 1))
    clip.path(2, "b" * 64).rename(tmp_path / "next")
    clip.save(1, "a" * 64, frames(3))
    damage(clip.path(1, "a" * 64))
    assert load(clip, 1, "a" * 64) is None
    assert len(told) == 1
    assert re.search(f"The file of segment 1 in .* {message}.*; the segment is made again.", told[0])
    with pytest.raises(InvalidInputError, match=message):
        clip.join(frames(2), [(1, "a" * 64, 3)])
    clip.save(1, "a" * 64, frames(3))
    assert torch.equal(load(clip, 1, "a" * 64), frames(3)) and len(told) == 1


def test_a_segment_from_before_there_were_checksums_is_used(tmp_path):
    clip = Rollout(tmp_path)
    save_file({"latents": frames(3)}, clip.path(1, "a" * 64), {"format": "video_ldm.segment"})
    assert torch.equal(load(clip, 1, "a" * 64), frames(3))


def test_what_is_no_number_is_not_handed_on(tmp_path):
    with pytest.raises(InvalidInputError, match="Segment 3 came out with values that are not numbers"):
        Rollout(tmp_path).save(3, "a" * 64, frames(3) / 0)
    assert not list(tmp_path.iterdir())


def test_a_fingerprint_sees_every_part():
    one = digest("a", frames(1))
    assert one == digest("a", frames(1)) and len(one) == 64
    others = [
        digest("b", frames(1)),
        digest("a", frames(1, 1)),
        digest("a", frames(1).reshape(4, 1, 3, 5)),
        digest("a"),
    ]
    assert len({one, *others}) == 5
    assert digest("ab", "c") != digest("a", "bc")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InvalidInputError, match=r"Nothing can be written to .*file.*choose another folder"):
        Rollout(tmp_path / "file" / "below")


def test_a_full_disk_keeps_what_is_finished(tmp_path, monkeypatch):
    clip = Rollout(tmp_path)
    clip.save(1, "a" * 64, frames(3))

    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rollout, "write_weights", full)
    with pytest.raises(InvalidInputError, match=r"No space left on device.*Free space.*are kept"):
        clip.save(2, "a" * 64, frames(3))
    monkeypatch.setattr(rollout.mmap, "mmap", full)
    with pytest.raises(InvalidInputError, match=r"No space left on device"):
        clip.join(frames(2), [(1, "a" * 64, 3)])
    assert torch.equal(load(clip, 1, "a" * 64), frames(3))
    assert [path.name for path in tmp_path.iterdir()] == [clip.path(1, "a" * 64).name]
