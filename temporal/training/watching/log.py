"""The log of a run: JSON lines, and TensorBoard where it is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...weights.whole_file import whole_file


class RunLog:
    """One line a step, and one a look at what was kept out; a run that goes on forgets what came later."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [row for row in read_log(path) if row["step"] <= step] if step else []
        with whole_file(path) as partial:
            partial.write_text("".join(json.dumps(row) + "\n" for row in kept), "utf-8")
        self.board = _tensorboard(path.with_suffix(".tensorboard"))

    def write(self, step: int, **numbers: Any) -> None:
        """Add what was measured after a step."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **numbers}) + "\n")
        if self.board is not None:
            for name, number in numbers.items():
                if isinstance(number, int | float):
                    self.board.add_scalar(name, number, step)

    def close(self) -> None:
        """Finish what TensorBoard has not written yet."""
        if self.board is not None:
            self.board.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a log; a line that was cut off by the end of a run is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


def _tensorboard(folder: Path) -> Any:
    """A writer of TensorBoard; None where that is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
