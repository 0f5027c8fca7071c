"""``consilium keys``: who may call the API."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded

if TYPE_CHECKING:
    from consilium.app.api.keys import KeyStore

Person = Annotated[str, typer.Argument(help="Who acts with the key; commands are journaled under this name.")]
Scopes = Annotated[
    str,
    typer.Option(
        "--scopes", help="What it may do, separated by commas: read, publish, decide, override, vote, admin."
    ),
]
Unlimited = Annotated[bool, typer.Option("--unlimited", help="No limit on its requests a minute.")]


def _store() -> "KeyStore":
    from consilium.app.api.keys import KeyStore
    from consilium.app.bootstrap import SystemClock
    from consilium.app.settings import load_settings

    return KeyStore(load_settings().data_dir, SystemClock())


@guarded
def create(person: Person, scopes: Scopes = "read", unlimited: Unlimited = False) -> None:
    """Make a key and print it, this once: only its digest is kept."""
    chosen = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    key, record = _store().create(person, chosen, limited=not unlimited)
    typer.echo(f"{record.key_id} of {record.person}: {', '.join(record.scopes)}", err=True)
    typer.echo(key)


@guarded
def list_keys(json_file: options.JsonFile = None) -> None:
    """List the keys that are good, without the keys themselves."""
    from consilium.app.files import write_json

    rows: list[dict[str, Any]] = [
        {
            "key_id": record.key_id,
            "person": record.person,
            "scopes": list(record.scopes),
            "limited": record.limited,
            "created": f"{datetime.fromtimestamp(record.ts_created / 1e9, UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        for record in _store().records()
    ]
    if json_file is not None:
        write_json(json_file, rows)
        return
    for row in rows:
        told = "" if row["limited"] else ", unlimited"
        scopes = ", ".join(row["scopes"])
        typer.echo(f"{row['key_id']}  {row['created']}  {row['person']}: {scopes}{told}")


@guarded
def revoke(key_id: Annotated[str, typer.Argument(help="As `consilium keys list` shows it.")]) -> None:
    """Make a key useless, at once; event streams of it end with their next heartbeat."""
    _store().revoke(key_id)
    typer.echo(f"{key_id} is revoked", err=True)
