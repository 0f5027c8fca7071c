"""Walk-forward folds with purged borders, cut by time across all symbols, never by symbol.

::

    fold 1  | fit            | stop | calibration | test |
    fold 2  | fit                    | stop | calibration | test |
    fold 3  | fit                             | stop | calibration | test |

At each ``|`` inside a fold the rows whose outcome becomes known only after the border are purged from the
earlier part.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue
from consilium.training.labels import NEVER

Rows = NDArray[np.int64]

STOP_FRACTION = 0.1
CALIBRATION_FRACTION = 0.15
MIN_ROWS = 30
"""Fewest rows of a part that is learned from."""

MIN_TIMES = 20
"""Fewest times in each half of a calibration part: fewer cannot tell skill from luck."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """Rows of one fold, ascending, and the times at which its parts begin.

    Parameters
    ----------
    fit, stop, calibration
        Rows with labels, each part purged against the beginning of the next.
    test
        All rows in [ts_test, ts_end), with a label or not.
    ts_stop, ts_calibration, ts_test
        First time of a part, UTC nanoseconds.
    ts_end
        First time after the test part; NEVER for the last fold.
    """

    fit: Rows
    stop: Rows
    calibration: Rows
    test: Rows
    ts_stop: int
    ts_calibration: int
    ts_test: int
    ts_end: int


def _check_fraction(name: str, value: float) -> None:
    if not 0.0 < value < 1.0:
        raise InvalidValue(f"{name} must lie in (0, 1)", value, "give a fraction, not a percentage")


def _checked(
    ts_event: NDArray[np.int64], ts_matured: NDArray[np.int64], stop: float, calibration: float
) -> NDArray[np.int64]:
    if len(ts_event) != len(ts_matured):
        raise InvalidValue(
            "ts_event and ts_matured must have the same length",
            f"{len(ts_event)} and {len(ts_matured)}",
            "give both for each row",
        )
    if len(ts_event) and not np.all(np.diff(ts_event) >= 0):
        raise InvalidValue("rows must be in the order of ts_event", "unsorted rows", "sort them by time")
    _check_fraction("stop_fraction", stop)
    _check_fraction("calibration_fraction", calibration)
    if stop + calibration >= 1.0:
        raise InvalidValue(
            "stop_fraction + calibration_fraction must be < 1", stop + calibration, "leave rows to fit on"
        )
    return np.unique(ts_event)


class _Cutter:
    """Cuts the learning part of a fold; keeps the arrays that every cut reads."""

    def __init__(
        self,
        ts_event: NDArray[np.int64],
        ts_matured: NDArray[np.int64],
        labelled: NDArray[np.bool_] | None,
        fractions: tuple[float, float],
        min_rows: int,
        judged_times: int,
    ) -> None:
        self.ts_event, self.ts_matured, self.min_rows = ts_event, ts_matured, min_rows
        self.judged_times = judged_times
        known = ts_matured < NEVER
        self.labelled = known if labelled is None else known & labelled
        self.fractions = fractions

    def part(self, name: str, begin: int, end: int) -> Rows:
        """Return the labelled rows of [begin, end) whose outcome is known before ``end``.

        An outcome that matures at ``end`` is the open at which a forecast made at ``end`` would fill.
        """
        first, last = np.searchsorted(self.ts_event, [begin, end])
        rows = np.arange(first, last, dtype=np.int64)
        kept = rows[self.labelled[rows] & (self.ts_matured[rows] < end)]
        if len(kept) < self.min_rows:
            raise InvalidValue(
                f"each part of a fold needs >= {self.min_rows} rows with an outcome before the next part",
                f"{len(kept)} rows of {len(rows)} in '{name}'",
                "give a longer history, fewer folds, a shorter horizon or larger fractions",
            )
        return kept

    def _least_calibration(self, times: NDArray[np.int64], ts_test: int) -> int:
        """Times that two halves need to hold ``judged_times`` each after their purges.

        With an outcome known s times later, the border of the test takes s times, the middle s more from the
        earlier half, and the halves are equal: ``2 judged_times + 3 s``.
        """
        if not self.judged_times:
            return 0
        known = self.labelled & (self.ts_matured < ts_test)
        begun = np.searchsorted(times, self.ts_event[known])
        spans = np.searchsorted(times, self.ts_matured[known]) - begun
        return 2 * self.judged_times + 3 * (int(np.median(spans)) if len(spans) else 0)

    def cut(self, times: NDArray[np.int64], ts_test: int, ts_end: int) -> Fold:
        """Divide the times before ``ts_test`` into fit, stop and calibration."""
        n = len(times)
        n_calibration, n_stop = (ceil(fraction * n) for fraction in reversed(self.fractions))
        n_calibration = max(n_calibration, min(self._least_calibration(times, ts_test), n // 2))
        borders = n - n_calibration - n_stop, n - n_calibration
        if borders[0] < 1:
            raise InvalidValue(
                "the first fold needs at least 1 time to fit on", f"{n} times", "give a longer history"
            )
        ts_stop, ts_calibration = int(times[borders[0]]), int(times[borders[1]])
        test = np.searchsorted(self.ts_event, [ts_test, ts_end])
        return Fold(
            fit=self.part("fit", int(times[0]), ts_stop),
            stop=self.part("stop", ts_stop, ts_calibration),
            calibration=self.part("calibration", ts_calibration, ts_test),
            test=np.arange(test[0], test[1], dtype=np.int64),
            ts_stop=ts_stop,
            ts_calibration=ts_calibration,
            ts_test=ts_test,
            ts_end=ts_end,
        )


def walk_forward_folds(
    ts_event: NDArray[np.int64],
    ts_matured: NDArray[np.int64],
    *,
    labelled: NDArray[np.bool_] | None = None,
    folds: int = 5,
    first_fraction: float = 0.4,
    stop_fraction: float = STOP_FRACTION,
    calibration_fraction: float = CALIBRATION_FRACTION,
    min_rows: int = MIN_ROWS,
    judged_times: int = 0,
    ts_first_test: int | None = None,
) -> tuple[Fold, ...]:
    """Cut rows into expanding walk-forward folds: fit | early stop | calibration | test.

    The distinct times are cut, so that all symbols of one instant fall into one part. The tests of all folds
    together hold every row after the first ``first_fraction`` of the times exactly once. A row is purged from
    a part if its ``ts_matured`` does not lie before the beginning of the next part.

    Parameters
    ----------
    ts_event
        Shape (n,), UTC nanoseconds, ascending; symbols may share a time.
    ts_matured
        Shape (n,), when the outcome is known; NEVER for a row without one.
    labelled
        Shape (n,), rows that may be learned from; default those with an outcome.
    folds
        Number of folds, >= 1.
    first_fraction
        Share of the times before the first test, in (0, 1).
    stop_fraction, calibration_fraction
        Shares of the times before the test of each fold, in (0, 1), sum < 1.
    min_rows
        Fewest rows of each learning part after the purge, >= 1.
    judged_times
        Where the history is short, the calibration part is widened until both its halves hold this many times
        after their purges, up to half of what may be learned from; 0 never widens it.
    ts_first_test
        Where the first test begins, UTC nanoseconds, instead of ``first_fraction``; None for that.

    Returns
    -------
    The folds in the order of time.

    Raises
    ------
    InvalidValue
        A parameter outside its bound, or a part with fewer than ``min_rows`` rows.

    Examples
    --------
    >>> time = np.arange(100)
    >>> first, second = walk_forward_folds(time, time + 2, folds=2, min_rows=1)
    >>> [(part[0].item(), part[-1].item()) for part in (first.fit, first.stop, first.calibration, first.test)]
    [(0, 27), (30, 31), (34, 37), (40, 69)]

    References
    ----------
    Lopez de Prado (2018), ch. 7.4.1, purging.
    """
    times = _checked(ts_event, ts_matured, stop_fraction, calibration_fraction)
    _check_fraction("first_fraction", first_fraction)
    if folds < 1:
        raise InvalidValue("folds must be >= 1", folds, "use 5")
    first = ceil(first_fraction * len(times))
    if ts_first_test is not None:
        first = int(np.searchsorted(times, ts_first_test))
    borders = np.linspace(first, len(times), folds + 1).astype(np.int64)
    if first < 3 or np.any(np.diff(borders) < 1):
        raise InvalidValue(
            "each fold needs at least 1 time to test and 3 times before it",
            f"{len(times)} times for {folds} folds from number {first} on",
            "give a longer history or fewer folds",
        )
    cutter = _Cutter(
        ts_event, ts_matured, labelled, (stop_fraction, calibration_fraction), min_rows, judged_times
    )

    def cuts() -> Iterator[Fold]:
        for begin, end in pairwise(borders):
            ts_end = int(times[end]) if end < len(times) else NEVER
            yield cutter.cut(times[:begin], int(times[begin]), ts_end)

    return tuple(cuts())


def final_split(
    ts_event: NDArray[np.int64],
    ts_matured: NDArray[np.int64],
    *,
    labelled: NDArray[np.bool_] | None = None,
    stop_fraction: float = STOP_FRACTION,
    calibration_fraction: float = CALIBRATION_FRACTION,
    min_rows: int = MIN_ROWS,
    judged_times: int = 0,
) -> Fold:
    """Cut all rows into fit | early stop | calibration for a model that goes into service; no test part.

    Parameters and errors are those of `walk_forward_folds`.

    Examples
    --------
    >>> time = np.arange(100)
    >>> final = final_split(time, time + 2, min_rows=1)
    >>> final.calibration[-1].item(), len(final.test)
    (99, 0)
    """
    _checked(ts_event, ts_matured, stop_fraction, calibration_fraction)
    cutter = _Cutter(
        ts_event, ts_matured, labelled, (stop_fraction, calibration_fraction), min_rows, judged_times
    )
    # Rows at the end still wait for their outcome: counting their times would shorten the calibration part.
    times = np.unique(ts_event[cutter.labelled])
    if len(times) < 3:
        raise InvalidValue(
            "training needs at least 3 times with an outcome", len(times), "give a longer history"
        )
    return cutter.cut(times, NEVER - 1, NEVER)
