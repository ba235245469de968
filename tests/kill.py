"""Kills a program at its n-th file operation, for all n.

What is on the disk then is what a crash at that moment leaves.

Linux counts them itself (ptrace): each system call of the program, its threads and the programs it starts
that changes something below a folder. The program dies with all that it started, right before the call.
Libraries written in C and Rust are seen like Python, and nothing in the program is replaced.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

IS_AVAILABLE = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")
TRACE_ME, CONTINUE_TO_CALL, SET_OPTIONS, CALL_INFO = 0, 24, 0x4200, 0x420E
CALLS_ARE_MARKED, DIES_WITH_TRACER, FOLLOW = 1, 0x100000, 2 | 4 | 8  # fork, vfork, clone
MARKED, ENTRY, WALL = signal.SIGTRAP | 0x80, 1, 0x40000000
HERE = -100  # AT_FDCWD
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
FAILED = 9
# Where the path or the open file is among the arguments, by kind of call; numbers of x86_64 and of aarch64.
BY_NAME = {
    "open": (2, 0),
    "creat": (85, 0),
    "truncate": (76, 45),
    "rename": (82, 0),
    "mkdir": (83, 0),
    "rmdir": (84, 0),
}
BY_NAME |= {"link": (86, 0), "unlink": (87, 0)}
BY_FOLDER = {"openat": (257, 56), "mkdirat": (258, 34), "unlinkat": (263, 35), "renameat": (264, 38)}
BY_FOLDER |= {"renameat2": (316, 276), "linkat": (265, 37)}
BY_SECOND_NAME = {"symlink": (88, 0)}
BY_SECOND_FOLDER = {"symlinkat": (266, 36)}
BY_FILE = {
    "write": (1, 64),
    "pwrite64": (18, 68),
    "writev": (20, 66),
    "pwritev": (296, 69),
    "pwritev2": (328, 287),
}
BY_FILE |= {
    "sendfile": (40, 71),
    "ftruncate": (77, 46),
    "fallocate": (285, 47),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
}
BY_THIRD = {"copy_file_range": (326, 285)}


@dataclass(frozen=True)
class Trial:
    """End of a program, and its operations ("rename /x/.part"), the one before which it died included."""

    killed: bool
    operations: tuple[str, ...]


def trial(work: Callable[[], object], folder: Path, kill_at: int | None = None) -> Trial:
    """Run `work` in a copy of this process, which dies right before one of its operations below a folder.

    It dies before number `kill_at`.

    Operations count from 1. Raises RuntimeError when the work fails by itself.
    """
    with tempfile.TemporaryFile() as report:
        watcher = os.fork()
        if watcher == 0:
            status = FAILED
            try:
                killed, operations = _Watcher(os.path.realpath(folder), kill_at).run(work)
                os.pwrite(report.fileno(), "\n".join([str(int(killed)), *operations]).encode(), 0)
                status = 0
            finally:
                os._exit(status)
        status = os.waitpid(watcher, 0)[1]
        if status:
            raise RuntimeError("The program failed by itself, or may not be watched; see what it printed.")
        killed, *operations = report.read().decode().split("\n")
        return Trial(killed == "1", tuple(operations))


def at_every_operation(
    work: Callable[[], object], folder: Path, fresh: Callable[[], object]
) -> Iterator[Trial]:
    """Kill `work` before its first operation, before its second, and so on until it lives.

    `fresh` prepares each.

    What the caller does with a trial, such as going on with the work, comes before the next one is prepared.
    """
    number, alive = 1, False
    while not alive:
        fresh()
        made = trial(work, folder, number)
        number, alive = number + 1, not made.killed
        if made.killed:
            yield made


class _Watcher:
    """Runs in a process between the caller and the program, whose only children are those of the program."""

    def __init__(self, folder: str, kill_at: int | None) -> None:
        self.folder, self.kill_at = folder, kill_at
        self.operations: list[str] = []
        self.known: set[int] = set()
        self.calls = _numbers()
        self.ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        self.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.ptrace.restype = ctypes.c_long

    def run(self, work: Callable[[], object]) -> tuple[bool, list[str]]:
        """True if the program was killed, and its operations.

        Raises RuntimeError when it ends with an error.
        """
        program = os.fork()
        if program == 0:
            self._begin(work)
        os.waitpid(program, 0)
        self._ask(SET_OPTIONS, program, CALLS_ARE_MARKED | DIES_WITH_TRACER | FOLLOW)
        self.known.add(program)
        self._go_on(program)
        killed, ended = False, None
        while True:
            try:
                pid, status = os.waitpid(-1, WALL)
            except ChildProcessError:
                break
            if os.WIFSTOPPED(status):
                killed = self._stopped(pid, os.WSTOPSIG(status)) or killed
            else:
                self.known.discard(pid)
                ended = status if pid == program else ended
        if not killed and ended != 0:
            raise RuntimeError(f"The program ended with status {ended}.")
        return killed, self.operations

    def _begin(self, work: Callable[[], object]) -> None:
        status = FAILED
        try:
            self._ask(TRACE_ME, 0, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(status)

    def _stopped(self, pid: int, reason: int) -> bool:
        """Look at what stopped a thread and let it go on; whether everything was killed."""
        if pid not in self.known:  # a new thread or program stops once before it begins
            self.known.add(pid)
            self._go_on(pid)
            return False
        if reason == MARKED:
            operation = self._operation(pid)
            if operation is not None:
                self.operations.append(operation)
                if len(self.operations) == self.kill_at:
                    for everyone in self.known:
                        _kill(everyone)
                    return True
            self._go_on(pid)
            return False
        self._go_on(pid, 0 if reason in (signal.SIGTRAP, signal.SIGSTOP) else reason)
        return False

    def _operation(self, pid: int) -> str | None:
        """Change that a thread is about to make below the folder, None for anything else."""
        info = (ctypes.c_uint64 * 11)()
        if self.ptrace(CALL_INFO, pid, ctypes.sizeof(info), ctypes.addressof(info)) <= 0:
            return None
        if info[0] & 0xFF != ENTRY or info[3] not in self.calls:
            return None
        name, place, has_folder = self.calls[info[3]]
        arguments = info[4:10]
        try:
            path = _path(pid, arguments, place, has_folder)
        except OSError:  # the thread is gone, or names a file that is not open
            return None
        if name in ("open", "openat") and not arguments[place + 1] & WRITES:
            return None
        inside = path is not None and (path == self.folder or path.startswith(f"{self.folder}/"))
        return f"{name} {path}" if inside else None

    def _go_on(self, pid: int, with_signal: int = 0) -> None:
        self.ptrace(CONTINUE_TO_CALL, pid, None, with_signal)  # it may have died meanwhile

    def _ask(self, request: int, pid: int, data: int) -> None:
        if self.ptrace(request, pid, None, data) < 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request} is not allowed here")


def _numbers() -> dict[int, tuple[str, int, bool | None]]:
    """Name, place of the argument, and whether a folder precedes a path, by number of the call.

    None in place of the last for open files.
    """
    column = 0 if platform.machine() == "x86_64" else 1
    kinds = [
        (BY_NAME, 0, False),
        (BY_SECOND_NAME, 1, False),
        (BY_FOLDER, 1, True),
        (BY_SECOND_FOLDER, 2, True),
    ]
    kinds += [(BY_FILE, 0, None), (BY_THIRD, 2, None)]
    return {
        numbers[column]: (name, place, has_folder)
        for calls, place, has_folder in kinds
        for name, numbers in calls.items()
        if numbers[column]
    }


def _path(pid: int, arguments: Sequence[int], place: int, has_folder: bool | None) -> str:
    """The path that a call is about, links in it followed by nobody."""
    if has_folder is None:
        return str(Path(f"/proc/{pid}/fd/{ctypes.c_int(arguments[place]).value}").readlink())
    path = os.fsdecode(_text(pid, arguments[place]))
    folder = ctypes.c_int(arguments[place - 1]).value if has_folder else HERE
    if path.startswith("/"):
        return os.path.normpath(path)
    base = Path(f"/proc/{pid}/cwd" if folder == HERE else f"/proc/{pid}/fd/{folder}").readlink()
    return os.path.normpath(base / path)


def _text(pid: int, address: int) -> bytes:
    """A text of another process, read page by page to its end."""
    memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        found = b""
        while b"\0" not in found:
            part = os.pread(memory, 4096 - address % 4096, address)
            if not part:
                break
            found, address = found + part, address + len(part)
        return found.split(b"\0", 1)[0]
    finally:
        os.close(memory)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
