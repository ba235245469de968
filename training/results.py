"""Files that a training run leaves, whichever part it trains: state, weights, curve of losses, pictures."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from torch import Tensor

from ..temporal.errors import InvalidInputError
from ..temporal.training import checkpoint, report
from ..temporal.training.loop import LayersTrainer
from ..temporal.training.trainer import Trainer
from ..temporal.training.watching.ctrl_c import CtrlC, after_the_step
from ..temporal.training.watching.held_out import held_out_loss
from ..temporal.training.watching.log import RunLog, read_log
from .options import due
from .recipe import begin

logger = logging.getLogger(__name__)
STATE = ".state.pt"


def check_out(args: argparse.Namespace) -> Path:
    """The file to write, before anything is prepared for it.

    Raises InvalidInputError where it is there already and this is no `--resume`, OutputError where it cannot
    be written.
    """
    out = Path(args.out)
    if out.exists() and not args.resume:
        raise InvalidInputError(
            f"{out} is already there and would be overwritten; continue it with --resume, or give another "
            "--out."
        )
    begin(out, args)
    return out


def two_parts(args: argparse.Namespace, first: str) -> tuple[argparse.Namespace, argparse.Namespace]:
    """Options of the part before a training, whose files have `first` in their names, and of the training.

    `--resume` goes on with each that has left a state and begins the other. Raises CheckpointFormatError
    where neither has.
    """
    out = Path(args.out)
    paths = out.with_suffix(f"{first}{out.suffix}"), out
    begun = [bool(args.resume and path.with_suffix(STATE).exists()) for path in paths]
    if args.resume and not any(begun):
        checkpoint.load_state(out.with_suffix(STATE))  # says that there is none
    before, own = (
        argparse.Namespace(**{**vars(args), "out": str(path), "resume": resume})
        for path, resume in zip(paths, begun, strict=True)
    )
    return before, own


def train(
    trainer: Trainer,
    args: argparse.Namespace,
    write: Callable[[Path], None],
    show: Callable[[], None],
    show_every: int,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Go on from the state where asked, train to the end, and leave the file behind.

    The file is written even if all steps were done before.

    `write` makes the file of the averaged weights, `show` pictures of what they can do, before the first step
    and after every `show_every` steps (0: never). `check` looks on after every step and may end the run
    (`trainer.finished`). Of several processes that train as one, the first writes; those that share the
    weights out have to compute with it what it writes.

    Raises KeyboardInterrupt for Ctrl+C; a process alone has finished its step and written everything by then.
    """
    out = Path(args.out)
    if args.resume:
        checkpoint.go_on(trainer, out.with_suffix(STATE))
        logger.info("resumed at step %d", trainer.step)
    if not trainer.engine.is_first and not trainer.engine.shards:
        trainer.run(after_step=lambda _trainer: check())
        return
    run = (Run if trainer.engine.is_first else TakingPart)(trainer, out, write)
    if show_every and not trainer.step:
        run.look()
        show()

    def after_step(trainer: Trainer) -> None:
        run.note()
        check()
        looks = due(trainer.step, show_every)
        if looks:
            run.look()
        trainer.finished = trainer.finished or stop.pressed
        if trainer.finished or trainer.step == trainer.config.steps:
            return  # the end is the same for a run whose last step was done before
        if due(trainer.step, args.save_every):
            run.save()
        if looks:
            show()

    with after_the_step() if trainer.engine.world == 1 else nullcontext(CtrlC()) as stop:
        trainer.run(after_step=after_step)
        run.save()
        if show_every and not stop.pressed:
            show()
        run.close()


def write_samples(trainer: Trainer, out: Path, clips: Sequence[Tensor], fps: float) -> None:
    """Pictures and a film of sample clips (f h w 3), which the first process writes."""
    if trainer.engine.is_first:
        name = f"{out.stem}.step-{trainer.step:06d}"
        report.contact_sheet(out.with_name(f"{name}.png"), clips)
        report.video(out.with_name(f"{name}.mp4"), clips, fps)


class Run:
    """The files of one training, beside the one it is for."""

    def __init__(self, trainer: Trainer, out: Path, write: Callable[[Path], None]) -> None:
        self.trainer, self.out, self.write = trainer, out, write
        self.log, self.begun = RunLog(out.with_suffix(".log.jsonl"), trainer.step), time.monotonic()

    def save(self) -> None:
        """Leave behind the state, the file and the curve of its losses."""
        checkpoint.save_state(self.out.with_suffix(STATE), self.trainer.state_dict())
        self.write(self.out)
        report.loss_curve(self.out.with_suffix(".loss.png"), self.trainer.losses, self.looks())

    def note(self) -> None:
        """Write down the step that was made."""
        trainer, seconds = self.trainer, round(time.monotonic() - self.begun, 3)
        self.log.write(trainer.step, loss=trainer.losses[-1], gradient=trainer.gradient, seconds=seconds)

    def look(self) -> None:
        """Write down how the layers do on films that are kept out, and keep the file that did best."""
        found = held_out_loss(self.trainer) if isinstance(self.trainer, LayersTrainer) else None
        if found is None:
            return
        earlier = [loss for _, loss in self.looks()]
        self.log.write(found.step, held_out=found.loss, bands=list(found.bands))
        logger.info("step %d, loss on films that are kept out %.4f", found.step, found.loss)
        if self.trainer.engine.decided(bool(earlier) and found.loss < min(earlier)):
            self.write(self.out.with_suffix(".best.safetensors"))

    def looks(self) -> list[tuple[int, float]]:
        """Steps after which it was looked, and the losses."""
        return [(row["step"], row["held_out"]) for row in read_log(self.log.path) if "held_out" in row]

    def close(self) -> None:
        """Finish the log, and say where the result is."""
        self.log.close()
        logger.info("wrote %s, trained for %d steps", self.out, self.trainer.step)


class TakingPart:
    """A run in a process that has a share of the weights: it computes what the first one writes."""

    def __init__(self, trainer: Trainer, out: Path, write: Callable[[Path], None]) -> None:
        self.trainer, self.out, self.write = trainer, out, write

    def save(self) -> None:
        """Give the first process what it has to write."""
        self.trainer.state_dict()
        self.write(self.out)

    def note(self) -> None:
        """Nothing is written down."""

    def look(self) -> None:
        """Compute on films that are kept out, too."""
        trainer = self.trainer
        found = held_out_loss(trainer) if isinstance(trainer, LayersTrainer) else None
        if found is not None and trainer.engine.decided(False):
            self.write(self.out)

    def close(self) -> None:
        """Nothing was opened."""
