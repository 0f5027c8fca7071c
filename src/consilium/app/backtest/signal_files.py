"""Signals of the user's own, from a file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilium.domain import DataProblem, UnknownName, UsageError, to_iso
from consilium.trading.signals import SignalSeries

NEEDED = ("ts_event", "symbol", "direction")
WORDS = {"down": 0, "flat": 1, "up": 2, "0": 0, "1": 1, "2": 2, "0.0": 0, "1.0": 1, "2.0": 2}
KINDS = (".csv", ".parquet")


def read_signals(path: Path, spans: Mapping[str, tuple[int, int]]) -> list[SignalSeries]:
    """Read signals: ``ts_event, symbol, direction`` and, if there is one, ``actionable``.

    Parameters
    ----------
    path
        A csv or parquet file. Times are UTC nanoseconds or dates, with times or for 00:00 UTC; a direction is
        down, flat or up, or 0, 1 or 2. Without ``actionable`` every row is.
    spans
        First and last time at which there is something to trade, by symbol.

    Returns
    -------
    One series a symbol, in order of time.

    Raises
    ------
    UsageError
        No such file, or of another kind.
    UnknownName
        A symbol that is not in ``spans``.
    DataProblem
        A missing column, a value that cannot be, a time outside the span of its symbol, or two signals of
        one symbol and time; one line names the row.
    """
    table = _table(path)
    times = _times(path, table["ts_event"])
    directions = _directions(path, table["direction"])
    actionable = _actionable(path, table)
    symbols = table["symbol"].cast(pl.String)
    _require(path, symbols.is_null().to_numpy(), "symbol", "a missing one")
    series = []
    for symbol in sorted(symbols.unique().to_list()):
        if symbol not in spans:
            raise UnknownName("symbol of a signal", symbol, spans)
        rows = np.flatnonzero((symbols == symbol).to_numpy())
        rows = rows[np.argsort(times[rows], kind="stable")]
        _require_times(path, symbol, rows, times, spans[symbol])
        series.append(
            SignalSeries(
                symbol=symbol, ts_event=times[rows], direction=directions[rows], actionable=actionable[rows]
            )
        )
    return series


def _table(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise UsageError("--signals must be a file", f"'{path}'", "check the path")
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise UsageError("--signals must be a csv or a parquet file", f"'{path.name}'", "convert it")
    try:
        table = pl.read_csv(path) if kind == ".csv" else pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataProblem(f"{path.name} must be readable", told, "write it again") from None
    for name in NEEDED:
        if name not in table.columns:
            raise DataProblem(
                f"{path.name} must have the columns {', '.join(NEEDED)}",
                f"columns {', '.join(table.columns)}",
                f"add {name}",
            )
    if not len(table):
        raise DataProblem(f"{path.name} must hold signals", "0 rows", "give at least one")
    return table


def _times(path: Path, column: pl.Series) -> NDArray[np.int64]:
    if column.dtype == pl.String:
        column = column.str.to_datetime(strict=False, time_unit="ns", time_zone="UTC")
    if column.dtype == pl.Date:
        column = column.cast(pl.Datetime("ns"))
    if column.dtype == pl.Datetime:
        column = column.cast(pl.Datetime("ns")).to_physical()
    whole = column.cast(pl.Int64, strict=False) if column.dtype.is_integer() else None
    if whole is None:
        raise DataProblem(
            f"ts_event of {path.name} must be whole UTC nanoseconds or dates",
            f"{column.dtype}",
            "convert them",
        )
    _require(path, whole.is_null().to_numpy(), "ts_event", "no time")
    return whole.to_numpy()


def _directions(path: Path, column: pl.Series) -> NDArray[np.int8]:
    words = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    found = words.replace_strict(WORDS, default=None, return_dtype=pl.Int8)
    bad = found.is_null().to_numpy()
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise DataProblem(
            f"direction in {path.name} must be down, flat or up, or 0, 1 or 2",
            f"{column[row]!r} in row {row + 1}",
            "correct that row",
        )
    return found.to_numpy()


def _actionable(path: Path, table: pl.DataFrame) -> NDArray[np.bool_]:
    if "actionable" not in table.columns:
        return np.ones(len(table), dtype=np.bool_)
    column = table["actionable"]
    words = {"true": True, "false": False, "1": True, "0": False}
    found = (
        column.cast(pl.String).str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
    )
    _require(path, found.is_null().to_numpy(), "actionable", "neither true nor false")
    return found.to_numpy()


def _require(path: Path, bad: NDArray[np.bool_], name: str, told: str) -> None:
    rows = np.flatnonzero(bad)
    if len(rows):
        raise DataProblem(
            f"every row of {path.name} must have {name}",
            f"{told} in row {rows[0] + 1}, {len(rows)} such rows",
            "correct them",
        )


def _require_times(
    path: Path, symbol: str, rows: NDArray[np.int64], times: NDArray[np.int64], span: tuple[int, int]
) -> None:
    first, last = span
    ts = times[rows]
    outside = (ts < first) | (ts > last)
    if outside.any():
        row = int(rows[np.flatnonzero(outside)[0]])
        raise DataProblem(
            f"signals of {symbol} must lie between {to_iso(first)} and {to_iso(last)}, in UTC nanoseconds",
            f"{_told_time(int(times[row]))} in row {row + 1} of {path.name}, {int(outside.sum())} such rows",
            "leave them out, or give data of their time",
        )
    twice = np.flatnonzero(np.diff(ts) == 0)
    if len(twice):
        raise DataProblem(
            f"{path.name} must have one signal a symbol and time",
            f"two of {symbol} at {to_iso(int(ts[twice[0]]))}",
            "keep one of them",
        )


def _told_time(ts: int) -> str:
    return to_iso(ts) if 0 <= ts < 4_000_000_000_000_000_000 else str(ts)
