"""Repair of raw candles: rows are sorted or dropped, never invented, and each step is told."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilium.market.candles import COLUMNS
from consilium.market.checks import (
    RawBars,
    check_bars,
    check_candles,
    overlapping,
    possible,
    raw_bars,
    repeated,
)
from consilium.market.columns import CANONICAL, ROW, TS, canonical
from consilium.market.findings import CheckReport, Finding

_DONE = {
    "impossible": "dropped",
    "unsorted": "sorted by time",
    "duplicates": "the last of each kept",
    "overlap": "bars off the common grid dropped",
}


def repair_candles(table: pl.DataFrame, symbol: str = "") -> tuple[pl.DataFrame, CheckReport]:
    """Repair a table of candles and say what was done.

    Impossible bars are dropped, rows sorted by time, of repeated times the last in the file kept, and bars
    that lie between the common grid dropped. Gaps stay: no price is invented. A table of several markets
    without a symbol column, and a symbol left with less than two bars, cannot be repaired: their rows are
    returned as they were. Repairing twice changes nothing.

    Parameters
    ----------
    table
        Rows in file order with any of the known column names.
    symbol
        Symbol of all rows where the table has no such column.

    Returns
    -------
    tuple
        The table as ``symbol, row, ts, open, high, low, close, volume`` and the report whose findings carry
        what was done.

    Examples
    --------
    >>> table = pl.DataFrame({"date": [0, 3600, 3600], "open": [1.0, 2.0, 3.0], "high": [1.0, 2.0, 3.0],
    ...     "low": [1.0, 2.0, 3.0], "close": [1.0, 2.0, 3.0], "volume": [5.0, 5.0, 5.0]})
    >>> repaired, report = repair_candles(table, "A")
    >>> repaired["close"].to_list(), report.findings[0].repaired
    ([1.0, 3.0], 'repaired: the last of each kept')
    """
    named = "symbol" in table.columns
    prepared = table if tuple(table.columns) == CANONICAL else canonical(table.lazy(), symbol).collect()
    parts = raw_bars(prepared, named=named)
    if not parts:
        return prepared, check_candles(prepared, symbol)
    results = [repair_bars(part) for part in parts]
    report = CheckReport(
        rows=len(table),
        symbols=tuple(part.symbol for part in parts),
        findings=tuple(finding for _, findings in results for finding in findings),
    )
    return pl.concat([_as_table(bars) for bars, _ in results]), report


def repair_bars(bars: RawBars) -> tuple[RawBars, list[Finding]]:
    """Repair the rows of one symbol; the findings say what was done, or that nothing could be."""
    findings = check_bars(bars)
    if not any(finding.fatal for finding in findings):
        return bars, findings
    if any(finding.kind == "mixed" for finding in findings):
        return bars, findings
    repaired = _one_pass(bars)
    told = [_told(finding) for finding in findings]
    # Dropping rows can change which step is the common one, and with it what overlaps; rows only ever go.
    remaining = check_bars(repaired)
    while any(finding.kind in _DONE for finding in remaining):
        told += [_told(finding) for finding in remaining if finding.kind in _DONE]
        repaired = _one_pass(repaired)
        remaining = check_bars(repaired)
    if len(repaired) < 2:
        return bars, [f for f in told if f.kind != "empty"] + [f for f in remaining if f.kind == "empty"]
    return repaired, [f for f in told if f.kind != "gaps"] + [f for f in remaining if f.kind == "gaps"]


def _told(finding: Finding) -> Finding:
    done = _DONE.get(finding.kind)
    return finding.after(f"repaired: {done}") if done else finding


def _one_pass(bars: RawBars) -> RawBars:
    kept = bars.take(possible(bars))
    order, again = repeated(kept)
    if not len(order):
        return kept
    last_of_each = np.append(~again[1:], True)
    kept = kept.take(order[last_of_each])
    interval = kept.bar_length()
    return kept.take(_on_grid(kept.ts, interval)) if interval else kept


def _on_grid(ts: NDArray[np.int64], interval_ns: int) -> NDArray[np.bool_]:
    """Return which bars to keep so that none opens before the one before has closed."""
    keep = np.ones(len(ts), dtype=bool)
    near = overlapping(ts, interval_ns)
    if not len(near):
        return keep
    offsets, counts = np.unique(ts % interval_ns, return_counts=True)
    off = ts % interval_ns != offsets[np.argmax(counts)]
    pairs = np.union1d(near, near - 1)
    keep[pairs[off[pairs]]] = False
    last = None
    for i in np.flatnonzero(keep):
        if last is not None and ts[i] - ts[last] < 0.9 * interval_ns:
            keep[i] = False
        else:
            last = i
    return keep


def _as_table(bars: RawBars) -> pl.DataFrame:
    columns: dict[str, object] = {ROW: bars.row, TS: bars.ts}
    columns |= {name: bars.values[:, j] for j, name in enumerate(COLUMNS)}
    table = pl.DataFrame(columns).with_columns(
        pl.lit(bars.symbol, dtype=pl.String).alias("symbol"),
        pl.when(pl.col(TS) >= 0).then(pl.col(TS)).alias(TS),
    )
    return table.select(CANONICAL)
