"""Kill trainings right before each of their file operations, go on, and compare with runs left alone.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.faults.kills

Tiny layers, a LoRA with the looks before it, a decoder and an upscaler in two steps, with a state in between;
Linux counts the operations. The suite does it in one step, for all but the decoder only around each file that
appears.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path

from ...temporal.training import report
from ...tests.temporal.training.test_kills import PROBLEMS, kills
from ..toy_world import common

STEPS = 2


def main() -> None:
    """One line for each training: its kills by kind of operation.

    A run that ends differently fails loudly.
    """
    args = common.options(__doc__, "training_kills.json").parse_args()
    began, found = time.monotonic(), {}
    for make in PROBLEMS:
        with tempfile.TemporaryDirectory() as folder:
            report.loss_curve(Path(folder) / "first.png", [1.0])  # what matplotlib loads is loaded before
            killed = kills(make, Path(folder), STEPS)
        kinds = Counter(operation.split()[0] for operation in killed)
        found[make.__name__] = {"kills": len(killed), "before": dict(kinds)}
        print(
            f"{make.__name__}: {len(killed)} kills, all gone on with to the same end; {dict(kinds)}",
            flush=True,
        )
        common.write(vars(args), {"trainings": found}, began)


if __name__ == "__main__":
    main()
