"""Results are written whole or not at all."""

import json
import tempfile
from pathlib import Path
from typing import Any

from consilium.domain import OutputProblem
from consilium.domain.files import whole_file


def require_writable(path: Path) -> None:
    """Refuse an output file that cannot be written, before the work that would fill it.

    Raises
    ------
    OutputProblem
        The path is a folder, or its folder cannot be made or written to.
    """
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
    """Write JSON, indented, without NaN."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
