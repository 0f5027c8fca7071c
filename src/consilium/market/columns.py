"""Raw tables brought to one shape: whose column is which, and in what unit their times are.

Known are our own files, freqtrade's (``date, open, ...``), Binance's kline archives (12 columns, with or
without a header, milliseconds or microseconds) and most tables that name their columns in plain words.
"""

import re

import polars as pl

from consilium.domain.errors import DataProblem
from consilium.market.candles import COLUMNS

ROW = "row"
TS = "ts"
CANONICAL = ("symbol", ROW, TS, *COLUMNS)

BINANCE_COLUMNS = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
SHORT_COLUMNS = BINANCE_COLUMNS[:6]

_KNOWN_AS = {
    "symbol": ("symbol", "pair", "ticker", "instrument", "coin"),
    TS: (
        "ts_open", "open_time", "opentime", "date", "datetime", "timestamp", "time", "ts", "open_timestamp",
        "unix",
    ),
    "open": ("open", "o", "open_price"),
    "high": ("high", "h", "high_price"),
    "low": ("low", "l", "low_price"),
    "close": ("close", "c", "close_price"),
    "volume": ("volume", "vol", "v", "base_volume"),
}  # fmt: skip


def recognise(names: list[str]) -> dict[str, str]:
    """Map our column names to those of a table, case-insensitively.

    Raises
    ------
    DataProblem
        A needed column is missing (only the symbol may be).

    Examples
    --------
    >>> recognise(["Date", "Open", "High", "Low", "Close", "Volume"])["ts"]
    'Date'
    """
    plain = {re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_"): name for name in reversed(names)}
    found = {}
    for ours, aliases in _KNOWN_AS.items():
        theirs = next((plain[alias] for alias in aliases if alias in plain), None)
        if theirs is not None:
            found[ours] = theirs
    lacking = [ours for ours in (TS, *COLUMNS) if ours not in found]
    if lacking:
        wanted = ", ".join("date" if name == TS else name for name in lacking)
        raise DataProblem(
            "a candle table needs the columns date, open, high, low, close, volume",
            f"columns {', '.join(names) or '(none)'} without {wanted}",
            "rename the columns of the file",
        )
    return found


def canonical(table: pl.LazyFrame, symbol: str | None = None) -> pl.LazyFrame:
    """Return a table as ``symbol, row, ts, open, high, low, close, volume``.

    Rows are counted from 1 without the header. What cannot be read as a number becomes NaN, what cannot be
    read as a time becomes null: the checks report both.

    Parameters
    ----------
    table
        Raw rows in file order; a column ``row`` is taken as already counted.
    symbol
        Symbol of all rows where the table has no such column.

    Raises
    ------
    DataProblem
        A column is missing, or the times are of a kind that cannot be read.
    """
    schema = table.collect_schema()
    names = recognise([name for name in schema.names() if name != ROW])
    if ROW not in schema.names():
        table = table.with_row_index(ROW, offset=1)
    whose = (
        pl.col(names["symbol"]).cast(pl.String)
        if "symbol" in names
        else pl.lit(symbol or "", dtype=pl.String)
    )
    time = _as_nanoseconds(names[TS], schema[names[TS]])
    values = [
        pl.col(names[c]).cast(pl.Float64, strict=False).fill_null(float("nan")).alias(c) for c in COLUMNS
    ]
    return table.select(whose.alias("symbol"), pl.col(ROW).cast(pl.Int64), time.alias(TS), *values)


def _as_nanoseconds(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return the expression that turns a column of times into UTC nanoseconds; null where unreadable."""
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        return column.dt.epoch("ns")
    if dtype == pl.Date:
        return column.cast(pl.Datetime("ns")).dt.epoch("ns")
    if dtype.is_numeric():
        return _from_epoch(column)
    if dtype == pl.String:
        text = column.str.strip_chars()
        iso = text.str.replace(" ", "T", literal=True).str.replace(r"(Z|[+-]00:?00)$", "")
        moments = pl.coalesce(
            iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="ns"),
            iso.str.to_datetime("%Y-%m-%dT%H:%M", strict=False, time_unit="ns"),
            iso.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", strict=False, time_unit="ns").dt.replace_time_zone(
                None
            ),
            iso.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("ns")),
        )
        return pl.coalesce(
            _from_epoch(text.cast(pl.Int64, strict=False)),
            _from_epoch(text.cast(pl.Float64, strict=False)),
            moments.dt.epoch("ns"),
        )
    raise DataProblem(
        "times must be dates, ISO 8601 text or epochs", f"column {name} of {dtype}", "convert the column"
    )


def _from_epoch(column: pl.Expr) -> pl.Expr:
    """Seconds, milliseconds, microseconds or nanoseconds, told apart by size.

    From 1973 to 5138 the four do not overlap; archives that change their unit half-way are read right.
    """
    size = column.abs()
    return (
        pl.when(size < 1e11)
        .then((column * 1_000_000_000).round().cast(pl.Int64, strict=False))
        .when(size < 1e14)
        .then((column.cast(pl.Int64, strict=False)) * 1_000_000)
        .when(size < 1e17)
        .then((column.cast(pl.Int64, strict=False)) * 1_000)
        .otherwise(column.cast(pl.Int64, strict=False))
    )
