"""Names of what is being made.

One owner at a time, no other's work lost, what the dead left is swept away.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from video_ldm.temporal.claims import Claim, claim_new, sweep

HOLDS = """
import sys
from pathlib import Path
from video_ldm.temporal.claims import claim_new
claim = claim_new(lambda number: Path(sys.argv[1]) / f"film_{number:05}_.mp4")
(claim.folder / "film.mp4").write_bytes(b"half")
print(claim.path.name, flush=True)
if sys.stdin.readline() == "finish\\n":
    claim.publish(claim.folder / "film.mp4")
    claim.end()
"""


def films(folder: Path):
    """Names of a series in a folder."""
    return lambda number: folder / f"film_{number:05}_.mp4"


def holder(folder: Path) -> subprocess.Popen:
    """A process that makes a film until it is told to finish."""
    command = [sys.executable, "-c", HOLDS, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_two_processes_make_two_films_of_one_name(tmp_path):
    with holder(tmp_path) as one:
        assert one.stdout.readline() == "film_00001_.mp4\n"
        with claim_new(films(tmp_path)) as claim:
            assert claim.path.name == "film_00002_.mp4"
            (claim.folder / "film").write_bytes(b"two")
            claim.publish(claim.folder / "film")
        one.communicate("finish\n")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "film_00001_.mp4": b"half",
        "film_00002_.mp4": b"two",
    }


def test_threads_of_one_process_get_names_of_their_own(tmp_path):
    claims = []
    threads = [threading.Thread(target=lambda: claims.append(claim_new(films(tmp_path)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ExitStack() as stack:
        names = [stack.enter_context(claim).path.name for claim in claims]
    assert sorted(names) == [f"film_{number:05}_.mp4" for number in range(1, 9)]
    assert not list(tmp_path.iterdir())


def test_what_a_living_process_makes_stays_and_what_the_dead_left_goes(tmp_path):
    (tmp_path / ".video_ldm_mine").write_bytes(b"of somebody else")
    with holder(tmp_path) as one:
        one.stdout.readline()
        sweep(tmp_path)
        assert len(list(tmp_path.iterdir())) == 3
        one.kill()
        one.wait()
    with claim_new(films(tmp_path)) as claim:
        assert claim.path.name == "film_00001_.mp4", "nothing has the name any more"
        assert not list(claim.folder.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == [".video_ldm_mine"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_name_that_another_program_took_meanwhile_is_left_to_it(tmp_path, kind):
    with claim_new(lambda number: tmp_path / f"film_{number:05}_") as claim:
        made = claim.folder / "made"
        if kind == "file":
            made.write_bytes(b"ours")
            claim.path.write_bytes(b"theirs")
        else:
            for folder, content in ((made, b"ours"), (claim.path, b"theirs")):
                folder.mkdir()
                (folder / "frame").write_bytes(content)
        claim.publish(made)
    inside = "." if kind == "file" else "frame"
    found = {path.name: (path / inside).read_bytes() for path in tmp_path.iterdir()}
    assert found == {"film_00001_": b"theirs", "film_00002_": b"ours"}
    assert claim.path.name == "film_00002_"


@pytest.mark.parametrize("kind", ["link", "rename"])
def test_a_disk_without_links_takes_a_film_too(tmp_path, monkeypatch, kind):
    def refused(*args):
        raise PermissionError(1, "Operation not permitted")

    if kind == "rename":
        monkeypatch.setattr(os, "link", refused)
    with claim_new(films(tmp_path)) as claim:
        (claim.folder / "film").write_bytes(b"film")
        claim.publish(claim.folder / "film")
    assert [path.name for path in tmp_path.iterdir()] == ["film_00001_.mp4"]


def test_a_disk_without_locks_sweeps_nothing_and_still_keeps_names_apart(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def unknown(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with claim_new(films(tmp_path)) as one, claim_new(films(tmp_path)) as two:
        assert (one.path.name, two.path.name) == ("film_00001_.mp4", "film_00002_.mp4")
        sweep(tmp_path)
        assert one.folder.is_dir() and two.folder.is_dir()


def test_a_given_name_is_replaced_at_the_end_and_shared_by_who_asks(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")
    with Claim(path) as one, Claim(path) as two:
        for claim in (one, two):
            assert claim.begin()
            (claim.folder / "film").write_bytes(b"new")
        assert path.read_bytes() == b"old"
        one.publish(one.folder / "film")
        two.publish(two.folder / "film")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("film.mp4", b"new")]
