"""``consilium collect`` and ``consilium collect-status``."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded
from consilium.domain import DataProblem, UsageError

STALE_S = 10.0

Symbols = Annotated[
    str, typer.Option("--symbols", help="As the exchange writes them, separated by commas: BTCUSDT,ETHUSDT.")
]
Levels = Annotated[int, typer.Option("--levels", help="Levels of each side to keep, 1 to 500.")]
Interval = Annotated[
    str,
    typer.Option("--interval", help="Of the diffs: 100ms or 1000ms (spot), 100ms, 250ms, 500ms (futures)."),
]
Market = Annotated[str, typer.Option("--market", help="spot, usdm or coinm of Binance.")]
Folder = Annotated[Path, typer.Option("--folder", help="Where to write; one collector a folder.")]
For = Annotated[str | None, typer.Option("--for", help="How long: 90s, 10m, 24h. Until Ctrl-C if not given.")]
RestUrl = Annotated[str, typer.Option("--rest-url", help="Address of requests instead of the exchange's.")]
StreamUrl = Annotated[str, typer.Option("--stream-url", help="Address of streams instead of the exchange's.")]
MaxDisk = Annotated[str, typer.Option("--max-disk", help="The folder holds no more; rows are dropped then.")]
MaxMemory = Annotated[
    str, typer.Option("--max-memory", help="The process takes no more: caches go, else it ends cleanly.")
]
MinFree = Annotated[str, typer.Option("--min-free", help="The disk keeps so much free.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write the last status to this file; - is the standard output.")
]
QuietLine = Annotated[bool, typer.Option("--quiet", help="No live line.")]


@guarded
def collect(
    symbols: Symbols,
    levels: Levels = 20,
    interval: Interval = "100ms",
    market: Market = "spot",
    folder: Folder = Path("runs/books"),
    length: For = None,
    rest_url: RestUrl = "",
    stream_url: StreamUrl = "",
    max_disk: MaxDisk = "50GB",
    max_memory: MaxMemory = "1GB",
    min_free: MinFree = "1GB",
    quiet: QuietLine = False,
    json_file: JsonFile = None,
) -> None:
    """Record order books and trades from an exchange; Ctrl-C or SIGTERM ends it cleanly."""
    from consilium.app.collecting.amounts import read_bytes, read_seconds
    from consilium.app.collecting.request import CollectRequest
    from consilium.app.collecting.screen import screen, summary_lines
    from consilium.app.files import is_standard_output, require_writable, write_json

    if json_file is not None:
        require_writable(json_file)
    request = CollectRequest(
        symbols=tuple(name.upper() for name in options.split_names(symbols) or ()),
        levels=levels,
        interval=interval,
        market=market,
        folder=folder,
        seconds=None if length is None else read_seconds("--for", length),
        rest_url=rest_url.rstrip("/"),
        stream_url=stream_url.rstrip("/"),
        max_disk=read_bytes("--max-disk", max_disk),
        max_memory=read_bytes("--max-memory", max_memory),
        min_free=read_bytes("--min-free", min_free),
    )
    request.check()
    from consilium.app.collecting.run import collect as run

    with screen(quiet=quiet) as (show, tell):
        ended = run(request, show=show, tell=tell)
    aside = json_file is not None and is_standard_output(json_file)
    if json_file is not None:
        write_json(json_file, ended.status)
    for line in summary_lines(ended.status, str(folder)):
        typer.echo(line, err=aside)
    if ended.error is not None:
        raise ended.error


@guarded
def collect_status(
    folder: Folder = Path("runs/books"),
    json_file: JsonFile = None,
) -> None:
    """Say how the collector of a folder is doing; exit code 1 unless it runs, and writes."""
    from consilium.app.collecting.lock import lock_holder
    from consilium.app.collecting.screen import status_lines
    from consilium.app.files import is_standard_output, write_json

    status = _read_status(folder)
    holder = lock_holder(folder)
    try:
        age = max(time.time_ns() - status["ts"], 0) / 1e9
        lines = status_lines(status, holder=holder, age_s=age)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataProblem(
            f"the status in '{folder}' must be whole",
            f"{type(error).__name__} {error}",
            "start the collector again",
        ) from None
    stale = age > STALE_S
    if json_file is not None:
        write_json(json_file, status | {"alive": holder is not None, "age_s": age, "stale": stale})
    aside = json_file is not None and is_standard_output(json_file)
    for line in lines:
        typer.echo(line, err=aside)
    if holder is None or stale or not status["writing"]:
        raise typer.Exit(1)


def _read_status(folder: Path) -> dict[str, Any]:
    from consilium.app.collecting.status import FORMAT, STATUS

    path = folder / STATUS
    if not folder.is_dir():
        raise UsageError("--folder must be one that a collector writes to", f"'{folder}'", "check the path")
    try:
        status: dict[str, Any] = json.loads(path.read_text())
        if status["format"] != FORMAT:
            raise DataProblem(
                f"{STATUS} must have format {FORMAT}", status["format"], "use the version that wrote it"
            )
    except FileNotFoundError:
        raise DataProblem(
            f"a collector's folder holds {STATUS}", f"none in {folder}", "start consilium collect there"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataProblem(
            f"{path} must be readable", type(error).__name__, "start the collector again"
        ) from None
    return status
