"""Engines that look at many films: one after the other, in processes of this machine, or on a Ray cluster.

All call `Job.run`. A task is a film, and whoever made its result writes it as a whole, so every engine gives
the same table, and loses at most the films that it was at when it was killed.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidInputError, MissingLibraryError
from .film import CurationSettings, file_of, look_at
from .ledger import FilmResult, Ledger, find_result, save_result

LEDGER = "films"  # folder of results below the data set


@dataclass(frozen=True)
class Job:
    """The folder of a data set and the settings with which every film is looked at."""

    out: Path
    settings: CurationSettings

    @property
    def ledger(self) -> Ledger:
        """The place where results are kept."""
        return Ledger(self.out / LEDGER, self.settings.to_json())

    def run(self, path: Path) -> FilmResult:
        """The result of a film, from the ledger where it is there.

        What changes while it is looked at is looked at again by the next run.
        """
        try:
            place = self.ledger.place(path)
        except OSError:
            return FilmResult(file_of(path, self.out), 0.0, problem=f"{path.name} is gone or cannot be read.")
        found = find_result(place)
        if found is None:
            found = look_at(path, self.out, self.settings)
            save_result(place, found)
        return found


def run_all(
    job: Job, paths: Sequence[Path], workers: int = 1, ray: str | None = None
) -> Iterator[FilmResult]:
    """Results of all films as they become ready.

    Raises:
        InvalidInputError: Ray is asked for and not installed or not there, a stage misses a library, or a
            process was ended from outside.
    """
    if ray is not None:
        yield from _on_ray(job, paths, workers, ray)
    elif workers > 1:
        context = multiprocessing.get_context("spawn")  # threads of OpenCV do not survive a fork
        try:
            with ProcessPoolExecutor(workers, mp_context=context) as pool:
                for future in as_completed([pool.submit(job.run, path) for path in paths]):
                    yield future.result()
        except BrokenProcessPool:
            raise InvalidInputError(
                "A process that looked at films was ended by the system, mostly for want of memory. Start "
                "the same command again with fewer --workers; it goes on where it was."
            ) from None
    else:
        yield from map(job.run, paths)


def _on_ray(job: Job, paths: Sequence[Path], workers: int, address: str) -> Iterator[FilmResult]:
    """Films on the actors of a cluster; folders must be the same on all its machines."""
    try:
        import ray  # pyright: ignore[reportMissingImports] optional
        from ray.util import ActorPool  # pyright: ignore[reportMissingImports] optional
    except ImportError:
        raise MissingLibraryError("--ray needs Ray, which is not installed; run pip install ray.") from None
    try:
        ray.init(
            address=None if address == "local" else address, ignore_reinit_error=True, log_to_driver=False
        )
    except (ConnectionError, ValueError) as error:
        raise InvalidInputError(f"There is no Ray cluster at {address}: {error}.") from None
    remote: Any = ray.remote(num_cpus=1)(_Worker)
    pool: Any = ActorPool([remote.remote(job) for _ in range(max(1, workers))])
    try:
        yield from pool.map_unordered(lambda actor, path: actor.run.remote(path), list(paths))
    finally:
        ray.shutdown()


class _Worker:
    """An actor of a cluster: looks at the films that it is handed."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def run(self, path: Path) -> FilmResult:
        """The result of a film."""
        return self.job.run(path)
