"""Long clips on disk."""

import errno
from pathlib import Path

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.sampling import rollout
from video_ldm.temporal.sampling.rollout import Rollout, digest


def frames(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 4, 3, 5, generator=torch.Generator().manual_seed(seed))


def test_segments_come_back_bit_for_bit(tmp_path):
    clip = Rollout(tmp_path / "new" / "folder")
    clip.save(1, "a" * 64, frames(3))
    assert torch.equal(Rollout(clip.folder).load(1, "a" * 64), frames(3))
    assert clip.load(2, "a" * 64) is None and clip.load(1, "b" * 64) is None


def test_the_whole_clip_is_the_start_and_the_segments(tmp_path):
    clip = Rollout(tmp_path)
    keys = [(1, "a" * 64), (2, "b" * 64)]
    for (number, key), part in zip(keys, (frames(3, 1), frames(5, 2)), strict=True):
        clip.save(number, key, part)
    whole = torch.cat([frames(2), frames(3, 1), frames(5, 2)])
    assert torch.equal(clip.join(frames(2), keys), whole)
    assert torch.equal(clip.join(frames(2), keys), whole)
    assert torch.equal(clip.join(frames(2), keys[:1]), whole[:5])
    assert torch.equal(clip.join(frames(2), []), frames(2))


def test_changing_the_clip_in_memory_does_not_change_the_file(tmp_path):
    clip = Rollout(tmp_path)
    clip.join(frames(2), []).zero_()
    assert torch.equal(clip.join(frames(2), []), frames(2))


def joined(folder: Path) -> list[int]:
    """Sizes of the joined clips in a folder, in frames."""
    return sorted(path.stat().st_size // (4 * 4 * 3 * 5) for path in folder.glob("clip_*.latents"))


def test_the_file_of_a_clip_gives_way_to_that_of_a_longer_one(tmp_path, monkeypatch):
    clip = Rollout(tmp_path)
    keys = [(number, f"{number:064}") for number in range(1, 4)]
    for number, key in keys:
        clip.save(number, key, frames(3, number))
    clip.join(frames(1), keys[:1])
    two = clip.join(frames(2), keys[:2])
    assert joined(tmp_path) == [4, 8]
    clip.join(frames(2), keys)
    assert joined(tmp_path) == [4, 11], "another clip's stays"
    assert torch.equal(two, torch.cat([frames(2), frames(3, 1), frames(3, 2)])), "memory keeps its own"
    assert torch.equal(clip.join(frames(2), keys[:2]), two) and joined(tmp_path) == [4, 8, 11]

    def in_use(path, missing_ok=False):
        if path.suffix == ".latents":
            raise PermissionError(errno.EACCES, "used by another process")

    monkeypatch.setattr(Path, "unlink", in_use)
    assert len(clip.join(frames(2), keys)) == 11 and joined(tmp_path) == [4, 8, 11]


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads the process's memory from /proc")
def test_a_long_clip_lies_on_disk_and_not_in_memory(tmp_path):
    clip = Rollout(tmp_path)
    keys = [(number, f"{number:064}") for number in range(1, 17)]
    for number, key in keys:
        clip.save(number, key, torch.ones(4, 4, 256, 256))
    before = memory()
    whole = clip.join(torch.zeros(2, 4, 256, 256), keys)
    assert len(whole) == 66 and whole[2:].min() == 1
    assert memory() - before < 16 * 2**20, "the clip has 66 MB"


def memory() -> int:
    """Bytes that belong to the process alone: not those of files."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))


def test_a_damaged_segment_counts_as_not_made(tmp_path):
    clip = Rollout(tmp_path)
    clip.save(1, "a" * 64, frames(3))
    clip.path(1, "a" * 64).write_bytes(b"not a segment")
    assert clip.load(1, "a" * 64) is None


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

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rollout, "write_weights", full)
    with pytest.raises(InvalidInputError, match=r"No space left on device.*Free space.*are kept"):
        clip.save(2, "a" * 64, frames(3))
    monkeypatch.setattr(rollout.os, "fdopen", full)
    with pytest.raises(InvalidInputError, match=r"No space left on device"):
        clip.join(frames(2), [(1, "a" * 64)])
    assert torch.equal(clip.load(1, "a" * 64), frames(3))
    assert [path.name for path in tmp_path.iterdir()] == [clip.path(1, "a" * 64).name]
