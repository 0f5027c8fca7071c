"""Signals as columns: the directions of one symbol, dated, ready for a backtest."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilium.domain import Consensus, DataProblem, Direction, InvalidValue, UnknownName
from consilium.domain.checks import require_name

NOTHING = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SignalSeries:
    """Directions of one symbol at the closes at which they were known.

    Parameters
    ----------
    ts_event
        UTC nanoseconds, strictly ascending, shape (n,).
    direction
        DOWN 0, FLAT 1, UP 2, shape (n,).
    actionable
        Whether to act on it, shape (n,).

    Raises
    ------
    InvalidValue
        Shapes differ or a direction is none of the three.
    DataProblem
        Times do not ascend.

    Examples
    --------
    >>> import numpy as np
    >>> s = SignalSeries(symbol="BTCUSDT", ts_event=np.array([60, 120]), direction=np.array([2, 0]),
    ...                  actionable=np.array([True, False]))
    >>> s.codes_at(np.array([60, 120, 180])).tolist()
    [3, 0, 0]
    """

    symbol: str
    ts_event: NDArray[np.int64]
    direction: NDArray[np.int8]
    actionable: NDArray[np.bool_]

    def __post_init__(self) -> None:
        require_name("symbol", self.symbol)
        n = len(self.ts_event)
        if len(self.direction) != n or len(self.actionable) != n:
            raise InvalidValue(
                f"direction and actionable must have the length {n} of ts_event",
                f"{len(self.direction)}, {len(self.actionable)}",
                "give one of each per signal",
            )
        if n and not (np.diff(self.ts_event) > 0).all():
            raise DataProblem(
                f"signals of {self.symbol} must have strictly ascending ts_event",
                "a repeated or earlier time",
                "sort them and keep one per close",
            )
        strange = ~np.isin(self.direction, [int(d) for d in Direction])
        if strange.any():
            raise InvalidValue(
                "direction must be DOWN 0, FLAT 1 or UP 2",
                int(self.direction[strange][0]),
                "leave rows without a forecast out",
            )

    def codes_at(self, ts_close: NDArray[np.int64]) -> NDArray[np.int8]:
        """Return ``direction + 1`` at closes with an actionable move, 0 elsewhere, shape of ``ts_close``."""
        codes = np.zeros(len(ts_close), dtype=np.int8)
        if len(self.ts_event) and len(ts_close):
            moves = self.actionable & (self.direction != Direction.FLAT)
            at = np.searchsorted(ts_close, self.ts_event)
            found = moves & (ts_close[np.minimum(at, len(ts_close) - 1)] == self.ts_event)
            codes[at[found]] = self.direction[found] + 1
        return codes


Signals = Mapping[str, SignalSeries] | Iterable[SignalSeries | Consensus]


def codes_on(
    series: SignalSeries | None, ts_close: NDArray[np.int64], delay: int = 0, start_ts: int | None = None
) -> NDArray[np.int8]:
    """Return the codes of a series, or of none, at closes from ``start_ts`` on, each ``delay`` bars late.

    What was said before the start stays out, however late it comes.
    """
    codes = np.zeros(len(ts_close), np.int8) if series is None else series.codes_at(ts_close)
    if start_ts is not None:
        codes[ts_close < start_ts] = 0
    if not delay:
        return codes
    return np.concatenate([np.zeros(min(delay, len(codes)), np.int8), codes[:-delay]])


def as_series(signals: Signals, symbols: Iterable[str]) -> dict[str, SignalSeries]:
    """Gather signals by symbol; consensuses become columns.

    Parameters
    ----------
    signals
        A mapping, or signal series and consensuses in any order.
    symbols
        The symbols that there are.

    Raises
    ------
    UnknownName
        A signal for a symbol that is not there.
    DataProblem
        Two signals for one symbol and close.
    """
    known = set(symbols)
    series: dict[str, SignalSeries] = {}
    loose: dict[str, list[Consensus]] = {}
    for item in signals.values() if isinstance(signals, Mapping) else signals:
        if item.symbol not in known:
            raise UnknownName("symbol", item.symbol, known)
        if isinstance(item, Consensus):
            loose.setdefault(item.symbol, []).append(item)
        elif item.symbol in series:
            raise DataProblem(
                "signals must come in one series a symbol", f"two of {item.symbol}", "join them"
            )
        else:
            series[item.symbol] = item
    for symbol, several in loose.items():
        if symbol in series:
            raise DataProblem("signals must come in one series a symbol", f"two of {symbol}", "join them")
        several.sort(key=lambda consensus: consensus.ts_event)
        series[symbol] = SignalSeries(
            symbol=symbol,
            ts_event=np.array([c.ts_event for c in several], dtype=np.int64),
            direction=np.array([int(c.direction) for c in several], dtype=np.int8),
            actionable=np.array([c.actionable for c in several], dtype=np.bool_),
        )
    return series
