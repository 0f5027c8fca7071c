"""What is wrong with raw candles: each fault named with its row and its cure."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilium.market.candles import COLUMNS, PRICE_COLUMNS
from consilium.market.columns import CANONICAL, ROW, TS, canonical
from consilium.market.findings import CheckReport, Finding
from consilium.market.hours import WEEK_NS, TradingHours, find_gaps, find_hours

REPAIR = "load with repair (`--repair`), which "
MIXED_SHARE = 0.1
MIXED_RATIO = 0.05
MIXED_ROWS = 5
UNKNOWN_TS = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawBars:
    """Rows of one symbol as they stand in the file, in file order.

    Parameters
    ----------
    symbol
        Whose rows.
    row
        Row in the file, counted from 1, shape (n,).
    ts
        Opening times in UTC nanoseconds; UNKNOWN_TS where unreadable, shape (n,).
    values
        Open, high, low, close, volume, shape (n, 5); NaN where unreadable.
    named
        The file names the symbol in a column.
    interval_ns
        Length of a bar, where something beside these rows says it; 0: their most common step.
    hours
        When the market trades, where something beside these rows says it; None: told from their times.
    """

    symbol: str
    row: NDArray[np.int64]
    ts: NDArray[np.int64]
    values: NDArray[np.float64]
    named: bool = True
    interval_ns: int = 0
    hours: TradingHours | None = None

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "RawBars":
        """Return some of the rows, by position or by mask."""
        return replace(self, row=self.row[rows], ts=self.ts[rows], values=self.values[rows])

    def bar_length(self) -> int:
        """Return the length of a bar in ns: what was said, else the most common step, 0 if there is none."""
        return self.interval_ns or typical_interval(self.ts)


def raw_bars(table: pl.DataFrame, *, named: bool = True) -> list[RawBars]:
    """Split a canonical table by symbol, in order of appearance."""
    return [
        RawBars(
            symbol=str(part["symbol"][0] or ""),
            row=part[ROW].to_numpy(),
            ts=part[TS].fill_null(UNKNOWN_TS).to_numpy(),
            values=np.column_stack([part[c].to_numpy() for c in COLUMNS]),
            named=named,
        )
        for part in table.partition_by("symbol", maintain_order=True)
    ]


def check_candles(table: pl.DataFrame, symbol: str = "") -> CheckReport:
    """Check a table of candles as it was read.

    Parameters
    ----------
    table
        Rows in file order with any of the known column names (`consilium.market.columns`).
    symbol
        Symbol of all rows where the table has no such column.

    Raises
    ------
    DataProblem
        A needed column is missing.

    Examples
    --------
    >>> table = pl.DataFrame({"date": [3600, 0], "open": [1.0, 1.0], "high": [1.0, 0.5], "low": [1.0, 1.0],
    ...                       "close": [1.0, 1.0], "volume": [5.0, 5.0]})
    >>> [(finding.kind, finding.row) for finding in check_candles(table, "A").findings]
    [('impossible', 2), ('unsorted', 2)]
    """
    named = "symbol" in table.columns
    prepared = table if tuple(table.columns) == CANONICAL else canonical(table.lazy(), symbol).collect()
    parts = raw_bars(prepared, named=named)
    if not parts:
        return CheckReport(rows=0, symbols=(symbol,), findings=(_empty(symbol, 0),))
    findings = [finding for part in parts for finding in check_bars(part)]
    return CheckReport(
        rows=len(table), symbols=tuple(part.symbol for part in parts), findings=tuple(findings)
    )


def check_bars(bars: RawBars) -> list[Finding]:
    """Return what is wrong with the rows of one symbol; an empty list if nothing is.

    Faults: empty, mixed, impossible, unsorted, duplicates, overlap. Note: gaps. A market that closes at night
    or at weekends is recognised from its times, and its closing hours are no gaps.
    """
    if len(bars) < 2:
        return [*_impossible(bars), _empty(bars.symbol, len(bars))]
    mixed = _mixed(bars)
    if mixed:
        return mixed
    return [*_impossible(bars), *_unsorted(bars), *_duplicates(bars), *_spacing(bars)]


def possible(bars: RawBars) -> NDArray[np.bool_]:
    """Return which rows hold a bar that can have been traded."""
    o, h, l, c, volume = bars.values.T
    with np.errstate(invalid="ignore"):
        fits = (l > 0) & (l <= np.minimum(o, c)) & (np.maximum(o, c) <= h) & (volume >= 0)
        finite = np.isfinite(bars.values).all(axis=1)
    result: NDArray[np.bool_] = fits & finite & (bars.ts >= 0)
    return result


def typical_interval(ts: NDArray[np.int64]) -> int:
    """Return the most common step between ascending times, the shortest of equals; 0 if there is none."""
    steps = np.diff(np.unique(ts[ts >= 0]))
    if not len(steps):
        return 0
    lengths, counts = np.unique(steps, return_counts=True)
    return int(lengths[np.argmax(counts)])


def overlapping(ts: NDArray[np.int64], interval_ns: int) -> NDArray[np.intp]:
    """Return the positions i whose bar opens before bar i-1 has closed, by more than a change of clocks.

    Stocks end or begin their hours with shortened bars and months differ in length: neither is judged.
    """
    if interval_ns > WEEK_NS or not find_hours(ts, interval_ns).round_the_clock:
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(np.diff(ts) < 0.9 * interval_ns) + 1


def _empty(symbol: str, rows: int) -> Finding:
    return Finding(
        kind="empty", symbol=symbol, row=0, ts=None, count=rows,
        detail=f"{rows} usable rows", cure="give a file with bars, or leave the symbol out",
    )  # fmt: skip


def _finding(bars: RawBars, kind: str, at: int, count: int, detail: str, cure: str) -> Finding:
    ts = int(bars.ts[at])
    return Finding(
        kind=kind, symbol=bars.symbol, row=int(bars.row[at]), ts=ts if ts >= 0 else None, count=count,
        detail=detail, cure=cure,
    )  # fmt: skip


def _impossible(bars: RawBars) -> list[Finding]:
    bad = np.flatnonzero(~possible(bars))
    if not len(bad):
        return []
    first = int(bad[0])
    shown = ", ".join(f"{name} {bars.values[first, j]:g}" for j, name in enumerate(COLUMNS))
    time = "" if bars.ts[first] >= 0 else "no time, "
    return [
        _finding(bars, "impossible", first, len(bad), f"{len(bad)} impossible bars, first {time}{shown}",
                 REPAIR + "drops them, or correct the rows")
    ]  # fmt: skip


def _unsorted(bars: RawBars) -> list[Finding]:
    timed = bars.take(bars.ts >= 0)
    back = np.flatnonzero(np.diff(timed.ts) < 0) + 1
    if not len(back):
        return []
    return [
        _finding(timed, "unsorted", int(back[0]), len(back),
                 f"{len(back)} rows are older than the one before",
                 REPAIR + "sorts by time")
    ]  # fmt: skip


def _duplicates(bars: RawBars) -> list[Finding]:
    order, again = repeated(bars)
    if not again.any():
        return []
    late = order[again]
    first = int(late.min())
    return [
        _finding(bars, "duplicates", first, len(late), f"{len(late)} rows repeat the time of another",
                 REPAIR + "keeps the last of each")
    ]  # fmt: skip


def repeated(bars: RawBars) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the order by time (equal times in file order), and which of it repeat the time before."""
    order = np.argsort(bars.ts, kind="stable")
    ts = bars.ts[order]
    again = np.zeros(len(ts), dtype=bool)
    again[1:] = (np.diff(ts) == 0) & (ts[1:] >= 0)
    return order, again


def _mixed(bars: RawBars) -> list[Finding]:
    """Find several markets in one table: many rows share their times and their prices lie far apart."""
    order, again = repeated(bars)
    if bars.named or again.sum() < max(MIXED_ROWS, MIXED_SHARE * len(bars)):
        return []
    close = bars.values[order, PRICE_COLUMNS.index("close")]
    late = np.flatnonzero(again)
    pairs = np.column_stack([close[late - 1], close[late]])
    pairs = pairs[(np.isfinite(pairs) & (pairs > 0)).all(axis=1)]
    if not len(pairs) or np.median(np.abs(np.diff(np.log(pairs), axis=1))) < MIXED_RATIO:
        return []
    first = int(order[late].min())
    return [
        _finding(bars, "mixed", first, len(late),
                 f"{len(late)} rows share a time with another row at a very different price",
                 "add a column `symbol`, or give one file per symbol")
    ]  # fmt: skip


def _spacing(bars: RawBars) -> list[Finding]:
    """Find bars too near to each other and bars that are missing, among rows that are possible."""
    order = np.argsort(bars.ts, kind="stable")
    inorder = bars.take(order)
    usable = inorder.take(inorder.ts >= 0)
    usable = usable.take(np.append(True, np.diff(usable.ts) > 0)) if len(usable) else usable
    interval = usable.bar_length()
    if not interval:
        return []
    findings = []
    near = overlapping(usable.ts, interval)
    if len(near):
        findings.append(
            _finding(usable, "overlap", int(near[0]), len(near),
                     f"{len(near)} bars open before the one before has closed",
                     REPAIR + "drops the bars that do not lie on the common grid")
        )  # fmt: skip
    valid = usable.take(possible(usable))
    return [*findings, *_gaps(valid, interval)]


def _gaps(bars: RawBars, interval_ns: int) -> list[Finding]:
    gaps = find_gaps(bars.ts, interval_ns, bars.hours)
    if not len(gaps):
        return []
    missing = np.round(np.diff(bars.ts)[gaps] / interval_ns).astype(np.int64) - 1
    total, longest = int(missing.sum()), int(missing.max())
    return [
        _finding(bars, "gaps", int(gaps[0]) + 1, total,
                 f"{len(gaps)} gaps, {total} bars missing, longest {longest} bars",
                 "download the missing bars; without them the series is kept and no price is invented")
    ]  # fmt: skip
