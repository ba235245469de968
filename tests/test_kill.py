"""The layer that kills at the n-th file operation.

It sees what changes a folder, dies right before, and ends.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from video_ldm.tests.kill import IS_AVAILABLE, at_every_operation, trial

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IS_AVAILABLE, reason="Linux counts the operations"),
]


def kinds(made) -> list[str]:
    """Operations without their folder and the version of the call."""
    return [
        f"{line.split()[0].removesuffix('at').removesuffix('2')} {Path(line.split()[1]).name}"
        for line in made.operations
    ]


def test_what_changes_the_folder_is_counted_and_nothing_else(tmp_path):
    (tmp_path / "old").write_bytes(b"old")

    def work():
        (tmp_path / "old").read_bytes()
        (tmp_path.parent / "elsewhere").write_bytes(b"x")
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "a").write_bytes(b"a")
        (tmp_path / "sub" / "a").rename(tmp_path / "b")
        (tmp_path / "b").unlink()

    assert kinds(trial(work, tmp_path)) == ["mkdir sub", "open a", "write a", "rename a", "unlink b"]


@pytest.mark.parametrize("who", ["rust", "thread", "program"])
def test_libraries_threads_and_other_programs_are_seen(tmp_path, who):
    path = tmp_path / "file"

    def work():
        if who == "rust":
            save_file({"a": torch.zeros(3)}, path)
        elif who == "thread":
            thread = threading.Thread(target=path.write_bytes, args=(b"x",))
            thread.start(), thread.join()
        else:
            subprocess.run([sys.executable, "-c", f"open({str(path)!r}, 'wb').write(b'x')"], check=True)

    made = trial(work, tmp_path)
    assert not made.killed and path.stat().st_size
    assert any(line.startswith("open") for line in made.operations)
    assert any(line.split()[0] in ("write", "ftruncate", "rename") for line in made.operations), (
        made.operations
    )


def test_it_dies_right_before_each_operation(tmp_path):
    def fresh():
        for path in tmp_path.iterdir():
            path.unlink()

    def work():
        (tmp_path / "a").write_bytes(b"one")
        (tmp_path / "a").rename(tmp_path / "b")

    left = []
    for made in at_every_operation(work, tmp_path, fresh):
        assert made.killed
        left.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert left == [{}, {"a": b""}, {"a": b"one"}]
    assert (tmp_path / "b").read_bytes() == b"one", "the last run lives"


def test_work_that_fails_by_itself_is_no_kill(tmp_path, capfd):
    with pytest.raises(RuntimeError, match="failed by itself"):
        trial(lambda: 1 / 0, tmp_path)
    assert "ZeroDivisionError" in capfd.readouterr().err
