"""Labels bar by bar: outcomes as they mature, by the definition that the models were trained on.

Letters as in `consilium.training.labels`: o_t the open of bar t, H the horizon, s_t the volatility.
"""

from collections import deque
from collections.abc import Mapping
from math import inf, isfinite, nan, sqrt
from typing import Any

import numpy as np

from consilium.domain import ArtefactRefused, Candle, Direction, Outcome
from consilium.training.labels import LabelSpec


class EwmVolatility:
    """The values of `ewm_volatility` over a whole series, one close at a time.

    Parameters
    ----------
    span
        In bars, >= 2.

    Examples
    --------
    >>> volatility = EwmVolatility(span=2)
    >>> [round(volatility.update(close), 4) for close in np.exp([0.0, 0.01, 0.0, 0.01]).tolist()]
    [nan, nan, 0.0141, 0.0124]
    """

    def __init__(self, span: int = 96) -> None:
        self.span = span
        self._q = 1.0 - 2.0 / (span + 1.0)
        self._log_close = nan
        self._first_return = nan
        self._returns = 0
        self._first = 0.0
        self._second = 0.0

    def update(self, close: float) -> float:
        """Take a close > 0 and return s_t, NaN before bar ``span``."""
        log_close = float(np.log(close))
        change, self._log_close = log_close - self._log_close, log_close
        if not isfinite(change):
            return nan
        if self._returns == 0:
            self._first_return = change
        self._returns += 1
        shifted, q = change - self._first_return, self._q
        self._first = shifted + q * self._first
        self._second = shifted * shifted + q * self._second
        if self._returns < self.span:
            return nan
        n = self._returns
        total = (1.0 - q**n) / (1.0 - q)
        squares = (1.0 - q ** (2 * n)) / (1.0 - q * q)
        spread = max(self._second - self._first * self._first / total, 0.0)
        return sqrt(spread * total / (total * total - squares))

    def state(self) -> list[float | int | None]:
        """Return what it remembers, as JSON values."""
        known = self._returns > 0
        return [
            self._log_close if isfinite(self._log_close) else None,
            self._first_return if known else None,
            self._returns,
            self._first,
            self._second,
        ]

    def restore(self, state: list[Any]) -> None:
        """Go on where another of the same span stood."""
        log_close, first_return, self._returns, self._first, self._second = state
        self._log_close = nan if log_close is None else log_close
        self._first_return = nan if first_return is None else first_return


class LabelStream:
    """Outcomes of one symbol as its candles come: those of `make_labels` with a `LabelSpec`.

    The outcome of bar t is known with the open of bar t+1+H, which a feed of finished candles brings at the
    close of that bar.

    Parameters
    ----------
    symbol
        Whose candles.
    spec
        The definition of the models' label.
    interval_ns
        Length of a bar.

    Examples
    --------
    >>> stream = LabelStream("BTCUSDT", LabelSpec(span=2), 60)
    >>> for t, price in enumerate([100.0, 101.0, 99.0, 100.0, 104.0, 105.0]):
    ...     outcome = stream.update(Candle(symbol="BTCUSDT", interval_ns=60, ts_open=60 * t,
    ...         ts_close=60 * t + 60, open=price, high=price, low=price, close=price, volume=1.0))
    >>> outcome.ts_event, outcome.ts_matured, outcome.direction.name
    (240, 300, 'UP')
    """

    def __init__(self, symbol: str, spec: LabelSpec, interval_ns: int) -> None:
        self.symbol = symbol
        self.spec = spec
        self.interval_ns = interval_ns
        self.horizon_ns = spec.horizon * interval_ns
        self.label_id = spec.label_id(interval_ns)
        self._scale = spec.k * sqrt(spec.horizon)
        self._volatility = EwmVolatility(spec.span)
        self._rows: deque[tuple[int, float, float]] = deque(maxlen=spec.horizon + 2)

    def update(self, candle: Candle) -> Outcome | None:
        """Take the next candle; return the outcome that it makes known, None where there is no label."""
        # not max(): it would hide the NaN of the warm-up behind the floor
        width = self._scale * self._volatility.update(candle.close)
        threshold = self.spec.floor if width < self.spec.floor else width
        self._rows.append((candle.ts_close, float(np.log(candle.open)), threshold))
        if len(self._rows) < self.spec.horizon + 2:
            return None
        (ts_event, _, threshold), (_, entry, _) = self._rows[0], self._rows[1]
        if not isfinite(threshold):
            return None
        realised = self._rows[-1][1] - entry
        return Outcome(
            symbol=self.symbol,
            ts_event=ts_event,
            horizon_ns=self.horizon_ns,
            label_id=self.label_id,
            ts_matured=candle.ts_open,
            direction=_direction(realised, threshold),
            realised_return=realised,
        )

    def state(self) -> dict[str, Any]:
        """Return what it remembers, as JSON values."""
        rows = [
            [ts, entry, threshold if isfinite(threshold) else None] for ts, entry, threshold in self._rows
        ]
        return {"label_id": self.label_id, "volatility": self._volatility.state(), "rows": rows}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where another stream of the same label stood.

        Raises
        ------
        ArtefactRefused
            The state is of another label.
        """
        if state.get("label_id") != self.label_id:
            raise ArtefactRefused(
                f"a label stream's state must be of label {self.label_id}",
                state.get("label_id"),
                "feed the history again to a fresh stream",
            )
        self._volatility.restore(state["volatility"])
        self._rows.clear()
        self._rows.extend((ts, entry, inf if t is None else t) for ts, entry, t in state["rows"])


def _direction(realised: float, threshold: float) -> Direction:
    if realised > threshold:
        return Direction.UP
    return Direction.DOWN if realised < -threshold else Direction.FLAT
