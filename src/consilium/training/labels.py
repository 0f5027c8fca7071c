"""What a forecast is about: the direction of the return that an order at the next open would earn.

Letters: o_t, h_t, l_t, c_t open, high, low, close of bar t; H the horizon in bars; s_t the exponentially
weighted standard deviation of the one-bar log returns up to t; r = ln(o_{t+1+H} / o_{t+1}).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import sqrt
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from consilium.domain import InvalidValue, digest
from consilium.domain.checks import require_at_least, require_positive
from consilium.market.candles import CandleSeries
from consilium.training.volatility import ewm_volatility

TERCILE_K = 0.4307
"""The upper tercile of a standard normal."""

NEVER = int(np.iinfo(np.int64).max)
"""``ts_matured`` of a row whose outcome lies beyond the end of the data."""

OF_BOOKS = "snapshots"
"""Kind of the label that is read from the books at the closes of bars."""

UNKNOWN = -1
"""Direction of a row without a label."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """Labels of one series, row t for bar t.

    Parameters
    ----------
    direction
        Shape (n,), int8: 0 down, 1 flat, 2 up, -1 where the threshold or the outcome is unknown.
    realised_return
        Shape (n,), log return from the next open to the exit; NaN where unknown.
    threshold
        Shape (n,), the return that |r| must exceed to be no FLAT; NaN in the warm-up.
    ts_matured
        Shape (n,), UTC nanoseconds from which the outcome is known; NEVER beyond the end of the data.
    """

    direction: NDArray[np.int8]
    realised_return: NDArray[np.float64]
    threshold: NDArray[np.float64]
    ts_matured: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.direction)


class LabelDefinition(Protocol):
    """A way to label rows; `LabelSpec` and `TripleBarrierSpec` are the two known ones."""

    kind: ClassVar[str]

    @property
    def horizon(self) -> int:
        """Bars from entry to the last possible exit."""
        ...

    def label_id(self, interval_ns: int) -> str:
        """Return the short hash of the definition."""
        ...

    def span_ns(self, interval_ns: int) -> int:
        """Return the horizon as a nominal time, on bars of a length."""
        ...

    def as_dict(self) -> dict[str, float | int | str]:
        """Return kind and parameters."""
        ...

    def label(self, series: CandleSeries) -> Labels:
        """Label a series."""
        ...


def hash_definition(fields: Mapping[str, float | int | str], interval_ns: int) -> str:
    """Return 12 hex digits of the SHA-256 of a definition and its bar length."""
    return digest({**fields, "interval_ns": interval_ns})[:12]


def _fields(kind: str, values: Mapping[str, float | int]) -> dict[str, float | int | str]:
    """Return kind and parameters; a factor given as 1 and as 1.0 is the same definition."""
    counted = ("horizon", "span")
    return {
        "kind": kind,
        **{name: int(value) if name in counted else float(value) for name, value in values.items()},
    }


def _check(horizon: int, k: float, span: int, floor: float) -> None:
    if horizon < 1:
        raise InvalidValue("horizon must be >= 1 bar", horizon, "use 1")
    if span < 2:
        raise InvalidValue("span must be >= 2 bars", span, "use 96")
    require_at_least("k", k, 0.0)
    require_at_least("floor", floor, 0.0)


def _threshold(series: CandleSeries, k: float, span: int, horizon: int, floor: float) -> NDArray[np.float64]:
    widths = k * sqrt(horizon) * ewm_volatility(series.close, span)
    return np.maximum(widths, floor)


def _to_the_horizon(series: CandleSeries, horizon: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    n = len(series)
    returns = np.full(n, np.nan)
    matured = np.full(n, NEVER, dtype=np.int64)
    known = n - 1 - horizon
    if known > 0:
        log_open = np.log(series.open)
        returns[:known] = log_open[1 + horizon :] - log_open[1 : n - horizon]
        matured[:known] = series.ts_open[1 + horizon :]
    return returns, matured


def _three_way(returns: NDArray[np.float64], threshold: NDArray[np.float64]) -> NDArray[np.int8]:
    direction = np.full(len(returns), UNKNOWN, dtype=np.int8)
    known = np.isfinite(returns) & np.isfinite(threshold)
    direction[known] = 1
    direction[known & (returns > threshold)] = 2
    direction[known & (returns < -threshold)] = 0
    return direction


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSpec:
    """Terciles by volatility: UP if r > u, DOWN if r < -u, else FLAT; ``u = max(k s_t sqrt(H), floor)``.

    Parameters
    ----------
    horizon
        H, bars from the entry at the next open to the exit at an open, >= 1.
    k
        Width of FLAT in standard deviations, >= 0; .4307 gives terciles for a normal.
    span
        Span of s_t in bars, >= 2.
    floor
        Lower bound of u, a log return >= 0; the round-trip cost makes UP and DOWN worth trading.

    Raises
    ------
    InvalidValue
        A parameter outside its bound.

    Examples
    --------
    >>> LabelSpec(horizon=4).label_id(3_600_000_000_000) == LabelSpec(horizon=4, k=0.5).label_id(
    ...     3_600_000_000_000)
    False
    """

    kind: ClassVar[str] = "tercile"

    horizon: int = 1
    k: float = TERCILE_K
    span: int = 96
    floor: float = 0.0

    def __post_init__(self) -> None:
        _check(self.horizon, self.k, self.span, self.floor)

    def label_id(self, interval_ns: int) -> str:
        """Return 12 hex digits that name this definition on bars of a length."""
        return hash_definition(self.as_dict(), interval_ns)

    def span_ns(self, interval_ns: int) -> int:
        """Return the horizon as a nominal time."""
        return self.horizon * interval_ns

    def as_dict(self) -> dict[str, float | int | str]:
        """Return kind and parameters."""
        return _fields(self.kind, asdict(self))

    def label(self, series: CandleSeries) -> Labels:
        """Label a series; see `make_labels`."""
        threshold = _threshold(series, self.k, self.span, self.horizon, self.floor)
        returns, matured = _to_the_horizon(series, self.horizon)
        return Labels(
            direction=_three_way(returns, threshold),
            realised_return=returns,
            threshold=threshold,
            ts_matured=matured,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TripleBarrierSpec:
    """The first of three barriers: ``o_{t+1} e^(up s_t)``, ``o_{t+1} e^(-down s_t)``, H bars.

    Bars t+1 .. t+H are walked in order. An open at or beyond a barrier (a gap) exits there, at that open.
    Else a low at or below the lower barrier is DOWN, also when the high touched the upper one in the same
    bar: the stop comes first. Else a high at or above the upper barrier is UP. Without a touch the exit is
    o_{t+1+H}, and the label UP or DOWN by the sign of r if |r| > max(k s_t sqrt(H), floor), else FLAT.

    A touch is known at the close of its bar. A row is labelled only if o_{t+1+H} is in the data, touched or
    not: otherwise the end of the data would hold the quick outcomes alone.

    Parameters
    ----------
    up, down
        Distances of the barriers in s_t, > 0.
    horizon
        H, bars until the time barrier, >= 1.
    k, span, floor
        As in `LabelSpec`, for the time barrier.

    Raises
    ------
    InvalidValue
        A parameter outside its bound.

    References
    ----------
    Lopez de Prado (2018), ch. 3.3.
    """

    kind: ClassVar[str] = "triple_barrier"

    up: float = 2.0
    down: float = 2.0
    horizon: int = 24
    k: float = TERCILE_K
    span: int = 96
    floor: float = 0.0

    def __post_init__(self) -> None:
        _check(self.horizon, self.k, self.span, self.floor)
        require_positive("up", self.up)
        require_positive("down", self.down)

    def label_id(self, interval_ns: int) -> str:
        """Return 12 hex digits that name this definition on bars of a length."""
        return hash_definition(self.as_dict(), interval_ns)

    def span_ns(self, interval_ns: int) -> int:
        """Return the horizon as a nominal time."""
        return self.horizon * interval_ns

    def as_dict(self) -> dict[str, float | int | str]:
        """Return kind and parameters."""
        return _fields(self.kind, asdict(self))

    def label(self, series: CandleSeries) -> Labels:
        """Label a series; see `make_labels`."""
        threshold = _threshold(series, self.k, self.span, self.horizon, self.floor)
        returns, matured = _to_the_horizon(series, self.horizon)
        direction = _three_way(returns, threshold)
        known = np.flatnonzero(direction != UNKNOWN)
        scale = ewm_volatility(series.close, self.span)
        self._touch(series, known, scale, direction, returns, matured)
        return Labels(direction=direction, realised_return=returns, threshold=threshold, ts_matured=matured)

    def _touch(
        self,
        series: CandleSeries,
        rows: NDArray[np.int64],
        scale: NDArray[np.float64],
        direction: NDArray[np.int8],
        returns: NDArray[np.float64],
        matured: NDArray[np.int64],
    ) -> None:
        log_open, log_high, log_low = np.log(series.open), np.log(series.high), np.log(series.low)
        entry = log_open[rows + 1]
        upper, lower = entry + self.up * scale[rows], entry - self.down * scale[rows]
        waiting = np.arange(len(rows))
        for step in range(1, self.horizon + 1):
            bars = rows[waiting] + step
            top, bottom, begin = upper[waiting], lower[waiting], entry[waiting]
            at_open = log_open[bars]
            # The entry itself is no gap: with s_t = 0 the barriers lie on it.
            gap_up, gap_down = (at_open >= top) & (step > 1), (at_open <= bottom) & (step > 1)
            stop = gap_down | (~gap_up & (log_low[bars] <= bottom))
            gain = gap_up | (~stop & (log_high[bars] >= top))
            exits = np.where(gap_up | gap_down, at_open, np.where(stop, bottom, top))
            touched = stop | gain
            hit = rows[waiting[touched]]
            direction[hit] = np.where(stop[touched], 0, 2).astype(np.int8)
            returns[hit] = (exits - begin)[touched]
            matured[hit] = series.ts_open[bars[touched]] + series.interval_ns
            waiting = waiting[~touched]


def make_labels(series: CandleSeries, spec: LabelDefinition) -> Labels:
    """Label each bar of a series with the direction of what follows it.

    Row t uses s_t, which reads closes up to bar t, and opens from bar t+1 on: what an order sent at the close
    of bar t would get. ``ts_matured`` is the open time of bar t+1+H for terciles.

    Parameters
    ----------
    series
        Candles of one symbol.
    spec
        `LabelSpec` or `TripleBarrierSpec`.

    Returns
    -------
    Labels of length n; direction -1 in the warm-up and where the outcome lies beyond the end.
    """
    return spec.label(series)
