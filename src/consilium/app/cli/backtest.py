"""``consilium backtest`` and ``consilium demo``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded
from consilium.app.cli.report import show
from consilium.app.cli.request import request_of, with_request

if TYPE_CHECKING:
    from consilium.app.backtest.request import BacktestRequest

Signals = Annotated[
    Path | None,
    typer.Option(
        "--signals",
        help="Trade your own signals and train nothing: a csv or parquet file of ts_event, symbol, direction "
        "and, if there is one, actionable.",
    ),
]


@guarded
@with_request
def backtest(
    request: "BacktestRequest",
    signals: Signals = None,
    json_file: options.JsonFile = None,
    html_file: options.HtmlFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Train walk-forward, reach consensus, trade on paper, and say whether it was worth it."""
    if signals is None:
        _run(request, json_file, html_file, quiet)
        return
    from consilium.app.backtest.own_signals import run_signals

    show(lambda progress: run_signals(request, signals, progress=progress), json_file, html_file, quiet=quiet)


@guarded
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")] = Path("runs/demo"),
    seed: options.Seed = None,
    jobs: options.Jobs = None,
    json_file: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Run the whole path on real hourly bars of one stock and write the report."""
    request = request_of("sample", seed=seed, jobs=jobs)
    _run(request, json_file or out / "report.json", out / "report.html", quiet)


def _run(request: "BacktestRequest", json_file: Path | None, html_file: Path | None, quiet: bool) -> None:
    from consilium.app.backtest.run import run

    show(lambda progress: run(request, progress=progress), json_file, html_file, quiet=quiet)
