"""`python tests`: set up, lint, then every test in two processes. `--unit` leaves out what needs ComfyUI.

All else goes to pytest; `-n 0` tests in one process, as a debugger wants it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
PROCESSES = (
    "-n",
    "2",
    "--dist",
    "loadscope",
    "--no-loadscope-reorder",
)  # two cores, and each file's models and pages in one process
NEEDS_HOST = ("tests/host", "tests/nodes", "tests/browser")
sys.path.insert(0, str(REPO / "demo"))

import environment  # noqa: E402  (its folder has just been added)


def main(arguments: list[str]) -> int:
    """Exit status: pytest's, or ruff's when only that failed."""
    environment.ensure_or_exit()
    unit = "--unit" in arguments
    arguments = [argument for argument in arguments if argument != "--unit"]
    lint = max(_run("ruff", "check", "."), _run("ruff", "format", "--check", "."))
    chosen = ("-m", "not host", *(f"--ignore={folder}" for folder in NEEDS_HOST)) if unit else ()
    tests = _run("pytest", *PROCESSES, *chosen, *arguments)
    if lint:
        print("ruff found something, see above the tests")
    return tests or lint


def _run(module: str, *arguments: str) -> int:
    surroundings = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    return subprocess.call([str(environment.PYTHON), "-m", module, *arguments], cwd=REPO, env=surroundings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
