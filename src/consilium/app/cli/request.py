"""The options that say what a run is to do, and the one place where they become a request."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from consilium.app.cli import filling, options, teaching

if TYPE_CHECKING:
    from consilium.app.backtest.request import BacktestRequest

P = ParamSpec("P")


def request_of(
    data: options.Data,
    books: options.Books = None,
    bar: options.Bar = None,
    fills: filling.Fills = "candles",
    latency: filling.Latency = None,
    queue: filling.Queue = None,
    entry: filling.Entry = None,
    patience: filling.Patience = None,
    shorts: filling.Shorts = None,
    notional: filling.Notional = None,
    maker_fee: filling.MakerFee = None,
    taker_fee: filling.TakerFee = None,
    symbols: options.Symbols = None,
    models: options.Models = None,
    rule: options.Rule = None,
    trust: options.Trust = None,
    gates: options.Gates = None,
    meta: options.Meta = None,
    per_regime: options.PerRegime = None,
    conformal: options.Conformal = None,
    features: options.Features = None,
    horizon: options.Horizon = None,
    label: options.Label = None,
    limits: options.Limits = "on",
    folds: options.Folds = None,
    preset: options.Preset = None,
    epochs: teaching.Epochs = None,
    stride: teaching.Stride = None,
    device: teaching.Device = None,
    precision: teaching.Precision = None,
    recompute: teaching.Recompute = None,
    parameters: teaching.Parameters = None,
    seed: options.Seed = None,
    jobs: options.Jobs = None,
    repair: options.Repair = False,
) -> "BacktestRequest":
    """Make the request from what was given on the command line; its parameters are the options of a run.

    Raises
    ------
    UsageError
        An option outside its bound.
    UnknownName
        Something is named that is not there.
    """
    limited = options.on_or_off("limits", limits)
    from consilium.app.backtest.request import BacktestRequest

    settings = options.settings_with(
        meta=meta,
        per_regime=per_regime,
        conformal=conformal,
        parameters=teaching.parameters_of(parameters or ()),
        label=label,
        folds=folds,
        seed=seed,
        jobs=jobs,
        epochs=epochs,
        stride=stride,
        device=device,
        precision=precision,
        recompute=recompute,
    )
    book = filling.book_terms(
        latency=latency,
        queue=queue,
        entry=entry,
        patience=patience,
        shorts=shorts,
        notional=notional,
    )
    return BacktestRequest.checked(
        settings=filling.settings_filled(
            settings, fills=fills, book=book, maker_fee=maker_fee, taker_fee=taker_fee
        ),
        fills=fills,
        data=data,
        books=tuple(books or ()),
        bar=bar or "",
        symbols=options.split_names(symbols),
        models=_asked_models(models),
        rule=rule,
        trust=trust,
        gates=gates,
        features=features,
        preset=preset,
        horizon=horizon,
        limits=limited,
        repair=repair,
    )


def _asked_models(models: str | None) -> tuple[str, ...] | None:
    """Return what was named: `all` is every model there is, and None the default pool."""
    if models != "all":
        return options.split_names(models)
    from consilium.domain import names_in
    from consilium.models import FORECASTERS, GROUP

    return names_in(FORECASTERS, GROUP)


def with_request(command: Callable[Concatenate["BacktestRequest", P], None]) -> Callable[..., None]:
    """Give a command that takes a request the options of `request_of` in its place."""
    asked = signature(request_of).parameters
    own = list(signature(command).parameters.values())[1:]
    parameters = [of.replace(kind=Parameter.KEYWORD_ONLY) for of in (*asked.values(), *own)]

    @wraps(command)
    def run(**given: Any) -> None:
        request = request_of(**{name: given.pop(name) for name in asked})
        command(request, **given)  # type: ignore[call-arg]  # given are the options of P, by name

    # typer reads the options here; functions have no such attribute until one is set
    run.__signature__ = signature(command).replace(parameters=parameters)  # type: ignore[attr-defined]  # typer reads it
    run.__annotations__ = {of.name: of.annotation for of in parameters}
    return run
