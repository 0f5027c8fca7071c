"""Where books and trades come from: parquet files of recorded levels."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilium.domain.errors import DataProblem
from consilium.domain.time import SECOND_NS
from consilium.market.book.checks import check_books, check_trades
from consilium.market.book.series import BookSeries
from consilium.market.book.trades import TradeSeries
from consilium.market.files import unreadable

MS_NS = 1_000_000
LONGEST_SILENCE_NS = 5 * SECOND_NS
_NAMED = re.compile(r"^(?P<venue>[a-z]+_(?:spot|usdm|coinm))_(?P<symbol>.+)_(?:l\d+|trades)_\d{8}$")


def load_book(
    path: Path | str,
    *,
    symbol: str = "",
    venue: str = "",
    gap_ns: int = LONGEST_SILENCE_NS,
) -> BookSeries:
    """Load the books of one symbol from a parquet file of levels, and check them.

    The columns are ``exch_ms`` and, for j = 1..L, ``bid_px_j, bid_qty_j, ask_px_j, ask_qty_j``, best first.

    Parameters
    ----------
    path
        The file; its name says symbol and venue: ``binance_spot_btcusdt_l20_20240808``.
    symbol, venue
        Say them instead.
    gap_ns
        A longer silence between two books begins a new session, > 0, default 5 s.

    Raises
    ------
    DataProblem
        The file is missing, damaged, lacks a column, or holds a book that cannot be.
    """
    path = Path(path)
    table = _read(path)
    levels = _levels(path, table.columns)
    times = _whole(path, table, "exch_ms", pl.Int64) * MS_NS
    sides = {
        ours: np.column_stack([_floats(path, table, f"{theirs}_{j}") for j in range(1, levels + 1)])
        for ours, theirs in (
            ("bid_price", "bid_px"),
            ("bid_size", "bid_qty"),
            ("ask_price", "ask_px"),
            ("ask_size", "ask_qty"),
        )
    }
    named_symbol, named_venue = _named(path)
    series = BookSeries(
        symbol=symbol or named_symbol,
        venue=venue or named_venue,
        ts_event=times,
        session=np.cumsum(np.diff(times, prepend=times[:1]) > gap_ns, dtype=np.int32),
        **sides,
    )
    check_books(series)
    return series


def load_trades(path: Path | str, *, symbol: str = "", venue: str = "") -> TradeSeries:
    """Load the trades of one symbol from a parquet file, and check them.

    The columns are ``exch_ms, price, qty, buyer_is_maker``; symbol and venue as in `load_book`.

    Raises
    ------
    DataProblem
        The file is missing, damaged, lacks a column, or holds a trade that cannot be.
    """
    path = Path(path)
    table = _read(path)
    named_symbol, named_venue = _named(path)
    trades = TradeSeries(
        symbol=symbol or named_symbol,
        venue=venue or named_venue,
        ts_event=_whole(path, table, "exch_ms", pl.Int64) * MS_NS,
        price=_floats(path, table, "price"),
        size=_floats(path, table, "qty"),
        taker_buy=~_whole(path, table, "buyer_is_maker", pl.Boolean),
    )
    check_trades(trades)
    return trades


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


def _named(path: Path) -> tuple[str, str]:
    found = _NAMED.match(path.stem)
    return (found["symbol"].upper(), found["venue"]) if found else (path.stem.upper(), "")
