"""Results are written whole or not at all."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from consilium.domain import OutputProblem
from consilium.domain.files import whole_file


def is_standard_output(path: Path) -> bool:
    """Tell whether ``-`` was named instead of a file."""
    return str(path) == "-"


def require_writable(path: Path) -> None:
    """Refuse an output file that cannot be written, before the work that would fill it.

    ``-``, the standard output, is always accepted.

    Raises
    ------
    OutputProblem
        The path is a folder, or its folder cannot be made or written to.
    """
    if is_standard_output(path):
        return
    if path.is_dir():
        raise OutputProblem("an output must be a file", f"the folder {path}", "add a file name")
    if path.exists() and not path.is_file():
        raise OutputProblem("an output must be a regular file", f"the device {path}", "name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass
    except OSError as error:
        raise OutputProblem(
            f"the folder of {path.name} must be writable",
            f"{path.parent}: {error.strerror}",
            "choose another folder or change its permissions",
        ) from None


def write_text(path: Path, text: str) -> None:
    """Write a file by way of a hidden sibling, so that a kill leaves the old one or the new one.

    Raises
    ------
    OutputProblem
        The folder cannot be written to or is full.
    """
    require_writable(path)
    try:
        with whole_file(path) as out:
            out.write(text.encode())
    except OSError as error:
        raise OutputProblem(
            f"{path.name} must be written whole",
            error.strerror or error,
            "free space or choose another folder",
        ) from None


def write_json(path: Path, value: Any) -> None:
    """Write JSON, indented, without NaN; to the standard output if the path is ``-``.

    Raises
    ------
    OutputProblem
        The file cannot be written, or nobody reads the standard output any more.
    """
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    if is_standard_output(path):
        _write_standard_output(text)
    else:
        write_text(path, text)


def _write_standard_output(text: str) -> None:
    try:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    except OSError as error:
        # What is still buffered would fail again when the interpreter flushes it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputProblem(
            "the JSON must be read to its end", error.strerror or error, "name a file with --json"
        ) from None
