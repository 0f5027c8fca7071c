"""How a fitted forecaster lies on disk: one JSON file with digests, beside native or npz files. No pickle."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from consilium.domain import ArtefactRefused, OutputProblem

STATE_FILE = "forecaster.json"
FORMAT = 1
_AGAIN = "train the model again, or copy the folder once more"


def write_state(folder: Path, content: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write the files and, last, the JSON that names them with their SHA-256.

    Raises
    ------
    OutputProblem
        The folder is missing or cannot be written.
    """
    body = {
        **content,
        "format": FORMAT,
        "files": {name: sha256(data).hexdigest() for name, data in files.items()},
    }
    try:
        for name, data in files.items():
            (folder / name).write_bytes(data)
        text = _text({**body, "sha256": _digest(body)})
        (folder / STATE_FILE).write_text(text + "\n", encoding="utf-8")
    except OSError as reason:
        raise OutputProblem(
            "a model is saved into an existing folder", f"{folder} ({reason.strerror})", "create it first"
        ) from None


def read_state(folder: Path, name: str, files: Sequence[str]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read what `write_state` wrote; refuse what is damaged, changed or of another model.

    Parameters
    ----------
    folder
        Where the model was saved.
    name
        The model that is expected.
    files
        The files that this model needs beside the JSON; no others are read.

    Raises
    ------
    ArtefactRefused
        A missing, cut, changed or foreign file.
    """
    content = _read_json(folder)
    if content.get("model") != name:
        raise ArtefactRefused(
            f"{folder} must hold a model {name}", repr(content.get("model")), "give the right folder"
        )
    payload = {}
    for file in files:
        data = _read_bytes(folder / file)
        if sha256(data).hexdigest() != content["files"].get(file):
            raise ArtefactRefused(
                f"{folder / file} must match its stored SHA-256", f"{len(data)} bytes that do not", _AGAIN
            )
        payload[file] = data
    return content, payload


def stored_name(folder: Path) -> str:
    """Return the name of the model saved in a folder.

    Raises
    ------
    ArtefactRefused
        The folder holds no readable model.
    """
    return str(_read_json(folder).get("model"))


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays as the bytes of an npz file."""
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file; objects are refused.

    Raises
    ------
    ArtefactRefused
        Not an npz file of plain arrays.

    Examples
    --------
    >>> unpack_arrays(pack_arrays({"a": np.arange(3)}))["a"].tolist()
    [0, 1, 2]
    """
    try:
        with np.load(BytesIO(data), allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, OSError, EOFError, BadZipFile) as reason:
        raise ArtefactRefused("an npz file must hold plain arrays", f"{reason}", _AGAIN) from None


def _text(body: Mapping[str, Any]) -> str:
    return json.dumps(body, allow_nan=False, indent=1, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _digest(body: Mapping[str, Any]) -> str:
    return sha256(_text(body).encode()).hexdigest()


def _read_json(folder: Path) -> dict[str, Any]:
    path = folder / STATE_FILE
    try:
        content = json.loads(_read_bytes(path))
    except ValueError as reason:
        raise ArtefactRefused(f"{path} must be JSON", f"{reason}", _AGAIN) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise ArtefactRefused(f"{path} must have format {FORMAT}", repr(found), _AGAIN)
    stored = content.pop("sha256", None)
    if stored != _digest(content):
        raise ArtefactRefused(f"{path} must match its stored SHA-256", "a changed file", _AGAIN)
    return content


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as reason:
        raise ArtefactRefused(
            f"a stored model must hold {path.name}",
            f"{path.parent} ({reason.strerror})",
            "give the folder that save wrote",
        ) from None
