"""A lazy VIDEO on newer hosts, which trim it, ask for its bit depth and save it with one.

Shapes: frames (n h w 3).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction

import pytest
import torch

FRAMES, FPS, PER_SECOND = 7, 4.0, 1000


@pytest.fixture
def made() -> list[int]:
    """Numbers of the frames that were made."""
    return []


@pytest.fixture
def video(host, made):
    """Seven grey frames in chunks of two, each as bright as its number, with a numbered sound."""
    from video_ldm.nodes.host.film.frame_stream import FrameStream
    from video_ldm.nodes.host.film.lazy_video import LazyVideo

    def chunks():
        for numbers in torch.arange(FRAMES).split(2):
            made.extend(numbers.tolist())
            yield (numbers / 10).reshape(-1, 1, 1, 1).expand(-1, 16, 32, 3)

    clip = FrameStream(chunks, FRAMES, 32, 16, FPS, {}, {})
    waveform = torch.arange(int(FRAMES / FPS * PER_SECOND)).float().reshape(1, 1, -1) / 1e4
    return LazyVideo(clip, {"waveform": waveform, "sample_rate": PER_SECOND})


def numbers(video) -> list[int]:
    return (video.get_components().images[:, 0, 0, 0] * 10).round().int().tolist()


def test_it_is_whole_where_the_host_asks_for_more(video):
    """ComfyUI 0.26 wants `as_trimmed` of every VIDEO."""
    from video_ldm.nodes.host.film.lazy_video import LazyVideo

    class NewerVideo(ABC):
        @abstractmethod
        def as_trimmed(self, start_time=None, duration=None, strict_duration=False): ...

    class OnNewerHost(LazyVideo, NewerVideo):
        pass

    assert OnNewerHost(video.clip).get_frame_count() == FRAMES


@pytest.mark.parametrize(
    ("start", "duration", "frames"),
    [
        (0.0, 0.0, range(7)),
        (None, None, range(7)),
        (0.5, 0.0, range(2, 7)),
        (0.51, 0.5, range(3, 5)),
        (0.4999, 0.2499, range(2, 3)),
        (-0.75, 0.0, range(4, 7)),
        (-9.0, 0.25, range(1)),
        (1.5, 9.0, range(6, 7)),
    ],
)
def test_it_is_trimmed_when_its_frames_are_asked_for(video, made, start, duration, frames):
    cut = video.as_trimmed(start, duration)
    assert not made
    assert cut.get_frame_count() == len(frames)
    assert cut.get_duration() == pytest.approx(len(frames) / FPS)
    assert numbers(cut) == list(frames)
    assert len(made) - frames.stop in (0, 1), "a chunk is two frames, and what follows is not made"


@pytest.mark.parametrize(("start", "duration", "strict"), [(1.75, 0, False), (5, 1, False), (1.5, 0.5, True)])
def test_nothing_is_left_or_less_than_strictly_asked(video, start, duration, strict):
    assert video.as_trimmed(start, duration, strict_duration=strict) is None


def test_a_cut_is_cut_again_with_its_sound(video):
    cut = video.as_trimmed(0.5, 1.0).as_trimmed(0.25, 0.5, strict_duration=True)
    assert numbers(cut) == [3, 4]
    heard = cut.get_components().audio
    assert (heard["waveform"] * 1e4).round().flatten().tolist() == list(range(750, 1250))
    video.audio["waveform"] = video.audio["waveform"][..., :100]
    assert video.as_trimmed(0.5, 1.0).audio is None


def test_what_is_streamed_is_cut_already(video):
    from comfy_api.latest import InputImpl

    cut = video.as_trimmed(0.5, 0.75)
    assert cut.get_active_trim_window() == (0.0, 0.0)
    film = InputImpl.VideoFromFile(cut.get_stream_source())
    assert (film.get_frame_count(), film.get_frame_rate()) == (3, Fraction(4))


@pytest.mark.parametrize(
    ("wish", "codec", "pixels"),
    [(None, "h264", "yuv420p"), (8, "h264", "yuv420p"), (10, "hevc", "yuv420p10le")],
)
def test_bits_are_those_that_were_asked_for(video, tmp_path, wish, codec, pixels):
    import av

    path = tmp_path / "film.mp4"
    video.save_to(str(path), bit_depth=wish)
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        assert (stream.codec.name, stream.format.name) == (codec, pixels)
    assert video.get_bit_depth() == 8


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"bit_depth": 10, "codec": "h264"}, "bit_depth 10"),
        ({"bit_depth": 12}, "bit_depth 12"),
        ({"crf": 17, "preset": None}, "crf 17"),
    ],
)
def test_a_wish_that_is_not_met_is_refused(video, tmp_path, made, wishes, said):
    with pytest.raises(ValueError, match=f"this was asked for: {said}. Ask for"):
        video.save_to(str(tmp_path / "film.mp4"), **wishes)
    assert not made and not list(tmp_path.iterdir())


@pytest.mark.parametrize(("start", "duration"), [(0.5, 0.0), (0.5, 0.75), (-0.75, 0.5), (0.4, 0.7)])
def test_the_hosts_trim_video_cuts_it_like_a_file(host, video, tmp_path, start, duration):
    from comfy_api.latest import InputImpl

    if "Video Slice" not in host.nodes:
        pytest.skip("this ComfyUI has no Trim Video")
    path = tmp_path / "film.mp4"
    video.audio = None  # in a file it is a little longer than the frames, and the host counts from its end
    video.save_to(str(path))
    asked = {"start_time": start, "duration": duration, "strict_duration": False}
    ours, file = (
        host.call("Video Slice", video=source, **asked)[0]
        for source in (video, InputImpl.VideoFromFile(str(path)))
    )
    assert numbers(ours) == numbers(file)
