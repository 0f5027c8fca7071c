"""``consilium download-data``, ``consilium data check`` and ``consilium data compact``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded
from consilium.domain import UsageError
from consilium.domain.wording import counted


@guarded
def download_data(
    out: Annotated[Path, typer.Option("--out", help="Folder of the candles; the same folder goes on.")],
    preset: Annotated[
        str, typer.Option("--preset", help="small: 15 symbols x 500 bars. full: 100 symbols x 90 days.")
    ] = "small",
    symbols: options.Symbols = None,
    bars: Annotated[
        int | None, typer.Option("--bars", help="Bars before the end, instead of the preset's.")
    ] = None,
    interval: Annotated[str, typer.Option("--interval", help="Length of a bar.")] = "1h",
    end: Annotated[
        str | None, typer.Option("--end", help="ISO time at which to end; now if not given.")
    ] = None,
    exchange: Annotated[str, typer.Option("--exchange", help="Any exchange that ccxt knows.")] = "binance",
    url: Annotated[
        str | None, typer.Option("--url", help="Address to ask instead of the exchange's own.")
    ] = None,
    attempts: Annotated[
        int, typer.Option("--attempts", min=1, help="How often to ask again, with growing pauses.")
    ] = 5,
    json_file: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Fetch finished candles through ccxt; a run that was stopped goes on where it stopped."""
    from consilium.app.cli.progress import progress_bar
    from consilium.app.files import is_standard_output, require_writable, write_json
    from consilium.domain import from_iso
    from consilium.market.download import download

    if json_file is not None:
        require_writable(json_file)
    try:
        end_ts = None if end is None else from_iso(end)
    except ValueError:
        raise UsageError("--end must be an ISO time", f"'{end}'", "write for example 2024-09-01") from None
    with progress_bar(quiet=quiet) as progress:
        done = download(
            out,
            preset=preset,
            symbols=options.split_names(symbols),
            bars=bars,
            interval=interval,
            end_ts=end_ts,
            exchange=exchange,
            base_url=url,
            attempts=attempts,
            retry=lambda again: typer.echo(f"retry: {again}", err=True),
            progress=lambda p: progress(f"fetch {p.phase}", p.done, p.total, p.symbol),
        )
    if json_file is not None:
        write_json(
            json_file,
            {
                "folder": str(done.folder),
                "symbols": list(done.plan.pairs),
                "bars": done.bars,
                "requests": done.requests,
                "retries": done.retries,
                "findings": [str(finding) for finding in done.findings],
            },
        )
    aside = json_file is not None and is_standard_output(json_file)
    for finding in done.findings:
        typer.echo(str(finding), err=aside)
    typer.echo(
        f"{counted(done.bars, 'bar')} of {counted(len(done.plan.pairs), 'symbol')} are in {done.folder}",
        err=aside,
    )


@guarded
def check(
    data: Annotated[
        str, typer.Argument(help="A parquet, feather or csv file, a folder of them, or `sample`.")
    ],
    symbols: options.Symbols = None,
    repair: options.Repair = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="With --repair: write the repaired candles to this parquet file."),
    ] = None,
    json_file: options.JsonFile = None,
) -> None:
    """Say what is wrong with candles, row by row; exit code 1 if a symbol cannot be used as it is."""
    from consilium.app.files import is_standard_output, require_writable, write_json
    from consilium.app.observe import survey
    from consilium.market.sources import write_candles

    if out is not None and not repair:
        raise UsageError("--out goes with --repair", f"--out {out}", "add --repair")
    if out is not None and is_standard_output(out):
        raise UsageError("--out needs a file", "'-'", "give a name")
    for path in (out, json_file):
        if path is not None:
            require_writable(path)
    found = survey(data, options.split_names(symbols), repair=repair)
    if out is not None:
        write_candles(out, found.series)
    if json_file is not None:
        write_json(json_file, _plain(found))
    aside = json_file is not None and is_standard_output(json_file)
    for finding in found.findings:
        typer.echo(str(finding), err=aside)
    broken = [finding for finding in found.findings if finding.fatal]
    bars = sum(len(series) for series in found.series.values())
    typer.echo(
        f"{counted(len(found.series), 'symbol')} with {counted(bars, 'bar')} can be used; "
        f"faults left: {len(broken)}",
        err=aside,
    )
    if out is not None:
        typer.echo(f"Written: {out}", err=aside)
    if broken:
        raise typer.Exit(1)


@guarded
def compact(
    folder: Annotated[Path, typer.Argument(help="Folder of `consilium collect`; it may be running.")],
    json_file: options.JsonFile = None,
) -> None:
    """Join the many files of each finished UTC day into few, safe beside a running collector."""
    import time

    from consilium.app.files import is_standard_output, require_writable, write_json
    from consilium.market.book.archive import is_archive
    from consilium.market.collector.compaction import compact as join

    if not is_archive(folder):
        raise UsageError("compact needs a folder that collect wrote into", f"'{folder}'", "check the path")
    if json_file is not None:
        require_writable(json_file)
    counts = join(folder, before=time.time_ns())
    names = ("files_before", "files_after", "bytes_before", "bytes_after", "busy")
    if json_file is not None:
        write_json(json_file, {name: counts[name] for name in names})
    aside = json_file is not None and is_standard_output(json_file)
    busy = f"; {counts['busy']:,} days left to another call" if counts["busy"] else ""
    typer.echo(
        f"{counts['files_before']:,} files of finished days ({counts['bytes_before']:,} bytes) are now "
        f"{counts['files_after']:,} ({counts['bytes_after']:,} bytes){busy}",
        err=aside,
    )


def _plain(found: Any) -> dict[str, Any]:
    return {
        "usable": {symbol: len(series) for symbol, series in found.series.items()},
        "findings": [
            {
                "kind": f.kind,
                "symbol": f.symbol,
                "row": f.row,
                "ts": f.ts,
                "count": f.count,
                "detail": f.detail,
                "cure": f.cure,
                "repaired": f.repaired,
                "fatal": f.fatal,
            }
            for f in found.findings
        ],
    }
