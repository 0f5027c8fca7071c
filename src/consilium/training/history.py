"""How long a history must be: the fewest bars that can be cut as asked, found by cutting."""

from collections.abc import Callable, Sequence

import numpy as np

from consilium.domain import DataProblem, InvalidValue
from consilium.market.candles import CandleSeries
from consilium.market.features import warm_up
from consilium.training.dataset import Dataset, build_dataset
from consilium.training.labels import LabelDefinition

Cut = Callable[[Dataset], object]

FASTEST = ("return_1",)
"""A feature that is known before the label's threshold is."""

MOST_BARS = 1 << 17
"""Where the search ends: 15 years of hours."""


def bars_needed(
    symbols: Sequence[str],
    names: Sequence[str],
    spec: LabelDefinition,
    interval_ns: int,
    cut: Cut,
) -> int | None:
    """Return the fewest bars of every symbol with which a history without gaps can be cut.

    No formula that could drift from what the folds ask for: unbroken histories are laid out and cut, longer
    ones and shorter ones, until the border is found.

    Parameters
    ----------
    symbols
        All symbols; each adds a row to every time.
    names
        Features; the slowest decides where the rows begin.
    spec
        Definition of the label.
    interval_ns
        Length of a bar.
    cut
        Cuts a dataset, and raises `InvalidValue` or `DataProblem` where it is too short. It must not look at
        features or outcomes: they are made up.

    Returns
    -------
    Bars a symbol; None if even 131,072 are too few.

    Examples
    --------
    >>> from consilium.training.labels import LabelSpec
    >>> from consilium.training.walkforward import cut_folds
    >>> bars_needed(["BTCUSDT"], ["return_1"], LabelSpec(), 3_600_000_000_000, cut_folds)
    847
    """

    def enough(bars: int) -> bool:
        try:
            cut(unbroken(symbols, names, spec, interval_ns, bars))
        except (InvalidValue, DataProblem):
            return False
        return True

    few, many = 0, 64
    while not enough(many):
        few, many = many, 2 * many
        if many > MOST_BARS:
            return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if enough(middle) else (middle, many)
    return many


def unbroken(
    symbols: Sequence[str], names: Sequence[str], spec: LabelDefinition, interval_ns: int, bars: int
) -> Dataset:
    """Lay out the rows that a history without gaps gives; features, outcomes and prices are made up.

    Parameters
    ----------
    symbols, names, spec, interval_ns
        As in `bars_needed`.
    bars
        Bars of every symbol, >= 1.

    Raises
    ------
    DataProblem
        No bar has both features and an outcome.
    """
    ts_open = np.arange(bars, dtype=np.int64) * interval_ns
    price = np.where(np.arange(bars) % 2, 101.0, 100.0)
    panel = {
        symbol: CandleSeries(
            symbol=symbol,
            interval_ns=interval_ns,
            ts_open=ts_open,
            open=price,
            high=price,
            low=price,
            close=price,
            volume=price,
        )
        for symbol in symbols
    }
    rows = build_dataset(panel, FASTEST, spec)
    kept = rows.where(rows.bar >= warm_up(names) - 1)
    if not np.any(kept.labelled):
        raise DataProblem("a dataset needs rows with features and an outcome", f"{bars} bars", "give more")
    return kept
