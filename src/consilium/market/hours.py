"""Which hours a market is open, told from the times of its bars alone.

Crypto trades round the clock: every missing bar is a gap. A stock's nights and weekends are no gaps. The
difference matters twice: for what is reported as missing, and for how many bars make a day.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.domain.time import DAY_NS, HOUR_NS

WEEK_NS = 7 * DAY_NS
MIN_DAYS = 5
MIN_WEEKS = 3
CLOSED_FRACTION = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingHours:
    """When a market trades.

    Parameters
    ----------
    round_the_clock
        No closing hours were found.
    period_ns
        A day where the market closes every day, a week where it closes at weekends only, else 0.
    boundary_ns
        Offset into the period at which the market is closed, in the middle of the closing time.
    bars_per_day
        Bars in 24 hours, or for a market that closes the median number of bars on days that have bars.
    """

    round_the_clock: bool
    period_ns: int
    boundary_ns: int
    bars_per_day: float


def find_hours(ts_open: NDArray[np.int64], interval_ns: int) -> TradingHours:
    """Tell a market that closes from one that trades round the clock.

    A market closes every day if at least 15 % of the hours of the day never hold a bar over five days or
    more, and at weekends if that holds for the hours of the week over three weeks or more. Where fewer days
    are at hand, two or more gaps of at least four hours that all begin at one time of day are nights. A
    single gap in a short series is a gap.

    Parameters
    ----------
    ts_open
        UTC nanoseconds, ascending, shape (n,).
    interval_ns
        Length of a bar.

    Examples
    --------
    >>> import numpy as np
    >>> office = [day * 24 + hour for day in range(10) for hour in range(9, 16)]
    >>> find_hours(np.array(office) * 3_600_000_000_000, 3_600_000_000_000).bars_per_day
    7.0
    """
    always = TradingHours(round_the_clock=True, period_ns=0, boundary_ns=0, bars_per_day=DAY_NS / interval_ns)
    if len(ts_open) < 2:
        return always
    span = int(ts_open[-1] - ts_open[0])
    if len(ts_open) * interval_ns > (1.0 - CLOSED_FRACTION / 2) * span:
        return always
    if span >= MIN_DAYS * DAY_NS and interval_ns < DAY_NS:
        found = _closed(ts_open, interval_ns, DAY_NS)
        if found is not None:
            return found
    if span >= MIN_WEEKS * WEEK_NS and interval_ns <= DAY_NS:
        found = _closed(ts_open, interval_ns, WEEK_NS)
        if found is not None:
            return found
    if span < MIN_DAYS * DAY_NS:
        return _nights(ts_open, interval_ns) or always
    return always


def _closed(ts_open: NDArray[np.int64], interval_ns: int, period_ns: int) -> TradingHours | None:
    """Return the trading hours if enough slots of the period never hold a bar."""
    slot_ns = max(interval_ns, HOUR_NS)
    count = period_ns // slot_ns
    filled = np.zeros(count, dtype=bool)
    filled[np.minimum(ts_open % period_ns // slot_ns, count - 1)] = True
    if filled.mean() > 1.0 - CLOSED_FRACTION:
        return None
    middle = _longest_empty_run(filled)
    return _hours(ts_open, interval_ns, period_ns, int(middle * slot_ns))


def _longest_empty_run(filled: NDArray[np.bool_]) -> float:
    """Return the middle of the longest run of empty slots on the circle, in slots."""
    occupied = np.flatnonzero(filled)
    following = np.append(occupied[1:], occupied[0] + len(filled))
    widest = int(np.argmax(following - occupied))
    return float((occupied[widest] + 1 + following[widest]) / 2 % len(filled))


def _nights(ts_open: NDArray[np.int64], interval_ns: int) -> TradingHours | None:
    """Return the trading hours of a few days if their gaps recur at one time of day."""
    steps = np.diff(ts_open)
    long = np.flatnonzero(steps >= max(4 * HOUR_NS, 2 * interval_ns))
    if len(long) < 2 or np.ptp(ts_open[long] % DAY_NS) > HOUR_NS:
        return None
    middle = int(ts_open[long[0]] + interval_ns + ts_open[long[0] + 1]) // 2
    return _hours(ts_open, interval_ns, DAY_NS, middle % DAY_NS)


def _hours(ts_open: NDArray[np.int64], interval_ns: int, period_ns: int, boundary_ns: int) -> TradingHours:
    days = (ts_open - boundary_ns % DAY_NS) // DAY_NS
    counts = np.unique(days, return_counts=True)[1]
    return TradingHours(
        round_the_clock=False,
        period_ns=period_ns,
        boundary_ns=boundary_ns,
        bars_per_day=min(float(np.median(counts)), max(DAY_NS / interval_ns, 1.0)),
    )


def find_gaps(
    ts_open: NDArray[np.int64], interval_ns: int, hours: TradingHours | None = None
) -> NDArray[np.int64]:
    """Return the positions i after which bars are missing: between ts_open[i] and ts_open[i+1].

    In a market that closes only holes inside the trading hours of one period count, and not those that recur
    in more than half of the periods (a lunch break). A hole that touches the opening or the closing, or
    swallows a whole day, cannot be told from a short day or a holiday and is not reported.

    Parameters
    ----------
    ts_open
        UTC nanoseconds, ascending, shape (n,).
    interval_ns
        Length of a bar.
    hours
        What `find_hours` said; found here if not given.

    Examples
    --------
    >>> import numpy as np
    >>> find_gaps(np.array([0, 1, 2, 5, 6]) * 3_600_000_000_000, 3_600_000_000_000)
    array([2])
    """
    hours = hours or find_hours(ts_open, interval_ns)
    steps = np.diff(ts_open)
    missing = steps >= 1.5 * interval_ns
    if hours.round_the_clock:
        return np.flatnonzero(missing)
    number = (ts_open - hours.boundary_ns) // hours.period_ns
    inside = np.flatnonzero(missing & (np.diff(number) == 0))
    if not len(inside):
        return inside
    start = ts_open[inside] % hours.period_ns
    times, where, counts = np.unique(start, return_inverse=True, return_counts=True)
    recurring = counts > len(np.unique(number)) / 2
    return inside[~recurring[where]] if len(times) else inside
