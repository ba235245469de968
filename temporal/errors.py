"""The errors a user can meet. Each message says what was given, what was expected and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable

LONGEST = 1500  # characters that are still read as a sentence


class VideoLDMError(ValueError):
    """Base of all errors of this pack. The middle of a message that quotes a very long value is left out."""

    def __init__(self, message: str = "") -> None:
        too_long = len(message) > LONGEST
        super().__init__(f"{message[: LONGEST - 500]} ... {message[-400:]}" if too_long else message)


class CheckpointFormatError(VideoLDMError):
    """A file is not what it should be."""


class IncompatibleModelError(VideoLDMError):
    """Weights, model and latent do not fit together."""


class InvalidInputError(VideoLDMError):
    """A value that the user chose cannot be used."""


class MissingLibraryError(InvalidInputError):
    """A stage needs a library that is not installed; the sentence names it."""


class ProcessLostError(VideoLDMError):
    """One of several processes that work together has ended."""


class GraphError(VideoLDMError):
    """Something is not a graph of ComfyUI, or not one that can be converted."""


class OutputError(VideoLDMError):
    """A result cannot be written where the user wants it."""


STOPPED = 130  # exit status after Ctrl+C


def exit_status(work: Callable[[], object], stopped: str = "stopped") -> int:
    """Run a command line to its exit status.

    0, or one sentence on stderr and 2 for a mistake or what the system refuses.

    `stopped` is what to say after Ctrl+C, which gives 130.
    """
    try:
        work()
    except VideoLDMError as error:
        sentence = f"error: {error}"
    except OSError as error:
        sentence = f"error: {_refused(error)}"
    except KeyboardInterrupt:
        sys.stderr.write(f"{stopped}\n")
        return STOPPED
    else:
        return 0
    sys.stderr.write(f"{sentence}\n")
    return 2


def _refused(error: OSError) -> str:
    """A sentence that says what the system did not do."""
    reason = error.strerror or str(error) or type(error).__name__
    where = "" if error.filename is None else f"{error.filename}: "
    return f"{where}{reason}. Look at the disk, the name and the permissions, then start again."
