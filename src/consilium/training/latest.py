"""What a trained model of books reads of the newest bar."""

import numpy as np
from numpy.typing import NDArray

from consilium.domain import DataProblem
from consilium.market.book.rows import BookRows
from consilium.market.book.tensor import CHANNELS
from consilium.market.candles import CandleSeries
from consilium.market.features import last_snapshots
from consilium.training.trained import TrainedModel

Floats = NDArray[np.float64]


class NoBook(DataProblem):
    """A bar at whose close a model of books has no window to read: it abstains."""


def window_of_books(
    model: TrainedModel, series: CandleSeries, rows: BookRows | None, features: Floats
) -> Floats:
    """Return the unscaled window (1, T, 4 L + A) of the last bar of a series.

    Parameters
    ----------
    model
        One with ``book_levels`` > 0.
    series
        Candles, of which the last counts.
    rows
        The books of the symbol; None where there are none.
    features
        Shape (A,), what the model reads of the last bar.

    Raises
    ------
    NoBook
        No book at most 1 s old at the close, fewer books than a window, or features of books that are masked.
    """
    last = -1 if rows is None else int(last_snapshots(series, rows.touch.ts_event)[-1])
    if rows is None or last < 0:
        raise NoBook(
            f"{model.name} needs a book at most 1 s before the close",
            f"none of {series.symbol}",
            "it abstains",
        )
    if rows.run[last] < model.window:
        raise NoBook(
            f"{model.name} needs {model.window} books of one session",
            f"{int(rows.run[last])} of {series.symbol}",
            "it abstains",
        )
    if not np.isfinite(features).all():
        raise NoBook(
            f"{model.name} needs the features of the book",
            f"masked ones of {series.symbol}",
            "it abstains",
        )
    columns = model.book_levels * len(CHANNELS)
    books = rows.values[last - model.window + 1 : last + 1, :columns].astype(np.float64)
    beside = np.broadcast_to(features, (model.window, len(features)))
    return np.concatenate([books, beside], axis=1)[np.newaxis]
