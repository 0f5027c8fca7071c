"""Files are written whole or not at all, whoever writes them and however the writing ends."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file into a hidden sibling, flush it to the disk and rename it into place at the end.

    Readers see the old file or the new one, at any instant. If the body fails, an interrupt by Ctrl-C
    included, the sibling goes and the old file stays. Each writer has a sibling of its own: of several
    processes that write one file at once, the last to finish prevails. A link stays and its target is
    written. What a kill leaves behind, `sweep_unfinished` takes away.

    Parameters
    ----------
    path
        The file; missing folders are made.

    Raises
    ------
    OSError
        It cannot be written; the caller knows what to advise.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "new" / "figures.txt"
    >>> with whole_file(path) as out:
    ...     written = out.write(b"1 2 3")
    >>> path.read_text(), [file.name for file in path.parent.iterdir()]
    ('1 2 3', ['figures.txt'])
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name is drawn before the file exists, so that no interrupt can fall between making and knowing it.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with _mine(beside) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
            beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def private_folder(path: Path) -> None:
    """Make a folder and those above it, for their owner alone; one that is there keeps its permissions.

    Raises
    ------
    OSError
        It cannot be made.
    """
    for folder in (*reversed(path.parents), path):
        folder.mkdir(mode=0o700, exist_ok=True)


def private_file(path: Path) -> None:
    """Make an empty file that only its owner can ever read; one that is there stays as it is.

    Raises
    ------
    OSError
        It cannot be made.
    """
    # One that is there is not even opened: closing it would free the locks that this process has on it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def sweep_unfinished(folder: Path) -> None:
    """Delete what killed writers left in a folder, and nothing that a living one is writing.

    Raises
    ------
    OSError
        The folder cannot be read or written.
    """
    for left in folder.glob(".*.part"):
        try:
            out = left.open("rb")
        except FileNotFoundError:
            continue
        with out:
            try:
                fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            left.unlink(missing_ok=True)


def _mine(beside: Path) -> BinaryIO:
    """Open a new file and hold its lock; begin again if it was swept away before the lock was had."""
    while True:
        out = beside.open("xb")
        try:
            fcntl.flock(out, fcntl.LOCK_EX)
            if os.fstat(out.fileno()).st_nlink:
                return out
        except BaseException:
            out.close()
            raise
        out.close()
