"""`python -m video_ldm.graphs`: files and folders in, new files out, and nothing ever written over."""

from __future__ import annotations

import json
import subprocess

import imageio_ffmpeg
import pytest
from PIL import Image, PngImagePlugin
from video_ldm.graphs.__main__ import main
from video_ldm.nodes.graphs.convert import convert
from video_ldm.tests.graphs.examples import GRAPHS, as_ui

GRAPH = as_ui(GRAPHS["gen1_loras"])
TEXT = json.dumps(GRAPH)


def picture(path, key="workflow"):
    """A picture with a graph in it, as the host saves it."""
    image = Image.new("RGB", (8, 8))
    if path.suffix == ".png":
        info = PngImagePlugin.PngInfo()
        info.add_text(key, TEXT)
        image.save(path, pnginfo=info)
    else:
        exif = image.getexif()
        exif[0x010F] = f"{key}:{TEXT}"
        image.save(path, exif=exif)


def film(path, **tags):
    """A film with tags."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "color=s=16x16:d=0.2:r=5"]
    for name, text in tags.items():
        command += ["-metadata", f"{name}={text}"]
    subprocess.run([*command, "-movflags", "use_metadata_tags", str(path)], check=True)


@pytest.mark.parametrize("name", ["a.json", "a.png", "a.webp", "a.mp4", "a.webm", "comment.mp4"])
def test_the_graph_of_every_kind_of_file_is_converted(name, tmp_path, capsys):
    path, out = tmp_path / name, tmp_path / "out.json"
    if path.suffix == ".json":
        path.write_text(TEXT, "utf-8")
    elif path.suffix in (".png", ".webp"):
        picture(path)
    elif name.startswith("comment"):
        film(path, comment=json.dumps({"workflow": TEXT, "prompt": "{}"}))
    else:
        film(path, workflow=TEXT)
    assert main(["convert", str(path), str(out)]) == 0
    assert json.loads(out.read_text("utf-8")) == json.loads(json.dumps(convert(GRAPH).graph))
    assert "Load Motion LoRA" in capsys.readouterr().out


def test_a_folder_keeps_its_shape_and_bad_files_do_not_stop_it(tmp_path, capsys):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "a.json").write_text(TEXT, "utf-8")
    (tmp_path / "in" / "b.json").write_text("no json", "utf-8")
    Image.new("RGB", (4, 4)).save(tmp_path / "in" / "c.png")
    assert main(["convert", str(tmp_path / "in"), str(tmp_path / "out")]) == 2
    assert (tmp_path / "out" / "sub" / "a.json").is_file()
    error = capsys.readouterr().err
    assert "b.json is not JSON" in error and "c.png holds no graph" in error


def test_a_file_that_exists_is_never_written_over(tmp_path, capsys):
    path = tmp_path / "a.json"
    path.write_text(TEXT, "utf-8")
    assert main(["convert", str(path), str(path)]) == 2
    assert path.read_text("utf-8") == TEXT
    assert "left as it is" in capsys.readouterr().err


def test_inspect_says_what_would_be_and_writes_nothing(tmp_path, capsys):
    path = tmp_path / "a.json"
    path.write_text(TEXT, "utf-8")
    assert main(["inspect", str(path)]) == 0
    assert "Load Temporal Layers" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [path]


def test_packs_that_are_kept(tmp_path, capsys):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(GRAPHS["vhs"]), "utf-8")
    assert main(["inspect", str(path), "--keep", "videohelpersuite"]) == 0
    assert "Render Video" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["gone.json", "text.txt", "damaged.png", "damaged.mp4"])
def test_what_cannot_be_read_is_one_sentence(name, tmp_path, capsys):
    path = tmp_path / name
    if not name.startswith("gone"):
        path.write_bytes(b"nothing of that kind")
    assert main(["inspect", str(path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
