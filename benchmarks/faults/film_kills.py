"""Extend Video and Render Video, killed at each file operation.

    python -m video_ldm.benchmarks.faults.film_kills

A program is killed right before its first operation on files, before its second, and so on, with the encoder
that it started (tests/kill.py; Linux). After each kill two things are asked. Under a final name lies what is
whole or nothing, and what was there before is untouched. And the same work, done again, ends with exactly
what it makes undisturbed, with nothing left over. `--host` kills the nodes in a ComfyUI, too.

Shapes: frames (f h w 3) float 0..1, latents (f c h w).
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ...temporal.claims import claim_new
from ...temporal.sampling.rollout import Rollout, digest
from ...temporal.video import FORMATS, Film, FilmWriter, Sound
from ...tests.kill import at_every_operation
from ..toy_world import common

FILMS = ("mp4 (H.264)", "webp (animated)", "gif", "png sequence (8 bit)")
WITH_SOUND = ("mp4 (H.264)", "png sequence (8 bit)")
SEGMENTS, NEW, CONTEXT, SEED = 3, 3, 2, 7
LATENT = (4, 8, 8)
OTHERS = "film_00001_"


@dataclass(frozen=True)
class Subject:
    """Work that is killed.

    `fresh` prepares the folder, `work` fills it, `problem` says what is wrong afterwards.
    """

    name: str
    folder: Path
    fresh: Callable[[], object]
    work: Callable[[], object]
    problem: Callable[[], str]


def numbers(count: int, *shape: int, seed: int = SEED) -> Tensor:
    """Random numbers, the same ones every time."""
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(seed))


def rollout(folder: Path, count: int = SEGMENTS) -> Subject:
    """`count` segments and the joined clip of Extend Video, without a model."""

    def work() -> Tensor:
        told: list[str] = []
        clip, segments = Rollout(folder, told.append), []
        for number in range(1, count + 1):
            key, made = digest(str(number)), numbers(NEW, *LATENT, seed=number)
            kept = clip.load(number, key, made.shape)
            if kept is None:
                clip.save(number, key, made)
            segments.append((number, key, NEW))
        if told:
            raise ValueError(f"A segment was damaged: {told}")
        return clip.join(numbers(CONTEXT, *LATENT), segments)

    return _of_segments("rollout", folder, work)


def _of_segments(name: str, folder: Path, work: Callable[[], Tensor]) -> Subject:
    _empty(folder)
    whole, files = work().clone(), segments_in(folder)

    def problem() -> str:
        if any(files.get(name) != value for name, value in segments_in(folder).items()):
            return "a segment is not whole"
        if not torch.equal(work(), whole) or segments_in(folder) != files:
            return "the clip is another one"
        left = sorted(contents(folder).keys() - files.keys())
        return f"left over: {left}" if left else ""

    return Subject(name, folder, partial(_empty, folder), work, problem)


def film(folder: Path, name: str) -> Subject:
    """A film beside one that another program wrote."""
    suffix = "" if FORMATS[name].is_sequence else FORMATS[name].suffix
    sound = Sound(numbers(1, 4000) - 0.5, 8000) if name in WITH_SOUND else None

    def work() -> None:
        claim = claim_new(lambda number: folder / f"film_{number:05}_{suffix}")
        with FilmWriter(claim, Film(name, 8.0, notes={"prompt": "x"}, sound=sound)) as writer:
            for chunk in numbers(6, 32, 48, 3).split(2):
                writer.write(chunk)

    return _of_films(f"film: {name}", folder, f"{OTHERS}{suffix}", work)


def _of_films(name: str, folder: Path, others: str, work: Callable[[], object]) -> Subject:
    def fresh() -> None:
        _empty(folder)
        (folder / others).write_bytes(b"of somebody else")

    fresh()
    work()
    made = films(folder)
    theirs, ours = made.pop(others), next(iter(made.values()))

    def problem() -> str:
        found = films(folder)
        if found.pop(others, None) != theirs:
            return "another's film was touched"
        if any(value != ours for value in found.values()):
            return "a film is not whole"
        work()
        after = films(folder)
        after.pop(others)
        if len(after) != len(found) + 1 or any(value != ours for value in after.values()):
            return "the film of the next run is another one"
        left = sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
        return f"left over: {left}" if left else ""

    return Subject(name, folder, fresh, work, problem)


def nodes(folder: Path) -> Iterator[Subject]:
    """Extend Video with the toy layers, and Render Video, in a ComfyUI of this process."""
    from ...tests.host.rig import Rig
    from ...tests.in_process import InProcessHost

    host = InProcessHost(folder / "comfyui")
    import folder_paths

    rig, output = Rig(), folder / "output"
    folder_paths.output_directory = str(output)
    model = rig.with_layers()
    sampler = {"steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "fps": 8.0}
    lengths = {
        "segments": SEGMENTS,
        "seconds": 0.0,
        "segment_length": NEW + CONTEXT,
        "context_frames": CONTEXT,
    }
    start = {"samples": numbers(CONTEXT, *LATENT)}
    texts = {"positive": rig.positive, "negative": rig.negative}

    def extend() -> Tensor:
        chosen = {**texts, **sampler, **lengths, "seeds": str(SEED), "folder": "segments"}
        return host.call("VLDM_ExtendVideo", model=model, samples=start, **chosen)[0][0]["samples"]

    yield _of_segments("Extend Video", output, extend)
    for name in ("mp4 (H.264)", "png sequence (8 bit)"):
        suffix = "" if FORMATS[name].is_sequence else FORMATS[name].suffix
        chosen = {"format": name, "quality": 80, "fps": 8.0, "filename_prefix": "film"}
        images = numbers(4, 32, 48, 3)
        work = partial(host.call, "VLDM_RenderVideo", images=images, **chosen)
        yield _of_films(f"Render Video: {name}", output, f"{OTHERS}{suffix}", work)
    host.close()


def killed(subject: Subject) -> dict[str, Any]:
    """Count the kills of a subject by kind of operation, with what was wrong afterwards."""
    kinds: dict[str, int] = {}
    problems: list[str] = []
    for made in at_every_operation(subject.work, subject.folder, subject.fresh):
        kind, _, path = made.operations[-1].partition(" ")
        kinds[kind] = kinds.get(kind, 0) + 1
        wrong = subject.problem()
        if wrong:
            problems.append(f"killed before {kind} {Path(path).name}: {wrong}")
    return {"kills": sum(kinds.values()), "before": kinds, "problems": problems}


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder, by its path."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    }


def segments_in(folder: Path) -> dict[str, str]:
    """Digest of what every segment below a folder holds, by its path.

    Headers list their notes in any order.
    """
    paths = sorted(folder.rglob("segment_*.safetensors"))
    return {path.relative_to(folder).as_posix(): digest(load_file(path)["latents"]) for path in paths}


def films(folder: Path) -> dict[str, Any]:
    """Contents of the films in a folder, by name; a sequence has those of its pictures."""
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return {path.name: contents(path) if path.is_dir() else path.read_bytes() for path in paths}


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def main() -> None:
    """Kill, print, write."""
    parser = common.options(__doc__, "kills.json")
    parser.add_argument("--host", action="store_true", help="also the nodes, in a ComfyUI")
    args, began, found = parser.parse_args(), time.monotonic(), {}
    with tempfile.TemporaryDirectory(prefix="video_ldm_") as base:
        folder = Path(base)
        subjects = [rollout(folder / "rollout"), *(film(folder / "film", name) for name in FILMS)]
        for subject in (*subjects, *(nodes(folder) if args.host else ())):
            found[subject.name] = killed(subject)
            print(subject.name, found[subject.name], flush=True)
    rows = [[name, row["kills"], len(row["problems"])] for name, row in found.items()]
    print(common.markdown(["what", "kills", "wrong afterwards"], rows))
    common.write(vars(args), {"killed": found}, began)


if __name__ == "__main__":
    main()
