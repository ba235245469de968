"""Peak of this process's memory since a moment."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MB = 2**20


class Peak:
    """From its making on: `bytes()` says how far the peak rose above where it stood then.

    Linux forgets an older peak when asked to; elsewhere only a peak above all earlier ones is seen.
    """

    def __init__(self) -> None:
        gc.collect()
        if RESET.exists():
            RESET.write_text("5")
        self.start = _highest()

    def bytes(self) -> int:
        return _highest() - self.start


def _highest() -> int:
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
