"""Candle files: which there are, how each is opened without reading it, and how one is written whole."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl

from consilium.domain.errors import DataProblem, OutputProblem
from consilium.domain.files import whole_file
from consilium.domain.time import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from consilium.market.candles import COLUMNS, CandleSeries
from consilium.market.columns import BINANCE_COLUMNS, ROW, SHORT_COLUMNS

SUFFIXES = (".parquet", ".pq", ".feather", ".ipc", ".arrow", ".csv")
_NOT_CANDLES = re.compile(r"-(mark|index|funding_rate|premiumIndex)$")
_INTERVAL = re.compile(r"-(\d+[smhdwMy])(?=-|$)")
_UNITS = {"s": SECOND_NS, "m": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS, "w": 7 * DAY_NS}


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleFile:
    """A file of candles and what its name says.

    Parameters
    ----------
    path
        Where it lies.
    symbol
        As its name says: `symbol_of`.
    interval
        As its name says (``"1h"``), "" if it does not.
    """

    path: Path
    symbol: str
    interval: str

    def scan(self) -> pl.LazyFrame:
        """Open the file without reading its rows, which are counted from 1 in column ``row``."""
        suffix = self.path.suffix.lower()
        try:
            if suffix in {".parquet", ".pq"}:
                table = pl.scan_parquet(self.path, row_index_name=ROW, row_index_offset=1)
            elif suffix == ".csv":
                table = _scan_csv(self.path)
            else:
                table = pl.scan_ipc(self.path, row_index_name=ROW, row_index_offset=1)
            table.collect_schema()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise unreadable(self.path, error) from error
        return table


def unreadable(path: Path, error: Exception) -> DataProblem:
    """Return the error for a file that is damaged or not what its suffix says."""
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return DataProblem(
        f"{path.name} must be a readable {path.suffix[1:]} file", said, "check the file, or fetch it again"
    )


def candle_files(path: Path) -> list[CandleFile]:
    """Return the candle files at a path, a folder's in order of their names.

    Raises
    ------
    DataProblem
        Nothing is there, nothing there is a candle file, or a symbol comes in more than one interval.
    """
    if not path.exists():
        raise DataProblem("the candle file must exist", f"'{path}'", "check the path")
    found = sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    usable = [p for p in found if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
    files = [
        CandleFile(path=p, symbol=symbol_of(p.stem), interval=interval_of(p.stem))
        for p in usable
        if not _NOT_CANDLES.search(p.stem)
    ]
    if not files:
        raise DataProblem(
            f"candles must be in {', '.join(SUFFIXES)} files",
            f"'{path}' without one",
            "give a file of candles or a folder of them",
        )
    intervals: dict[str, str] = {}
    for file in files:
        other = intervals.setdefault(file.symbol, file.interval)
        if other != file.interval:
            raise DataProblem(
                "a folder must hold one interval per symbol",
                f"{file.symbol} in {other or 'none'} and {file.interval or 'none'}",
                "move the files of one interval to a folder of their own",
            )
    return files


def symbol_of(stem: str) -> str:
    """Return the symbol that a file's name says.

    Examples
    --------
    >>> symbol_of("BTC_USDT-1h"), symbol_of("BTC_USDT_USDT-1h-futures"), symbol_of("ETHUSDT-1h-2024-03")
    ('BTCUSDT', 'BTCUSDT_PERP', 'ETHUSDT')
    """
    futures = stem.endswith("-futures")
    pair = _INTERVAL.split(stem.removesuffix("-futures"))[0].split("_")
    if futures and len(pair) == 3:
        return f"{pair[0]}{pair[1]}_PERP"
    return "".join(pair).upper() or stem


def interval_of(stem: str) -> str:
    """Return the interval that a file's name says, "" if none.

    Examples
    --------
    >>> interval_of("BTC_USDT-1h"), interval_of("ETHUSDT-15m-2024-03"), interval_of("candles")
    ('1h', '15m', '')
    """
    found = _INTERVAL.search(stem)
    return found.group(1) if found else ""


def interval_length(interval: str) -> int:
    """Return the nanoseconds of an interval; 0 for "" and for months and years, which differ in length.

    Examples
    --------
    >>> interval_length("15m") // MINUTE_NS, interval_length("1M")
    (15, 0)
    """
    return int(interval[:-1]) * _UNITS.get(interval[-1], 0) if interval else 0


def _scan_csv(path: Path) -> pl.LazyFrame:
    """Read every cell as text: a damaged cell in row a million must not stop the reading of the others."""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        first = lines.readline().strip()
    if not first:
        raise DataProblem(
            "a candle file must hold rows", f"'{path.name}' which is empty", "give a file with bars"
        )
    cells = [cell.strip().strip('"') for cell in first.split(",")]
    header = not cells[0].replace(".", "", 1).isdigit()
    names = None
    if not header:
        if len(cells) not in (len(BINANCE_COLUMNS), len(SHORT_COLUMNS)):
            raise DataProblem(
                "a csv file without header must have 12 columns (Binance) or 6 (time, open, high, low, close,"
                " volume)",
                f"{len(cells)} columns in '{path.name}'",
                "add a header line",
            )
        names = list(BINANCE_COLUMNS[: len(cells)])
    return pl.scan_csv(
        path,
        has_header=header,
        new_columns=names,
        infer_schema=False,
        row_index_name=ROW,
        row_index_offset=1,
        truncate_ragged_lines=True,
    )


def write_candles(path: Path | str, panel: Mapping[str, CandleSeries]) -> Path:
    """Write a panel to one parquet file, whole or not at all.

    Columns symbol, date, open, high, low, close, volume; `load_candles` with ``drop_last=False`` gives the
    panel back.

    Parameters
    ----------
    path
        The file; missing folders are made.
    panel
        One series a symbol.

    Raises
    ------
    OutputProblem
        The file cannot be written; nothing is left behind and a file of that name stays as it was.
    """
    parts = [candle_table(series) for series in panel.values()]
    table = pl.concat(parts) if parts else pl.DataFrame()
    return write_whole(Path(path), table.write_parquet)


def candle_table(series: CandleSeries) -> pl.DataFrame:
    """Return a series as the table that our files hold."""
    columns = {name: getattr(series, name) for name in COLUMNS}
    table = pl.DataFrame({"date": series.ts_open, **columns})
    return table.select(
        pl.lit(series.symbol, dtype=pl.String).alias("symbol"),
        pl.from_epoch("date", time_unit="ns").dt.replace_time_zone("UTC"),
        *COLUMNS,
    )


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """Write a file whole or not at all, and say in one line if it cannot be."""
    try:
        with whole_file(path) as out:
            write(out)
    except (OSError, pl.exceptions.PolarsError) as error:
        # polars wraps what the system said, a full disk for one, in an error of its own.
        said = (isinstance(error, OSError) and error.strerror) or str(error).splitlines()[0]
        raise OutputProblem(
            "the file must be writable", f"'{path}' ({said})", "free space or choose another folder"
        ) from error
    return path
