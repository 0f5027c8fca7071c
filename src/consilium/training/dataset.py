"""Rows of all symbols in the order of time: what is known at a bar's close, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from typing import Self

import numpy as np
from numpy.typing import NDArray

from consilium.domain import DataProblem, InvalidValue
from consilium.domain.time import length_text
from consilium.market.book.rows import BookRows
from consilium.market.candles import CandleSeries
from consilium.market.features import (
    BookColumns,
    compute_matrix,
    feature_names,
    features_hash,
    of_books,
)
from consilium.training.labels import LabelDefinition, Labels, make_labels
from consilium.training.snapshot_labels import SnapshotLabelSpec
from consilium.training.snapshots import Snapshots
from consilium.training.volatility import daily_volatility

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Labelled feature rows, ordered by (ts_event, symbol).

    Letters: N rows, M bars of all symbols one after the other, F features. A row is a bar whose features,
    volatility and label threshold are known. A row whose outcome lies beyond the end of the data has y = -1:
    it can be forecast, not learned from.

    Parameters
    ----------
    symbols
        Names in alphabetical order; ``symbol_index`` points into them.
    feature_names
        F names; ``features_hash`` is the hash of them and their formulas.
    spec, label_id, horizon_ns, interval_ns
        Definition of the label, its hash, and the nominal times of horizon and bar.
    ts_event, ts_matured
        Shape (N,), UTC nanoseconds: the bar's close; when the outcome is known (NEVER for y = -1).
    symbol_index, bar
        Shape (N,): which symbol, and which bar of its series.
    y
        Shape (N,), int64: 0 down, 1 flat, 2 up, -1 unknown.
    realised_return
        Shape (N,), log return from the next open to the exit; NaN for y = -1.
    threshold
        Shape (N,), the return that separates FLAT.
    volatility
        Shape (N,), daily volatility, a fraction.
    matrix
        Shape (M, F), the features of every bar; NaN in all columns of books where a bar is masked.
    position
        Shape (N,), the row's place in ``matrix``.
    run
        Shape (M,), how many bars up to this one have finite features without a break, within its symbol.
    snapshots
        The books beside the bars, for models that read them; None where there are none.
    """

    symbols: tuple[str, ...]
    feature_names: tuple[str, ...]
    features_hash: str
    spec: LabelDefinition
    label_id: str
    horizon_ns: int
    interval_ns: int
    ts_event: NDArray[np.int64]
    ts_matured: NDArray[np.int64]
    symbol_index: NDArray[np.int64]
    bar: NDArray[np.int64]
    y: NDArray[np.int64]
    realised_return: NDArray[np.float64]
    threshold: NDArray[np.float64]
    volatility: NDArray[np.float64]
    matrix: NDArray[np.float64]
    position: NDArray[np.int64]
    run: NDArray[np.int64]
    snapshots: Snapshots | None = None

    def __len__(self) -> int:
        return len(self.ts_event)

    @property
    def maskable(self) -> NDArray[np.bool_]:
        """Columns of books, which are masked where a bar has none, shape (F,)."""
        return of_books(self.feature_names)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Rows with a known outcome, shape (N,)."""
        return self.y >= 0

    def eligible(self, window: int) -> NDArray[np.bool_]:
        """Rows whose last ``window`` bars all have features, shape (N,); a window never crosses symbols."""
        return self.run[self.position] >= window

    def inputs(self, rows: Rows, window: int = 1) -> NDArray[np.float64]:
        """Copy what a model reads: (n, F) for window 1, else (n, window, F), oldest bar first.

        Parameters
        ----------
        rows
            Shape (n,), indices of rows.
        window
            Bars that one forecast reads, >= 1.

        Raises
        ------
        InvalidValue
            A window below 1, or a row whose window is not complete.
        """
        if window < 1:
            raise InvalidValue("window must be >= 1 bar", window, "use the model's window")
        position = self.position[rows]
        short = self.run[position] < window
        if np.any(short):
            raise InvalidValue(
                f"each row needs {window} bars with features before it",
                f"{int(short.sum())} rows with fewer",
                "select rows with eligible(window)",
            )
        if window == 1:
            return self.matrix[position]
        windows: NDArray[np.float64] = self.matrix[position[:, None] + np.arange(1 - window, 1)]
        return windows

    def where(self, mask: NDArray[np.bool_]) -> Self:
        """Return the rows of a mask (N,), in the same order, without copying the features."""
        chosen = {name: getattr(self, name)[mask] for name in PER_ROW}
        return replace(self, **chosen)

    def digest(self) -> str:
        """Return the SHA-256 of names, label and all values: the same data give the same digest anywhere."""
        names = "\n".join((*self.symbols, "", *self.feature_names, self.label_id, str(self.interval_ns)))
        total = sha256(names.encode())
        for name in (*PER_ROW, "matrix"):
            values = np.ascontiguousarray(getattr(self, name))
            total.update(name.encode() + str(values.shape).encode())
            total.update(values.astype(values.dtype.newbyteorder("<"), copy=False).data)
        if self.snapshots is not None:
            total.update(self.snapshots.digest().encode())
        return total.hexdigest()


PER_ROW = tuple(
    field.name
    for field in fields(Dataset)
    if field.name
    in {
        "ts_event",
        "ts_matured",
        "symbol_index",
        "bar",
        "y",
        "realised_return",
        "threshold",
        "volatility",
        "position",
    }
)


def _run_lengths(finite: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the unbroken True values up to each place."""
    place = np.arange(len(finite), dtype=np.int64)
    last_gap = np.maximum.accumulate(np.where(finite, -1, place))
    return place - last_gap


def _common_interval(panel: Mapping[str, CandleSeries]) -> int:
    intervals: dict[int, str] = {}
    for symbol, series in panel.items():
        intervals.setdefault(series.interval_ns, symbol)
    if not panel:
        raise DataProblem("a dataset needs at least 1 symbol", "an empty panel", "load candles first")
    if len(intervals) > 1:
        raise DataProblem(
            "all symbols of a dataset must have bars of the same length",
            ", ".join(f"{length_text(length)} ({intervals[length]})" for length in sorted(intervals)),
            "leave out the symbols of other intervals (`load_candles` does), or resample the shorter bars",
        )
    return next(iter(intervals))


def build_dataset(
    panel: Mapping[str, CandleSeries],
    feature_set: str | Sequence[str],
    spec: LabelDefinition,
    books: Mapping[str, BookColumns] | None = None,
    snapshots: Mapping[str, BookRows] | None = None,
) -> Dataset:
    """Compute features and labels of a panel and order the rows by time.

    Parameters
    ----------
    panel
        Candles by symbol, all with the same interval.
    feature_set
        Name of a feature set (``core14``, ``candle62``, ``full112``), or names of features.
    spec
        Definition of the label.
    books
        Features of books at the closes of bars, by symbol. A bar without them is masked: it is a row all the
        same, unless all features are of books.
    snapshots
        The books themselves, by symbol, for models that read windows of them.

    Returns
    -------
    Dataset

    Raises
    ------
    DataProblem
        No symbols, different intervals, or no row with features and a label.
    UnknownName
        No such feature set or feature.
    """
    names = feature_names(feature_set) if isinstance(feature_set, str) else tuple(feature_set)
    interval = _common_interval(panel)
    needed = slice(None) if of_books(names).all() else ~of_books(names)
    symbols = tuple(sorted(panel))
    starts = np.cumsum([0, *(len(panel[symbol]) for symbol in symbols)])
    matrix = np.empty((int(starts[-1]), len(names)), dtype=np.float64)
    run = np.empty(len(matrix), dtype=np.int64)
    columns: list[dict[str, NDArray[np.int64] | NDArray[np.float64]]] = []
    for index, symbol in enumerate(symbols):
        here = slice(int(starts[index]), int(starts[index + 1]))
        matrix[here] = compute_matrix(panel[symbol], names, (books or {}).get(symbol))
        finite: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(matrix[here][:, needed]), axis=1)
        run[here] = _run_lengths(finite)
        labels = _labelled(panel[symbol], spec, (snapshots or {}).get(symbol))
        columns.append(_columns(panel[symbol], labels, run[here], index, here.start))
    merged = {name: np.concatenate([column[name] for column in columns]) for name in PER_ROW}
    if not np.any(merged["y"] >= 0):
        raise DataProblem(
            "a dataset needs rows with features and an outcome",
            f"none in {len(matrix)} bars of {len(symbols)} symbols",
            "give a longer history, a smaller feature set or a shorter horizon",
        )
    order = np.lexsort((merged["symbol_index"], merged["ts_event"]))
    return Dataset(
        symbols=symbols,
        feature_names=names,
        features_hash=features_hash(names),
        spec=spec,
        label_id=spec.label_id(interval),
        horizon_ns=spec.span_ns(interval),
        interval_ns=interval,
        matrix=matrix,
        run=run,
        snapshots=Snapshots.of(panel, symbols, snapshots) if snapshots else None,
        **{name: values[order] for name, values in merged.items()},
    )


def _labelled(series: CandleSeries, spec: LabelDefinition, rows: BookRows | None) -> Labels:
    if isinstance(spec, SnapshotLabelSpec):
        return spec.of_books(series, rows)
    return make_labels(series, spec)


def _columns(
    series: CandleSeries, labels: Labels, run: NDArray[np.int64], index: int, start: int
) -> dict[str, NDArray[np.int64] | NDArray[np.float64]]:
    volatility = daily_volatility(series.close, series.bars_per_day)
    bars = np.flatnonzero((run > 0) & np.isfinite(volatility) & np.isfinite(labels.threshold))
    return {
        "ts_event": series.ts_close[bars],
        "ts_matured": labels.ts_matured[bars],
        "symbol_index": np.full(len(bars), index, dtype=np.int64),
        "bar": bars,
        "y": labels.direction[bars].astype(np.int64),
        "realised_return": labels.realised_return[bars],
        "threshold": labels.threshold[bars],
        "volatility": volatility[bars],
        "position": bars + start,
    }
