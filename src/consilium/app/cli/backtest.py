"""``consilium backtest`` and ``consilium demo``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded
from consilium.app.cli.report import show

if TYPE_CHECKING:
    from consilium.app.backtest.request import BacktestRequest


@guarded
def backtest(
    data: options.Data,
    symbols: options.Symbols = None,
    models: options.Models = "all",
    rule: options.Rule = None,
    trust: options.Trust = None,
    gates: options.Gates = None,
    meta: options.Meta = None,
    per_regime: options.PerRegime = None,
    conformal: options.Conformal = None,
    features: options.Features = None,
    horizon: options.Horizon = None,
    limits: options.Limits = "on",
    folds: options.Folds = None,
    preset: options.Preset = None,
    seed: options.Seed = None,
    jobs: options.Jobs = None,
    repair: options.Repair = False,
    json_file: options.JsonFile = None,
    html_file: options.HtmlFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Train walk-forward, reach consensus, trade on paper, and say whether it was worth it."""
    limited = options.on_or_off("limits", limits)
    from consilium.app.backtest.request import BacktestRequest

    settings = options.settings_with(
        folds=folds, seed=seed, jobs=jobs, meta=meta, per_regime=per_regime, conformal=conformal
    )
    request = BacktestRequest.checked(
        settings=settings,
        data=data,
        symbols=options.split_names(symbols),
        models=None if models == "all" else options.split_names(models),
        rule=rule,
        trust=trust,
        gates=gates,
        features=features,
        preset=preset,
        horizon=horizon,
        limits=limited,
        repair=repair,
    )
    _run(request, json_file, html_file, quiet)


@guarded
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")] = Path("runs/demo"),
    seed: options.Seed = None,
    jobs: options.Jobs = None,
    json_file: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Run the whole path on real hourly bars of one stock and write the report."""
    from consilium.app.backtest.request import BacktestRequest

    request = BacktestRequest.checked(
        settings=options.settings_with(folds=None, seed=seed, jobs=jobs), data="sample"
    )
    _run(request, json_file or out / "report.json", out / "report.html", quiet)


def _run(request: "BacktestRequest", json_file: Path | None, html_file: Path | None, quiet: bool) -> None:
    from consilium.app.backtest.run import run

    show(lambda progress: run(request, progress=progress), json_file, html_file, quiet=quiet)
