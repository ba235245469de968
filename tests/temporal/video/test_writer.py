"""Films written and read back by other programs: colours, order, sizes, tags, notes, sound.

Shapes: frames (f h w 3) float 0..1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from einops import rearrange, repeat
from PIL import Image, ImageSequence
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.video import FORMATS, Film, FilmWriter, Sound, check_film, formats, notes

pytestmark = pytest.mark.slow

FPS = 8.0
NOTES = {
    "prompt": {"1": {"class_type": "A=B;#\\", "text": 'a "red"\ncircle'}},
    "workflow": {"nodes": ["é", "\u5706"]},
}
VIDEOS = [name for name, row in FORMATS.items() if not row.is_sequence]
TAGGED = {
    "mp4 (H.264)": "yuv420p(tv, bt709",
    "mp4 (H.265 10 bit)": "yuv420p10le(tv, bt709",
    "webm (VP9)": "yuv420p(tv, bt709",
    "webm (AV1)": "yuv420p10le(tv, bt709",
    "mov (ProRes 422 HQ)": "yuv422p10le(tv, bt709",
    "mov (ProRes 4444)": "yuv444p12le(tv, bt709",
    "mkv (FFV1 lossless 10 bit)": "gbrp10le(pc, gbr/bt709/iec61966-2-1",
}
# Largest difference of a flat patch, out of 1; what 8 bits, 10 bits, palettes and lossy codecs leave of a
# colour.
TOLERANCE = {"gif": 0.06, "webp (animated)": 0.03, "mkv (FFV1 lossless 10 bit)": 0.001}


def patches(height: int = 64, width: int = 96, num_frames: int = 5) -> torch.Tensor:
    """A clip of six flat colours that change places from frame to frame."""
    colours = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 0.6, 0.1], [0.1, 0.2, 0.9], [0.5, 0.5, 0.5]])
    picture = repeat(colours, "(y x) c -> (y r) (x k) c", y=2, r=height // 2, k=width // 3)
    return torch.stack([picture.roll(32 * n, dims=1) for n in range(num_frames)])


def write(path, frames, format, **settings):
    film = Film(format=format, **{"fps": FPS, **settings})
    with FilmWriter(path, film) as writer:
        for chunk in frames.split(2):
            writer.write(chunk)
    return path


def read(path) -> torch.Tensor:
    """Frames as ffmpeg (Pillow for WebP) reads them, going by nothing but what the file says of itself."""
    if path.read_bytes()[8:12] == b"WEBP":
        pictures = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(Image.open(path))]
        return torch.from_numpy(np.stack(pictures)).float() / 255
    reader = imageio_ffmpeg.read_frames(str(path), pix_fmt="rgb48le", bits_per_pixel=48)
    width, height = next(reader)["size"]
    frames = [np.frombuffer(frame, "<u2").reshape(height, width, 3) for frame in reader]
    return torch.from_numpy(np.stack(frames).astype(np.float32) / 65535)


def said_of(path, *arguments) -> str:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


def inside(frames) -> torch.Tensor:
    """Colour in the middle of each patch, away from edges that codecs soften."""
    parts = rearrange(frames, "f (y h) (x w) c -> f y x h w c", y=2, x=3)
    return parts[:, :, :, 8:24, 8:24].mean(dim=(3, 4))


@pytest.mark.parametrize("name", VIDEOS)
def test_colours_and_order_survive(tmp_path, name):
    frames = patches()
    got = read(write(tmp_path / f"film{FORMATS[name].suffix}", frames, name, quality=100))
    assert got.shape == frames.shape
    assert (inside(got) - inside(frames)).abs().max().item() < TOLERANCE.get(name, 0.02)
    assert [path.name for path in tmp_path.iterdir()] == [f"film{FORMATS[name].suffix}"]


@pytest.mark.parametrize("name", TAGGED)
def test_the_file_says_which_colours_it_holds(tmp_path, name):
    path = write(tmp_path / "film", patches(), name)
    assert TAGGED[name] in said_of(path)
    assert "8 fps" in said_of(path)


@pytest.mark.parametrize("name", VIDEOS)
def test_odd_sizes_are_padded_by_their_own_edge(tmp_path, name, size=(33, 35)):
    frames = torch.rand(3, *size, 3, generator=torch.Generator().manual_seed(0))
    frames[:, -1:], frames[:, :, -1:] = 0.7, 0.7
    got = read(write(tmp_path / "film", frames, name, quality=95))
    columns, rows = FORMATS[name].grid
    assert got.shape[1:3] == (size[0] + -size[0] % rows, size[1] + -size[1] % columns)
    assert (got[:, -1, -1] - 0.7).abs().max().item() < 0.1


def test_ten_bits_hold_more_shades_than_eight(tmp_path):
    ramp = repeat(torch.linspace(0.4, 0.5, 512), "w -> f h w c", f=2, h=32, c=3)
    shades = {
        name: len(read(write(tmp_path / "film", ramp, name, quality=100))[0, 16, :, 1].unique())
        for name in ("mp4 (H.264)", "mp4 (H.265 10 bit)", "mov (ProRes 422 HQ)", "mkv (FFV1 lossless 10 bit)")
    }
    eight = shades.pop("mp4 (H.264)")
    assert eight < 30 and all(count > 2 * eight for count in shades.values()), shades


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (32, 48)])
def test_png_holds_every_value_exactly(tmp_path, bits, dtype, size):
    cv2 = pytest.importorskip("cv2")
    frames = torch.rand(3, *size, 3, generator=torch.Generator().manual_seed(0))
    folder = write(tmp_path / "film", frames, f"png sequence ({bits} bit)")
    paths = sorted(folder.iterdir())
    assert [path.name for path in paths] == [f"frame_{n:06d}.png" for n in range(3)]
    got = np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1] for path in paths])
    assert got.dtype == dtype
    assert np.array_equal(got, (frames * (2**bits - 1)).round().numpy().astype(dtype))
    Image.open(paths[0]).verify()


def test_exr_is_linear_light(tmp_path):
    openexr = pytest.importorskip("OpenEXR")
    frames = torch.rand(3, 5, 7, 3, generator=torch.Generator().manual_seed(0))
    folder = write(tmp_path / "film", frames, "exr sequence (half float, linear)", notes=NOTES)
    files = [openexr.File(str(folder / f"frame_{n:06d}.exr")) for n in range(3)]
    linear = np.stack([file.channels()["RGB"].pixels.astype(np.float32) for file in files])
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(shown, frames.numpy(), atol=1e-3)
    header = files[0].header()
    assert json.loads(header["workflow"]) == NOTES["workflow"]
    assert Fraction(header["framesPerSecond"]) == 8


@pytest.mark.parametrize("name", TAGGED)
def test_prompt_and_workflow_are_in_the_file(tmp_path, name):
    long = {**NOTES, "extra": "x" * 300_000}
    path = write(tmp_path / "film", patches(), name, notes=long)
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-loglevel",
        "error",
        "-i",
        str(path),
        "-f",
        "ffmetadata",
        "-",
    ]
    text = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    assert "x" * 300_000 in text
    for key in ("prompt", "workflow"):
        said = notes.as_ffmetadata({key: json.dumps(NOTES[key])}).decode().splitlines()[1]
        assert said.split("=", 1)[1] in text


def gif_comment(path) -> str:
    """Text of the comment at the end of a GIF."""
    data = Path(path).read_bytes()
    at, text = data.rindex(b"\x21\xfe") + 2, b""
    while data[at]:
        text += data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    assert data[at:] == b"\x00\x3b"
    return text.decode()


def test_pictures_hold_prompt_and_workflow_where_the_host_looks(tmp_path):
    webp = Image.open(write(tmp_path / "film.webp", patches(), "webp (animated)", notes=NOTES))
    assert webp.n_frames == 5
    tags = [webp.getexif()[tag] for tag in (0x0110, 0x010F)]
    assert tags == [f"{key}:{json.dumps(NOTES[key])}" for key in ("prompt", "workflow")]
    gif = Image.open(write(tmp_path / "film.gif", patches(), "gif", notes=NOTES))
    assert gif.n_frames == 5
    folder = write(tmp_path / "film", patches(), "png sequence (8 bit)", notes=NOTES)
    text = Image.open(folder / "frame_000004.png").text
    assert {key: json.loads(text[key]) for key in NOTES} == NOTES
    assert json.loads(gif_comment(gif.filename).splitlines()[0].removeprefix("prompt:")) == NOTES["prompt"]


def test_notes_outside_latin_1_become_international_text(tmp_path):
    from video_ldm.temporal.video.pictures import as_png

    path = tmp_path / "frame.png"
    path.write_bytes(as_png(np.zeros((2, 3, 3), np.uint8), {"prompt": "\u5706"}))
    assert Image.open(path).text["prompt"] == "\u5706"


@pytest.mark.parametrize("name", [name for name in VIDEOS if FORMATS[name].sound])
def test_sound_goes_along_and_is_cut_to_the_film(tmp_path, name):
    rate, seconds = 48000, 5 / FPS
    tone = torch.sin(torch.arange(2 * rate) * 2 * torch.pi * 440 / rate)
    audio = {"waveform": repeat(tone, "s -> 1 c s", c=2), "sample_rate": rate}
    path = write(tmp_path / "film", patches(), name, sound=Sound.of(audio, seconds))
    assert len(read(path)) == 5
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path), "-f", "f32le", "-"]
    heard = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, "<f4")
    heard = rearrange(heard, "(s c) -> s c", c=2)[:, 0]
    assert len(heard) == pytest.approx(seconds * rate, abs=0.05 * rate)
    spectrum = np.abs(np.fft.rfft(heard[: int(0.5 * rate)]))
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=4)


def test_sound_of_a_sequence_lies_beside_it(tmp_path):
    audio = {"waveform": torch.zeros(1, 1, 48000), "sample_rate": 48000}
    folder = write(tmp_path / "film", patches(), "png sequence (8 bit)", sound=Sound.of(audio, 5 / FPS))
    with wave.open(str(folder / "sound.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, 48000, 30000)


@pytest.mark.parametrize("fps", [1.875, 23.976, 24000 / 1001, 30.0, 120.0])
def test_frame_rates_are_kept(tmp_path, fps):
    path = write(tmp_path / "film.mp4", patches(), "mp4 (H.264)", fps=fps)
    assert imageio_ffmpeg.count_frames_and_secs(str(path)) == (5, pytest.approx(5 / fps, abs=0.01))


def test_out_of_range_values_are_clipped_and_rounded(tmp_path):
    pixels = torch.tensor([-0.2, 0.0, 0.4 / 255, 0.6 / 255, 1.0, 1.7])
    frames = repeat(pixels, "w -> 1 1 w 3")
    folder = write(tmp_path / "film", frames, "png sequence (8 bit)")
    got = np.asarray(Image.open(folder / "frame_000000.png"))[0, :, 0]
    assert got.tolist() == [0, 0, 0, 1, 255, 255]


def glass(height: int = 32, width: int = 48, num_frames: int = 5) -> torch.Tensor:
    """A clip (f h w 4) of one colour that is clear in other places from frame to frame.

    All of it and none of it are among them.
    """
    ramp = (torch.arange(width) - 8).clamp(0, 32) / 32
    clear = torch.stack([ramp.roll(8 * n) for n in range(num_frames)])
    colours = repeat(torch.tensor([0.8, 0.4, 0.2]), "c -> f h w c", f=num_frames, h=height, w=width)
    return torch.cat([colours, repeat(clear, "f w -> f h w 1", h=height)], dim=-1)


def read_clear(path) -> torch.Tensor:
    """Frames (f h w 4) as other programs read them."""
    if path.read_bytes()[8:12] == b"WEBP":
        pictures = [np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(Image.open(path))]
        return torch.from_numpy(np.stack(pictures)).float() / 255
    decoder = ["-c:v", "libvpx-vp9"] if path.suffix == ".webm" else []  # ffmpeg's own leaves it out
    reader = imageio_ffmpeg.read_frames(
        str(path), pix_fmt="rgba64le", bits_per_pixel=64, input_params=decoder
    )
    width, height = next(reader)["size"]
    frames = [np.frombuffer(frame, "<u2").reshape(height, width, 4) for frame in reader]
    return torch.from_numpy(np.stack(frames).astype(np.float32) / 65535)


@pytest.mark.parametrize("name", [name for name in VIDEOS if FORMATS[name].holds_transparency])
def test_transparency_is_kept(tmp_path, name):
    frames = glass()
    got = read_clear(write(tmp_path / f"film{FORMATS[name].suffix}", frames, name, quality=100))
    assert got.shape == frames.shape
    assert (got[..., 3] - frames[..., 3]).abs().max().item() < 0.04
    seen = frames[..., 3] > 0.5
    assert (got[seen] - frames[seen])[:, :3].abs().max().item() < 0.04


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_png_keeps_transparency_exactly(tmp_path, bits, dtype):
    cv2 = pytest.importorskip("cv2")
    frames = torch.rand(2, 5, 7, 4, generator=torch.Generator().manual_seed(0))
    folder = write(tmp_path / "film", frames, f"png sequence ({bits} bit)")
    got = np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(folder.iterdir())])
    assert np.array_equal(got[..., [2, 1, 0, 3]], (frames * (2**bits - 1)).round().numpy().astype(dtype))
    Image.open(folder / "frame_000000.png").verify()


def test_exr_keeps_transparency_and_multiplies_the_colours_by_it(tmp_path):
    openexr = pytest.importorskip("OpenEXR")
    frames = glass(num_frames=1)
    folder = write(tmp_path / "film", frames, "exr sequence (half float, linear)")
    got = openexr.File(str(folder / "frame_000000.exr")).channels()["RGBA"].pixels.astype(np.float32)
    linear = ((frames[0, ..., :3] + 0.055) / 1.055) ** 2.4 * frames[0, ..., 3:]
    np.testing.assert_allclose(got[..., 3], frames[0, ..., 3].numpy(), atol=1e-3)
    np.testing.assert_allclose(got[..., :3], linear.numpy(), atol=1e-3)


@pytest.mark.parametrize("name", ["mp4 (H.264)", "gif"])
def test_where_there_is_no_transparency_the_colours_stay_as_they_are(tmp_path, name):
    frames = torch.cat([patches(), torch.rand(5, 64, 96, 1)], dim=-1)
    got = read(write(tmp_path / f"film{FORMATS[name].suffix}", frames, name, quality=100))
    assert (inside(got) - inside(frames[..., :3])).abs().max().item() < TOLERANCE.get(name, 0.02)


def test_a_film_is_transparent_from_its_first_frame_to_its_last(tmp_path):
    film = Film("png sequence (8 bit)", FPS)
    with (
        pytest.raises(
            InvalidInputError, match="Frame 5 has no transparency, but the film began with transparency"
        ),
        FilmWriter(tmp_path / "film", film) as writer,
    ):
        writer.write(glass())
        writer.write(glass()[..., :3])


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].sound])
def test_sound_of_each_announced_number_of_channels_is_written_and_no_other(tmp_path, name):
    row = FORMATS[name]
    for count in (3, 9):
        film = Film(name, FPS, sound=Sound(torch.rand(count, 3000), 8000))
        if count in row.channels:
            with FilmWriter(tmp_path / f"film_{count}", film) as writer:
                writer.write(torch.rand(2, 16, 16, 3))
        else:
            with pytest.raises(InvalidInputError, match=f"The sound has {count} channels, but"):
                check_film(row, 16, 16, FPS, 80, count)


def test_an_encoder_that_is_missing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "encoders", lambda ffmpeg: frozenset({"libx264"}))
    with pytest.raises(
        InvalidInputError, match=r"webm \(AV1\) needs the encoder libsvtav1, which the ffmpeg at"
    ):
        write(tmp_path / "film.webm", patches(), "webm (AV1)")
    assert not list(tmp_path.iterdir())


def test_openexr_that_is_missing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(InvalidInputError, match="needs the Python package OpenEXR, which is not installed"):
        write(tmp_path / "film", patches(), "exr sequence (half float, linear)")
    assert not list(tmp_path.iterdir())


def test_this_computer_has_every_encoder():
    found = formats.encoders(formats.executable())
    assert {row.encoder for row in FORMATS.values() if row.encoder} <= found


@pytest.mark.parametrize("name", FORMATS)
def test_announced_sizes_are_positive_and_grow_with_quality(name):
    sizes = [FORMATS[name].bits(quality) for quality in range(101)]
    assert sizes == sorted(sizes) and sizes[0] > 0


@pytest.mark.parametrize(
    "name", ["mp4 (H.264)", "webm (VP9)", "gif", "png sequence (8 bit)", "mkv (FFV1 lossless 10 bit)"]
)
def test_a_clip_with_grain_takes_about_the_announced_disk(tmp_path, name):
    y, x = torch.meshgrid(torch.linspace(0, 1, 128), torch.linspace(0, 1, 128), indexing="ij")
    generator = torch.Generator().manual_seed(0)
    frames = torch.stack([(x + y + n / 40) % 1.2 / 1.2 for n in range(12)])[..., None].expand(-1, -1, -1, 3)
    grain = 4 / 255 * torch.randn(frames.shape, generator=generator)
    path = write(tmp_path / "film", (frames * 0.8 + 0.1 + grain).clamp(0, 1), name, quality=80)
    files = [path] if path.is_file() else list(path.iterdir())
    size = sum(file.stat().st_size for file in files)
    assert 0.3 < size / (FORMATS[name].bits(80) * frames[..., 0].numel() / 8) < 3
