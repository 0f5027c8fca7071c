"""Where books and trades come from: the folder of a recorder, or parquet files of recorded levels."""

import re
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilium.domain.errors import DataProblem
from consilium.domain.time import MS_NS
from consilium.market.book.archive import read_books, read_trades
from consilium.market.book.checks import check_books, check_trades
from consilium.market.book.recorded import LONGEST_SILENCE_NS, RecordedFile, is_recorded
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.files import unreadable

S = TypeVar("S", BookSeries, TradeSeries)
FIRST_MS, END_MS = 946_684_800_000, 4_102_444_800_000
"""The beginnings of the years 2000 and 2100."""
_UNITS = {"seconds": 1e3, "microseconds": 1e-3, "nanoseconds": 1e-6}
_NAMED = re.compile(r"^(?P<venue>[a-z]+_(?:spot|usdm|coinm))_(?P<symbol>.+)_(?:l\d+|trades)_\d{8}$")


def load_book(
    path: Path | str,
    *,
    symbol: str = "",
    venue: str = "",
    gap_ns: int = LONGEST_SILENCE_NS,
    start: int | None = None,
    end: int | None = None,
) -> BookSeries:
    """Load the books of one symbol from a recorder's folder or from one file, and check them.

    A file is one of a recorder, or has the columns ``exch_ms`` and, for j = 1..L, ``bid_px_j, bid_qty_j,
    ask_px_j, ask_qty_j``, best first.

    Parameters
    ----------
    path
        The folder or the file; the name of the latter says symbol and venue:
        ``binance_spot_btcusdt_l20_20240808``.
    symbol, venue
        Of a folder, which one, if it holds several; of a file, what its name does not say.
    gap_ns
        In a file of levels a longer silence between two books begins a session, > 0, default 5 s. Files of
        a recorder know their sessions: they rise at each gap.
    start, end
        Only books with ``start <= ts_event < end``, UTC nanoseconds; None for all.

    Raises
    ------
    UnknownName
        The folder does not hold that symbol.
    DataProblem
        The file is missing, damaged, lacks a column, has times that are no milliseconds of the years 2000
        to 2099, or holds a book that cannot be; the folder holds
        several symbols and none is named, or nothing in that time.
    """
    path = Path(path)
    if path.is_dir():
        series = read_books(path, symbol, venue, start, end)
        check_books(series)
        return series
    if (recorded := _recorded(path)) is not None:
        head = recorded.head
        series = recorded.books(start, end).series(symbol or head.symbol, venue or head.venue)
        check_books(series)
        return series
    table = _read(path)
    levels = _levels(path, table.columns)
    times = _times(path, table)
    sides = {
        ours: np.column_stack([_floats(path, table, f"{theirs}_{j}") for j in range(1, levels + 1)])
        for ours, theirs in (
            ("bid_price", "bid_px"),
            ("bid_size", "bid_qty"),
            ("ask_price", "ask_px"),
            ("ask_size", "ask_qty"),
        )
    }
    named_symbol, named_venue = market_named(path)
    series = BookSeries(
        symbol=symbol or named_symbol,
        venue=venue or named_venue,
        ts_event=times,
        session=np.cumsum(np.diff(times, prepend=times[:1]) > gap_ns, dtype=np.int32),
        **sides,
    )
    check_books(series)
    return _between(series, start, end)


def load_trades(
    path: Path | str, *, symbol: str = "", venue: str = "", start: int | None = None, end: int | None = None
) -> TradeSeries:
    """Load the trades of one symbol from a recorder's folder or from one file, and check them.

    A file is one of a recorder, or has the columns ``exch_ms, price, qty, buyer_is_maker``. The parameters
    and what is raised are those of `load_book`.
    """
    path = Path(path)
    if path.is_dir():
        trades = read_trades(path, symbol, venue, start, end)
        check_trades(trades)
        return trades
    if (recorded := _recorded(path)) is not None:
        head = recorded.head
        trades = recorded.trades(start, end).series(symbol or head.symbol, venue or head.venue)
        check_trades(trades)
        return trades
    table = _read(path)
    named_symbol, named_venue = market_named(path)
    trades = TradeSeries(
        symbol=symbol or named_symbol,
        venue=venue or named_venue,
        ts_event=_times(path, table),
        price=_floats(path, table, "price"),
        size=_floats(path, table, "qty"),
        taker_buy=~_whole(path, table, "buyer_is_maker", pl.Boolean),
    )
    check_trades(trades)
    return _between(trades, start, end)


def _recorded(path: Path) -> RecordedFile | None:
    try:
        return RecordedFile(path) if is_recorded(path) else None
    except OSError as error:
        raise unreadable(path, error) from error


def _between(series: S, start: int | None, end: int | None) -> S:
    first = None if start is None else int(np.searchsorted(series.ts_event, start))
    last = None if end is None else int(np.searchsorted(series.ts_event, end))
    return series.slice(first, last)


def _read(path: Path) -> pl.DataFrame:
    if not path.exists():
        raise DataProblem("the file must exist", f"'{path}'", "check the path")
    try:
        table = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from error
    if not len(table):
        raise DataProblem(f"{path.name} must hold rows", "0 rows", "record longer, or give another file")
    return table


def _levels(path: Path, columns: list[str]) -> int:
    found = sorted(int(name[7:]) for name in columns if re.fullmatch(r"bid_px_\d+", name))
    if not found or found != list(range(1, len(found) + 1)):
        raise DataProblem(
            f"{path.name} must hold bid_px_1, bid_px_2, ... without a hole",
            f"levels {found}",
            "give a file of recorded levels",
        )
    return len(found)


def _column(path: Path, table: pl.DataFrame, name: str, dtype: type[pl.DataType]) -> pl.Series:
    if name not in table.columns:
        raise DataProblem(
            f"{path.name} must have the column {name}",
            f"columns {', '.join(table.columns[:8])}, ...",
            "give a file of that kind",
        )
    try:
        return table[name].cast(dtype)
    except pl.exceptions.PolarsError as error:
        raise unreadable(path, error) from error


def _floats(path: Path, table: pl.DataFrame, name: str) -> NDArray[np.float64]:
    return _column(path, table, name, pl.Float64).fill_null(float("nan")).to_numpy()


def _whole(path: Path, table: pl.DataFrame, name: str, dtype: type[pl.DataType]) -> NDArray[Any]:
    column = _column(path, table, name, dtype)
    if column.null_count():
        raise DataProblem(
            f"every row of {path.name} must have {name}",
            f"{column.null_count()} rows without",
            "fetch the file again",
        )
    return column.to_numpy()


def _times(path: Path, table: pl.DataFrame) -> NDArray[np.int64]:
    """Return UTC nanoseconds of a column that must hold milliseconds."""
    ms = _whole(path, table, "exch_ms", pl.Int64)
    bad = np.flatnonzero((ms < FIRST_MS) | (ms >= END_MS))
    if len(bad):
        found = int(ms[bad[0]])
        unit = next((name for name, factor in _UNITS.items() if FIRST_MS <= found * factor < END_MS), "")
        raise DataProblem(
            f"exch_ms of {path.name} must be milliseconds since 1970, from 2000 to 2099",
            f"{found} in row {bad[0]}, {len(bad)} such rows",
            f"they look like {unit}: convert them" if unit else "correct these rows, or leave them out",
        )
    return ms * MS_NS


def market_named(path: Path) -> tuple[str, str]:
    """Return symbol and venue as the name of a file says them.

    Examples
    --------
    >>> market_named(Path("binance_usdm_ethusdt_l20_20240808.parquet")), market_named(Path("mine.parquet"))
    (('ETHUSDT', 'binance_usdm'), ('MINE', ''))
    """
    found = _NAMED.match(path.stem)
    return (found["symbol"].upper(), found["venue"]) if found else (path.stem.upper(), "")
