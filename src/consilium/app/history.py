"""Refuses a history that is too short in one line: how many bars there are, and how many it takes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from consilium.domain import DataProblem, InvalidValue
from consilium.market.candles import CandleSeries
from consilium.market.features import feature_names
from consilium.training.history import Cut, bars_needed
from consilium.training.labels import LabelSpec

SMALLEST = "core14"
"""The feature set with the shortest windows."""


@contextmanager
def measured(
    panel: Mapping[str, CandleSeries], features: str, horizon: int, cut: Cut, what: str
) -> Iterator[None]:
    """Name the bars that are missing where the block fails because the history is too short.

    Where the longest series would be long enough, were it without gaps, the error passes as it is.

    Parameters
    ----------
    panel
        The candles.
    features
        Name of the feature set.
    horizon
        Bars from entry to exit.
    cut
        Cuts a dataset into all folds that will be needed; see `bars_needed`.
    what
        What needs the bars: ``a backtest in 5 folds``.

    Raises
    ------
    DataProblem
        The history is too short.
    """
    try:
        yield
    except (DataProblem, InvalidValue):
        found = max(len(series) for series in panel.values())
        needed = _needed(panel, features, horizon, cut)
        if needed is None or found >= needed:
            raise
        smaller = None if features == SMALLEST else _needed(panel, SMALLEST, horizon, cut)
        each = f"each of {len(panel)} symbols" if len(panel) > 1 else "the symbol"
        raise DataProblem(
            f"{what} with {features} and horizon {horizon} needs {needed:,} bars of {each}",
            f"{found:,}{', the longest' if len(panel) > 1 else ''}",
            _cure(smaller, found, horizon),
        ) from None


def _needed(panel: Mapping[str, CandleSeries], features: str, horizon: int, cut: Cut) -> int | None:
    interval_ns = next(iter(panel.values())).interval_ns
    return bars_needed(tuple(panel), feature_names(features), LabelSpec(horizon=horizon), interval_ns, cut)


def _cure(smaller: int | None, found: int, horizon: int) -> str:
    """Say what helps; of the smallest feature set only what is true of this history."""
    told = "give a longer history or shorter bars"
    if smaller is not None:
        enough = "which needs" if found >= smaller else "which still needs"
        told += f", or --features {SMALLEST}, {enough} {smaller:,}"
    return told if horizon == 1 else f"{told}, or a shorter --horizon"
