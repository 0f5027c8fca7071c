"""Features bar by bar, with the same values as over the whole series."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from consilium.domain.checks import require_positive
from consilium.domain.errors import ArtefactRefused, InvalidValue
from consilium.domain.market import Candle
from consilium.market.features.catalogue import features_hash, program_of, warm_up
from consilium.market.features.operation import FloatArray, Stateful, Step


class FeatureStream:
    """Features of one symbol as its candles come.

    Its rows equal those of `compute_features` over the same bars. What it remembers can be written as JSON
    (`state`) and taken up by another stream (`restore`), so that a service may restart without history.

    Parameters
    ----------
    names
        F features.
    interval_ns
        Length of a bar in nanoseconds, > 0; candles of another length are refused.
    bars_per_day
        As of the series, > 0; `volatility_20` is annualised to a day with it.

    Raises
    ------
    UnknownName
        A feature is in no table.
    InvalidValue
        A length is not positive, or a candle does not follow the one before.

    Examples
    --------
    >>> from consilium.domain.time import HOUR_NS
    >>> stream = FeatureStream(["return_1"], interval_ns=HOUR_NS, bars_per_day=24.0)
    >>> for t, price in enumerate([100.0, 101.0, 99.0]):
    ...     row = stream.update(Candle(symbol="BTCUSDT", interval_ns=HOUR_NS, ts_open=t * HOUR_NS,
    ...         ts_close=(t + 1) * HOUR_NS, open=price, high=price, low=price, close=price, volume=1.0))
    ...     print(row.round(5).tolist())
    [nan]
    [0.00995]
    [-0.02]
    """

    def __init__(self, names: Sequence[str], *, interval_ns: int, bars_per_day: float) -> None:
        require_positive("interval_ns", interval_ns)
        require_positive("bars_per_day", bars_per_day)
        self.names = tuple(names)
        self.interval_ns = interval_ns
        self.bars_per_day = bars_per_day
        self._root = bars_per_day**0.5
        self._program = program_of(self.names)
        self._warm_up = warm_up(self.names)
        self._steps: list[Step] = [line.operation.stepper() for line in self._program.lines]
        self._plan = self._program.plan
        self._outputs = list(zip(self._program.outputs, self._program.leads, strict=True))
        self._bars = 0
        self._symbol = ""
        self._ts_open = -1

    @property
    def bars(self) -> int:
        """Candles taken so far."""
        return self._bars

    @property
    def is_warm(self) -> bool:
        """True once all features are finite."""
        return self._bars >= self._warm_up

    def update(self, candle: Candle) -> FloatArray:
        """Take the next candle and return the features at its close, shape (F,), NaN where still cold.

        Raises
        ------
        InvalidValue
            The candle is of another symbol or length, or not later than the one before.
        """
        self._require_next(candle)
        row = self._bars
        columns = (candle.open, candle.high, candle.low, candle.close, candle.volume, self._root)
        values: list[Any] = [float(value) for value in columns]
        append = values.append
        for step, (start, first, second, third) in zip(self._steps, self._plan, strict=True):
            if row < start:
                append(None)
            elif second < 0:
                append(step(values[first]))
            elif third < 0:
                append(step(values[first], values[second]))
            else:
                append(step(values[first], values[second], values[third]))
        self._bars += 1
        self._symbol, self._ts_open = candle.symbol, candle.ts_open
        return np.array([values[place] if row >= lead else np.nan for place, lead in self._outputs])

    def _require_next(self, candle: Candle) -> None:
        if candle.interval_ns != self.interval_ns:
            raise InvalidValue(
                f"a candle's interval_ns must be {self.interval_ns}",
                candle.interval_ns,
                "use one stream for each length of bar",
            )
        if self._bars and candle.symbol != self._symbol:
            raise InvalidValue(
                f"a candle must be of {self._symbol}", candle.symbol, "use one stream for each symbol"
            )
        if candle.ts_open <= self._ts_open:
            raise InvalidValue(
                f"a candle must open after {self._ts_open}", candle.ts_open, "send candles once and in order"
            )

    def state(self) -> dict[str, Any]:
        """Return what it remembers, ready for JSON."""
        return {
            "features": features_hash(self.names),
            "interval_ns": self.interval_ns,
            "bars_per_day": self.bars_per_day,
            "bars": self._bars,
            "symbol": self._symbol,
            "ts_open": self._ts_open,
            "steps": [step.state() for step in self._steps if _remembers(step)],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where another stream with the same settings stood.

        Raises
        ------
        ArtefactRefused
            The state belongs to other features, another length of bar, or another version of the formulas.
        """
        own = {
            "features": features_hash(self.names),
            "interval_ns": self.interval_ns,
            "bars_per_day": self.bars_per_day,
        }
        theirs = {key: state.get(key) for key in own}
        keep = [step for step in self._steps if _remembers(step)]
        whole = {"bars", "symbol", "ts_open", "steps"} <= state.keys()
        if theirs != own or not whole or len(state["steps"]) != len(keep):
            raise ArtefactRefused(
                f"a stream's state must be whole and of {own}",
                theirs,
                "feed the history again to a fresh stream",
            )
        for step, remembered in zip(keep, state["steps"], strict=True):
            step.restore(remembered)
        self._bars, self._symbol, self._ts_open = state["bars"], state["symbol"], state["ts_open"]


def _remembers(step: Step) -> TypeGuard[Stateful]:
    return hasattr(step, "restore")
