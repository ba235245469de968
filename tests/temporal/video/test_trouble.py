"""Films that cannot be finished: one clear sentence, and nothing left on the disk."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError, OutputError
from video_ldm.temporal.video import FORMATS, Film, FilmWriter, Sound, check_film, format_named
from video_ldm.temporal.video import writer as writer_module
from video_ldm.temporal.video.pixels import check_frames

FRAMES = torch.rand(5, 32, 48, 3, generator=torch.Generator().manual_seed(0))
ONE_OF_EACH = ["mp4 (H.264)", "gif", "webp (animated)", "png sequence (16 bit)"]


class Stopped(Exception):
    """Raised by a user's interrupt."""


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_an_interrupt_at_any_frame_leaves_nothing(tmp_path, name, number):
    """Number 5 comes when all frames are in and the encoder finishes."""
    looks = iter(range(100))

    def check():
        if next(looks) == number:
            raise Stopped

    with pytest.raises(Stopped), FilmWriter(tmp_path / "film", Film(name, 8), check) as writer:
        writer.write(FRAMES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_an_error_between_chunks_leaves_nothing(tmp_path, name):
    with pytest.raises(ZeroDivisionError), FilmWriter(tmp_path / "film", Film(name, 8)) as writer:
        writer.write(FRAMES)
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_film_that_was_there_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")
    with pytest.raises(Stopped), FilmWriter(path, Film("mp4 (H.264)", 8)) as writer:
        writer.write(FRAMES)
        raise Stopped
    assert path.read_bytes() == b"old"
    with FilmWriter(path, Film("mp4 (H.264)", 8)) as writer:
        writer.write(FRAMES)
        assert path.read_bytes() == b"old"
    assert path.read_bytes()[4:8] == b"ftyp"


TRY_ALL = """
import sys, time, torch
from pathlib import Path
from video_ldm.temporal.errors import OutputError
from video_ldm.temporal.video import writer as writer_module
from video_ldm.temporal.video import FORMATS, Film, FilmWriter, Sound

def attempt(title, name, side=32, sound=None):
    try:
        with FilmWriter(Path(sys.argv[1]) / "film", Film(name, 8, quality=100, sound=sound)) as writer:
            writer.write(torch.rand(30, side, side, 3))
    except OutputError as error:
        print(title, error, flush=True)

def try_all():
    for name in FORMATS:
        attempt(name, name)
    attempt("wav", "png sequence (8 bit)", 4, Sound(torch.rand(1, 2000), 8000))
"""


def obey_permissions() -> None:
    """Give up the superuser's right to write anywhere (CAP_DAC_OVERRIDE), in a program about to start."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Sentences of each format in a program of its own: in a locked folder, then on a full disk.

    A limit on the size of files stands for the end of the disk: the same calls fail, with another reason. Its
    signal, which Python would switch on again in every program it starts, stays off in ffmpeg, too.
    """
    locked, full = tmp_path_factory.mktemp("locked"), tmp_path_factory.mktemp("full")
    locked.chmod(0o555)
    program = f"""{TRY_ALL}
import functools, resource, signal, subprocess
try_all()
print("full")
sys.argv[1] = sys.argv[2]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
subprocess.Popen = functools.partial(subprocess.Popen, restore_signals=False)
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
try_all()
"""
    command = [sys.executable, "-c", program, str(locked), str(full)]
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=obey_permissions
    )
    parts = zip((locked, full), ended.stdout.split("full\n", 1), strict=True)
    return {folder.name.rstrip("0123456789"): (folder, lines.splitlines()) for folder, lines in parts}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_crash_leaves_nothing_under_the_films_name(tmp_path):
    program = f"""{TRY_ALL}
with FilmWriter(Path(sys.argv[1]) / "file", Film("mp4 (H.264)", 8)) as one:
    with FilmWriter(Path(sys.argv[1]) / "folder", Film("png sequence (8 bit)", 8)) as two:
        one.write(torch.rand(9, 64, 64, 3)), two.write(torch.rand(3, 8, 8, 3)), print("there", flush=True)
        time.sleep(600)
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as crashing:
        assert crashing.stdout.readline() == "there\n"
        crashing.send_signal(signal.SIGKILL)
    left = list(tmp_path.iterdir())
    assert left and all(path.name.startswith(".video_ldm_") for path in left)
    with FilmWriter(tmp_path / "other", Film("gif", 8)) as writer:
        writer.write(FRAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["other"], "the next film sweeps what the crash left"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there are no such limits")
@pytest.mark.parametrize(("trouble", "reason"), [("full", "File too large"), ("locked", "ermission denied")])
def test_a_disk_that_takes_nothing_is_told_and_left_empty(told, trouble, reason):
    folder, lines = told[trouble]
    for name in (*FORMATS, "wav"):
        line = next(line for line in lines if line.startswith(name))
        assert "The film cannot be written to" in line and reason in line, line
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_disk_that_keeps_what_was_written_does_not_hide_the_reason(tmp_path, monkeypatch, name):
    """A disk became read-only: nothing can be written or removed."""

    def read_only(*args, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    with (
        pytest.raises(OutputError, match=r"cannot be written to .*: Read-only file system"),
        FilmWriter(tmp_path / "film", Film(name, 8)) as writer,
    ):
        writer.write(FRAMES[:1])
        for place, call in (
            (os, "link"),
            (Path, "replace"),
            (Path, "rename"),
            (Path, "unlink"),
            (os, "unlink"),
        ):
            monkeypatch.setattr(place, call, read_only)


def test_what_the_encoder_refuses_is_told_as_that(tmp_path, monkeypatch):
    """Not as a full disk: libopus has no place for three channels, if nobody asked before."""
    monkeypatch.setattr(writer_module, "check_film", lambda *args: None)
    with (
        pytest.raises(
            OutputError, match=r"ffmpeg's libvpx-vp9 cannot write this film as webm \(VP9\): .+ layout"
        ) as error,
        FilmWriter(
            tmp_path / "film", Film("webm (VP9)", 8, sound=Sound(torch.rand(3, 9000), 8000))
        ) as writer,
    ):
        writer.write(FRAMES)
    assert "space" not in str(error.value) and not list(tmp_path.iterdir())


def test_an_encoder_that_is_killed_is_told_as_that(tmp_path):
    with (
        pytest.raises(OutputError, match="ffmpeg was stopped from outside"),
        FilmWriter(tmp_path / "film", Film("mp4 (H.264)", 8)) as writer,
    ):
        writer.write(FRAMES)
        writer._open.process.kill()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["gif", "png sequence (8 bit)"])
def test_a_name_as_long_as_the_disk_holds_is_written_and_a_longer_one_refused(tmp_path, name):
    for letters in ("x" * 255, "\u5706" * 85):
        with FilmWriter(tmp_path / letters, Film(name, 8)) as writer:
            writer.write(FRAMES)
        assert [path.name for path in tmp_path.iterdir()] == [letters]
        path = tmp_path / letters
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        with (
            pytest.raises(InvalidInputError, match=r"25[678] bytes, but a name holds at most 255"),
            FilmWriter(tmp_path / f"{letters}x", Film(name, 8)),
        ):
            pass
    assert not list(tmp_path.iterdir())


def refused(format, width=64, height=64, fps=8.0, quality=80, channels=0):
    with pytest.raises(InvalidInputError) as error:
        check_film(format_named(format), width, height, fps, quality, channels)
    return str(error.value)


def test_what_a_format_cannot_hold_is_refused():
    assert "The format 'avi' is unknown; choose one of mp4 (H.264)" in refused("avi")
    assert "is 16400 x 64, but mp4 (H.264) holds 2 to 16384 pixels a side" in refused("mp4 (H.264)", 16400)
    assert "is 8 x 64, but mp4 (H.265 10 bit) holds 16 to" in refused("mp4 (H.265 10 bit)", 8)
    assert "webp (animated) holds 1 to 16383" in refused("webp (animated)", 64, 16384)
    assert "has 60 frames per second, but gif plays more than 0 and at most 50" in refused("gif", fps=60.0)
    assert "has 0 frames per second" in refused("mp4 (H.264)", fps=0.0)
    assert "The quality is 101" in refused("mp4 (H.264)", quality=101)
    assert "gif has no place for sound. Disconnect audio" in refused("gif", channels=1)
    sentence = "The sound has 3 channels, but webm (VP9) holds 1, 2, 5, 6, 7, 8. Make it stereo"
    assert sentence in refused("webm (VP9)", channels=3)


INFINITE_BOTH_WAYS = torch.zeros(2, 32, 32, 3)
INFINITE_BOTH_WAYS[1, 3, 4, 0], INFINITE_BOTH_WAYS[1, 5, 6, 2] = float("inf"), float("-inf")


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (torch.zeros(0, 32, 32, 3), "There are no frames to write"),
        (
            torch.zeros(2, 3, 32, 32),
            r"must have the shape \(frames, height, width, 3\), but these have \(2, 3, 32, 32\)",
        ),
        (torch.full((2, 32, 32, 3), float("nan")), "Frame 0 holds values that are not numbers"),
        (INFINITE_BOTH_WAYS, "Frame 1 holds values that are not numbers"),
    ],
)
def test_frames_that_are_none_are_refused(tmp_path, frames, message):
    with (
        pytest.raises(InvalidInputError, match=message),
        FilmWriter(tmp_path / "film", Film("gif", 8)) as writer,
    ):
        writer.write(frames)
    assert not list(tmp_path.iterdir())


def test_values_whose_sum_is_too_large_are_numbers():
    check_frames(torch.full((1, 8, 8, 3), 3e38), None, 0)


def test_a_size_that_changes_is_refused(tmp_path):
    with (
        pytest.raises(InvalidInputError, match="Frame 5 is 16 x 16, but the film began with 48 x 32"),
        FilmWriter(tmp_path / "film", Film("mp4 (H.264)", 8)) as writer,
    ):
        writer.write(FRAMES)
        writer.write(torch.zeros(1, 16, 16, 3))
    assert not list(tmp_path.iterdir())


def test_sound_without_samples_is_refused():
    with pytest.raises(InvalidInputError, match=r"audio has the shape \(1, 2, 0\)"):
        Sound.of({"waveform": torch.zeros(1, 2, 0), "sample_rate": 8000}, 1.0)
