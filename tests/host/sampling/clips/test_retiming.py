"""Empty Clip and Frame Rate: as many frames as a length has, and what of a clip goes on at another rate."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
import torch

SIDE = 5


@pytest.fixture
def resample(host):
    """Runs Frame Rate: images, latent, audio, frames per second."""

    def run(**inputs):
        return host.call("VLDM_FrameRate", **{"fps": 24.0, "method": "drop or repeat", **inputs})

    return run


@pytest.fixture
def said(host, monkeypatch):
    """Lines that the nodes say."""
    lines = []
    monkeypatch.setattr(host.pack("nodes.host.sampling.clips.retiming"), "say", lines.append)
    return lines


def numbered(frames: int, **keys) -> dict:
    """A clip of 8 frames a second, each of them its own number."""
    numbers = torch.arange(frames).float().reshape(-1, 1, 1, 1)
    return {"samples": numbers.expand(-1, 4, SIDE, SIDE).clone(), "video_ldm_fps": 8.0, **keys}


def numbers_of(latent) -> list[float]:
    return latent["samples"][:, 0, 0, 0].tolist()


def storyboard(frames: int, *given: int) -> dict:
    """A clip of which some frames are given, as images."""
    from video_ldm.nodes.host.sampling.known import with_frames

    clip = numbered(frames)
    places = tuple((frame, number) for number, frame in enumerate(given))
    return with_frames(clip, clip["samples"][list(given)], places, images=len(given))


def test_an_empty_clip_is_the_hosts_with_a_frame_rate(host, said):
    latent, frames, fps = host.call("VLDM_EmptyClip", width=96, height=64, seconds=1.3, fps=8.0)
    own = host.call("EmptyLatentImage", width=96, height=64, batch_size=10)[0]
    assert torch.equal(latent.pop("samples"), own.pop("samples"))
    assert latent == {**own, "video_ldm_fps": 8.0} and (frames, fps) == (10, 8.0)
    assert said == ["10 frames of 96 x 64 at 8 fps, 1.25 s."]


def test_an_empty_clip_is_sampled_at_its_frame_rate(host):
    latent = host.call("VLDM_EmptyClip", width=64, height=64, seconds=0.5, fps=12.0)[0]
    assert host.pack("nodes.host.speed").speed_of(0.0, latent, {}).fps == 12.0


@pytest.mark.parametrize(
    ("fps", "method", "expected"),
    [
        (24.0, "drop or repeat", [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]),
        (4.0, "drop or repeat", [0, 2]),
        (4.0, "blend", [0.5, 2.5]),
        (16.0, "blend", [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]),
        (8.0, "blend", [0, 1, 2, 3]),
    ],
)
def test_latents_at_another_rate(resample, said, fps, method, expected):
    clip = numbered(4, batch_index=[3, 4, 5, 6], of_another_pack="kept")
    _, latent, audio, rate = resample(samples=clip, fps=fps, method=method)
    assert numbers_of(latent) == expected and audio is None
    assert latent["video_ldm_fps"] == rate == fps and latent["of_another_pack"] == "kept"
    assert "batch_index" not in latent  # the numbers of other frames
    assert said == [f"4 frames at 8 fps become {len(expected)} at {fps:g} fps, 0.5 s."]


def test_half_precision_stays(resample):
    clip = numbered(3)
    clip["samples"] = clip["samples"].half()
    assert resample(samples=clip, method="blend")[1]["samples"].dtype == torch.half


@pytest.mark.parametrize(
    ("fps", "method", "known"),
    [
        (16.0, "drop or repeat", [0, 0, 4, 4, 6, 6]),
        (16.0, "blend", [0, 4, 6]),
        (4.0, "drop or repeat", [0, 4, 6]),
        (2.0, "drop or repeat", [0, 4]),
        (4.0, "blend", []),
    ],
)
def test_known_frames_stay_where_they_are_seen_as_they_are(resample, said, fps, method, known):
    from video_ldm.nodes.host.film.given import given_frames
    from video_ldm.nodes.host.sampling.known import known_of

    images = torch.tensor([0.0, 4.0, 6.0]).reshape(3, 1, 1, 1).expand(3, 2, 2, 3)
    latent = resample(samples=storyboard(8, 0, 4, 6), fps=fps, method=method)[1]
    found = known_of(latent)
    assert ([] if found is None else found.latents[found.mask][:, 0, 0, 0].tolist()) == known
    assert [image[0, 0, 0] for image in given_frames(latent, images).values()] == known
    pinned = latent["noise_mask"][:, 0, 0, 0] == 0
    assert latent["samples"][pinned][:, 0, 0, 0].tolist() == known
    assert said[0].endswith(f" Known frames: {len(known)}, before 3.")


def test_known_frames_outlive_a_cut_and_a_second_rate(host, resample):
    from video_ldm.nodes.host.film.given import given_frames

    cut = host.call("LatentFromBatch", samples=storyboard(8, 0, 4, 6), batch_index=3, length=4)[0]
    twice = resample(samples=resample(samples=cut, fps=4.0)[1], fps=8.0)[1]
    images = torch.tensor([0.0, 4.0, 6.0]).reshape(3, 1, 1, 1).expand(3, 2, 2, 3)
    assert numbers_of(twice) == [3, 3, 5, 5] and given_frames(twice, images) == {}
    other = resample(samples=cut, fps=24.0)[1]
    given = {frame: image[0, 0, 0].item() for frame, image in given_frames(other, images).items()}
    assert given == {3: 4.0, 4: 4.0, 5: 4.0, 9: 6.0, 10: 6.0, 11: 6.0}


def test_a_mask_of_the_artist_goes_with_its_frames(resample):
    mask = torch.tensor([1.0, 0.0, 1.0]).reshape(3, 1, 1).expand(3, SIDE, SIDE)
    made = [
        resample(samples=numbered(3, noise_mask=mask), fps=16.0, method=method)[1]["noise_mask"][:, 0, 0, 0]
        for method in ("drop or repeat", "blend")
    ]
    assert made[0].tolist() == [1, 1, 0, 0, 1, 1] and made[1].tolist() == [1, 0.5, 0, 0.5, 1, 1]
    one = resample(samples=numbered(3, noise_mask=mask[1:2]), fps=16.0)[1]["noise_mask"]
    assert len(one) == 6 and not one.any()


def test_frames_and_films_at_another_rate(resample):
    from comfy_api.latest import InputImpl, Types

    images = torch.rand(3, 8, 8, 3, generator=torch.Generator().manual_seed(0))
    sound = {"waveform": torch.zeros(1, 1, 100), "sample_rate": 800}
    video = InputImpl.VideoFromComponents(
        Types.VideoComponents(images=images, frame_rate=Fraction(8), audio=sound)
    )
    shown, latent, audio, _ = resample(video=video)
    assert torch.equal(shown, images.repeat_interleave(3, 0)) and audio is sound
    assert "no latents" in latent.message
    assert torch.equal(resample(images=images, fps_before=8.0)[0], shown)
    assert torch.equal(resample(video=video, fps_before=24.0)[0], images)
    assert "no frames" in resample(samples=numbered(3))[0].message


def test_what_cannot_be_is_refused(host, resample):
    from comfy_api.latest import InputImpl, Types

    images = torch.rand(3, 8, 8, 3)
    nothing = Types.VideoComponents(images=images[:0], frame_rate=Fraction(8))
    video = InputImpl.VideoFromComponents(nothing)
    for inputs, words in [
        ({}, "but it was given none. Connect one of"),
        ({"samples": numbered(3), "images": images}, "it was given samples and images"),
        ({"images": images}, "Nothing says how many frames per second the clip has. Set fps_before"),
        ({"samples": {"samples": numbered(3)["samples"]}}, "Nothing says how many frames"),
        ({"video": video}, "The video has no frames"),
        ({"images": images, "fps_before": 8.0, "fps": 0.0}, "fps is 0.0, but it takes a number from 0.1"),
        ({"images": images, "fps_before": float("nan")}, "fps_before is nan, but"),
        ({"samples": numbered(3, video_ldm_fps=float("nan"))}, "A frame rate is a number above 0"),
    ]:
        with pytest.raises(ValueError, match=words):
            resample(**inputs)
    with pytest.raises(ValueError, match=r"seconds is 0, but it takes a number from 0\.01"):
        host.call("VLDM_EmptyClip", width=64, height=64, seconds=0, fps=8.0)


def test_more_frames_than_memory_holds_are_refused(host, resample, monkeypatch):
    monkeypatch.setattr(host.pack("nodes.host.memory"), "free_memory", lambda _device: 20_000)
    with pytest.raises(ValueError, match=r"864000 frames of 64 x 64 need about 0\.8 GiB of memory"):
        host.call("VLDM_EmptyClip", width=64, height=64, seconds=3600.0, fps=240.0)
    with pytest.raises(ValueError, match="90 frames of 40 x 40 need about"):
        resample(samples=numbered(3), fps=240.0)


def origin(kind: str, **inputs) -> dict:
    return {"images": {"type": kind, "output": 0, "inputs": inputs}}


def test_the_rate_is_known_to_what_comes_after(host):
    speed_of = host.pack("nodes.host.speed").speed_of
    film = {"type": "LoadVideo", "output": 0, "inputs": {"file": "gone.mp4"}}
    for inputs, fps in itertools.product(({"video": film}, {"images": [1, 0]}), (12.0, 24.0)):
        assert speed_of(0.0, {}, origin("VLDM_FrameRate", fps=fps, **inputs), usual=0.0).fps == fps
    assert speed_of(0.0, {}, origin("VLDM_FrameRate", fps={"type": "X"}, video=film), usual=0.0).fps == 0.0
