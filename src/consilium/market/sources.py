"""Where candles come from: files of several makes, and the bars that a package carries."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from consilium.domain.errors import UnknownName
from consilium.market.candles import COLUMNS, CandleSeries
from consilium.market.checks import RawBars, check_bars, raw_bars
from consilium.market.columns import canonical, recognise
from consilium.market.files import CandleFile, candle_files, interval_length, unreadable, write_candles
from consilium.market.findings import Finding, refuse
from consilium.market.grid import find_grid, place
from consilium.market.repair import repair_bars

__all__ = ["SAMPLE_SYMBOL", "Loaded", "load_candles", "sample_candles", "write_candles"]

SAMPLE_SYMBOL = "SAMPLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Candles that can be used, and what was found on the way.

    Parameters
    ----------
    series
        One series a symbol, in order of symbol.
    findings
        What was wrong, repaired, excluded or dropped.
    """

    series: dict[str, CandleSeries]
    findings: tuple[Finding, ...]

    @property
    def excluded(self) -> tuple[str, ...]:
        """Symbols left out because they are broken and were not repaired."""
        fatal = {finding.symbol for finding in self.findings if finding.fatal}
        return tuple(sorted(fatal - set(self.series)))


def load_candles(
    path: Path | str,
    symbols: Sequence[str] | None = None,
    *,
    repair: bool = False,
    drop_last: bool = True,
    venue: str = "",
    refuse_broken: bool = True,
) -> Loaded:
    """Load candles from a file or a folder; only the rows of the symbols asked for are read.

    Parameters
    ----------
    path
        A parquet, feather or csv file, or a folder of them (one per symbol, or several of a symbol in
        the order of their names). Our own columns, freqtrade's and Binance's kline archives are known.
    symbols
        Which symbols; all if None. ``BTC/USDT`` finds BTCUSDT.
    repair
        Repair what can be repaired; the findings say what was done.
    drop_last
        Drop the last bar of each symbol: a file does not say whether it was finished.
    venue
        Name of the exchange to put on the series.
    refuse_broken
        Raise if no symbol is sound; False returns the findings without series.

    Raises
    ------
    DataProblem
        Nothing usable: the file is missing, damaged, empty or all its symbols are broken. Where some symbols
        are sound, the broken ones are excluded and told in the findings.
    UnknownName
        A symbol is not in the data.

    Examples
    --------
    >>> import tempfile
    >>> sample = sample_candles().series
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = write_candles(Path(folder) / "candles.parquet", sample)
    ...     loaded = load_candles(file)
    >>> len(sample["SAMPLE"]) - len(loaded.series["SAMPLE"]), [f.kind for f in loaded.findings]
    (1, ['unfinished'])
    """
    files = candle_files(Path(path))
    tables = [(file, file.scan()) for file in files]
    named = {file.path: "symbol" in recognise(_columns(table)) for file, table in tables}
    wanted = None if symbols is None else _wanted(symbols, _known(tables, named))
    groups: dict[str, list[RawBars]] = {}
    for file, table in tables:
        if wanted is not None and not named[file.path] and file.symbol not in wanted:
            continue
        for bars in _read(file, table, wanted, named=named[file.path]):
            groups.setdefault(bars.symbol, []).append(bars)
    loaded = _assemble([_joined(parts) for parts in groups.values()], repair, drop_last, venue)
    if refuse_broken and not loaded.series:
        raise refuse(loaded.findings)
    return loaded


def sample_candles() -> Loaded:
    """Load the hourly bars of one US stock that the package mintalib carries; the last is dropped.

    Examples
    --------
    >>> series = sample_candles().series["SAMPLE"]
    >>> len(series), series.bars_per_day
    (3478, 7.0)
    """
    from mintalib.samples import sample_prices

    table = canonical(sample_prices("hourly", backend="polars").lazy(), SAMPLE_SYMBOL).collect()
    return _assemble(raw_bars(table, named=False), repair=False, drop_last=True, venue="")


def _columns(table: pl.LazyFrame) -> list[str]:
    return [name for name in table.collect_schema().names() if name != "row"]


def _known(tables: list[tuple[CandleFile, pl.LazyFrame]], named: dict[Path, bool]) -> set[str]:
    known = set()
    for file, table in tables:
        if named[file.path]:
            column = pl.col(recognise(_columns(table))["symbol"])
            try:
                found = table.select(column.unique()).collect().to_series()
            except pl.exceptions.PolarsError as error:
                raise unreadable(file.path, error) from error
            known |= {str(name) for name in found if name is not None}
        else:
            known.add(file.symbol)
    return known


def _wanted(symbols: Sequence[str], known: set[str]) -> list[str]:
    plain = {_plain(name): name for name in known}
    wanted = []
    for symbol in symbols:
        found = symbol if symbol in known else plain.get(_plain(symbol))
        if found is None:
            raise UnknownName("symbol", symbol, known)
        wanted.append(found)
    return wanted


def _plain(symbol: str) -> str:
    return symbol.upper().replace("/", "").replace("-", "")


def _read(
    file: CandleFile, table: pl.LazyFrame, wanted: Sequence[str] | None, *, named: bool
) -> list[RawBars]:
    if named and wanted is not None:
        column = pl.col(recognise(_columns(table))["symbol"])
        table = table.filter(column.cast(pl.String).is_in(list(wanted)))
    try:
        rows = canonical(table, file.symbol).collect()
    except pl.exceptions.PolarsError as error:
        raise unreadable(file.path, error) from error
    if not len(rows) and not named:
        return [
            RawBars(symbol=file.symbol, row=_NONE, ts=_NONE, values=np.empty((0, len(COLUMNS))), named=False)
        ]
    length = interval_length(file.interval)
    return [replace(bars, interval_ns=length) for bars in raw_bars(rows, named=named)]


_NONE = np.empty(0, dtype=np.int64)


def _joined(parts: list[RawBars]) -> RawBars:
    """Put the files of one symbol behind one another; rows are then counted over all of them."""
    if len(parts) == 1:
        return parts[0]
    counts = np.cumsum([0, *(part.row[-1] if len(part) else 0 for part in parts[:-1])])
    return replace(
        parts[0],
        row=np.concatenate([part.row + before for part, before in zip(parts, counts, strict=True)]),
        ts=np.concatenate([part.ts for part in parts]),
        values=np.concatenate([part.values for part in parts]),
    )


def _assemble(groups: Sequence[RawBars], repair: bool, drop_last: bool, venue: str) -> Loaded:
    """Check every symbol on the grid of all, repair it if asked, and keep the sound ones."""
    series: dict[str, CandleSeries] = {}
    findings: list[Finding] = []
    grid = find_grid(groups)
    for raw in groups:
        placed, misfit = place(raw, grid)
        bars, found = repair_bars(placed) if repair else (placed, check_bars(placed))
        found += [misfit] if misfit else []
        sound = not any(finding.fatal for finding in found)
        if sound and drop_last and len(bars) < 3:
            found.append(_too_short(bars))
        elif sound:
            series[bars.symbol] = _as_series(bars, venue, drop_last)
        findings += found
    if not series and not findings:
        findings.append(_nothing())
    if drop_last and series:
        findings.append(_unfinished(series))
    return Loaded(series=dict(sorted(series.items())), findings=tuple(findings))


def _as_series(bars: RawBars, venue: str, drop_last: bool) -> CandleSeries:
    kept = slice(0, len(bars) - drop_last)
    o, h, l, c, volume = (np.ascontiguousarray(bars.values[kept, j]) for j in range(len(COLUMNS)))
    return CandleSeries(
        symbol=bars.symbol,
        venue=venue,
        interval_ns=bars.bar_length(),
        ts_open=bars.ts[kept].copy(),
        open=o,
        high=h,
        low=l,
        close=c,
        volume=volume,
        bars_per_day=bars.hours.bars_per_day if bars.hours else 0.0,
    )


def _nothing() -> Finding:
    return Finding(
        kind="empty", symbol="", row=0, ts=None, count=0, detail="no rows", cure="give a file with bars"
    )


def _too_short(bars: RawBars) -> Finding:
    return Finding(
        kind="empty", symbol=bars.symbol, row=0, ts=None, count=len(bars),
        detail=f"{len(bars)} usable rows, of which the last may be unfinished",
        cure="give a longer history, or leave the symbol out",
    )  # fmt: skip


def _unfinished(series: dict[str, CandleSeries]) -> Finding:
    whose = next(iter(series)) if len(series) == 1 else ""
    return Finding(
        kind="unfinished", symbol=whose, row=0, ts=None, count=len(series),
        detail=f"the last bar of {len(series)} symbols was dropped: it may be unfinished",
        cure="nothing to do; if the files hold finished bars only, one bar is lost",
    )  # fmt: skip
