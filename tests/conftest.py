"""Keeps names apart, finds the host, and says how long each part of the suite took.

The repository root is the package `video_ldm` (installed with `pip install -e`); it must not be on `sys.path`
too, where its `nodes/` would hide the host's `nodes.py`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
NEEDS_HOST = (TESTS / "host", TESTS / "nodes")
HOST_FIXTURES = {"host", "server"}

# tiny models on few cores are many times faster without threads
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != TESTS.parent]

durations: Counter[str] = Counter()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the host, and run it last."""
    for item in items:
        folders = any(folder in item.path.parents for folder in NEEDS_HOST)
        if folders or HOST_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("host")
    items.sort(key=lambda item: item.get_closest_marker("host") is not None)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up seconds per part; with several workers (pytest -n) this sees the reports of all."""
    part = next((part for part in ("host", "slow") if part in report.keywords), "unit")
    durations[part] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line with the seconds of each part."""
    parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in sorted(durations.items(), reverse=True))
    terminalreporter.write_line(f"time per part: {parts}")


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory):
    """ComfyUI, booted once in this process with the pack and the toy models (tests/in_process.py)."""
    from video_ldm.demo import environment

    if not environment.is_ready():
        pytest.fail("ComfyUI is not set up; `python tests` does it", pytrace=False)
    from video_ldm.tests.in_process import InProcessHost

    booted = InProcessHost(tmp_path_factory.mktemp("comfyui"))
    yield booted
    booted.close()


@pytest.fixture(autouse=True)
def no_interrupt_is_left() -> Iterator[None]:
    """An interrupt that came too late for its test must not stop the next one."""
    yield
    if management := sys.modules.get("comfy.model_management"):
        management.interrupt_current_processing(False)


@pytest.fixture(scope="session")
def server(host):
    """HTTP client of the booted host."""
    return host.client


@pytest.fixture(scope="session")
def node_info(server):
    """The host's description of all its nodes, asked for once, as it takes a second."""
    return server.object_info()
