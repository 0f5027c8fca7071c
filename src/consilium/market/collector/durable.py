"""Files that are on the disk, whole, once the call returns."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from shutil import disk_usage

from consilium.domain.errors import OutputProblem
from consilium.domain.files import whole_file

FULL = (errno.ENOSPC, errno.EDQUOT)


def write_durably(
    path: Path, body: bytes, *, min_free_bytes: int = 0, before: Callable[[], None] | None = None
) -> None:
    """Write a new file: into a hidden sibling, flushed, renamed, the folders flushed.

    Parameters
    ----------
    min_free_bytes
        It is not written where fewer would stay free.
    before
        Called when the body is on the disk and not yet under its name; if it fails, so does the file.

    Raises
    ------
    OutputProblem
        Fewer bytes would stay free, or it cannot be written. Nothing is there then.
    """
    try:
        make_folder(path.parent)
        _require_room(path, len(body), min_free_bytes)
        with whole_file(path) as out:
            out.write(body)
            if before is not None:
                out.flush()
                os.fsync(out.fileno())
                before()
        try:
            flush_folder(path.parent)
        except OSError:
            # Who is told that it failed writes the rows again: they must not be there twice.
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise unwritable(path, error) from error


def append_durably(path: Path, line: bytes, *, min_free_bytes: int = 0) -> None:
    """Append a whole line and flush it, or leave the file as it was.

    Raises
    ------
    OutputProblem
        Fewer bytes would stay free, or it cannot be written.
    """
    try:
        _require_room(path, len(line), min_free_bytes)
        with path.open("ab", buffering=0) as out:
            before = out.tell()
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[out.write(rest) :]
                os.fsync(out.fileno())
                if not before:
                    flush_folder(path.parent)
            except OSError:
                out.truncate(before)
                raise
    except OSError as error:
        raise unwritable(path, error) from error


def make_folder(folder: Path) -> None:
    """Make a folder and those it lies in, and make sure that their names are on the disk.

    Raises
    ------
    OSError
        One cannot be made; those before it are there for good.
    """
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        try:
            flush_folder(each.parent)
        except OSError:
            # Whoever comes next would take it for one that is flushed.
            each.rmdir()
            raise


def flush_folder(folder: Path) -> None:
    """Make sure that the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unwritable(path: Path, error: OSError) -> OutputProblem:
    """Return the error for a file that the system does not let be written."""
    if error.errno in FULL:
        return _full(path, os.strerror(error.errno))
    said = error.strerror or type(error).__name__
    return OutputProblem(
        f"{path.name} must be writable", said, "correct the folder's rights, or give another"
    )


def _require_room(path: Path, size: int, min_free_bytes: int) -> None:
    free = disk_usage(path.parent).free - size
    if free < min_free_bytes:
        raise _full(path, f"{max(free, 0):,} bytes")


def _full(path: Path, value: str) -> OutputProblem:
    return OutputProblem(
        f"the disk of '{path.parent}' must have room", value, "make room: what waits is written then"
    )
