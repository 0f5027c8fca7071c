"""The manifest of a backup: what lies in it, each file with its digest."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from consilium.domain import DataProblem, digest, plain

KIND = "consilium backup"
FORMAT = 1
MANIFEST = "manifest.json"
JOURNAL = "journal"
"""Name of the journal's copy; what belongs to it begins with the same letters."""
DATA = "data"
"""Folder of the files that go into the data folder again."""
SETTINGS = "settings.toml"

_AGAIN = "take another backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNote:
    """Size in bytes, and SHA-256 in hex, of one file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup says of itself.

    Parameters
    ----------
    version
        Of the program that took it.
    ts_created
        UTC nanoseconds.
    rows, head
        Events of the journal, and the hash of the newest.
    files
        By path relative to the backup, all but the manifest.
    """

    version: str
    ts_created: int
    rows: int
    head: str
    files: Mapping[str, FileNote]

    def as_json(self) -> bytes:
        """Return the file's content; its own digest is in it."""
        body: dict[str, Any] = {"kind": KIND, "format": FORMAT, **asdict(self)}
        return json.dumps({**body, "digest": digest(plain(body))}, indent=1).encode() + b"\n"


def note_of(path: Path) -> FileNote:
    """Read a file and return its size and digest."""
    state, size = sha256(), 0
    with path.open("rb") as opened:
        while block := opened.read(1 << 20):
            state.update(block)
            size += len(block)
    return FileNote(size=size, sha256=state.hexdigest())


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files below a folder by relative path, in order; the manifest at the top is left out."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name != MANIFEST and (path.is_symlink() or not path.is_dir()):
            yield name, path


def read_backup(folder: Path) -> Manifest:
    """Read the manifest of a backup and hold every file to it.

    Raises
    ------
    DataProblem
        It is no backup, of a newer format, or not as it was written; the first difference is named.
    """
    manifest = _read_manifest(folder)
    there = dict(files_of(folder))
    for name in sorted({*there, *manifest.files}):
        if name not in manifest.files:
            raise DataProblem("a backup must hold its own files only", f"another one, {name}", "remove it")
        if name not in there or there[name].is_symlink() or not there[name].is_file():
            raise DataProblem("a backup must be whole", f"no file {name}", _AGAIN)
        try:
            found = note_of(there[name])
        except OSError as error:
            raise DataProblem("a backup must be readable", f"{name}: {error.strerror}", _AGAIN) from None
        if found != manifest.files[name]:
            raise DataProblem("a backup must be as it was written", f"another content of {name}", _AGAIN)
    return manifest


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        told = f"{path}: {error.strerror}"
        raise DataProblem("a backup must have a manifest", told, "name the folder of a backup") from None
    except ValueError:
        raise DataProblem("the manifest of a backup must be JSON", str(path), _AGAIN) from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise DataProblem(
            "a folder to restore must be a backup of ours", str(folder), "name the folder of a backup"
        )
    if content.get("format") != FORMAT:
        told = str(content.get("format"))
        raise DataProblem(f"a backup must be of format {FORMAT}", told, "use the program that wrote it")
    said = content.pop("digest", "")
    if said != digest(content):
        raise DataProblem("a manifest must be as it was written", f"another content of {path}", _AGAIN)
    return _from_json(content)


def _from_json(content: dict[str, Any]) -> Manifest:
    try:
        notes = {_safe(name): FileNote(**note) for name, note in content["files"].items()}
        return Manifest(
            version=content["version"],
            ts_created=content["ts_created"],
            rows=content["rows"],
            head=content["head"],
            files=notes,
        )
    except (KeyError, TypeError, AttributeError) as error:
        told = " ".join(str(error).split())
        raise DataProblem("a manifest must have all its fields", told, _AGAIN) from None


def _safe(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name:
        raise DataProblem("files of a backup must lie in its folder", name, _AGAIN)
    return name
