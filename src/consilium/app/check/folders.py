"""Folders and files: the data folder, the room on its disk, the log, the models."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from consilium.app.check.finding import Finding
from consilium.app.collecting.disk import free_bytes
from consilium.app.settings import Settings

MIB = 1 << 20
LEAST_ROOM, LITTLE_ROOM = 64 * MIB, 1024 * MIB
"""Bytes free under which the service does not start, and under which it warns."""


def check_data_dir(settings: Settings) -> Iterator[Finding]:
    """Look whether the data folder can be made and written, and whether there is room in it."""
    folder = settings.data_dir
    trouble = writing_trouble(folder)
    if trouble:
        told = f"the data folder must be writable; got {trouble}: correct CONSILIUM_DATA_DIR or permissions"
        yield Finding("data_dir", "failed", told)
        return
    made = "" if folder.exists() else ", will be made"
    yield Finding("data_dir", "ok", f"{folder}{made}")
    free = free_bytes(_nearest(folder))
    told = f"{free / MIB:,.0f} MiB free for {folder}"
    if free < LEAST_ROOM:
        told = f"the disk needs {LEAST_ROOM // MIB} MiB at least; got {told}: make room"
        yield Finding("disk", "failed", told)
    elif free < LITTLE_ROOM:
        yield Finding("disk", "warning", f"{told}, less than {LITTLE_ROOM // MIB:,} MiB: make room soon")
    else:
        yield Finding("disk", "ok", told)


def check_log(settings: Settings) -> Iterator[Finding]:
    """Look whether the log's file can be written."""
    path = settings.log.file
    if path is None:
        yield Finding("log", "ok", f"{settings.log.level} to standard error")
        return
    trouble = f"the folder {path}" if path.is_dir() else writing_trouble(path.parent)
    if not trouble and path.exists() and not os.access(path, os.W_OK):
        trouble = f"{path}: not writable"
    if trouble:
        told = f"the file must be writable; got {trouble}: correct CONSILIUM_LOG__FILE or permissions"
        yield Finding("log.file", "failed", told)
    else:
        yield Finding("log.file", "ok", f"{settings.log.level} to {path}")


def check_models(settings: Settings) -> Iterator[Finding]:
    """Look which stored models can be served; without any the service starts and says coverage none."""
    folder = settings.data_dir / "models"
    if not folder.exists():
        yield Finding("models", "ok", f"none is stored in {folder}: coverage none")
        return
    if not (folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)):
        told = f"must be a readable folder; got {folder}: correct its permissions"
        yield Finding("models", "failed", told)
        return
    from consilium.app.shelved import overview
    from consilium.training.registry import ModelRegistry

    rows = overview(ModelRegistry(folder), time.time_ns())
    most = settings.serving.max_age_days
    for row in rows:
        age = row["age_days"]
        if row["note"] or age is None:
            told = row["note"] or "no version was promoted"
        elif 0 < most < age:
            told = f"must be at most {most:g} days old; got {age:.1f}: train it again"
        else:
            continue
        yield Finding(f"models.{row['model']}", "warning", f"is not served: {told}")
    names = ", ".join(row["model"] for row in rows)
    yield Finding(
        "models", "ok", f"{names} in {folder}" if rows else f"none is stored in {folder}: coverage none"
    )


def writing_trouble(folder: Path) -> str:
    """Return why no file can be made in a folder, which need not exist yet; empty if one can."""
    there = _nearest(folder)
    if not there.is_dir():
        return f"{there}: not a folder"
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".check-"):
            return ""
    except OSError as error:
        return f"{there}: {error.strerror}"


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest above it that exists."""
    absolute = folder.absolute()
    found = next(path for path in (absolute, *absolute.parents) if os.path.lexists(path))
    return folder if found == absolute else found
