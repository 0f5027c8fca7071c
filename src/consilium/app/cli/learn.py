"""``consilium train`` and ``consilium predict``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consilium.app.cli import options, teaching
from consilium.app.cli.guard import guarded
from consilium.app.cli.request import request_of

if TYPE_CHECKING:
    from consilium.app.backtest.request import BacktestRequest
    from consilium.app.deploy import TrainingResult
    from consilium.app.observe import Observed

Folder = Annotated[
    Path | None,
    typer.Option("--models-dir", help="Folder of the artefacts (default: models in the data folder)."),
]
Stored = Annotated[
    str | None,
    typer.Option("--models", help="Stored models, separated by commas; all of them if not given."),
]
Schedule = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        metavar="CRON",
        help='Train again at these times, in UTC, until stopped: "0 3 * * *" is every night at three.',
    ),
]
Old = Annotated[
    bool,
    typer.Option("--old", help="Serve models that are older than serving.max_age_days (30) as well."),
]


@guarded
def train(
    data: options.Data,
    books: options.Books = None,
    bar: options.Bar = None,
    symbols: options.Symbols = None,
    models: options.Models = None,
    features: options.Features = None,
    horizon: options.Horizon = None,
    label: options.Label = None,
    folds: options.Folds = None,
    epochs: teaching.Epochs = None,
    stride: teaching.Stride = None,
    tune: teaching.Tune = None,
    device: teaching.Device = None,
    precision: teaching.Precision = None,
    recompute: teaching.Recompute = None,
    parameters: teaching.Parameters = None,
    schedule: Schedule = None,
    preset: options.Preset = None,
    seed: options.Seed = None,
    jobs: options.Jobs = None,
    repair: options.Repair = False,
    models_dir: Folder = None,
    json_file: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Judge each model walk-forward, then train it on all data and store it."""
    from consilium.app.files import require_writable
    from consilium.app.labelling import folder_name

    request = request_of(
        data,
        books=books,
        bar=bar,
        symbols=symbols,
        models=models,
        features=features,
        horizon=horizon,
        label=label,
        folds=folds,
        epochs=epochs,
        stride=stride,
        device=device,
        precision=precision,
        recompute=recompute,
        parameters=parameters,
        preset=preset,
        seed=seed,
        jobs=jobs,
        repair=repair,
    )
    folder = models_dir or request.settings.data_dir / folder_name(request.settings.training)
    require_writable(folder / "probe")
    if json_file is not None:
        require_writable(json_file)
    if tune is not None:
        settings = request.settings
        training = options.merged(settings.training, tune=tune)
        request = replace(request, settings=settings.model_copy(update={"training": training}))
    if schedule is None:
        _train_once(request, folder, json_file, quiet=quiet)
        return
    from consilium.app.bootstrap import SystemClock
    from consilium.app.scheduling import repeat

    repeat(
        schedule,
        lambda: _train_once(request, folder, json_file, quiet=quiet, again=True),
        clock=SystemClock(),
        tell=lambda line: typer.echo(line, err=True),
    )


def _train_once(
    request: "BacktestRequest", folder: Path, json_file: Path | None, *, quiet: bool, again: bool = False
) -> None:
    """Train and tell; what is not FULL is an exit code of 1, unless there will be another time."""
    from consilium.app import deploy
    from consilium.app.cli.training_summary import tell_training
    from consilium.app.files import write_json

    observed, result = _trained(request, folder, quiet=quiet)
    try:
        if json_file is not None:
            write_json(
                json_file,
                {
                    "summary": result.summary,
                    "models": result.models,
                    "failures": result.failures,
                    "skipped": result.skipped,
                    "data": observed.source,
                    "findings": list(observed.findings),
                },
            )
        _tell_findings(observed.findings)
        tell_training(result, options.told_beside(json_file))
    except KeyboardInterrupt:
        if not result.models:
            raise
        raise deploy.TrainingInterrupted(result.models, request.models) from None
    if result.summary != "FULL" and not again:
        raise typer.Exit(1)


def _trained(request: "BacktestRequest", folder: Path, *, quiet: bool) -> tuple["Observed", "TrainingResult"]:
    from consilium.app import deploy
    from consilium.app.cli.training_table import training_table
    from consilium.app.observe import fitting_features
    from consilium.market.features import feature_names

    with training_table(request.models, quiet=quiet) as watch:
        observed = request.observed()
        chosen = request.features or fitting_features(observed)
        observed = observed.with_books(feature_names(chosen), watch.progress)
        return observed, deploy.train(
            request.settings,
            observed,
            request.models,
            features=chosen,
            horizon=request.horizon,
            folder=folder,
            progress=watch.progress,
            tell=watch.tell,
        )


def _tell_findings(findings: tuple[str, ...]) -> None:
    for finding in findings:
        typer.echo(f"data: {finding}", err=True)


@guarded
def predict(
    data: options.Data,
    books: options.Books = None,
    bar: options.Bar = None,
    symbols: options.Symbols = None,
    models: Stored = None,
    label: options.Label = None,
    rule: options.Rule = None,
    trust: options.Trust = None,
    gates: options.Gates = None,
    repair: options.Repair = False,
    models_dir: Folder = None,
    old: Old = False,
    json_file: options.JsonFile = None,
) -> None:
    """Forecast the newest bar of each symbol with the stored models and reach consensus."""
    from consilium.app import deploy
    from consilium.app.bootstrap import SystemClock
    from consilium.app.files import require_writable, write_json
    from consilium.app.labelling import folder_name
    from consilium.app.newest import predict as predict_newest
    from consilium.domain import DAY_NS

    request = request_of(
        data,
        books=books,
        bar=bar,
        symbols=symbols,
        models=None if models == "all" else models,
        label=label,
        rule=rule,
        trust=trust,
        gates=gates,
        repair=repair,
    )
    settings = request.settings
    if json_file is not None:
        require_writable(json_file)
    observed = request.observed()
    folder = models_dir or settings.data_dir / folder_name(settings.training)
    pool = deploy.load_pool(
        folder,
        None if models in (None, "all") else request.models,
        now_ns=SystemClock().now_ns(),
        max_age_ns=0 if old else int(settings.serving.max_age_days * DAY_NS),
    )
    observed = observed.with_books(pool.feature_names, fewest=0.0)
    found = predict_newest(
        settings, observed, pool, rule=request.rule, trust=request.trust, gates=request.gates
    )
    if json_file is not None:
        write_json(
            json_file,
            {
                "coverage": pool.coverage,
                "refused": dict(pool.refused),
                "symbols": found.rows,
                "left_out": dict(found.left_out),
                "findings": list(observed.findings),
            },
        )
    console = options.told_beside(json_file, soft_wrap=True)
    _tell_findings(observed.findings)
    for name, why in {**pool.refused, **found.left_out}.items():
        typer.echo(f"warning: {name} is left out: {why}", err=True)
    for row in found.rows:
        if row["masked"]:
            typer.echo(
                f"warning: {row['symbol']} has no book at most 1 s before its newest close: the columns of "
                "books are masked",
                err=True,
            )
    for row in found.rows:
        for name, why in row["abstained"].items():
            typer.echo(f"warning: {name} is silent: {why}", err=True)
    if not pool.artefacts:
        console.print(
            f"No model in {folder}: the RSI/EMA fallback speaks, on paper only. Run consilium train."
        )
    for row in found.rows:
        console.print(
            f"{row['time']} {row['symbol']}: {row['action']} ({row['reason'] or 'every gate passed'})"
        )
        console.print(f"  {row['account']}", highlight=False)
        if row["no_skill"]:
            told = ", ".join(row["no_skill"])
            console.print(f"  no_skill, so climatology: {told}", highlight=False)
