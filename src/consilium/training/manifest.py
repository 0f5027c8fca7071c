"""The manifest of a stored model: what it says of itself, and whether every file is as it was written."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from consilium.domain import ArtefactRefused, digest
from consilium.models import model_names
from consilium.models.serving.foreign import refuse_pickle
from consilium.training.columns import columns_hash

FORMAT_NAME = "consilium-model"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MODEL = "model"
SERVING = "serving"
"""Folders of a stored model: its native files, and its graphs."""
AGAIN = "train the model again"
LEARNED_UNTIL = "learned_until"
"""Among a model's figures: UTC nanoseconds of the newest outcome that was there to be learned from."""


@contextmanager
def checked_manifest(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Hold a model's folder and yield where it lies and its manifest; each file is as it was written.

    Raises
    ------
    ArtefactRefused
        With the reason in one line.
    """
    with locked(folder, exclusive=False):
        if folder.is_file():
            refuse_pickle(folder.read_bytes(), str(folder))
        place = folder if folder.exists() else sibling(folder, "old")
        manifest = read_manifest(place if place.exists() else folder)
        _check_identity(folder, manifest)
        _check_files(place, manifest)
        yield place, manifest


def sibling(folder: Path, role: str) -> Path:
    """Return the hidden neighbour of a folder: its lock, its new or its old version."""
    return folder.parent / f".{folder.name}.{role}"


@contextmanager
def locked(folder: Path, *, exclusive: bool) -> Iterator[None]:
    """Hold the lock file beside the folder; a reader goes without where there is none (a copied folder)."""
    path = sibling(folder, "lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT if exclusive else os.O_RDONLY, 0o644)
    except OSError:
        if exclusive:
            raise
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def manifest_digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all that a manifest says."""
    return digest({name: value for name, value in content.items() if name != "digest"})


def file_digests(place: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a stored model, by its path, the manifest left out."""
    files = sorted(path for path in place.rglob("*") if not path.is_dir() and path != place / MANIFEST)
    return {path.relative_to(place).as_posix(): sha256(path.read_bytes()).hexdigest() for path in files}


def read_manifest(place: Path) -> dict[str, Any]:
    """Read what a manifest says, without asking whether it is true.

    Raises
    ------
    ArtefactRefused
        There is none, or it is no manifest of ours.
    """
    path = place / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        what = f"no {MANIFEST}" if place.is_dir() else "no folder"
        raise ArtefactRefused(f"{place} must hold a trained model", what, AGAIN) from None
    except (OSError, ValueError) as error:
        text = f"{type(error).__name__}: {error}"
        raise ArtefactRefused(f"{path} must be readable JSON", text, AGAIN) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT_NAME:
        raise ArtefactRefused(f"{path} must be a {FORMAT_NAME}", "another kind of manifest", AGAIN)
    return content


def _check_identity(folder: Path, manifest: Mapping[str, Any]) -> None:
    version = manifest.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ArtefactRefused(
            f"{folder} must have format version <= {FORMAT_VERSION}",
            version,
            "update consilium or train again",
        )
    if manifest.get("digest") != manifest_digest(manifest):
        raise ArtefactRefused(f"{folder / MANIFEST} must match its digest", "changed content", AGAIN)
    if manifest.get("model") not in model_names():
        raise ArtefactRefused(
            f"{folder} must hold one of the models {', '.join(sorted(model_names()))}",
            f"'{manifest.get('model')}'",
            "install the package that brings it",
        )


def _check_files(place: Path, manifest: Mapping[str, Any]) -> None:
    expected = manifest["files"]
    try:
        found = file_digests(place)
    except OSError as error:
        raise ArtefactRefused(f"{place} must be readable", error.strerror, AGAIN) from None
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            problem = "a missing file"
        elif name not in expected:
            problem = "a file that the manifest does not know"
        elif found[name] != expected[name]:
            problem = f"other bytes (SHA-256 {found[name][:12]} instead of {expected[name][:12]})"
        else:
            continue
        raise ArtefactRefused(f"{place / name} must be as it was written", problem, AGAIN)


def check_features(manifest: Mapping[str, Any], expected: tuple[str, ...]) -> None:
    """Refuse a model that reads other features than the caller computes, or others in formula.

    Raises
    ------
    ArtefactRefused
        With both in one line.
    """
    names = tuple(manifest["feature_names"])
    if names != expected:
        raise ArtefactRefused(
            f"model {manifest['name']} reads {_told(names)}",
            _told(expected),
            "train it on these features, or give it its own",
        )
    if manifest["features_hash"] != columns_hash(expected):
        raise ArtefactRefused(
            f"model {manifest['name']} reads features with formulas {manifest['features_hash']}",
            columns_hash(expected),
            AGAIN,
        )


def _told(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    return f"{len(names)} features ({shown}{', ...' if len(names) > 3 else ''})"
