"""Make small wrong changes in the code, one at a time, and see which the tests notice.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.faults.mutations --count 200 --out mutations.jsonl
    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.faults.mutations --count 200 --out mutations.jsonl --host

Changes are drawn from all that benchmarks/faults/mutants.py finds in the folders of `TESTS`. Each is made in
a copy of one process in which the tests, with `--host` also ComfyUI, are loaded (`fork`, so not on Windows).
It is met first by the test file of its name, then by the rest of its folder's tests, with `--host` also by
wider ones, until a test fails. A copy that takes more than `SECONDS` of processor time has been noticed too,
as a suite that does not end.
What was tried stands in the file, a line each; a run goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ...tests import in_process
from .mutants import Mutant, mutants, transplant

ROOT = Path(__file__).resolve().parents[2]
UNIT, HOST = "tests/temporal", "tests/host"
# Folder of the code: folders and files of its tests, the cheap ones first, and wider ones.
TESTS = {
    "temporal/layers": (
        [f"{UNIT}/layers", f"{UNIT}/stack/test_stack.py", f"{UNIT}/stack/test_alphas.py"],
        [f"{UNIT}/formats/test_inside.py", f"{UNIT}/stack/test_devices.py", f"{HOST}/families"],
    ),
    "temporal/decoder": (
        [f"{UNIT}/decoder"],
        [
            f"{HOST}/film/test_decode.py",
            f"{HOST}/film/test_video_decoder.py",
            f"{HOST}/film/test_reference_decoder.py",
        ],
    ),
    "temporal/sampling": ([f"{UNIT}/sampling"], [f"{UNIT}/stack", f"{HOST}/sampling"]),
    "nodes/host/sampling": ([f"{HOST}/sampling"], [f"{HOST}/families", f"{HOST}/test_old_graphs.py"]),
}
SECONDS, WALL = 240, 1500
# fails in every copy: it looks at the memory of the whole process
LEFT_OUT = "not lies_on_disk_and_not_in_memory"
OPTIONS = ["-k", LEFT_OUT, "-q", "-x", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist", "--capture=fd"]


class Watch:
    """Writes down the first test that fails."""

    def __init__(self, out: int) -> None:
        self.out = out

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A failed test, or a fixture that could not be made."""
        if report.failed:
            os.write(self.out, report.nodeid.encode() + b"\n")

    def pytest_collectreport(self, report: Any) -> None:
        """A file of tests that cannot be loaded any more."""
        if report.failed:
            os.write(self.out, f"{report.nodeid} (cannot be loaded)\n".encode())


def drawn(count: int, seed: int) -> list[Mutant]:
    """Changes of all files, every one as likely."""
    paths = sorted(path for folder in TESTS for path in (ROOT / folder).rglob("*.py"))
    found = [mutant for path in paths for mutant in mutants(ROOT, path.relative_to(ROOT).as_posix())]
    return random.Random(seed).sample(found, min(count, len(found)))


def stages(path: str, with_wide: bool) -> list[list[str]]:
    """Files of tests for a file of the code, to be run in turn: of its name, of its folder, wider ones."""
    near, wide = next(tests for folder, tests in TESTS.items() if path.startswith(folder))
    files = [
        file
        for place in near
        for file in (sorted((ROOT / place).rglob("test_*.py")) if (ROOT / place).is_dir() else [ROOT / place])
    ]
    named = [file for file in files if file.stem == f"test_{Path(path).stem}"]
    rest = [file for file in files if file not in named]
    wider = [ROOT / place for place in wide if with_wide]
    return [[str(file) for file in tests] for tests in (named, rest, wider) if tests]


def trial(mutant: Mutant | None, tests: list[str]) -> tuple[str, str, float]:
    """Run tests with a change: their end, the first test that failed, and seconds.

    The end is "seen", "endless", "unseen", "undecided", or "no change" where nothing that is loaded has it.
    """
    started, (read, write) = time.monotonic(), os.pipe()
    child = os.fork()
    if child == 0:
        status = 9
        try:
            os.close(read)
            resource.setrlimit(resource.RLIMIT_CPU, (_cpu() + SECONDS, _cpu() + SECONDS + 5))
            signal.alarm(WALL)
            with Path(os.devnull).open("w") as nothing:
                os.dup2(nothing.fileno(), 1), os.dup2(nothing.fileno(), 2)
            if mutant is not None and not transplant(mutant.source(ROOT), ROOT / mutant.path):
                status = 8
            else:
                if HostOfTests.host is not None:
                    HostOfTests.host._thread.start()
                status = int(pytest.main([*OPTIONS, *tests], plugins=[Watch(write)]))
        except BaseException as error:
            os.write(write, f"{type(error).__name__} when loaded: {error}\n".encode())
            status = 1
        finally:
            os._exit(status)
    os.close(write)
    _, status = os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        failed = pipe.readline().strip()
    if os.WIFSIGNALED(status):
        end = {signal.SIGXCPU: "endless", signal.SIGKILL: "endless", signal.SIGALRM: "undecided"}
        return end.get(os.WTERMSIG(status), "seen"), failed, time.monotonic() - started
    code = os.WEXITSTATUS(status)
    return {0: "unseen", 8: "no change"}.get(code, "seen"), failed, time.monotonic() - started


def _cpu() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return int(used.ru_utime + used.ru_stime) + 1


class HostOfTests:
    """Gives every copy the host that was booted before."""

    host: in_process.InProcessHost | None = None

    def __new__(cls, _base: Path) -> Any:
        """The host itself."""
        return cls.host


def main() -> None:
    """Try the changes that were not tried yet, and count."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("mutations.jsonl"))
    parser.add_argument(
        "--part", type=int, nargs=2, default=(0, 1), help="this share of the changes, of so many"
    )
    parser.add_argument(
        "--host", action="store_true", help="boot ComfyUI: its folder, and what went unseen without"
    )
    parser.add_argument("--only", help="a part of the description of the changes that are tried")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    tried = _tried(args.out)
    chosen = {
        m: _wanted(m, args, tried.get(str(m)))
        for m in drawn(args.count, args.seed)[args.part[0] :: args.part[1]]
    }
    with tempfile.TemporaryDirectory() as folder:
        if args.host:
            HostOfTests.host = in_process.InProcessHost(Path(folder), serves=False)
            in_process.InProcessHost = HostOfTests  # type: ignore[misc]
        files = sorted({test for wanted in chosen.values() for tests in wanted for test in tests})
        with Path(os.devnull).open("w") as nothing, contextlib.redirect_stdout(nothing):
            loaded = pytest.main(["--collect-only", *OPTIONS, *files]) if files else 0
        _load_all(args.host)
        if loaded:
            raise SystemExit(f"The tests cannot be loaded (status {int(loaded)}).")
        for number, (mutant, wanted) in enumerate(chosen.items()):
            end, failed, seconds = "unseen", "", 0.0
            for tests in wanted:
                if end == "unseen":
                    end, failed, took = trial(mutant, tests)
                    seconds += took
            line = {
                "change": str(mutant),
                "end": end,
                "by": failed,
                "seconds": round(seconds, 1),
                "host": args.host,
            }
            if wanted:
                print(number, json.dumps(line), flush=True)
            if wanted:
                with args.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
    ends = ((line["change"].partition(":")[0], line["end"]) for line in _tried(args.out).values())
    counted = Counter((path.rpartition("/")[0], end) for path, end in ends)
    for (place, end), count in sorted(counted.items()):
        print(place, end, count)


def _load_all(host: bool) -> None:
    """Load what may be changed before any copy is made: what a copy loads by itself comes unchanged."""
    for folder in TESTS:
        if host or not folder.startswith("nodes"):
            for path in sorted((ROOT / folder).rglob("*.py")):
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
                importlib.import_module(f"video_ldm.{name}")


def _wanted(mutant: Mutant, args: argparse.Namespace, before: dict[str, Any] | None) -> list[list[str]]:
    """Tests that are still to be run: nothing where an earlier run has decided."""
    if args.only and args.only not in str(mutant):
        return []
    if before and (before["end"] not in ("unseen", "no change") or before["host"] >= args.host):
        return []
    needs_host = str(ROOT / HOST)
    of_units = [[f for f in tests if not f.startswith(needs_host)] for tests in stages(mutant.path, False)]
    if not args.host:
        return [tests for tests in of_units if tests]
    done = {test for tests in of_units for test in tests} if before else set()
    left = [[test for test in tests if test not in done] for tests in stages(mutant.path, True)]
    return [tests for tests in left if tests]


def _tried(path: Path) -> dict[str, Any]:
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return {line["change"]: line for line in map(json.loads, lines)}


if __name__ == "__main__":
    main()
