"""Render Video and Video From Latents in the host: films on disk, bounded memory, lazy VIDEO, bad input."""

from __future__ import annotations

import json
import weakref
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from video_ldm.demo.comfy import HostError, Interrupted

from .film_sizes import FPS, FRAMES, HEIGHT, WIDTH

pytestmark = pytest.mark.usefixtures("output")


def render(host, **inputs):
    """Run the node by itself: its VIDEO."""
    defaults = {"format": "mp4 (H.264)", "quality": 100, "fps": 0.0, "filename_prefix": "film"}
    return host.call("VLDM_RenderVideo", **{**defaults, **inputs})[0]


@pytest.mark.parametrize("name", ["gif", "png sequence (8 bit)"])
def test_a_film_that_another_process_is_making_is_left_alone(host, output, name):
    """Two servers, one folder, one prefix: the name is taken when a film begins."""
    from video_ldm.temporal.claims import claim_new

    suffix = ".gif" if name == "gif" else ""
    with claim_new(lambda number: output / f"film_{number:05}_{suffix}") as others:
        (others.folder / "film").write_bytes(b"theirs")
        render(host, images=torch.rand(2, 8, 8, 3), fps=8.0, format=name)
        others.publish(others.folder / "film")
    assert sorted(path.name for path in output.iterdir()) == [
        f"film_0000{number}_{suffix}" for number in (1, 2)
    ]
    assert others.path.read_bytes() == b"theirs"


class Doubling:
    """An upscaler that repeats pixels and hands frames on in other portions than it gets them."""

    scale = 2
    load_device = torch.device("cpu")
    work = device = 2**30

    def estimate(self, frames, height, width):
        return SimpleNamespace(work=self.work, device=self.device)

    def stream(self, frames):
        for chunk in frames:
            for frame in chunk.split(1):
                yield frame.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)


def test_the_film_shows_the_decoded_clip(host, rig, latent, output, decoded):
    video = render(host, samples=latent, vae=rig.vae, chunk_length=3)
    assert [path.name for path in output.iterdir()] == ["film_00001_.mp4"]
    parts = video.get_components()
    assert parts.images.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert parts.frame_rate == Fraction(6)
    assert (parts.images - decoded).abs().mean().item() < 0.05  # noise, in half the colour resolution
    render(host, samples=latent, vae=rig.vae)
    assert sorted(path.name for path in output.iterdir()) == ["film_00001_.mp4", "film_00002_.mp4"]


def test_images_can_be_rendered_too(host, output):
    images = torch.rand(5, 33, 35, 4)
    video = render(host, images=images, fps=12.0, filename_prefix="a/b/%width%")
    assert [path.name for path in (output / "a" / "b").iterdir()] == ["35_00001_.mp4"]
    assert (video.get_frame_count(), video.get_frame_rate(), video.get_dimensions()) == (5, 12, (36, 34))


def test_transparency_is_kept_or_the_node_says_so(host, output):
    from PIL import Image

    said = {}
    for name in ("mp4 (H.264)", "png sequence (8 bit)"):
        images = torch.full((2, 16, 16, 4), 0.5)
        stream = host.pack("nodes.host.film.frame_stream")
        module = host.pack("nodes.host.film.render")
        clip = stream.frame_stream(None, None, images, None, 8.0, stream.DecodeSettings())
        said[name] = module.render(clip, module.FilmSettings(name, 80, "film"), {}, None).text
    assert said["mp4 (H.264)"].endswith(
        "Transparency is left out: mp4 (H.264) has none; " + module.KEEP_IT + " keep it"
    )
    assert "Transparency is left" not in said["png sequence (8 bit)"]
    assert Image.open(output / "film_00002_" / "frame_000001.png").mode == "RGBA"
    clip = stream.frame_stream(None, None, images, Doubling(), 8.0, stream.DecodeSettings())
    text = module.render(clip, module.FilmSettings("png sequence (8 bit)", 80, "film"), {}, None).text
    assert text.endswith("Transparency is left out: enlarging does not know it")


def test_an_upscaler_enlarges_on_the_way(host, rig, latent, decoded):
    video = render(host, samples=latent, vae=rig.vae, upscaler=Doubling(), format="png sequence (16 bit)")
    frames = video.get_components().images
    assert frames.shape == (FRAMES, 2 * HEIGHT, 2 * WIDTH, 3)
    torch.testing.assert_close(frames[:, ::2, ::2], decoded, atol=1e-5, rtol=0)


def test_a_graph_reports_the_file_and_keeps_prompt_and_workflow(host, output):
    import av

    graph = film_graph()
    run = host.run(graph)
    assert run.shown["3"]["images"] == [{"filename": "film_00001_.mp4", "subfolder": "", "type": "output"}]
    assert run.shown["3"]["animated"] == [True]
    assert "film_00001_.mp4: 5 frames of 64 x 64 at 8 fps" in run.shown["3"]["text"][0]
    with av.open(str(output / "film_00001_.mp4")) as film:
        assert json.loads(film.metadata["prompt"]) == graph


def test_the_node_says_what_it_needs_and_how_long_it_takes(host, monkeypatch):
    from comfy.cli_args import LatentPreviewMethod, args
    from server import PromptServer

    said, previews = [], []
    progress = host.pack("nodes.host.progress")
    monkeypatch.setattr(
        PromptServer.instance, "send_progress_text", lambda text, node: said.append((node, text))
    )
    monkeypatch.setattr(progress, "PAUSE", -1.0)
    monkeypatch.setattr(host.pack("nodes.host.preview"), "SHARE", float("inf"))
    monkeypatch.setattr(args, "preview_method", LatentPreviewMethod.Latent2RGB)
    inner = progress.AnimatedStrip
    monkeypatch.setattr(progress, "AnimatedStrip", lambda *a: previews.append(inner(*a)) or previews[-1])
    host.run(film_graph(chunk_length=2))
    assert {node for node, _ in said} == {"3"}
    texts = [text for _, text in said]
    assert "5 frames of 64 x 64 at 8 fps as mp4 (H.264); needs about" in texts[0]
    assert "free) and about" in texts[0] and "on disk" in texts[0]
    assert texts[1].startswith("frame 2 of 5, ") and texts[1].endswith(" s left")
    assert texts[-1].startswith("film_00001_.mp4: 5 frames")
    assert len(previews[0].frames) == 2 and len(previews[-1].frames) == 5
    assert previews[0].size == (64, 64)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")]
)
def test_durations_in_words(host, seconds, words):
    from video_ldm.nodes.host.progress import duration

    assert duration(seconds) == words


def film_graph(**inputs):
    """Load Checkpoint and an empty latent straight into Render Video."""
    film = {"format": "mp4 (H.264)", "quality": 80, "fps": 8.0, "filename_prefix": "film", **inputs}
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "toy_sd.safetensors"}},
        "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 5}},
        "3": {
            "class_type": "VLDM_RenderVideo",
            "inputs": {"samples": ["2", 0], "vae": ["1", 2], **film},
        },
    }


@pytest.mark.parametrize(
    "name", ["mov (ProRes 422 HQ)", "gif", "exr sequence (half float, linear)", "png sequence (8 bit)"]
)
def test_what_a_browser_cannot_play_is_shown_small(host, output, tmp_path, name):
    import av

    run = host.run(film_graph(format=name))
    shown = run.shown["3"]["images"][0]
    assert (shown["type"], Path(shown["filename"]).suffix) == ("temp", ".mp4")
    with av.open(str(tmp_path / "temp" / shown["filename"])) as film:
        assert len(list(film.decode(video=0))) == 5
    assert len(list(output.iterdir())) == 1
    assert run.outputs["3"][0].get_components().images.shape == (5, 64, 64, 3)


def test_the_same_frames_are_not_held_twice(host, rig, output):
    """Every chunk is gone when the chunk after the next one is made."""
    from video_ldm.nodes.host.film.frame_stream import FrameStream
    from video_ldm.nodes.host.film.render import FilmSettings, render

    alive = []

    def chunks():
        for _ in range(20):
            chunk = torch.rand(2, 16, 16, 3)
            alive.append(weakref.ref(chunk))
            yield chunk
            del chunk
            assert sum(part() is not None for part in alive) <= 2

    clip = FrameStream(chunks, 40, 16, 16, 8.0, {torch.device("cpu"): 0.0}, {})
    render(clip, FilmSettings("png sequence (8 bit)", 80, "film"), {}, None)
    assert len(alive) == 20 and len(list((output / "film_00001_").iterdir())) == 40


def lazy(host, rig, latent, **inputs):
    return host.call("VLDM_LazyVideo", **{"samples": latent, "vae": rig.vae, "fps": 0.0, **inputs})[0]


def count_decodes(vae, monkeypatch):
    """Frames of every decode from here on."""
    calls, inner = [], vae.first_stage_model.decode

    def counted(z, **options):
        calls.append(z.shape[0])
        return inner(z, **options)

    monkeypatch.setattr(vae.first_stage_model, "decode", counted)
    return calls


def test_a_lazy_video_decodes_nothing_before_it_is_saved(host, rig, latent, tmp_path, monkeypatch):
    calls = count_decodes(rig.vae, monkeypatch)
    video = lazy(host, rig, latent, upscaler=Doubling(), chunk_length=3)
    assert video.get_dimensions() == (2 * WIDTH, 2 * HEIGHT)
    assert (video.get_frame_count(), video.get_frame_rate()) == (FRAMES, 6)
    assert video.get_duration() == pytest.approx(FRAMES / FPS)
    assert video.get_container_format() == "mp4"
    assert not calls
    video.save_to(str(tmp_path / "film.mp4"))
    assert sum(calls) >= FRAMES and max(calls) <= 4


def test_the_hosts_save_video_saves_a_lazy_video(host, rig, latent, output, decoded):
    from comfy_api.latest import InputImpl

    video = lazy(host, rig, latent)
    host.call("SaveVideo", video=video, filename_prefix="film", format="auto", codec="auto")
    parts = InputImpl.VideoFromFile(str(output / "film_00001_.mp4")).get_components()
    assert parts.images.shape == decoded.shape
    assert torch.equal(video.get_components().images, decoded)
    assert InputImpl.VideoFromFile(video.get_stream_source()).get_frame_count() == FRAMES


def test_a_lazy_video_is_mp4_only(host, rig, latent, output):
    from video_ldm.temporal.errors import VideoLDMError

    with pytest.raises(ValueError, match=r"saved as mp4 with H.264, not as webm with auto") as error:
        lazy(host, rig, latent).save_to(str(output / "film.webm"), format="webm")
    assert type(error.value).__name__ == "InvalidInputError" and VideoLDMError
    assert not list(output.iterdir())


def test_sound_is_in_the_film(host, rig, latent):
    audio = {"waveform": torch.sin(torch.arange(96000) * 0.1).reshape(1, 1, -1), "sample_rate": 24000}
    for video in (
        render(host, samples=latent, vae=rig.vae, audio=audio),
        lazy(host, rig, latent, audio=audio),
    ):
        heard = video.get_components().audio
        assert heard["waveform"].shape[-1] / heard["sample_rate"] >= FRAMES / FPS - 0.05


BAD = {
    "no clip": ({"samples": None, "vae": None}, "neither samples nor images is connected"),
    "two clips": ({"images": torch.zeros(1, 8, 8, 3)}, "both samples and images are connected"),
    "no vae": ({"vae": None}, "Latents were given without a VAE"),
    "a latent of another space": (
        {"samples": {"samples": torch.zeros(2, 16, 4, 4)}},
        "The latent has shape (2, 16, 4, 4); this VAE decodes (frames, 4, height, width)",
    ),
    "an unknown format": (
        {"format": "avi"},
        "format is 'avi', which is not there to choose. Choose one of mp4 (H.264)",
    ),
    "a path that leaves": ({"filename_prefix": "../film"}, "leads out of ComfyUI's output folder"),
    "an absolute path": ({"filename_prefix": "/etc/film"}, "leads out of ComfyUI's output folder"),
    "a name no disk holds": (
        {"filename_prefix": "a/" + "x" * 250},
        "has 261 bytes, but a name holds at most 255",
    ),
    "a folder no disk holds": (
        {"filename_prefix": "\u5706" * 100 + "/a"},
        "has 300 bytes, but a name holds at most 255",
    ),
    "sound for a gif": (
        {"format": "gif", "audio": {"waveform": torch.zeros(1, 1, 9), "sample_rate": 9}},
        "gif has no place for sound",
    ),
    "a frame rate for a gif": ({"format": "gif", "fps": 60.0}, "gif plays more than 0 and at most 50"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_value_is_refused_before_anything_is_decoded(host, rig, latent, output, monkeypatch, case):
    changes, message = BAD[case]
    calls = count_decodes(rig.vae, monkeypatch)
    with pytest.raises(ValueError) as error:
        render(host, **{"samples": latent, "vae": rig.vae, **changes})
    assert message in str(error.value)
    assert not calls and not list(output.iterdir())


def test_a_clip_without_a_frame_rate_asks_for_one(host, rig, latent):
    with pytest.raises(ValueError, match=r"carries no frame rate.*Set fps"):
        render(host, samples={"samples": latent["samples"]}, vae=rig.vae)


def test_a_size_no_codec_holds_is_refused(host, rig):
    wide = {"samples": torch.zeros(1, 4, 1, 1).expand(2, 4, 4, 2100), "video_ldm_fps": 8.0}
    with pytest.raises(ValueError, match=r"16800 x 32, but mp4 \(H.264\) holds 2 to 16384 pixels a side"):
        render(host, samples=wide, vae=rig.vae)


def test_what_cannot_fit_in_memory_is_refused(host, rig, output):
    vast = {"samples": torch.zeros(1, 4, 1, 1).expand(2, 4, 8000, 8000), "video_ldm_fps": 8.0}
    with pytest.raises(ValueError, match=r"at least \d+\.\d GB of memory at once.*Make the clip smaller"):
        render(host, samples=vast, vae=rig.vae, format="png sequence (8 bit)")
    assert not list(output.iterdir())


@pytest.mark.parametrize("need", ["work", "device"])
def test_an_upscaler_that_cannot_fit_is_refused(host, rig, latent, output, need):
    greedy = Doubling()
    setattr(greedy, need, 2**50)
    with pytest.raises(
        ValueError, match=r"lower the upscaler's tile_size, context_length or steps, or leave it out"
    ):
        render(host, samples=latent, vae=rig.vae, upscaler=greedy)
    assert not list(output.iterdir())


def test_what_cannot_fit_on_the_disk_is_refused(host, rig, latent, output, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2000))
    with pytest.raises(ValueError, match=r"needs about \d+ KB on disk, and .* has 2 KB free. Free space"):
        render(host, samples=latent, vae=rig.vae)
    assert not list(output.iterdir())


def test_the_estimate_is_said_before_and_is_about_right(host, rig, latent, output, caplog):
    caplog.set_level("INFO")
    render(host, images=torch.rand(9, 64, 64, 3), format="png sequence (8 bit)", fps=8.0)
    said = next(record.message for record in caplog.records if "Rendering" in record.message)
    assert "9 frames of 64 x 64 at 8 fps as png sequence (8 bit); needs about" in said and "on disk" in said
    size = sum(path.stat().st_size for path in (output / "film_00001_").iterdir())
    assert 0.3 < size / (15.4 / 8 * 9 * 64 * 64) < 3


def interrupt_at(host, patch, chunk):
    """The user's interrupt comes as a chunk of frames, by its number from 1, is handed to the writer."""
    import comfy.model_management as mm

    writer = host.pack("temporal.video.writer")
    inner, count = writer.check_frames, [0]

    def interrupting(*arguments):
        count[0] += 1
        if count[0] == chunk:
            mm.interrupt_current_processing()
        return inner(*arguments)

    patch.setattr(writer, "check_frames", interrupting)


def test_the_memory_announced_for_taesd_is_its_own_not_that_of_a_kl_decoder(host):
    from video_ldm.nodes.host.film.frame_stream import DecodeSettings, frame_stream

    vae = host.call("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors")[2]
    film = {"samples": torch.zeros(1, 4, 1, 1).expand(32, 4, 64, 64), "video_ldm_fps": 8.0}
    measured = 2171 * 2**20  # of Render Video, by benchmarks/cost/memory.py --vae toy
    memory = frame_stream(film, vae, None, None, 0.0, DecodeSettings()).memory
    assert sum(memory.values()) == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize("name", ["mp4 (H.264)", "png sequence (8 bit)"])
def test_an_interrupt_leaves_nothing_and_the_next_prompt_runs(host, output, monkeypatch, name):
    graph = film_graph(format=name)
    interrupt_at(host, monkeypatch, 1)
    with pytest.raises(Interrupted):
        host.run(graph)
    assert not list(output.iterdir())
    host.run(graph)
    assert len(list(output.iterdir())) == 1


def test_a_disk_that_gives_up_is_told_and_the_next_prompt_runs(host, output, monkeypatch):
    """The output folder is a file: nothing can be written there, whoever asks."""
    import folder_paths

    blocked = output / "blocked"
    blocked.write_text("")
    with monkeypatch.context() as patch:
        patch.setattr(folder_paths, "output_directory", str(blocked))
        with pytest.raises(HostError, match="The film cannot be written to"):
            host.run(film_graph())
    assert host.run(film_graph()).shown["3"]["images"]
