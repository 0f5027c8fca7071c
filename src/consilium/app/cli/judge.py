"""``consilium judge``."""

from typing import Annotated

import typer

from consilium.app.cli import options
from consilium.app.cli.guard import guarded
from consilium.app.cli.report import show

Controls = Annotated[
    str,
    typer.Option("--controls", help="Controls on worlds whose truth is known: on, or off to save time."),
]


@guarded
def judge(
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
    controls: Controls = "on",
    json_file: options.JsonFile = None,
    html_file: options.HtmlFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Judge forecasts and trades by the whole protocol, on a lock-box that is opened once."""
    limited = options.on_or_off("limits", limits)
    controlled = options.on_or_off("controls", controls)
    from consilium.app.backtest.request import BacktestRequest
    from consilium.app.judge.run import judge as judged

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
    show(
        lambda progress: judged(request, controls=controlled, progress=progress),
        json_file,
        html_file,
        quiet=quiet,
    )
