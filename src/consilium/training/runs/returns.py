"""The daily returns of what each run tried, so that a later Sharpe ratio can be deflated by all of them."""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from consilium.domain import DAY_NS, InvalidValue
from consilium.training.runs.openings import overlapping, require_run

LEAST_DAYS = 30
"""A trial with fewer days in common is counted and not compared: its ratio would mean nothing."""

NO_TRIALS = ("train",)
"""Kinds of runs that read outcomes but try no trading."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS trial_returns (
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    first_day INTEGER NOT NULL,
    days INTEGER NOT NULL,
    returns BLOB NOT NULL,
    PRIMARY KEY (run_id, name)
)
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EarlierTrials:
    """What other runs tried on the same symbols over the same days.

    Parameters
    ----------
    names
        K trials, as ``run_id`` or ``run_id/name``.
    returns
        Shape (T, K): daily returns on the days asked for, 0 where the trial has none.
    elsewhere
        Trials with fewer than 30 days in common (or than all, if fewer were asked for).
    without
        Runs that have read those outcomes and left no returns: failed, aborted, or still running.
    """

    names: tuple[str, ...]
    returns: NDArray[np.float64]
    elsewhere: int
    without: int

    @property
    def aborted(self) -> int:
        """Trials whose returns cannot be compared, as `deflated_sharpe` counts them."""
        return self.elsewhere + self.without


def keep_returns(
    connection: sqlite3.Connection, run_id: str, day: ArrayLike, returns: ArrayLike, name: str
) -> None:
    """Write one trial; see `RunTable.keep_returns`."""
    days = _checked_days(day)
    values = np.asarray(returns, dtype=np.float64)
    if values.shape != days.shape or not np.all(np.isfinite(values)):
        raise InvalidValue(
            "returns must be finite, one a day", f"{values.shape} for {len(days)} days", "give one each"
        )
    require_run(connection, run_id)
    whole = np.zeros(int(days[-1] - days[0]) + 1)
    whole[days - days[0]] = values
    connection.execute(
        "INSERT OR REPLACE INTO trial_returns (run_id, name, first_day, days, returns) "
        "VALUES (?, ?, ?, ?, ?)",
        (run_id, name, int(days[0]), len(whole), whole.astype("<f8").tobytes()),
    )


def returns_of_overlapping(
    connection: sqlite3.Connection, run_id: str, day: ArrayLike, market: str, symbols: Collection[str]
) -> EarlierTrials:
    """Collect the trials of other runs; see `RunTable.returns_of_overlapping`."""
    days = _checked_days(day)
    # A run that has begun later is no trial of this one, whatever its state.
    (mine,) = connection.execute("SELECT MAX(number) FROM openings WHERE run_id = ?", (run_id,)).fetchone()
    opened = overlapping(
        connection,
        run_id,
        market,
        int(days[0]) * DAY_NS,
        (int(days[-1]) + 1) * DAY_NS,
        symbols,
        before=mine,
    )
    runs = list(dict.fromkeys(o.run_id for o in opened if o.kind not in NO_TRIALS))
    names: list[str] = []
    columns: list[NDArray[np.float64]] = []
    elsewhere = without = 0
    for run in runs:
        kept = connection.execute(
            "SELECT name, first_day, days, returns FROM trial_returns WHERE run_id = ? ORDER BY name", (run,)
        ).fetchall()
        without += not kept
        for name, first, count, blob in kept:
            inside = (days >= first) & (days < first + count)
            if inside.sum() < min(LEAST_DAYS, len(days)):
                elsewhere += 1
                continue
            column = np.zeros(len(days))
            column[inside] = np.frombuffer(blob, dtype="<f8")[days[inside] - first]
            names.append(f"{run}/{name}" if name else run)
            columns.append(column)
    return EarlierTrials(
        names=tuple(names),
        returns=np.column_stack(columns) if columns else np.zeros((len(days), 0)),
        elsewhere=elsewhere,
        without=without,
    )


def _checked_days(day: ArrayLike) -> NDArray[np.int64]:
    days = np.asarray(day)
    if days.ndim != 1 or not len(days) or not np.issubdtype(days.dtype, np.integer):
        raise InvalidValue(
            "days must be whole numbers, shape (T,)", days.shape, "number the UTC days from 1970"
        )
    if np.any(np.diff(days) <= 0) or abs(int(days[-1])) > 10**6 or days[0] < 0:
        raise InvalidValue(
            "days must ascend from 1970 on", f"{days[0]} to {days[-1]}", "number the UTC days: ts // DAY_NS"
        )
    return days.astype(np.int64)
