"""Take a backup, also while the service runs."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from consilium import __version__
from consilium.app.backup.manifest import DATA, JOURNAL, MANIFEST, SETTINGS, Manifest, files_of, note_of
from consilium.app.backup.settings_text import settings_toml
from consilium.app.settings import Settings
from consilium.bus.journal import open_journal
from consilium.bus.journal.restore import check
from consilium.domain import Clock, OutputProblem
from consilium.training.manifest import locked

KEYS, CANDLES, MODELS, RUNS = "keys.json", "live/candles", "models", "runs.db"
"""What is kept of a data folder, beside the journal."""

Progress = Callable[[int, int], None]


def back_up(settings: Settings, folder: Path, *, clock: Clock, progress: Progress | None = None) -> Manifest:
    """Copy journal, candles, models, keys' digests, run table and settings into a new folder.

    The journal is copied first, at one instant of it; candles are kept before the journal speaks of them, so
    that none is missing afterwards. Every row is checked in the copy.

    Parameters
    ----------
    settings
        Of the service.
    folder
        Not there yet; it is there at the end, whole, or not at all. Only its owner may read it.
    clock
        Dates it.
    progress
        Called with rows checked, and all.

    Raises
    ------
    OutputProblem
        The folder is there, or cannot be written.
    DataProblem
        There is no journal, or a row of it is not what was appended.
    """
    if folder.exists():
        raise OutputProblem("a backup must go to a new folder", f"{folder}, which is there", "name another")
    with _whole_folder(folder) as building:
        copied = _journal(settings, building)
        _files(settings.data_dir, building / DATA)
        (building / SETTINGS).write_text(settings_toml(settings), encoding="utf-8")
        head = check(building / copied, progress=progress)
        notes = {name: note_of(path) for name, path in files_of(building)}
        manifest = Manifest(
            version=__version__, ts_created=clock.now_ns(), rows=head.offset, head=head.hash, files=notes
        )
        (building / MANIFEST).write_bytes(manifest.as_json())
    return manifest


def _journal(settings: Settings, building: Path) -> str:
    """Copy the journal; return the name of its file."""
    journal = open_journal(settings.journal_url, create=False, read_only=True)
    try:
        name = JOURNAL + (".sqlite" if settings.journal_url.startswith("sqlite") else ".jsonl.gz")
        journal.backup(building / name)
    finally:
        journal.close()
    return name


def _files(data_dir: Path, target: Path) -> None:
    keys, runs = data_dir / KEYS, data_dir / RUNS
    if keys.is_file():
        copy_file(keys, target / KEYS)
    # the names before the content: a day that another one follows is whole
    for path in sorted((data_dir / CANDLES).glob("*")):
        if path.is_file() and not path.name.startswith("."):
            copy_file(path, target / CANDLES / path.name)
    if runs.is_file():
        _copy_runs(runs, target / RUNS)
    for model in sorted((data_dir / MODELS).glob("*")):
        if model.is_dir() and not model.name.startswith("."):
            with locked(model, exclusive=False):
                copy_tree(model, target / MODELS / model.name)


def copy_tree(source: Path, target: Path) -> None:
    """Copy all files below a folder but hidden ones: locks, and what is being written."""
    for path in sorted(source.rglob("*")):
        parts = path.relative_to(source).parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            copy_file(path, target.joinpath(*parts))


def copy_file(source: Path, target: Path) -> None:
    """Copy a file to the disk; only its owner may read the copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with source.open("rb") as original, os.fdopen(descriptor, "wb") as copy:
        shutil.copyfileobj(original, copy)
        copy.flush()
        os.fsync(copy.fileno())


def _copy_runs(source: Path, target: Path) -> None:
    """Copy the run table at one instant of it, while others write."""
    with sqlite3.connect(f"file:{source}?mode=ro", uri=True) as original, sqlite3.connect(target) as copy:
        original.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
    original.close()
    copy.close()


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden neighbour that only its owner may read; it takes its name when all is in it."""
    building = folder.with_name(f".{folder.name}.{token_hex(6)}.part")
    try:
        building.mkdir(parents=True, mode=0o700)
        yield building
        os.sync()
        building.rename(folder)
    except OSError as error:
        raise OutputProblem(
            "a backup must be written whole",
            f"{error.filename or folder.parent}: {error.strerror or error}",
            "make room, or name another folder",
        ) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
