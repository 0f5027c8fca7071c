"""``consilium backup`` and ``consilium restore``: all of a service in one folder, and back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded

if TYPE_CHECKING:
    from consilium.app.backup.manifest import Manifest

Folder = Annotated[Path, typer.Argument(help="A new folder.", metavar="FOLDER")]
Taken = Annotated[Path, typer.Argument(help="A folder that `consilium backup` wrote.", metavar="FOLDER")]


@guarded
def backup(folder: Folder, quiet: options.Quiet = False, json_file: options.JsonFile = None) -> None:
    """Copy journal, candles, models, digests of keys and settings of a service, which may run meanwhile.

    Secrets are not in it: no key, no password; the digests of keys are, so that keys stay good.
    """
    from consilium.app.backup.taking import back_up
    from consilium.app.bootstrap import SystemClock
    from consilium.app.cli.progress import progress_bar
    from consilium.app.settings import load_settings

    with progress_bar(quiet=quiet) as tell:
        manifest = back_up(
            load_settings(),
            folder,
            clock=SystemClock(),
            progress=lambda done, total: tell("checking events of the copy", done, total),
        )
    _show(manifest, f"{folder}: ", json_file)


@guarded
def restore(folder: Taken, quiet: options.Quiet = False, json_file: options.JsonFile = None) -> None:
    """Bring a backup into an empty data folder and an empty journal, those of the settings."""
    from consilium.app.backup.manifest import SETTINGS
    from consilium.app.backup.restoring import restore as restored
    from consilium.app.cli.progress import progress_bar
    from consilium.app.settings import load_settings

    settings = load_settings()
    with progress_bar(quiet=quiet) as tell:
        manifest = restored(
            folder, settings, progress=lambda done, total: tell("restoring events", done, total)
        )
    _show(manifest, f"{settings.data_dir}: ", json_file)
    typer.echo(f"settings are not taken over: compare {folder / SETTINGS} with consilium.toml", err=True)


def _show(manifest: "Manifest", told: str, json_file: Path | None) -> None:
    from consilium.app.files import require_writable, write_json
    from consilium.domain import to_iso

    size = sum(note.size for note in manifest.files.values())
    if json_file is not None:
        require_writable(json_file)
        body: dict[str, Any] = {
            "rows": manifest.rows,
            "head": manifest.head,
            "files": len(manifest.files),
            "bytes": size,
            "time": to_iso(manifest.ts_created),
        }
        write_json(json_file, body)
    options.told_beside(json_file, soft_wrap=True).print(
        f"{told}{len(manifest.files)} files, {size:,} bytes, {manifest.rows} events, "
        f"head {manifest.rows}:{manifest.head}",
        highlight=False,
    )
