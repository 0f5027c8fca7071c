"""``consilium journal`` and ``consilium audit``: look into the journal, copy it, check its chain."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded

if TYPE_CHECKING:
    from consilium.bus.journal import Head, Journal, Recorded

Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="sqlite:///PATH or postgresql://... (default: CONSILIUM_DATABASE_URL, else the data folder's). "
        "A password is better given by the environment, where other users do not see it.",
    ),
]
Backup = Annotated[Path, typer.Argument(help="A backup or an export.", metavar="FILE")]
NewFile = Annotated[Path, typer.Argument(help="A file that is not there yet.", metavar="FILE")]


def url_of(given: str | None) -> str:
    """Return where the journal is."""
    from consilium.app.settings import load_settings

    return given or load_settings().journal_url


@contextmanager
def opened(url: str, *, read_only: bool = True) -> Iterator["Journal"]:
    """Open a journal that is there, and close it."""
    from consilium.bus.journal import open_journal

    journal = open_journal(url, create=False, read_only=read_only)
    try:
        yield journal
    finally:
        journal.close()


@guarded
def verify(
    database: Database = None,
    expect: Annotated[
        str | None,
        typer.Option(
            "--expect",
            metavar="ROW:HASH",
            help="Told by an earlier run: that row must still have that hash, so that cut or rewritten "
            "chains are found too.",
        ),
    ] = None,
    quiet: options.Quiet = False,
    json_file: options.JsonFile = None,
) -> None:
    """Walk the journal's whole chain and name the first row that is not what it was."""
    from consilium.app.cli.progress import progress_bar

    noted = _noted(expect)
    with opened(url_of(database)) as journal, progress_bar(quiet=quiet) as tell:
        found = journal.verify(progress=lambda done, total: tell("checking rows", done, total))
        if noted is not None:
            _require_noted(journal, *noted)
    _written(json_file, {"rows": found.rows, "head": found.head.hash})
    options.told_beside(json_file, soft_wrap=True).print(
        f"{found.rows} rows, every one as it was written; head {found.head.offset}:{found.head.hash}",
        highlight=False,
    )


def _noted(expect: str | None) -> tuple[int, str] | None:
    from consilium.domain import UsageError

    if expect is None:
        return None
    row, _, digest = expect.partition(":")
    if not row.isdecimal() or int(row) < 1 or len(digest) != 64:
        raise UsageError(
            "--expect must be a row and its hash", f"'{expect}'", "copy the head of an earlier run"
        )
    return int(row), digest.lower()


def _require_noted(journal: "Journal", row: int, digest: str) -> None:
    from consilium.domain import DataProblem

    there = journal.read(row - 1, 1)
    if not there or there[0].hash != digest:
        told = f"{there[0].hash[:16]}..." if there else f"{journal.head().offset} rows"
        raise DataProblem(
            f"row {row} of the journal must have the hash {digest[:16]}... that was noted",
            told,
            "restore the journal from a backup",
        )


@guarded
def show(
    after: Annotated[int, typer.Option("--after", help="Rows behind this one.")] = 0,
    before: Annotated[int | None, typer.Option("--before", help="Rows before this one.")] = None,
    topic: Annotated[
        list[str] | None, typer.Option("--topic", help="Of this topic; give it again for more.")
    ] = None,
    stream: Annotated[str | None, typer.Option("--stream", help="Of this stream, such as a symbol.")] = None,
    trace: Annotated[
        str | None, typer.Option("--trace", metavar="ID", help="Of this trace, as lines of the log name it.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many.")] = 20,
    newest: Annotated[bool, typer.Option("--newest", help="The newest first.")] = False,
    database: Database = None,
    json_file: options.JsonFile = None,
) -> None:
    """Show events as they were kept."""
    import orjson

    with opened(url_of(database)) as journal:
        rows = journal.read(
            after, limit, topics=topic, stream=stream, newest_first=newest, before=before, trace=trace
        )
    _written(json_file, {"events": [_as_json(row) for row in rows]})
    console = options.told_beside(json_file, soft_wrap=True)
    for row in rows:
        payload = orjson.dumps(row.event.payload).decode()
        console.print(
            f"{row.offset} {_moment(row.event.ts_event)} {row.event.topic} {row.event.stream} {payload}",
            highlight=False,
            markup=False,
        )
    if not rows:
        console.print("No event is there that is like this.")


def _moment(ts: int) -> str:
    from consilium.domain.time import to_iso

    try:
        return to_iso(ts)
    except (OverflowError, ValueError):
        return str(ts)


def _as_json(row: "Recorded") -> dict[str, Any]:
    from consilium.bus.codec import to_wire

    return {"offset": row.offset, "hash": row.hash, **to_wire(row.event)}


@guarded
def backup(file: NewFile, database: Database = None, quiet: options.Quiet = False) -> None:
    """Copy the journal while it is in use, and check the copy; `restore` takes it into either database."""
    from consilium.bus.journal.restore import check

    with opened(url_of(database)) as journal:
        journal.backup(file)
    with _bar("checking rows of the copy", quiet=quiet) as progress:
        _tell(file, check(file, progress=progress))


@guarded
def export(file: NewFile, database: Database = None, quiet: options.Quiet = False) -> None:
    """Write the whole journal, archived rows included, into one portable file."""
    from consilium.bus.journal.copies import export_journal
    from consilium.bus.journal.core import Core

    with opened(url_of(database)) as journal, _bar("writing rows", quiet=quiet) as progress:
        assert isinstance(journal, Core)  # noqa: S101 - every journal that is opened by a URL is one
        _tell(file, export_journal(journal, file, progress=progress))


@guarded
def restore(file: Backup, database: Database = None, quiet: options.Quiet = False) -> None:
    """Bring a backup or an export into a new journal, or go on with it where that was interrupted."""
    from consilium.bus.journal.restore import restore as restored

    with _bar("restoring rows", quiet=quiet) as progress:
        found = restored(file, url_of(database), progress=progress)
    _tell(file, found.head)


@guarded
def archive(
    before: Annotated[
        str | None, typer.Option("--before", metavar="TIME", help="Rows recorded before this: 2026-01-31.")
    ] = None,
    keep: Annotated[
        str | None, typer.Option("--keep", metavar="LENGTH", help="All but the newest so long: 90d.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Where the files go (default: beside an SQLite journal)."),
    ] = None,
    database: Database = None,
) -> None:
    """Move old rows out of the database into files that still chain; nothing is ever deleted."""
    url, ts = url_of(database), _archive_before(before, keep)
    with opened(url, read_only=False) as journal:
        made = journal.archive(ts, folder or _beside(url))
    for path in made:
        typer.echo(str(path))
    if not made:
        typer.echo("No row is that old.", err=True)


def _archive_before(before: str | None, keep: str | None) -> int:
    from consilium.app.bootstrap import SystemClock
    from consilium.domain import UsageError
    from consilium.domain.time import from_iso, length_ns

    if (before is None) == (keep is None):
        raise UsageError("one of --before and --keep must be given", "both" if before else "none", "give one")
    if keep is not None:
        return SystemClock().now_ns() - length_ns(keep)
    try:
        return from_iso(before or "")
    except ValueError:
        raise UsageError("--before must be a time", f"'{before}'", "write for example 2026-01-31") from None


def _beside(url: str) -> Path:
    from sqlalchemy import make_url

    from consilium.app.settings import load_settings
    from consilium.bus.journal.sqlite import archive_folder

    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        return archive_folder(Path(parsed.database))
    return load_settings().data_dir / "journal-archive"


@contextmanager
def _bar(stage: str, *, quiet: bool) -> Iterator[Any]:
    from consilium.app.cli.progress import progress_bar

    with progress_bar(quiet=quiet) as tell:
        yield lambda done, total: tell(stage, done, total)


def _tell(file: Path, head: "Head") -> None:
    typer.echo(f"{file}: {head.offset} rows, head {head.offset}:{head.hash}")


def _written(json_file: Path | None, value: Any) -> None:
    if json_file is not None:
        from consilium.app.files import require_writable, write_json

        require_writable(json_file)
        write_json(json_file, value)
