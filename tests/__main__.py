"""`python tests`: set up, lint, check types, then every test in two processes.

`--unit` leaves out what needs ComfyUI or is marked slow, and with it the types; it names what took a second
all the same.

All else goes to pytest; `-n 0` tests in one process, as a debugger wants it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
# two cores, each file's models and pages in one process, and the longest files not last
PROCESSES = "-n 2 --dist loadscope --no-loadscope-reorder".split()
# giving memory back to the kernel takes an eighth of the time (glibc); whole runs do, and look closer at
# memory for it
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**28),
    "MALLOC_TRIM_THRESHOLD_": str(2**31),
    "MALLOC_TOP_PAD_": str(2**26),
}
NEEDS_HOST = ("tests/host", "tests/nodes", "tests/browser")
UNIT = (
    *("-m", "not host and not slow", "--durations=20", "--durations-min=1"),
    *(f"--ignore={folder}" for folder in NEEDS_HOST),
)
sys.path.insert(0, str(REPO / "demo"))

import environment  # noqa: E402  (its folder has just been added)


def main(arguments: list[str]) -> int:
    """Exit status: pytest's, or that of ruff or pyright when only they failed."""
    environment.ensure_or_exit()
    unit = "--unit" in arguments
    arguments = [argument for argument in arguments if argument != "--unit"]
    lint = max(_run("ruff", "check", "."), _run("ruff", "format", "--check", "."))
    types = 0 if unit else _run("basedpyright")  # ComfyUI's own types are among those it knows
    if unit:
        os.environ.update(KEEP_MEMORY)
    chosen = UNIT if unit else ()
    tests = _run("pytest", *PROCESSES, *chosen, *arguments)
    if lint:
        print("ruff found something, see above the tests")
    if types:
        print("pyright found something, see above the tests")
    return tests or lint or types


def _run(module: str, *arguments: str) -> int:
    surroundings = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    return subprocess.call([str(environment.PYTHON), "-m", module, *arguments], cwd=REPO, env=surroundings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
