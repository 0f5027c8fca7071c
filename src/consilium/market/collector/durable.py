"""Files that are on the disk, whole, once the call returns."""

import errno
import os
from pathlib import Path
from shutil import disk_usage

from consilium.domain.errors import OutputProblem
from consilium.domain.files import whole_file

FULL = (errno.ENOSPC, errno.EDQUOT)


def write_durably(path: Path, body: bytes, *, min_free_bytes: int = 0) -> None:
    """Write a new file: into a hidden sibling, flushed, renamed, the folders flushed.

    Raises
    ------
    OutputProblem
        Fewer bytes would stay free, or it cannot be written. Nothing is there then.
    """
    try:
        made = _made(path.parent)
        free = disk_usage(path.parent).free - len(body)
        if free < min_free_bytes:
            raise _full(path, f"{max(free, 0):,} bytes")
        with whole_file(path) as out:
            out.write(body)
        try:
            for folder in {path.parent, *(folder.parent for folder in made)}:
                flush_folder(folder)
        except OSError:
            # Who is told that it failed writes the rows again: they must not be there twice.
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise unwritable(path, error) from error


def append_durably(path: Path, line: bytes) -> None:
    """Append a whole line and flush it, or leave the file as it was.

    Raises
    ------
    OutputProblem
        It cannot be written.
    """
    try:
        with path.open("ab", buffering=0) as out:
            before = out.tell()
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[out.write(rest) :]
                os.fsync(out.fileno())
            except OSError:
                out.truncate(before)
                raise
    except OSError as error:
        raise unwritable(path, error) from error


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


def _full(path: Path, value: str) -> OutputProblem:
    return OutputProblem(
        f"the disk of '{path.parent}' must have room", value, "make room: what waits is written then"
    )


def _made(folder: Path) -> list[Path]:
    made = []
    while not folder.exists():
        made.append(folder)
        folder = folder.parent
    for each in reversed(made):
        each.mkdir(exist_ok=True)
    return made
