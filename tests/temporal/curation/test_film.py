"""A folder of films to a table, a report and shards.

Bad films do not stop the rest, and every engine gives the same.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import tarfile
import threading
from argparse import Namespace
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import imageio_ffmpeg
import numpy as np
import pytest
from video_ldm.curation.__main__ import main
from video_ldm.curation.captioning import captioned
from video_ldm.temporal.curation.captions import Server
from video_ldm.temporal.curation.engine import Job, run_all
from video_ldm.temporal.curation.film import CurationSettings, look_at, pieces
from video_ldm.temporal.curation.folder import captions_of
from video_ldm.temporal.curation.ledger import FilmResult
from video_ldm.temporal.curation.table import ClipRow, read_table
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.video.reading import fitted, frames_of, probe

from .films import FPS, shot, write_film

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two shots in one film, a vertical still film, and five that cannot be used."""
    path = tmp_path_factory.mktemp("films")
    (path / "deep").mkdir()
    write_film(path / "two.mp4", np.concatenate([shot(1, 75), shot(2, 100)]))
    still = np.repeat(shot(3, 1)[:, :, :50], 60, axis=0)
    write_film(path / "deep" / "vertical.mp4", still)
    write_film(path / "short.mp4", shot(4, 20))
    (path / "two.txt").write_text("dots that drift")
    (path / "empty.mp4").touch()
    (path / "broken.mp4").write_bytes(b"no film" * 100)
    whole = (path / "two.mp4").read_bytes()
    (path / "cut_off.mp4").write_bytes(whole[: len(whole) // 2])
    tone = ["-f", "lavfi", "-i", "sine=duration=1", str(path / "sound.mp4")]
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *tone], check=True)
    return path


def settings(**changes):
    """Settings without text, which takes long to load."""
    return CurationSettings(skip=("text",), **changes)


def test_films_say_what_they_are(folder):
    film = probe(folder / "two.mp4")
    assert (film.width, film.height, film.fps) == (160, 90, FPS) and abs(film.seconds - 7) < 0.1
    frames = list(frames_of(film, 5.0, (80, 46), start=1.0, seconds=2.0))
    assert len(frames) in (10, 11) and frames[0].shape == (46, 80, 3)
    assert fitted(film, 45) == (80, 44) or fitted(film, 45) == (80, 46)
    assert fitted(film, 1000) == (160, 90)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("empty.mp4", "is empty"),
        ("broken.mp4", "cannot be read as a film"),
        ("cut_off.mp4", "cannot be"),
        ("sound.mp4", "holds sound and no pictures"),
        ("gone.mp4", "There is no film"),
        ("short.mp4", "has no shot of 2 seconds"),
    ],
)
def test_a_film_that_cannot_be_used_is_a_result_with_its_problem(folder, name, said):
    result = look_at(folder / name, folder, settings())
    assert said in result.problem and not result.rows


def test_shots_become_clips_with_scores(folder):
    result = look_at(folder / "two.mp4", folder, settings())
    first, second = result.rows
    assert first.start == 0 and abs(first.end - 2.9) < 0.05 and abs(second.start - 3.1) < 0.05
    # 0.6 pixels a frame, 25 frames a second, a diagonal of 184 pixels: 0.08
    assert 0.03 < first.motion < 0.15
    (still,) = look_at(folder / "deep" / "vertical.mp4", folder, settings()).rows
    assert still.motion < 0.002 and (still.width, still.height) == (50, 90)
    assert still.file == "deep/vertical.mp4"


def test_long_shots_are_divided_and_short_ones_left_out():
    assert pieces(0.0, 9.0, settings(longest=4.0)) == [(0.0, 3.0), (3.0, 6.0), (6.0, 9.0)]
    assert pieces(5.0, 6.9, settings()) == []


@pytest.mark.parametrize(
    "changes", [{"skip": ("cut",)}, {"shortest": 0.0}, {"shortest": 9.0, "longest": 4.0}]
)
def test_settings_that_make_no_sense_are_refused(changes):
    with pytest.raises(InvalidInputError):
        CurationSettings(**changes)


def test_two_processes_give_what_one_gives(folder, tmp_path):
    paths = [folder / name for name in ("two.mp4", "short.mp4", "empty.mp4")]
    alone = list(run_all(Job(tmp_path / "one", settings()), paths))
    both = list(run_all(Job(tmp_path / "two", settings()), paths, workers=2))
    assert sorted(both, key=lambda r: r.file) == sorted(alone, key=lambda r: r.file)


def test_the_command_makes_table_report_and_shards_that_training_reads(folder, tmp_path, capsys):
    out = tmp_path / "set"
    command = [str(folder), "--out", str(out), "--skip", "text", "--shards", str(tmp_path / "shards")]
    assert main(command) == 0
    # the still one is below the limit of motion
    assert "2 of 3 clips kept, of 7 films" in capsys.readouterr().out
    kept = [row for row in read_table(out) if row.kept]
    assert [row.captions[0].text for row in kept] == ["dots that drift"] * 2
    page = (out / "report.html").read_text("utf-8")
    assert "2 of 3 clips kept" in page and "broken.mp4 cannot be read" in page and "data:image/jpeg" in page
    assert "-0.5 to 0.5" not in page
    index = json.loads((tmp_path / "shards" / "index.json").read_text())
    assert index["clips"] == 2
    with tarfile.open(tmp_path / "shards" / index["shards"][0]["file"]) as tar:
        assert sorted(tar.getnames()) == sorted(
            f"{row.key}.{kind}" for row in kept for kind in ("json", "mp4")
        )
    from video_ldm.temporal.curation.folder import Video, find_videos, read_frames

    first, second = find_videos(out)
    assert first.caption == "dots that drift"
    frames = read_frames(second, FPS, (160, 88))
    expected = read_frames(Video(folder / "two.mp4"), FPS, (160, 88))[round(second.start * FPS) :][
        : len(frames)
    ]
    assert abs(len(frames) - second.seconds * FPS) <= 1
    assert (frames - expected).abs().mean() < 2 / 255


def test_a_new_threshold_looks_at_no_film_again(folder, tmp_path, monkeypatch):
    out = tmp_path / "set"
    assert main([str(folder), "--out", str(out), "--skip", "text"]) == 0
    monkeypatch.setattr("video_ldm.temporal.curation.engine.look_at", None)
    assert main([str(folder), "--out", str(out), "--skip", "text", "--limit", "motion=0"]) == 0
    assert sum(row.kept for row in read_table(out)) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--drop", "beauty=0.2"], "is no share"),
        (["--drop", "motion=2"], "is no share"),
        (["--limit", "motion"], "is no limit"),
        (["--shortest", "0"], "give two lengths above 0"),
        (["--caption-command", "no_such_program_here {picture}"], "could not be run"),
        (["--caption-command", f"{sys.executable} -c 1"], "it printed nothing"),
        (["--caption-command", "say 'without an end"], "which is no command"),
        (["--caption-command", " "], "which is no command"),
    ],
)
def test_mistakes_are_one_sentence(folder, tmp_path, capsys, words, said):
    assert main([str(folder / "deep"), "--out", str(tmp_path), "--skip", "text", *words]) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert said in error


def test_a_caption_that_is_no_text_is_named(tmp_path):
    (tmp_path / "film.txt").write_bytes(b"\xff\xfe\x00dots")
    with pytest.raises(InvalidInputError, match=r"film\.txt is not written in UTF-8"):
        captions_of(tmp_path, [tmp_path / "film.mp4"])


def test_captions_are_those_that_training_reads(tmp_path):
    films, out = tmp_path / "films", tmp_path / "set"
    (films / "deep").mkdir(parents=True)
    lines = ['{"file_name": "deep/a.mp4", "text": ["one", "two"]}', '{"file_name": "b.mp4", "elevation": 5}']
    (films / "metadata.jsonl").write_text("\n".join(lines), "utf-8-sig")
    files = ("../films/deep/a.mp4", "../films/b.mp4")
    results = [FilmResult(file, 1.0, (ClipRow(file, file, 0.0, 1.0, 8.0, 64, 48),)) for file in files]
    args = Namespace(films=films, caption_command=None, caption_server=None)
    (one, other) = captioned(args, Job(out, CurationSettings()), results)
    assert [caption.text for caption in one.captions] == ["one", "two"] and not other.captions


@pytest.mark.parametrize("place", ["--out", "--shards"])
def test_a_place_that_takes_no_files_is_one_sentence(folder, tmp_path, capsys, place):
    (tmp_path / "file").touch()
    words = {"--out": str(tmp_path / "set"), place: str(tmp_path / "file" / "below")}
    given = [word for pair in words.items() for word in pair]
    assert main([str(folder / "deep"), "--skip", "text", *given]) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    assert "below" in error and error.endswith(".") and "Traceback" not in error


def test_a_worker_that_the_system_ends_is_one_sentence(tmp_path, monkeypatch):
    def ended(*_args):
        future: Future = Future()
        future.set_exception(BrokenProcessPool("gone"))
        return future

    monkeypatch.setattr(ProcessPoolExecutor, "submit", ended)
    with pytest.raises(InvalidInputError, match="fewer --workers"):
        list(run_all(Job(tmp_path, settings()), [tmp_path / "film.mp4"], workers=2))


def test_a_folder_without_films_is_refused(tmp_path, capsys):
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "holds no films" in capsys.readouterr().err


class ChatServer(http.server.BaseHTTPRequestHandler):
    """Answers as OpenAI's chat API does: with the number of pictures it was shown."""

    def do_POST(self):
        """Count the pictures of a question."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = asked["messages"][0]["content"]
        text = f"{sum(part['type'] == 'image_url' for part in content)} pictures"
        body = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""


def test_a_local_server_writes_three_captions(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ChatServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        (row, _) = look_at(folder / "two.mp4", folder, settings()).rows
        captions = Server(f"http://127.0.0.1:{server.server_port}/v1", "toy").captions(folder, row)
    finally:
        server.shutdown()
    assert [(caption.text, caption.weight) for caption in captions] == [
        ("1 pictures", 0.5),
        ("4 pictures", 0.25),
        ("0 pictures", 0.25),
    ]
    with pytest.raises(InvalidInputError, match="did not answer as OpenAI's chat API does"):
        Server(f"http://127.0.0.1:{server.server_port + 1}/v1", "toy").captions(folder, row)
