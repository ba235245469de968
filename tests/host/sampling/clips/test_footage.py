"""Load Video Frames: the part, the rate, the size and the sound that were asked for, and no more."""

from __future__ import annotations

import pytest
import torch

FRAMES, RATE, WIDTH, HEIGHT = 12, 10.0, 64, 32
SHADE = 20  # of 255, between one frame and the next


@pytest.fixture(scope="module")
def film(host):
    """A film whose frames grow brighter, left darker than right; its second half sounds."""
    from video_ldm.temporal.video import Film, FilmWriter, Sound

    path = host.base / "input" / "shades.mp4"
    shades = torch.arange(FRAMES)[:, None, None, None] * SHADE / 255
    frames = shades.expand(FRAMES, HEIGHT, WIDTH, 3).clone()
    frames[:, :, : WIDTH // 4] = 0
    times = torch.arange(round(FRAMES / RATE * 8000)) / 8000
    wave = torch.sin(2 * torch.pi * 440 * times) * (times > FRAMES / RATE / 2)
    with FilmWriter(path, Film("mp4 (H.264)", RATE, 100, sound=Sound(wave[None], 8000))) as writer:
        writer.write(frames)
    yield path.name
    path.unlink()


@pytest.fixture
def load(host, film):
    """Runs the node: images, latent, audio, frames per second."""

    def run(**inputs):
        asked = {"file": film, "start": 0.0, "frames": 0, "fps": 0.0, "width": 0, "height": 0, "fit": "crop"}
        return host.call("VLDM_LoadVideoFrames", **{**asked, **inputs})

    return run


def shown(images):
    """Number of the film's frame that each image shows."""
    return (images[:, :, -8:].mean((1, 2, 3)) * 255 / SHADE).round().int().tolist()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, list(range(FRAMES))),
        ({"frames": 5}, [0, 1, 2, 3, 4]),
        ({"start": 0.4, "frames": 3}, [4, 5, 6]),
        ({"start": 0.9}, [9, 10, 11]),
        ({"fps": 5.0, "frames": 4}, [0, 2, 4, 6]),
        ({"fps": 20.0, "frames": 6}, [0, 0, 1, 1, 2, 2]),
        ({"start": 0.8, "frames": 100000}, [8, 9, 10, 11]),
    ],
)
def test_the_frames_that_were_asked_for(load, asked, expected):
    images, _, _, fps = load(**asked)
    found = shown(images)
    assert fps == (asked.get("fps") or RATE)
    if asked.get("fps"):  # which neighbour is nearest is a rounding of ffmpeg's
        assert len(found) == len(expected)
        assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 1
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("asked", "size", "bars", "left"),
    [
        ({}, (WIDTH, HEIGHT), False, True),
        ({"width": 32}, (32, 16), False, True),
        ({"width": 32, "height": 32}, (32, 32), False, False),
        ({"width": 32, "height": 32, "fit": "pad"}, (32, 32), True, True),
        ({"width": 32, "height": 32, "fit": "stretch"}, (32, 32), False, True),
    ],
)
def test_another_size(load, asked, size, bars, left):
    images = load(start=1.0, frames=1, **asked)[0]
    assert images.shape[1:3] == size[::-1]
    assert (images[0, 0, -1].mean() < 0.05) == bars
    dark = images[0, size[1] // 2, :, 0] < 0.3
    assert bool(dark[0]) == left


def test_numbers_of_a_picture_are_255ths(load):
    numbers = load(frames=3)[0].double() * 255
    assert (numbers - numbers.round()).abs().max() < 1e-4


def test_films_of_the_input_folder_are_offered(host, film, monkeypatch, tmp_path):
    import folder_paths

    footage = host.pack("nodes.host.sampling.clips.footage")
    (host.base / "input" / "notes.txt").write_text("no film")
    assert film in footage.film_names() and "notes.txt" not in footage.film_names()
    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path))
    assert footage.film_names() == [footage.NONE]


def test_the_latent_carries_the_rate_and_needs_a_vae(load, rig):
    from comfy_execution.graph_utils import ExecutionBlocker

    images, latent, *_ = load(frames=2, fps=5.0, vae=rig.vae)
    assert latent["video_ldm_fps"] == 5.0
    with torch.inference_mode():
        assert torch.equal(latent["samples"][1], rig.vae.encode(images[1:2])[0])
    assert isinstance(load(frames=2)[1], ExecutionBlocker)


def test_the_sound_is_that_of_the_part(load):
    quiet, loud = (load(start=start, frames=5)[2] for start in (0.0, 0.7))
    for audio in (quiet, loud):
        assert audio["waveform"].shape[-1] == pytest.approx(0.5 * audio["sample_rate"], rel=0.05)
    assert quiet["waveform"][..., :20000].abs().max() < 0.05 < 0.5 < loud["waveform"].abs().max()


def test_a_film_of_another_node_takes_the_place_of_the_file(host, load, film):
    from comfy_api.latest import InputImpl

    video = InputImpl.VideoFromFile(str(host.base / "input" / film))
    assert torch.equal(load(video=video, file="gone.mp4", start=0.3)[0], load(start=0.3)[0])


def test_a_film_that_lies_in_memory(host, load, film):
    import io

    from comfy_api.latest import InputImpl

    video = InputImpl.VideoFromFile(io.BytesIO((host.base / "input" / film).read_bytes()))
    assert shown(load(video=video, frames=3)[0]) == [0, 1, 2]
    assert not list((host.base / "temp").glob("video_ldm_*"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"start": 5.0}, "The film is 1.20 s long, but start is 5 s"),
        ({"start": FRAMES / RATE}, "The film is 1.20 s long, but start is 1.2 s"),
        ({"file": "gone.mp4"}, "There is no film 'gone.mp4' in ComfyUI's input folder"),
        ({"file": "../custom_nodes/film.mp4"}, "There is no film"),
        ({"fps": 240.0, "width": 8192, "height": 8192}, "288 frames of .* need about .* GiB of memory"),
    ],
)
def test_what_cannot_be_is_refused(load, asked, said):
    with pytest.raises(ValueError, match=said):
        load(**asked)


def test_only_frames_that_are_there_need_memory(host, load, monkeypatch):
    memory = host.pack("nodes.host.memory")
    monkeypatch.setattr(memory, "free_memory", lambda _device: 20 * FRAMES * WIDTH * HEIGHT)
    assert len(load(frames=100000)[0]) == FRAMES


def test_a_film_that_does_not_say_its_length_is_read_as_far_as_asked(host, load, film):
    import subprocess

    import imageio_ffmpeg

    path = host.base / "input" / "recorded.mkv"  # as browsers write what they record
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path.with_name(film)), "-c", "copy"]
    piped = subprocess.run([*words, "-f", "matroska", "-"], check=True, capture_output=True)
    path.write_bytes(piped.stdout)
    try:
        assert shown(load(file=path.name, frames=3)[0]) == [0, 1, 2]
        with pytest.raises(ValueError, match=r"recorded.mkv does not say how long it is.*Set frames"):
            load(file=path.name)
    finally:
        path.unlink()


def test_a_clip_of_another_rate_is_not_taken_for_the_film(host, film):
    from video_ldm.nodes.host.speed import speed_of

    def above(fps):
        node = {"type": "VLDM_LoadVideoFrames", "inputs": {"file": film, "fps": fps}}
        return {"latent_image": {"type": "VAEEncode", "inputs": {"pixels": node}}}

    assert speed_of(0.0, {}, above(0.0)).fps == RATE
    assert speed_of(0.0, {}, above(5.0)).said == ""
