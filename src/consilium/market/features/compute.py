"""Features of whole series and of whole panels."""

from collections.abc import Mapping, Sequence

import numpy as np

from consilium.domain.errors import InvalidValue
from consilium.market.candles import CandleSeries
from consilium.market.features.catalogue import program_of
from consilium.market.features.operation import FloatArray


def compute_features(series: CandleSeries, names: Sequence[str]) -> FloatArray:
    """Return features of every bar; row t depends on bars up to t and on no later one.

    Parameters
    ----------
    series
        Candles of one symbol, n bars, oldest first.
    names
        F features.

    Returns
    -------
    FloatArray
        Shape (n, F). A column is NaN in its first ``warm_up - 1`` rows and finite in all others.

    Raises
    ------
    UnknownName
        A feature is in no table.

    Examples
    --------
    >>> from consilium.domain.time import HOUR_NS
    >>> price = np.array([100.0, 101.0, 99.0])
    >>> series = CandleSeries(symbol="BTCUSDT", interval_ns=HOUR_NS, ts_open=np.arange(3) * HOUR_NS,
    ...     open=price, high=price + 1, low=price - 1, close=price, volume=price)
    >>> compute_features(series, ["return_1", "range_1"]).round(5).tolist()
    [[nan, 0.02], [0.00995, 0.0198], [-0.02, 0.0202]]
    """
    columns = (series.open, series.high, series.low, series.close, series.volume)
    root = np.full(len(series), series.bars_per_day**0.5)
    return program_of(tuple(names)).run([*columns, root])


def compute_panel(
    panel: Mapping[str, CandleSeries], names: Sequence[str], jobs: int = 1
) -> dict[str, FloatArray]:
    """Return the features of every symbol.

    Parameters
    ----------
    panel
        Symbol -> its candles.
    names
        F features.
    jobs
        Processes, >= 1. The rows must travel back from each, which takes about as long as computing them:
        see benchmarks/features.md before asking for more than one.

    Raises
    ------
    UnknownName
        A feature is in no table.
    InvalidValue
        jobs < 1.

    Examples
    --------
    >>> compute_panel({}, ["return_1"])
    {}
    """
    if jobs < 1:
        raise InvalidValue("jobs must be >= 1", jobs, "give the number of processes")
    if jobs == 1 or len(panel) < 2:
        return {symbol: compute_features(series, names) for symbol, series in panel.items()}
    from joblib import Parallel, delayed

    found = Parallel(n_jobs=jobs, batch_size=8)(
        delayed(compute_features)(series, tuple(names)) for series in panel.values()
    )
    return dict(zip(panel, found, strict=True))
