"""The command ``consilium serve``: the whole service in one process, with its API."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consilium.app.cli.check import sound_settings
from consilium.app.cli.guard import guarded
from consilium.app.cli.starting import unswept

if TYPE_CHECKING:
    from consilium.app.api.keys import KeyStore
    from consilium.app.settings import Settings

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", readable=False, help="Journal, candles, models and keys (default: runs)."),
]
Feed = Annotated[
    str | None,
    typer.Option("--feed", help="replay:PATH, simulate:symbols=5, exchange:VENUE; none if not given."),
]
Symbols = Annotated[
    str | None, typer.Option("--symbols", help="Of the feed, separated by commas; all if not given.")
]
Bar = Annotated[str | None, typer.Option("--bar", help="Length of an exchange's candles (default 1h).")]
Speed = Annotated[
    float | None,
    typer.Option("--speed", help="Closes a second of a replay (default 1); 0 for as fast as it can."),
]
Host = Annotated[str | None, typer.Option("--host", help="Where the API listens (default 127.0.0.1).")]
Port = Annotated[int | None, typer.Option("--port", help="Where the API listens (default 8001).")]


@guarded
def serve(
    feed: Feed = None,
    symbols: Symbols = None,
    bar: Bar = None,
    speed: Speed = None,
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
) -> None:
    """Follow a feed, forecast, reach consensus, trade on paper, and answer on the API until told to stop."""
    settings, warned = sound_settings(
        **given_of(feed=feed, symbols=symbols, bar=bar, speed=speed, data_dir=data_dir, host=host, port=port)
    )
    with unswept():
        from consilium.app.api.frame import make_api
        from consilium.app.api.keys import KeyStore
        from consilium.app.api.server import ApiServer, bind
        from consilium.app.bootstrap import SystemClock
        from consilium.app.federated.holder import NetworkHolder
        from consilium.app.live.assembly import assemble
        from consilium.app.live.faults import Faults
        from consilium.app.log import configure_logging, logger

    faults = Faults()
    clock = SystemClock()
    given = settings.api_key.get_secret_value() if settings.api_key else None
    faults.attempt(lambda: configure_logging(settings))
    for found in warned:
        logger("consilium.check").warning(found.text, setting=found.setting)
    sock = faults.attempt(lambda: bind(settings))
    keys = faults.attempt(lambda: KeyStore(settings.data_dir, clock, given))
    system = assemble(settings, clock=clock, faults=faults)
    sock, keys = faults.need(sock), faults.need(keys)
    system.start()
    try:
        network = NetworkHolder(settings.data_dir, clock, system.journal)
        with unswept():
            api = make_api(system, keys, settings, network_holder=network)
        server = ApiServer(api, settings, Told(settings, keys))
        server.serve_on(sock)
    except KeyboardInterrupt:
        pass  # asked to stop: the server has ended its connections by now
    finally:
        system.stop()
    sys.stderr.write("stopped: all that was concluded is in the journal\n")


class Told:
    """Says where the API listens, and the admin key where one was made just now."""

    def __init__(self, settings: "Settings", keys: "KeyStore") -> None:
        self._settings = settings
        self._made = keys.ensure_admin()

    def __call__(self, port: int) -> None:
        """Say it."""
        scheme = "https" if self._settings.api.tls_certificate else "http"
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        sys.stderr.write(
            f"listening on {scheme}://{host}:{port} (feed: {self._settings.live.feed or 'none'})\n"
        )
        if self._made is None:
            return
        if sys.stderr.isatty():
            key = self._made.read_text(encoding="utf-8").strip()
            sys.stderr.write(f"admin key, shown this once: {key}\n")
        sys.stderr.write(f"the admin key is in {self._made}\n")


def given_of(
    *,
    feed: str | None = None,
    symbols: str | None = None,
    bar: str | None = None,
    speed: float | None = None,
    data_dir: Path | None = None,
    host: str | None = None,
    port: int | None = None,
) -> dict[str, Any]:
    """Return the settings that the command line gives, as `load_settings` takes them."""
    from consilium.app.cli.options import split_names

    live = {"feed": feed, "symbols": split_names(symbols), "bar": bar, "speed": speed}
    top = {"data_dir": data_dir, "host": host, "port": port}
    given: dict[str, Any] = {name: value for name, value in top.items() if value is not None}
    section = {name: value for name, value in live.items() if value is not None}
    return given | ({"live": section} if section else {})
