"""One collector a folder: a lock of the operating system, which a killed process cannot leave behind."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consilium.domain import OutputProblem

LOCK = "collect.lock"
PATIENCE_S = 1.0


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder and write the process's number into it.

    Who only looks (`lock_holder`) takes it for an instant, so it is tried for a second.

    Raises
    ------
    OutputProblem
        Another process holds it.
    """
    with (folder / LOCK).open("a+") as lock:
        until = time.monotonic() + PATIENCE_S
        while not _taken(lock.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > until:
                lock.seek(0)
                raise OutputProblem(
                    "a folder takes one collector at a time",
                    f"{folder}, where process {lock.read().strip() or '?'} collects",
                    "end that one or choose another --folder",
                )
            time.sleep(0.05)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def lock_holder(folder: Path) -> str | None:
    """Return the number of the process that collects into a folder, None if none does."""
    try:
        with (folder / LOCK).open() as lock:
            if _taken(lock.fileno(), fcntl.LOCK_SH):
                return None
            return lock.read().strip() or "?"
    except FileNotFoundError:
        return None


def _taken(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
