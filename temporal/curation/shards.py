"""WebDataset shards of a data set.

Tar files of clips and their rows, and an index that says what lies where.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import OutputError
from ..weights.whole_file import whole_file
from .table import ClipRow, write_text

INDEX = "index.json"
READ = 2**20  # bytes of a shard that are hashed at a time


def write_shards(root: Path, out: Path, rows: Sequence[ClipRow], clips_each: int = 500) -> list[Path]:
    """Cut the kept clips out of their films into numbered tar files of `clips_each` clips.

    KEY.mp4 and KEY.json.

    Each shard and the index are written whole. Raises OutputError when a clip cannot be cut or the disk is
    full.
    """
    kept = [row for row in rows if row.kept]
    runs = [kept[start : start + clips_each] for start in range(0, len(kept), clips_each)]
    paths, shards = [], []
    out.mkdir(parents=True, exist_ok=True)
    for number, run in enumerate(runs):
        path = out / f"{number:06d}.tar"
        digest = _write_shard(path, root, run)
        paths.append(path)
        shards.append(
            {"file": path.name, "clips": len(run), "sha256": digest, "keys": [row.key for row in run]}
        )
    write_text(out / INDEX, json.dumps({"clips": len(kept), "shards": shards}, indent=1) + "\n")
    return paths


def _write_shard(path: Path, root: Path, rows: Sequence[ClipRow]) -> str:
    with whole_file(path) as partial:
        with tarfile.open(partial, "w") as tar:
            for name, data in _members(root, rows):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        digest = hashlib.sha256()
        with partial.open("rb") as file:
            while part := file.read(READ):
                digest.update(part)
        return digest.hexdigest()


def _members(root: Path, rows: Sequence[ClipRow]) -> Iterator[tuple[str, bytes]]:
    for row in rows:
        yield f"{row.key}.mp4", cut_out(root / row.file, row)
        yield f"{row.key}.json", json.dumps(row.to_json(), ensure_ascii=False).encode()


def cut_out(film: Path, row: ClipRow) -> bytes:
    """A clip as H.264, exact to the frame, without its sound."""
    import imageio_ffmpeg

    with tempfile.TemporaryDirectory(prefix="video_ldm_") as folder:
        path = Path(folder) / "clip.mp4"
        command = [
            imageio_ffmpeg.get_ffmpeg_exe(),
            "-v",
            "error",
            "-nostdin",
            "-ss",
            f"{row.start:.3f}",
            "-i",
            str(film),
        ]
        command += ["-t", f"{row.seconds:.3f}", "-an", "-c:v", "libx264", "-crf", "16", "-pix_fmt", "yuv420p"]
        command += ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-movflags", "+faststart", str(path)]
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode or not path.is_file():
            reason = (made.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise OutputError(f"The clip at {row.start:.1f} s of {row.file} could not be cut out: {reason}.")
        return path.read_bytes()
