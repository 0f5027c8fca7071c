"""Bring a backup into an empty data folder."""

import os
import shutil
from pathlib import Path
from secrets import token_hex

from consilium.app.backup.manifest import DATA, JOURNAL, MANIFEST, Manifest, read_backup
from consilium.app.backup.taking import Progress, copy_tree
from consilium.app.settings import Settings
from consilium.bus.journal import open_journal
from consilium.bus.journal.opening import inspect_journal
from consilium.bus.journal.restore import restore as restore_journal
from consilium.domain import DataProblem, OutputProblem


def restore(folder: Path, settings: Settings, *, progress: Progress | None = None) -> Manifest:
    """Bring a backup into the data folder and the journal of the settings, both empty.

    The whole backup is checked before anything is written; the data folder is filled at the end.

    Parameters
    ----------
    folder
        A backup.
    settings
        Where to: `data_dir` and the journal, which may be in another kind of database than it was.
    progress
        Called with the events restored, and all.

    Raises
    ------
    DataProblem
        The backup is damaged or foreign, or the journal restored is not the one that it names.
    OutputProblem
        The data folder or the journal holds something, or cannot be written.
    """
    manifest = read_backup(folder)
    data_dir = settings.data_dir
    _require_empty(data_dir)
    _require_no_journal(settings)
    stage = data_dir / f".restore-{token_hex(6)}"
    made = not data_dir.exists()
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        stage.mkdir(mode=0o700)
        copy_tree(folder / DATA, stage)
        _bring_journal(folder, manifest, settings, stage, progress)
        os.sync()
        for path in sorted(stage.iterdir(), key=lambda path: not path.name.startswith(JOURNAL)):
            path.rename(data_dir / path.name)
        stage.rmdir()
    except OSError as error:
        raise OutputProblem(
            "a backup must be restored whole",
            f"{error.filename or data_dir}: {error.strerror or error}",
            "make room, or name another data folder",
        ) from None
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        if made and data_dir.exists() and not any(data_dir.iterdir()):
            data_dir.rmdir()
    return manifest


def _require_empty(data_dir: Path) -> None:
    if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
        raise OutputProblem(
            "a backup is restored into an empty data folder",
            f"{data_dir}, which holds something",
            "name another with CONSILIUM_DATA_DIR, or move that one away",
        )


def _require_no_journal(settings: Settings) -> None:
    if not settings.database_url or inspect_journal(settings.journal_url).version is None:
        return
    journal = open_journal(settings.journal_url, create=False, read_only=True)
    try:
        rows = journal.head().offset
    finally:
        journal.close()
    if rows:
        raise OutputProblem(
            "a backup is restored into an empty journal",
            f"{rows} events in that of CONSILIUM_DATABASE_URL",
            "name an empty database",
        )


def _bring_journal(
    folder: Path, manifest: Manifest, settings: Settings, stage: Path, progress: Progress | None
) -> None:
    source = next((folder / name for name in manifest.files if _is_journal(name)), None)
    if source is None:
        raise DataProblem(
            "a backup must hold a journal", f"none in {folder / MANIFEST}", "take another backup"
        )
    url = settings.database_url or f"sqlite:///{(stage / 'journal.sqlite').absolute()}"
    found = restore_journal(source, url, progress=progress)
    if (found.rows, found.head.hash) != (manifest.rows, manifest.head):
        raise DataProblem(
            f"the journal must end with row {manifest.rows}, {manifest.head[:16]}...",
            f"{found.rows}, {found.head.hash[:16]}...",
            "take another backup",
        )


def _is_journal(name: str) -> bool:
    return name in {f"{JOURNAL}.sqlite", f"{JOURNAL}.jsonl.gz"}
