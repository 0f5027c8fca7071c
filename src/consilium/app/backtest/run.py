"""One backtest from candles to verdict."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from consilium import __version__
from consilium.app.backtest.assessment import (
    Judged,
    figures_of,
    judge_consensus,
    reliability_of,
    told_of_direction,
)
from consilium.app.backtest.economics import Economics, account_daily, drawdown, pairs, plain_figures
from consilium.app.backtest.fills_section import book_fills, filled_by_books
from consilium.app.backtest.pooling import Pooled, pool
from consilium.app.backtest.registration import Material, registered
from consilium.app.backtest.request import BacktestRequest
from consilium.app.backtest.sections import (
    consensus_section,
    data_section,
    fold_section,
    notes_on,
    told_of_rival,
)
from consilium.app.bootstrap import factories, teaching_of
from consilium.app.consensus_store import ConsensusKeeper, place_of
from consilium.app.history import measured
from consilium.app.labelling import labelled
from consilium.app.observe import Observed
from consilium.app.openings import open_outcomes
from consilium.app.stages import ProgressCall, silent
from consilium.domain import ConsiliumError, DataProblem
from consilium.domain.wording import counted
from consilium.ensemble import PRESETS
from consilium.trading.backtest import BacktestResult
from consilium.training.dataset import Dataset
from consilium.training.forecasts import Forecasts
from consilium.training.judge.economics import trading_verdict
from consilium.training.runs import Run
from consilium.training.walkforward import cut_folds, walk_forward

SCHEMA = "consilium.backtest/1"
COMPARATORS = ("climatology", "best single model before each fold", "equal-weight mean")


def run(request: BacktestRequest, *, progress: ProgressCall = silent) -> dict[str, Any]:
    """Run a backtest and return its report as plain JSON.

    The request and all that is known beforehand are registered in the run table before a test row is read;
    an aborted run stays there as a trial.

    Parameters
    ----------
    request
        What to do.
    progress
        Called as the stages advance.

    Raises
    ------
    ConsiliumError
        Data, names or settings that do not allow it; one line with the cure.
    """
    material = Material.read(request, progress)
    config = material.registration(comparators=list(COMPARATORS))
    table = material.run_table()
    with registered("backtest", material, table, config) as entry:
        open_outcomes(entry.row, material.observed, seed=request.settings.training.seed)
        report = _carry_out(material.request, material.observed, material.features, progress, entry.row)
        entry.row.record(_headline(report))
    return entry.signed(report, table.trials("backtest"))


def _carry_out(
    request: BacktestRequest,
    observed: Observed,
    features: str,
    progress: ProgressCall,
    row: Run,
) -> dict[str, Any]:
    recorded = book_fills(request, observed)
    dataset = _dataset(request, observed, features, progress)
    forecasts = forecast(request, dataset, progress)
    pooled = _pooled(request, dataset, forecasts, progress, row)
    main = pooled[request.gates]
    judged = Judged.of(dataset, forecasts, main.probabilities, main.actionable)
    economics = Economics(request, observed.panel, int(dataset.ts_event[forecasts.rows[0]]), recorded)
    books = economics.unit_books(dataset, forecasts, progress)
    accounts = _accounts(economics, pooled, progress)
    account = accounts[request.gates, request.limits]
    row.keep_returns(*account_daily(account), "account")
    figures = _figures(request, dataset, forecasts, judged, books, progress)
    held = economics.hold()
    trading = _trading(account, held)
    progress("fills from books", 0, 1)
    filled, told = filled_by_books(economics, main.signals, account)
    progress("fills from books", 1, 1)
    return {
        "schema": SCHEMA,
        "version": __version__,
        "data": data_section(observed, dataset, features),
        "split": {"folds": [fold_section(fold, int(dataset.ts_event[-1])) for fold in forecasts.folds]},
        **_forecast_sections(request, dataset, forecasts, judged, figures),
        "consensus": figures["consensus"] | consensus_section(main, pooled),
        "trading": trading,
        "trading_variants": {
            f"gates={gates}, limits={'on' if limits else 'off'}": plain_figures(result)
            for (gates, limits), result in accounts.items()
        },
        **filled,
        "weights": main.weights,
        **_judged(request, dataset, forecasts, judged, figures, trading, held),
        "notes": [*notes_on(request, observed, features, figures), *told, *_stranded(trading)],
        "failures": [f"{f.model} failed in fold {f.fold + 1}: {f.error}" for f in forecasts.failures],
    }


def _dataset(request: BacktestRequest, observed: Observed, features: str, progress: ProgressCall) -> Dataset:
    """Build the rows, and refuse a history that is too short for the folds asked for."""
    progress("features and labels", 0, 1)
    training = request.settings.training
    cut = partial(cut_folds, folds=training.folds, first_fraction=training.first_fraction)
    what = f"a backtest in {counted(training.folds, 'fold')}"
    with measured(observed.panel, features, request.horizon, cut, what):
        _, spec = labelled(training, observed, request.horizon)
        dataset = observed.dataset(features, spec)
        cut(dataset)
    progress("features and labels", 1, 1)
    return dataset


def _pooled(
    request: BacktestRequest, dataset: Dataset, forecasts: Forecasts, progress: ProgressCall, row: Run
) -> dict[str, Pooled]:
    """Pool the forecasts under every gate preset; keep the consensuses of the one asked for."""
    keeper = ConsensusKeeper(dataset, forecasts)
    pooled = {
        name: pool(
            request, dataset, forecasts, name, progress, keeper=keeper if name == request.gates else None
        )
        for name in _presets(request.gates)
    }
    keeper.write(place_of(request.settings.data_dir, row.run_id))
    return pooled


def _figures(
    request: BacktestRequest,
    dataset: Dataset,
    forecasts: Forecasts,
    judged: Judged,
    books: Mapping[str, Mapping[str, Any]],
    progress: ProgressCall,
) -> dict[str, dict[str, Any]]:
    """Return the figures of every forecaster and of the consensus, with their intervals."""
    names = (*forecasts.probabilities, "consensus")
    horizon, seed = request.horizon, request.settings.training.seed
    figures: dict[str, dict[str, Any]] = {}
    for done, name in enumerate(names):
        progress("figures with intervals", done, len(names), name)
        figures[name] = figures_of(dataset, judged, name, horizon=horizon, seed=seed)
    progress("figures with intervals", len(names), len(names))
    for name, book in books.items():
        no_skill = sum(not fold.models[name]["skilled"] for fold in forecasts.folds)
        figures[name] |= {"no_skill_folds": no_skill, "folds": len(forecasts.folds), "paper_book": book}
    return figures


def _members(request: BacktestRequest, forecasts: Forecasts) -> tuple[str, ...]:
    return tuple(name for name in request.models if name in forecasts.probabilities)


def _forecast_sections(
    request: BacktestRequest,
    dataset: Dataset,
    forecasts: Forecasts,
    judged: Judged,
    figures: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    members = _members(request, forecasts)
    return {
        "models": {name: figures[name] for name in members},
        "baselines": {name: figures[name] for name in request.baselines if name in figures},
        "calibration": {name: reliability_of(dataset, judged, name) for name in ("consensus", *members)},
    }


def _stranded(trading: Mapping[str, Any]) -> list[str]:
    return [
        f"Stranded, its bars have ended: {told}; valued at its last close." for told in trading["stranded"]
    ]


def _presets(chosen: str) -> tuple[str, ...]:
    return (chosen, *(name for name in PRESETS if name != chosen))


def forecast(request: BacktestRequest, dataset: Dataset, progress: ProgressCall = silent) -> Forecasts:
    """Train the pool and the baselines walk-forward and forecast every test row.

    Raises
    ------
    ConsiliumError
        No model of the pool could be trained, or no test row has an outcome.
    """
    training = request.settings.training
    forecasts = walk_forward(
        dataset,
        factories((*request.models, *request.baselines), dataset.feature_names, training),
        folds=training.folds,
        first_fraction=training.first_fraction,
        seed=training.seed,
        jobs=training.jobs,
        teaching=teaching_of(training),
        progress=lambda done, total, text: progress("train walk-forward", done, total, text),
    )
    if not any(name in forecasts.probabilities for name in request.models):
        first = next(f for f in forecasts.failures if f.model in request.models)
        raise ConsiliumError(
            "at least one model of the pool must train", f"{first.model}: {first.error}", "mend it"
        )
    known = dataset.y[forecasts.rows][dataset.labelled[forecasts.rows]]
    if len(np.unique(known)) < 2:
        raise DataProblem(
            "the test part needs outcomes of two directions at least",
            f"{counted(len(known), 'outcome')}, all alike" if len(known) else "no outcome",
            "give a longer history of prices that move",
        )
    return forecasts


def _accounts(
    economics: Economics, pooled: Mapping[str, Pooled], progress: ProgressCall
) -> dict[tuple[str, bool], BacktestResult]:
    accounts: dict[tuple[str, bool], BacktestResult] = {}
    total = 2 * len(pooled)
    for gates, said in pooled.items():
        for limits in (True, False):
            progress("paper account", len(accounts), total, f"{gates}, limits {'on' if limits else 'off'}")
            accounts[gates, limits] = economics.account(said.signals, limits=limits)
    progress("paper account", total, total)
    return accounts


def _trading(account: BacktestResult, held: list[list[float]]) -> dict[str, Any]:
    return {
        **plain_figures(account),
        "equity": pairs(account.ts, account.equity),
        "buy_and_hold": held,
        "drawdown": drawdown(account),
    }


def _judged(
    request: BacktestRequest,
    dataset: Dataset,
    forecasts: Forecasts,
    judged: Judged,
    figures: Mapping[str, dict[str, Any]],
    trading: Mapping[str, Any],
    held: list[list[float]],
) -> dict[str, Any]:
    """Judge forecasts and trades, in words."""
    horizon, seed = request.horizon, request.settings.training.seed
    members = _members(request, forecasts)
    verdict = judge_consensus(dataset, forecasts, judged, members, horizon=horizon, seed=seed)
    direction = told_of_direction(dataset, judged, horizon=horizon, seed=seed)
    text = " ".join(filter(None, [verdict.text, direction.text, told_of_rival(request, figures)]))
    kept = held[-1][1] / trading["equity"][0][1] - 1.0
    traded = trading_verdict(trading["net_return"], kept, trading["trades"])
    return {
        "verdict": f"{text} {traded.text}",
        "judgement": verdict.as_dict() | {"text": text, "direction": direction.word} | traded.as_dict(),
    }


def _headline(report: Mapping[str, Any]) -> dict[str, Any]:
    consensus = report["consensus"]
    return {
        "verdict": report["judgement"]["word"],
        "log_loss": consensus["log_loss"]["value"],
        "brier": consensus["brier"]["value"],
        "net_return": report["trading"]["net_return"],
        "sharpe": report["trading"]["sharpe"],
        "trades": report["trading"]["trades"],
    }
