"""Parts of a report that a backtest and a judgement share, as plain JSON."""

from collections.abc import Mapping
from typing import Any

from consilium.app.backtest.pooling import Pooled
from consilium.app.backtest.request import BacktestRequest
from consilium.app.bootstrap import trip_cost
from consilium.app.observe import Observed
from consilium.app.simulated import has_books
from consilium.domain import to_iso
from consilium.training.dataset import Dataset
from consilium.training.forecasts import FoldSummary

TOO_GOOD = 0.15
"""Above this MCC or IC a leak is likelier than an edge: .02 to .08 is what markets give."""


def data_section(observed: Observed, dataset: Dataset, features: str) -> dict[str, Any]:
    """Describe the data, and what was noticed about them."""
    first = min(int(series.ts_open[0]) for series in observed.panel.values())
    last = max(int(series.ts_close[-1]) for series in observed.panel.values())
    return {
        "source": observed.source,
        "symbols": list(dataset.symbols),
        "bars": observed.bars,
        "rows": len(dataset),
        "features": features,
        "interval_ns": dataset.interval_ns,
        "first": to_iso(first),
        "last": to_iso(last),
        "findings": list(observed.findings),
    }


def fold_section(fold: FoldSummary, newest: int) -> dict[str, Any]:
    """Describe one fold; ``newest`` is the last time of the data."""
    return {
        "test_first": to_iso(fold.ts_test),
        "test_last": to_iso(min(fold.ts_end - 1, newest)),
        "rows": fold.test_rows,
        "fit_rows": fold.fit_rows,
        "skilled": {name: bool(figures["skilled"]) for name, figures in fold.models.items()},
    }


def consensus_section(main: Pooled, pooled: Mapping[str, Pooled]) -> dict[str, Any]:
    """Say how the votes fell, and what each preset of gates let through."""
    gates = {
        name: {
            "actionable": int(said.actionable.sum()),
            "share": float(said.actionable.mean()),
            "reasons": said.reasons,
        }
        for name, said in pooled.items()
    }
    return {"levels": main.levels, "gates": gates, "conformal": main.conformal}


def told_of_rival(request: BacktestRequest, figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Name a baseline with lower losses than the consensus: it costs less and did more."""
    ours = figures["consensus"]
    ahead = [
        name
        for name in request.baselines
        if name in figures
        and all(figures[name][key]["value"] < ours[key]["value"] for key in ("log_loss", "brier"))
    ]
    if not ahead:
        return ""
    told = ", ".join(f"{name} {figures[name]['log_loss']['value']:.4f}" for name in ahead)
    return f"Lower log-loss and Brier score than the consensus ({ours['log_loss']['value']:.4f}) had: {told}."


def notes_on(
    request: BacktestRequest,
    observed: Observed,
    features: str,
    figures: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    """Return what a reader must know beside the figures."""
    cost = trip_cost(request.settings)
    notes = [
        f"A round trip costs at least {100 * cost:.2f} % (fees and spread), more with size.",
    ]
    if not request.settings.book.shorts:
        notes.append("Long or flat only: nothing is sold that is not held.")
    if not request.features and features == "core14":
        notes.append(
            "The history is short: the 14 features of core14 were used instead of the 62 of candle62."
        )
    if request.bar or has_books(request.data):
        notes.append(
            "Bars are built from trades: prices jump between bid and ask and repeat where nobody traded. "
            "Part of what is forecast is that, and cannot be earned."
        )
    if request.books and not observed.books:
        notes.append(f"{features} reads no books: --features full112 does.")
    if observed.source.startswith("simulate"):
        notes.append(
            "The market is simulated: the result says something about Consilium and nothing about markets."
        )
    for name, found in figures.items():
        suspect = [key for key in ("mcc", "ic") if (found[key]["value"] or 0.0) > TOO_GOOD]
        if suspect:
            notes.append(
                f"{name}: {' and '.join(suspect)} above {TOO_GOOD} is too good for a market; look for a leak."
            )
    return notes
