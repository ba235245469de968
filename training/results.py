"""Files that a training run leaves, whichever part it trains: state, weights, curve of losses, pictures."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

from ..temporal.errors import InvalidInputError
from ..temporal.training import checkpoint, report
from ..temporal.training.trainer import Trainer
from ..temporal.weights.whole_file import check_writable

logger = logging.getLogger(__name__)


def check_out(args: argparse.Namespace) -> Path:
    """The file to write, before anything is prepared for it.

    Raises InvalidInputError where it is there already and this is no `--resume`, OutputError where it cannot
    be written.
    """
    out = Path(args.out)
    check_writable(out)
    if out.exists() and not args.resume:
        raise InvalidInputError(
            f"{out} is already there and would be overwritten; continue it with --resume, or give another "
            "--out."
        )
    return out


def train(
    trainer: Trainer,
    args: argparse.Namespace,
    write: Callable[[Path], None],
    show: Callable[[], None],
    show_every: int,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Go on from the state where asked, train to the end, and leave the file behind.

    Also where all steps were done before.

    `write` makes the file of the averaged weights, `show` pictures of what they can do, after every
    `show_every` steps (0: never). `check` looks on after every step and may end the run (`trainer.finished`).
    """
    out = Path(args.out)
    state = out.with_suffix(".state.pt")
    if args.resume:
        checkpoint.go_on(trainer, state)
        logger.info("resumed at step %d", trainer.step)

    def save() -> None:
        checkpoint.save_state(state, trainer.state_dict())
        write(out)
        report.loss_curve(out.with_suffix(".loss.png"), trainer.losses)

    def after_step(trainer: Trainer) -> None:
        check()
        if trainer.finished or trainer.step == trainer.config.steps:
            return  # the end is the same for a run whose last step was done before
        if trainer.step % args.save_every == 0:
            save()
        if show_every and trainer.step % show_every == 0:
            show()

    trainer.run(after_step=after_step)
    save()
    if show_every:
        show()
    logger.info("wrote %s, trained for %d steps", out, trainer.step)
