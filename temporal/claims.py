"""Names of files and folders that are being made.

Each is one process's own, and what a killed process left is swept away.

A name is claimed by a hidden file beside it that its process keeps locked; the system gives the lock back
when the process ends, however it ends. What is made lies in a hidden folder until it gets the name.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from uuid import uuid4

from .errors import InvalidInputError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

MARK = ".video_ldm_"  # begins the names of what is not finished
LOCK, PARTIAL = ".lock", ".partial"
LONGEST = 255  # bytes of a name, on most disks
SHORT = 40  # letters of a long name that its hidden files keep
TRIES = 100  # to claim a name that others give back at the same moment

# by somebody else; any other failure: this disk has no locks
HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
TAKEN = (errno.EEXIST, errno.ENOTEMPTY)


class Claim:
    """One name, from `begin` until it is left as a context manager; what is made for it lies in `folder`.

    Raises InvalidInputError for a name that is too long, OSError when the disk takes nothing.
    """

    def __init__(self, path: Path, is_new: bool = False) -> None:
        check_length(path)
        self.path, self.is_new = path, is_new
        name = path.name if is_new else f"{path.name}.{uuid4().hex[:8]}"
        hidden = MARK + (name if len(os.fsencode(name)) < LONGEST - 30 else _shortened(name))
        self.folder = path.with_name(hidden + PARTIAL)
        self.lock = path.with_name(hidden + LOCK)
        self._handle: int | None = None

    def begin(self) -> bool:
        """Claim the name and make the folder; whether it is free. Only a new one can be taken."""
        if self._handle is not None:
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        sweep(self.path.parent)
        self._handle = _claimed(self.lock)
        if self._handle is None:
            return False
        if self.is_new and os.path.lexists(self.path):
            self.end()
            return False
        self.folder.mkdir()
        return True

    def publish(self, made: Path) -> None:
        """Give what was made in the folder its name.

        It gets the next name where another program took this one meanwhile.
        """
        if not self.is_new:
            made.replace(self.path)
            return
        while not _moved(made, self.path):
            self.path = _next(self.path)

    def end(self) -> None:
        """Give the name back and remove what is left in the folder.

        A disk that is gone or read-only keeps it.
        """
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        shutil.rmtree(self.folder, ignore_errors=True)
        _give_back(handle, self.lock)

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def claim_new(path_of: Callable[[int], Path], first: int = 1) -> Claim:
    """The first name of a numbered series that nothing has and no other process is making."""
    number = first
    while not (claim := Claim(path_of(number), is_new=True)).begin():
        number += 1
    return claim


def check_length(path: Path) -> None:
    """Refuse a name that no disk takes."""
    length = len(os.fsencode(path.name))
    if length > LONGEST:
        raise InvalidInputError(
            f"The name {path.name[:40]}... has {length} bytes, but a name holds at most {LONGEST}; letters "
            "outside English take 2 to 4 bytes. Give a shorter one."
        )


def sweep(folder: Path) -> None:
    """Remove what killed processes left in a folder.

    What a living one makes stays, and so does what may not be removed.
    """
    for lock in list(folder.glob(f"{MARK}*{LOCK}")):
        with contextlib.suppress(OSError):
            handle = _left(lock)
            if handle is not None:
                shutil.rmtree(lock.with_name(lock.name.removesuffix(LOCK) + PARTIAL), ignore_errors=True)
                _give_back(handle, lock)


def _claimed(lock: Path) -> int | None:
    """The open file of a lock that was made just now, None where another process has it."""
    for _ in range(TRIES):
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return None  # what the dead left is swept already
        if _is_locked(handle, otherwise=True) and _is_still(handle, lock):
            return handle
        os.close(handle)  # whoever sweeps took it for one of the dead
    return None


def _left(lock: Path) -> int | None:
    """The open file of a lock that nobody has any more, None otherwise."""
    handle = os.open(lock, os.O_RDWR)
    if _is_locked(handle, otherwise=False) and _is_still(handle, lock):
        return handle
    os.close(handle)
    return None


def _is_locked(handle: int, otherwise: bool) -> bool:
    """Lock an open file; whether it is ours now. On a disk without locks nobody knows: `otherwise`."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return otherwise and error.errno not in HELD
    return True


def _is_still(handle: int, lock: Path) -> bool:
    """True if an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(handle), lock.stat())
    except FileNotFoundError:
        return False


def _give_back(handle: int, lock: Path) -> None:
    """Remove a lock; on Windows only a closed file can be removed."""
    if sys.platform == "win32":
        os.close(handle)
    with contextlib.suppress(OSError):
        lock.unlink()
    if sys.platform != "win32":
        os.close(handle)


def _moved(made: Path, path: Path) -> bool:
    """Give a file or folder a name that nothing has; whether nothing had it."""
    if os.path.lexists(path):
        return False
    try:
        if made.is_dir() or sys.platform == "win32":  # these never take the place of something
            made.rename(path)
        else:
            _link(made, path)
    except OSError as error:
        if error.errno in TAKEN:
            return False
        raise
    return True


def _link(made: Path, path: Path) -> None:
    """Give a file a second name, which fails where it is taken, in place of the first."""
    try:
        os.link(made, path)
    except OSError as error:
        if error.errno in TAKEN:
            raise
        made.rename(path)  # on a disk without links
    else:
        made.unlink()


def _next(path: Path) -> Path:
    """`name_00002_.mp4` after `name_00001_.mp4`, or after `name.mp4`."""
    parts = path.name.rsplit("_", 2)
    if len(parts) < 3 or not parts[1].isdigit():
        return path.with_name(f"{path.stem}_00002_{path.suffix}")
    name, number, rest = parts
    return path.with_name(f"{name}_{int(number) + 1:05}_{rest}")


def _shortened(name: str) -> str:
    return f"{name[:SHORT]}.{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
